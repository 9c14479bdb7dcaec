"""Elements chosen by indices that are tensors: gather, scatter, one_hot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import as_dtype, float32, int32
from ..errors import DTypeError, InvalidArgumentError, ShapeError
from ..operation import Dynamic, OpDef, Operation, Tensor, TensorType, apply, define
from ..shapes import Shape, format_shape, merge_shapes
from .compare import equal, select
from .constants import convert_to_tensor
from .conversion import cast
from .filling import iota
from .joining import concat, normalize_place
from .movement import expand_dims, invert_order, reshape, transpose
from .rules import check_axis, check_same_dtype, integer, normalize, partial_number, partial_sizes, size_list


def _check_indices(types: TensorType) -> None:
    if types.dtype.name not in ("int32", "int64", "uint8", "int16", "int8", "uint16"):
        raise DTypeError(f"indices are integers, not {types.dtype.name}")


def check_bounds(indices: np.ndarray, limit: int) -> None:
    """Raises InvalidArgumentError for the first index that is not in [0, limit)."""
    wrong = indices[(indices < 0) | (indices >= limit)]
    if wrong.size:
        raise InvalidArgumentError(f"index {wrong.flat[0]} is not in [0, {limit})")


def _widen(indices: Tensor) -> Tensor:
    """Indices in a type that counts further than theirs does."""
    return cast(indices, int32) if indices.dtype.bits < 32 else indices


# -- gather


def _gather_type(types: Sequence[TensorType], axis: Any) -> TensorType:
    params, indices = types
    _check_indices(indices)
    if params.shape is None or indices.shape is None or isinstance(axis, Dynamic):
        return TensorType(params.dtype, None)
    check_axis(axis, len(params.shape))
    return TensorType(params.dtype, (*params.shape[:axis], *indices.shape, *params.shape[axis + 1 :]))


def _evaluate_gather(attributes: Any, params: np.ndarray, indices: np.ndarray) -> np.ndarray:
    check_bounds(indices, params.shape[attributes["axis"]])
    return np.take(params, indices.astype(np.int64), axis=attributes["axis"])


def _gather_gradient(operation: Operation, gradient: Tensor) -> list[Tensor | None]:
    """The gradient's parts added up where they were taken, with the axis moved to the front."""
    params, indices = operation.inputs
    axis, sizes = operation.attributes["axis"], params.type.sizes
    taken = len(indices.type.sizes)
    count = math.prod(indices.type.sizes)
    order = [*range(axis, axis + taken), *range(axis), *range(axis + taken, len(gradient.type.sizes))]
    others = [*sizes[:axis], *sizes[axis + 1 :]]
    updates = reshape(transpose(gradient, order) if axis else gradient, [count, *others])
    scattered = scatter_nd(reshape(indices, [count, 1]), updates, [sizes[axis], *others])
    if not axis:
        return [scattered, None]
    back = [axis, *range(axis), *range(axis + 1, len(sizes))]
    return [transpose(scattered, invert_order(back)), None]


GATHER = define(
    OpDef(
        "gather",
        infer=_gather_type,
        gradient=_gather_gradient,
        attributes={"axis": int},
        kernel="gather",
        evaluate=_evaluate_gather,
    )
)


def gather(
    params: Any, indices: Any, validate_indices: Any = None, name: str | None = None, axis: Any = None, batch_dims: int = 0
) -> Tensor:
    """The slices of `params` at the indices along an axis.

    The result has the sizes params[:axis] + indices[batch_dims:] + params[axis + 1:]; the first `batch_dims` axes of both are
    paired. A run with an index out of range fails. Raises ShapeError for an axis out of range.
    """
    table, index = convert_to_tensor(params), convert_to_tensor(indices)
    place = integer(batch_dims if axis is None else axis)
    if batch_dims:
        return _gather_batches(table, index, place, int(batch_dims), name)
    return apply(GATHER, [table, index], name or "GatherV2", axis=normalize_place(place, table.type.rank, table))


def _batched_type(types: Sequence[TensorType], axis: int, batch_dims: int) -> TensorType:
    params, indices = types
    _check_indices(indices)
    if params.shape is None or indices.shape is None:
        return TensorType(params.dtype, None)
    place, count = normalize(axis, len(params.shape)), normalize(batch_dims, len(indices.shape))
    check_axis(place, len(params.shape))
    if not 0 <= count <= min(place, len(indices.shape)):
        raise ShapeError(f"batch_dims {batch_dims} is more than axis {axis} or the rank of the indices")
    try:
        batch: Any = merge_shapes(params.shape[:count], indices.shape[:count])
    except ValueError:
        sizes = f"{format_shape(params.shape[:count])} and {format_shape(indices.shape[:count])}"
        raise ShapeError(f"batch dimensions differ, {sizes}") from None
    return TensorType(
        params.dtype, (*batch, *params.shape[count:place], *indices.shape[count:], *params.shape[place + 1 :])
    )


