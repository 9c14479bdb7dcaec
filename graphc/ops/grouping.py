"""Operations that stand for others: no_op, group, tuple."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

from ..operation import OpDef, Operation, Tensor, apply, define
from ..scopes import control_dependencies
from .constants import convert_to_tensor
from .movement import identity

NO_OP = define(OpDef("no_op", infer=lambda types: [], differentiable=False, composite=lambda operation: ()))


def no_op(name: str | None = None) -> Operation:
    """An operation that does nothing; it waits for the control dependencies in force."""
    return apply(NO_OP, [], name or "NoOp")


def group(*inputs: Any, **kwargs: Any) -> Operation:
    """An operation that is done when all inputs are: operations, tensors, variables and nests of them; None is left out.

    Raises TypeError for other inputs and for keywords other than `name`.
    """
    name = kwargs.pop("name", None)
    if kwargs:
        raise TypeError(f"Unknown keyword arguments: {', '.join(kwargs)}")
    with control_dependencies([_element(item) for item in _flatten(inputs)]):
        return no_op(name or "group_deps")


def _flatten(items: Any) -> list[Any]:
    found = []
    for item in items:
        if isinstance(item, dict):
            found += _flatten(item.values())
        elif isinstance(item, (list, builtins.tuple)):
            found += _flatten(item)
        elif item is not None:
            found.append(item)
    return found


def _element(item: Any) -> Any:
    if isinstance(item, (Tensor, Operation)) or hasattr(item, "_as_graph_element"):
        return item
    if hasattr(item, "_as_tensor"):
        return item._as_tensor()
    raise TypeError(f"Expected tf.group() inputs to be Tensors or Operations, got {item!r} of type {type(item).__name__}")


def tuple(tensors: Sequence[Any], name: str | None = None, control_inputs: Any = None) -> list[Tensor | None]:
    """The same tensors, each of which waits until all of them are computed; None stays None.

    Raises ValueError where there is no tensor.
    """
    given = [None if item is None else _gated(item) for item in tensors]
    if all(item is None for item in given):
        raise ValueError(f"Must have at least one Tensor: {tensors!r}")
    gate = group(*given, *(control_inputs or ()), name=f"{name or 'tuple'}/group_deps")
    with control_dependencies([gate]):
        return [
            identity(item, name=f"{name or 'tuple'}/control_dependency") if isinstance(item, Tensor) else item for item in given
        ]


def _gated(item: Any) -> Any:
    return item if isinstance(item, Operation) else convert_to_tensor(item)


__all__ = ["no_op", "group", "tuple"]
