"""The variable that counts training steps."""

from __future__ import annotations

from typing import Any

from ..collections import GraphKeys
from ..dtypes import int64
from ..graph import Graph, get_default_graph
from ..initializers import zeros_initializer
from ..variable_scopes import get_variable
from ..variables import Variable


def get_global_step(graph: Graph | None = None) -> Any:
    """The global step of a graph, or None. Raises TypeError where it is no integer, RuntimeError where there are several."""
    owner = graph if graph is not None else get_default_graph()
    found = owner.get_collection(GraphKeys.GLOBAL_STEP)
    if len(found) > 1:
        raise RuntimeError("Multiple items found in collection 'global_step'.")
    if found:
        step = found[0]
    else:
        try:
            step = owner.get_tensor_by_name("global_step:0")
        except KeyError:
            return None
    assert_global_step(step)
    return step


def create_global_step(graph: Graph | None = None) -> Variable:
    """Makes the global step: int64, 0 at first. Raises ValueError where the graph has one."""
    owner = graph if graph is not None else get_default_graph()
    if get_global_step(owner) is not None:
        raise ValueError('"global_step" already exists.')
    with owner.as_default(), owner.name_scope(None):
        return get_variable(
            GraphKeys.GLOBAL_STEP, [], int64, zeros_initializer(), trainable=False,
            collections=[GraphKeys.GLOBAL_VARIABLES, GraphKeys.GLOBAL_STEP],
        )  # fmt: skip


def get_or_create_global_step(graph: Graph | None = None) -> Any:
    """The global step, made where there is none."""
    owner = graph if graph is not None else get_default_graph()
    found = get_global_step(owner)
    return create_global_step(owner) if found is None else found


def assert_global_step(global_step_tensor: Any) -> None:
    """Raises TypeError unless it is an integer scalar."""
    if not global_step_tensor.dtype.is_integer:
        raise TypeError(f"Existing \"global_step\" does not have integer type: {global_step_tensor.dtype}")
    if global_step_tensor.get_shape().ndims not in (0, None):
        raise TypeError(f"Existing \"global_step\" is not scalar: {global_step_tensor.get_shape()}")


def global_step(sess: Any, global_step_tensor: Any) -> int:
    """The value of the global step in a session."""
    return int(sess.run(global_step_tensor))


__all__ = [
    "assert_global_step", "create_global_step", "get_global_step", "get_or_create_global_step", "global_step",
]  # fmt: skip