def _expand_batched(operation: Operation) -> Tensor:
    """One gather over the batch and the axis as one: index i of batch b is row b * size + i."""
    params, indices = operation.inputs
    sizes = params.type.sizes
    axis = normalize(operation.attributes["axis"], len(sizes))
    batch_dims = normalize(operation.attributes["batch_dims"], len(indices.type.sizes))
    batch = math.prod(sizes[:batch_dims])
    middle = list(range(batch_dims, axis))
    moved = transpose(params, [*range(batch_dims), axis, *middle, *range(axis + 1, len(sizes))]) if middle else params
    flat = reshape(moved, [batch * sizes[axis], *sizes[batch_dims:axis], *sizes[axis + 1 :]])
    own = indices.type.sizes[batch_dims:]
    indices = _widen(indices)
    rows = reshape(indices, [batch, math.prod(own)]) + iota([batch, 1], 0, indices.dtype) * sizes[axis]
    taken = apply(GATHER, [flat, rows], axis=0)
    shaped = reshape(taken, [*sizes[:batch_dims], *own, *sizes[batch_dims:axis], *sizes[axis + 1 :]])
    if not middle:
        return shaped
    first, count = batch_dims, len(own)
    order = [*range(first), *range(first + count, first + count + len(middle)), *range(first, first + count)]
    return transpose(shaped, [*order, *range(len(order), len(shaped.type.sizes))])


GATHER_BATCHED = define(
    OpDef("gather_batched", infer=_batched_type, attributes={"axis": int, "batch_dims": int}, composite=_expand_batched)
)


def _gather_batches(table: Tensor, index: Tensor, axis: Any, batch_dims: int, name: str | None) -> Tensor:
    if isinstance(axis, Tensor):
        raise TypeError("gather: the axis must be known where batch_dims is given")
    return apply(GATHER_BATCHED, [table, index], name or "GatherV2", axis=axis, batch_dims=batch_dims)


def batch_gather(params: Any, indices: Any, name: str | None = None) -> Tensor:
    """gather along the last axis of the indices, all axes before it paired."""
    table, index = convert_to_tensor(params), convert_to_tensor(indices)
    if index.type.rank is None:
        raise ValueError("batch_gather does not allow indices with unknown shape.")
    return gather(table, index, name=name, axis=index.type.rank - 1, batch_dims=index.type.rank - 1)


# -- gather_nd and scatter_nd


def _gather_nd_type(types: Sequence[TensorType]) -> TensorType:
    params, indices = types
    _check_indices(indices)
    if params.shape is None or indices.shape is None:
        return TensorType(params.dtype, None)
    if not indices.shape:
        raise ShapeError("the indices are 0-d; their last axis holds one index")
    depth = indices.shape[-1]
    if depth is None:
        return TensorType(params.dtype, None)
    if depth > len(params.shape):
        raise ShapeError(f"an index has {depth} parts, the operand {len(params.shape)} axes")
    return TensorType(params.dtype, (*indices.shape[:-1], *params.shape[depth:]))


def _split_indices(indices: np.ndarray, sizes: Sequence[int]) -> tuple[np.ndarray, ...]:
    """The parts of indices, each one checked."""
    depth = indices.shape[-1]
    parts = [indices[..., d].astype(np.int64) for d in range(depth)]
    for part, size in zip(parts, sizes):
        check_bounds(part, size)
    return tuple(parts)


def _evaluate_gather_nd(attributes: Any, params: np.ndarray, indices: np.ndarray) -> np.ndarray:
    if indices.shape[-1] == 0:
        return np.broadcast_to(params, indices.shape[:-1] + params.shape)
    return params[_split_indices(indices, params.shape)]


def _gather_nd_gradient(operation: Operation, gradient: Tensor) -> list[Tensor | None]:
    params, indices = operation.inputs
    return [scatter_nd(indices, gradient, params.type.sizes), None]


GATHER_ND = define(
    OpDef("gather_nd", infer=_gather_nd_type, gradient=_gather_nd_gradient, kernel="gather", evaluate=_evaluate_gather_nd)
)


def gather_nd(params: Any, indices: Any, name: str | None = None, batch_dims: int = 0) -> Tensor:
    """The elements or slices of `params` at indices of several parts, which the last axis of `indices` holds.

    A run with an index out of range fails. The first `batch_dims` axes of both are paired.
    """
    table, index = convert_to_tensor(params), convert_to_tensor(indices)
    if not batch_dims:
        return apply(GATHER_ND, [table, index], name or "GatherNd")
    sizes = index.type.shape
    if sizes is None or None in sizes[:-1]:
        raise ValueError("gather_nd: the shape of the indices must be known where batch_dims is given")
    shape = (*sizes[:-1], 1)
    places = [iota(shape, axis, index.dtype) for axis in range(batch_dims)]
    return apply(GATHER_ND, [table, concat([*places, index], -1)], name or "GatherNd")


