"""Writes to parts of a variable: rows or single elements, by index.

Where indices repeat, additions and subtractions all count, and of values that are set the last one stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..dtypes import int32
from ..errors import DTypeError, ShapeError
from ..operation import OpDef, Operation, Tensor, TensorType, apply, define
from ..shapes import are_compatible, format_shape
from .compare import greater, not_equal, select
from .constants import build_constant, convert_to_tensor
from .conversion import cast
from .elementwise import add, subtract
from .filling import zeros_like
from .indexing import gather, scatter_nd
from .joining import concat
from .movement import broadcast_to, expand_dims, reshape
from .reduce import reduce_sum
from .sequences import argsort
from .shape_ops import shape as shape_of
from .strided_slices import get_item

Combine = Callable[[Tensor, Tensor, Tensor], Tensor]
"""The new value from the variable's, indices [n, k] and updates [n, rest of the variable's shape]."""


def _added(variable: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    return add(variable, scatter_nd(indices, updates, variable.type.sizes))


def _subtracted(variable: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    return subtract(variable, scatter_nd(indices, updates, variable.type.sizes))


def _replaced(variable: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    sizes = variable.type.sizes
    chosen = _last_of_equal(_flat_places(indices, sizes))
    for _ in range(1, len(updates.type.shape or ())):
        chosen = expand_dims(chosen, -1)
    chosen = broadcast_to(chosen, shape_of(updates))
    written = greater(scatter_nd(indices, cast(chosen, int32), sizes), 0)
    values = scatter_nd(indices, select(chosen, updates, zeros_like(updates)), sizes)
    return select(written, values, variable)


def _flat_places(indices: Tensor, sizes: Sequence[int]) -> Tensor:
    """Indices [n, k] as places in memory."""
    depth = indices.type.shape[-1] if indices.type.shape else None
    if depth is None:
        raise ShapeError("the length of an index must be known")
    strides = [1] * depth
    for axis in range(depth - 2, -1, -1):
        strides[axis] = strides[axis + 1] * sizes[axis + 1]
    return reduce_sum(indices * build_constant(strides, indices.dtype), axis=1)


def _last_of_equal(places: Tensor) -> Tensor:
    """Which entries of [n] are followed by no equal one."""
    order = argsort(places, stable=True)
    ordered = gather(places, order)
    following = concat([get_item(ordered, slice(1, None)), get_item(ordered, slice(-1, None)) + 1], 0)
    last = not_equal(ordered, following)
    return greater(scatter_nd(expand_dims(order, -1), cast(last, int32), shape_of(places)), 0)


def _define(name: str, combine: Combine, by_rows: bool) -> OpDef:
    def expand(operation: Operation) -> Tensor:
        variable, indices, updates = operation.inputs
        if by_rows:
            updates = _spread(updates, indices, variable)
            updates = reshape(updates, [-1, *variable.type.sizes[1:]])
            indices = reshape(indices, [-1, 1])
        else:
            depth = indices.type.sizes[-1] if indices.type.is_known else (indices.type.shape or (None,))[-1]
            updates = reshape(updates, [-1, *variable.type.sizes[depth:]])
            indices = reshape(indices, [-1, depth])
        return combine(variable, indices, updates)

    rule = _row_update_type if by_rows else _element_update_type
    return define(OpDef(name, infer=rule, composite=expand, effect="write"))


def _spread(updates: Tensor, indices: Tensor, variable: Tensor) -> Tensor:
    """A single number stands for every element that is written."""
    if updates.type.rank != 0:
        return updates
    tail = build_constant(list(variable.type.sizes[1:]), int32)
    return broadcast_to(updates, concat([shape_of(indices), tail], 0))


def _check_update(types: Sequence[TensorType]) -> None:
    variable, indices, updates = types
    if not indices.dtype.is_integer:
        raise DTypeError(f"indices are integers, not {indices.dtype.name}")
    if variable.dtype != updates.dtype:
        raise DTypeError(f"the variable holds {variable.dtype.name}, the updates are {updates.dtype.name}")
    if not variable.is_known:
        raise ShapeError(f"the shape of the variable must be known, it is {format_shape(variable.shape)}")


def _row_update_type(types: Sequence[TensorType]) -> TensorType:
    _check_update(types)
    variable, indices, updates = types
    if indices.shape is not None and updates.shape != ():
        _check_shape(updates, (*indices.shape, *variable.sizes[1:]))
    return variable


def _element_update_type(types: Sequence[TensorType]) -> TensorType:
    _check_update(types)
    variable, indices, updates = types
    if indices.shape is not None and indices.shape and indices.shape[-1] is not None:
        _check_shape(updates, (*indices.shape[:-1], *variable.sizes[indices.shape[-1] :]))
    return variable


def _check_shape(updates: TensorType, wanted: tuple[int | None, ...]) -> None:
    if not are_compatible(updates.shape, wanted):
        raise ShapeError(f"updates have shape {format_shape(updates.shape)}, {format_shape(wanted)} is needed")


SCATTER_UPDATE = _define("scatter_update", _replaced, by_rows=True)
SCATTER_ADD = _define("scatter_add", _added, by_rows=True)
SCATTER_SUB = _define("scatter_sub", _subtracted, by_rows=True)
SCATTER_ND_UPDATE = _define("scatter_nd_update", _replaced, by_rows=False)
SCATTER_ND_ADD = _define("scatter_nd_add", _added, by_rows=False)
SCATTER_ND_SUB = _define("scatter_nd_sub", _subtracted, by_rows=False)


def _write(definition: OpDef, ref: Any, indices: Any, updates: Any, name: str) -> Tensor:
    storage = ref._as_graph_element()
    return apply(definition, [storage, convert_to_tensor(indices), convert_to_tensor(updates, storage.dtype)], name)


def scatter_update(ref: Any, indices: Any, updates: Any, use_locking: bool = True, name: str | None = None) -> Tensor:
    """Sets rows of a variable; gives its new value. `updates` has the shape of `indices` and of a row, or is one number."""
    return _write(SCATTER_UPDATE, ref, indices, updates, name or "ScatterUpdate")


def scatter_add(ref: Any, indices: Any, updates: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
    """Adds to rows of a variable; gives its new value."""
    return _write(SCATTER_ADD, ref, indices, updates, name or "ScatterAdd")


def scatter_sub(ref: Any, indices: Any, updates: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
    """Subtracts from rows of a variable; gives its new value."""
    return _write(SCATTER_SUB, ref, indices, updates, name or "ScatterSub")


def scatter_nd_update(ref: Any, indices: Any, updates: Any, use_locking: bool = True, name: str | None = None) -> Tensor:
    """Sets the parts of a variable that the last dimension of `indices` points to; gives its new value."""
    return _write(SCATTER_ND_UPDATE, ref, indices, updates, name or "ScatterNdUpdate")


def scatter_nd_add(ref: Any, indices: Any, updates: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
    """Adds to the parts of a variable that the last dimension of `indices` points to; gives its new value."""
    return _write(SCATTER_ND_ADD, ref, indices, updates, name or "ScatterNdAdd")


def scatter_nd_sub(ref: Any, indices: Any, updates: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
    """Subtracts from the parts of a variable that the last dimension of `indices` points to; gives its new value."""
    return _write(SCATTER_ND_SUB, ref, indices, updates, name or "ScatterNdSub")


__all__ = [
    "scatter_add", "scatter_nd_add", "scatter_nd_sub", "scatter_nd_update", "scatter_sub", "scatter_update",
]  # fmt: skip