def _scatter_nd_type(types: Sequence[TensorType], shape: Any) -> TensorType:
    indices, updates = types
    _check_indices(indices)
    sizes = partial_sizes(shape)
    if sizes is None or indices.shape is None or not indices.shape or indices.shape[-1] is None:
        return TensorType(updates.dtype, sizes)
    depth = indices.shape[-1]
    if depth > len(sizes):
        raise ShapeError(f"an index has {depth} parts, the result {len(sizes)} axes")
    expected: Shape = (*indices.shape[:-1], *sizes[depth:])
    try:
        merge_shapes(expected, updates.shape)
    except ValueError:
        found = format_shape(updates.shape)
        raise ShapeError(f"updates are {found}, indices and result need {format_shape(expected)}") from None
    return TensorType(updates.dtype, sizes)


def _evaluate_scatter_nd(attributes: Any, indices: np.ndarray, updates: np.ndarray) -> np.ndarray:
    """Adds in the order of the updates; 16-bit floats in float32."""
    wide = as_dtype(updates.dtype).compute.numpy
    result = np.zeros(attributes["shape"], wide)
    if indices.shape[-1] == 0:
        result += updates.astype(wide).reshape(-1, *result.shape).sum(0, dtype=wide)
    else:
        np.add.at(result, _split_indices(indices, attributes["shape"]), updates.astype(wide))
    return result.astype(updates.dtype)


SCATTER_ND = define(
    OpDef(
        "scatter_nd",
        infer=_scatter_nd_type,
        gradient=lambda operation, gradient: [None, gather_nd(gradient, operation.inputs[0])],
        attributes={"shape": tuple},
        kernel="scatter",
        evaluate=_evaluate_scatter_nd,
    )
)


def scatter_nd(indices: Any, updates: Any, shape: Any, name: str | None = None) -> Tensor:
    """Zeros of a shape with updates added at indices of several parts; several at one place add up.

    A run with an index out of range fails.
    """
    return apply(
        SCATTER_ND, [convert_to_tensor(indices), convert_to_tensor(updates)], name or "ScatterNd", shape=size_list(shape)
    )


# -- one_hot


def _one_hot_type(types: Sequence[TensorType], depth: Any, axis: int) -> TensorType:
    indices, on, off = types
    _check_indices(indices)
    dtype = check_same_dtype([on, off])
    if indices.shape is None:
        return TensorType(dtype, None)
    rank = len(indices.shape) + 1
    place = normalize(axis, rank)
    if not 0 <= place < rank:
        raise ShapeError(f"axis {axis} is out of range for a result of rank {rank}")
    return TensorType(dtype, (*indices.shape[:place], partial_number(depth), *indices.shape[place:]))


def _expand_one_hot(operation: Operation) -> Tensor:
    _, on, off = operation.inputs
    indices = _widen(operation.inputs[0])
    sizes = operation.output.type.sizes
    axis = normalize(operation.attributes["axis"], len(sizes))
    counted = iota([size if i == axis else 1 for i, size in enumerate(sizes)], axis, indices.dtype)
    return select(equal(expand_dims(indices, axis), counted), on, off)


ONE_HOT = define(
    OpDef("one_hot", infer=_one_hot_type, attributes={"depth": int, "axis": int}, composite=_expand_one_hot)
)


def one_hot(
    indices: Any, depth: Any, on_value: Any = None, off_value: Any = None, axis: Any = None, dtype: Any = None,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """`on_value` (1) at each index along a new axis of size `depth`, by default the last one, and `off_value` (0) elsewhere.

    An index out of range gives `off_value` only. float32 unless the values or `dtype` say otherwise.
    """
    given = next((convert_to_tensor(v).dtype for v in (on_value, off_value) if v is not None), float32)
    wanted = as_dtype(dtype) if dtype is not None else given
    off_plain = False if wanted.is_bool else 0
    on = convert_to_tensor((True if wanted.is_bool else 1) if on_value is None else on_value, wanted)
    off = convert_to_tensor(off_plain if off_value is None else off_value, wanted)
    place = -1 if axis is None else int(axis)
    return apply(ONE_HOT, [convert_to_tensor(indices), on, off], name or "one_hot", depth=integer(depth), axis=place)


__all__ = ["gather", "batch_gather", "gather_nd", "scatter_nd", "one_hot"]
