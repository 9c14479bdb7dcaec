"""Operations that move elements without computing: reshape, transpose, broadcast, reverse and tile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..operation import DEFINITIONS, Dynamic, OpDef, Operation, Tensor, TensorType, apply, define
from ..shapes import Shape, broadcast_shapes, count_elements, format_shape, is_known
from .constants import convert_to_tensor
from .rules import check_axis, integer, normalize, partial_sizes, same_type, size_list

# -- values as they are


IDENTITY = define(
    OpDef(
        "identity",
        infer=same_type,
        gradient=lambda operation, gradient: [gradient],
        composite=lambda operation: operation.inputs[0],
    )
)
STOP_GRADIENT = define(
    OpDef("stop_gradient", infer=same_type, differentiable=False, composite=lambda operation: operation.inputs[0])
)


def identity(input: Any, name: str | None = None) -> Tensor:
    """The same value under another name; waits for the control dependencies in force."""
    return apply(IDENTITY, [convert_to_tensor(input)], name or "Identity")


def identity_n(input: Sequence[Any], name: str | None = None) -> list[Tensor]:
    """The same values under other names."""
    return [identity(item, name or "IdentityN") for item in input]


def stop_gradient(input: Any, name: str | None = None) -> Tensor:
    """The same value, which counts as a constant where gradients are taken."""
    return apply(STOP_GRADIENT, [convert_to_tensor(input)], name or "StopGradient")


# -- reshape


def _reshape_type(types: Sequence[TensorType], shape: Any) -> TensorType:
    source = types[0]
    wanted = partial_sizes(shape)
    if wanted is None:
        return TensorType(source.dtype, None)
    if any(size is not None and size < -1 for size in wanted):
        raise ShapeError(f"a size is negative in {list(wanted)}")
    if wanted.count(-1) > 1:
        raise ShapeError(f"only one size may be -1 in {list(wanted)}")
    return TensorType(source.dtype, _fill_free_size(source.shape, wanted))


def _fill_free_size(source: Shape, wanted: tuple[int | None, ...]) -> Shape:
    """The result's shape, where one size that is open follows from the number of elements."""
    open_sizes = [i for i, size in enumerate(wanted) if size in (None, -1)]
    result = tuple(None if size == -1 else size for size in wanted)
    if not is_known(source) or len(open_sizes) > 1:
        return result
    total = count_elements(source)  # type: ignore[arg-type]
    rest = count_elements([size for size in result if size is not None])
    if not open_sizes:
        if rest != total:
            raise ShapeError(f"{format_shape(source)} has {total} elements, {format_shape(result)} has {rest}")
        return result
    if rest == 0:
        if -1 in wanted:
            raise ShapeError(f"the size -1 in {list(wanted)} cannot be found from an empty tensor")
        return result
    if total % rest:
        raise ShapeError(f"{format_shape(source)} has {total} elements, which do not divide into {format_shape(result)}")
    (axis,) = open_sizes
    return tuple(total // rest if i == axis else size for i, size in enumerate(result))


RESHAPE = define(
    OpDef(
        "reshape",
        infer=_reshape_type,
        gradient=lambda operation, gradient: [reshape(gradient, operation.inputs[0].type.sizes)],
        attributes={"shape": tuple},
        movement="reshape",
        evaluate=lambda attributes, x: x.reshape(attributes["shape"]),
    )
)


def reshape(tensor: Any, shape: Any, name: str | None = None) -> Tensor:
    """The elements in the same order under another shape; one size may be -1.

    `shape` may mix numbers and 0-d tensors, or be a tensor. Raises ShapeError where the number of elements differs.
    """
    source = convert_to_tensor(tensor)
    sizes = size_list(shape)
    if isinstance(sizes, tuple) and -1 in sizes:
        try:
            found = _fill_free_size(source.type.shape, sizes)
        except ShapeError:
            found = None
        sizes = found if is_known(found) else sizes  # type: ignore[assignment]
    return apply(RESHAPE, [source], name or "Reshape", shape=sizes)


# -- broadcast, and the sum that undoes it


def _broadcast_type(types: Sequence[TensorType], shape: Any) -> TensorType:
    source = types[0]
    wanted = partial_sizes(shape)
    if wanted is None:
        return TensorType(source.dtype, None)
    if any(size is not None and size < 0 for size in wanted):
        raise ShapeError(f"a size is negative in {list(wanted)}")
    try:
        both = broadcast_shapes(source.shape, wanted)
    except ValueError:
        both = ()
    grown = both is not None and (len(both) != len(wanted) or any(w is not None and b != w for b, w in zip(both, wanted)))
    if grown:
        raise ShapeError(f"shape {format_shape(source.shape)} does not broadcast to {format_shape(wanted)}")
    return TensorType(source.dtype, wanted)


def _broadcast_index(attributes: Any, source: Sequence[int], result: Sequence[int], index: Sequence[Any]) -> Sequence[Any]:
    aligned = index[len(index) - len(source) :]
    return tuple(i * 0 if size == 1 else i for size, i in zip(source, aligned))


BROADCAST_TO = define(
    OpDef(
        "broadcast_to",
        infer=_broadcast_type,
        gradient=lambda operation, gradient: [sum_to_shape(gradient, operation.inputs[0].type.sizes)],
        attributes={"shape": tuple},
        movement=_broadcast_index,
        evaluate=lambda attributes, x: np.broadcast_to(x, attributes["shape"]),
    )
)


def broadcast_to(input: Any, shape: Any, name: str | None = None) -> Tensor:
    """The tensor repeated along new axes in front and axes of size 1. Raises ShapeError where sizes do not fit."""
    return apply(BROADCAST_TO, [convert_to_tensor(input)], name or "BroadcastTo", shape=size_list(shape))


def sum_to_shape(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """Undoes a broadcast from `shape`: sums over the axes that it added or stretched. All shapes are known."""
    sizes, target = tensor.type.sizes, tuple(shape)
    if sizes == target:
        return tensor
    lead = len(sizes) - len(target)
    axes = tuple(range(lead)) + tuple(lead + i for i, size in enumerate(target) if size != sizes[lead + i])
    total = apply(DEFINITIONS["reduce_sum"], [tensor], axes=axes, keepdims=False)
    return total if total.type.sizes == target else reshape(total, target)


# -- transpose


def _transpose_type(types: Sequence[TensorType], perm: Any) -> TensorType:
    source = types[0]
    order = partial_sizes(perm)
    if order is None or source.shape is None:
        length = len(order) if order is not None else source.rank
        return TensorType(source.dtype, None if length is None else (None,) * length)
    if len(order) != len(source.shape):
        raise ShapeError(f"the permutation {list(order)} has {len(order)} axes, the operand {len(source.shape)}")
    known = [axis for axis in order if axis is not None]
    if len(set(known)) != len(known) or any(not 0 <= axis < len(order) for axis in known):
        raise ShapeError(f"{list(order)} is not a permutation of {len(order)} axes")
    return TensorType(source.dtype, tuple(None if axis is None else source.shape[axis] for axis in order))


def _transpose_index(attributes: Any, source: Sequence[int], result: Sequence[int], index: Sequence[Any]) -> Sequence[Any]:
    return tuple(index[position] for position in invert_order(attributes["perm"]))


def invert_order(perm: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes another."""
    return tuple(sorted(range(len(perm)), key=lambda position: perm[position]))


TRANSPOSE = define(
    OpDef(
        "transpose",
        infer=_transpose_type,
        gradient=lambda operation, gradient: [transpose(gradient, invert_order(operation.attributes["perm"]))],
        attributes={"perm": tuple},
        movement=_transpose_index,
        evaluate=lambda attributes, x: x.transpose(attributes["perm"]),
    )
)


def transpose(a: Any, perm: Any = None, name: str | None = "transpose", conjugate: bool = False) -> Tensor:
    """Axis i of the result is axis perm[i]; all axes in reverse where `perm` is None."""
    source = convert_to_tensor(a)
    if perm is None:
        order: Any = _reverse_order(source)
    else:
        order = size_list(perm)
        if isinstance(order, tuple):
            order = tuple(normalize(axis, len(order)) for axis in order)
    return apply(TRANSPOSE, [source], name or "transpose", perm=order)


def _reverse_order(source: Tensor) -> Any:
    if source.type.rank is not None:
        return tuple(reversed(range(source.type.rank)))
    from .filling import range as build_range
    from .shape_ops import rank

    return build_range(rank(source) - 1, -1, -1)


def matrix_transpose(a: Any, name: str | None = "matrix_transpose", conjugate: bool = False) -> Tensor:
    """The last two axes exchanged. Raises ValueError for a known rank below 2, or an unknown one."""
    source = convert_to_tensor(a)
    rank = source.type.rank
    if rank is None or rank < 2:
        raise ValueError(f"matrix_transpose: the operand must have rank 2 or more, not {rank}")
    return transpose(source, [*range(rank - 2), rank - 1, rank - 2], name=name)


# -- axes of size 1


def _expand_type(types: Sequence[TensorType], axis: Any) -> TensorType:
    source = types[0]
    if source.shape is None:
        return source
    if isinstance(axis, Dynamic):
        return TensorType(source.dtype, (None,) * (len(source.shape) + 1))
    rank = len(source.shape)
    place = normalize(axis, rank + 1)
    if not 0 <= place <= rank:
        raise ShapeError(f"axis {axis} is out of range for a result of rank {rank + 1}")
    return TensorType(source.dtype, (*source.shape[:place], 1, *source.shape[place:]))


def _reshape_to_output(operation: Operation) -> Tensor:
    return reshape(operation.inputs[0], operation.output.type.sizes)


EXPAND_DIMS = define(OpDef("expand_dims", infer=_expand_type, attributes={"axis": int}, composite=_reshape_to_output))


def expand_dims(input: Any, axis: Any = None, name: str | None = None, dim: Any = None) -> Tensor:
    """The tensor with an axis of size 1 at `axis` of the result; negative ones count from its end."""
    place = dim if axis is None else axis
    if place is None:
        raise ValueError("Must specify an axis argument to tf.expand_dims()")
    return apply(EXPAND_DIMS, [convert_to_tensor(input)], name or "ExpandDims", axis=integer(place))


def _squeeze_type(types: Sequence[TensorType], axis: tuple[int, ...]) -> TensorType:
    source = types[0]
    if source.shape is None:
        return source
    if not axis:
        known = None not in source.shape
        return TensorType(source.dtype, tuple(s for s in source.shape if s != 1) if known else None)
    rank = len(source.shape)
    dropped = {normalize(item, rank) for item in axis}
    for item in dropped:
        check_axis(item, rank)
        if source.shape[item] not in (1, None):
            raise ShapeError(f"axis {item} has size {source.shape[item]}, not 1")
    return TensorType(source.dtype, tuple(s for i, s in enumerate(source.shape) if i not in dropped))


SQUEEZE = define(OpDef("squeeze", infer=_squeeze_type, attributes={"axis": tuple}, composite=_reshape_to_output))


def squeeze(input: Any, axis: Any = None, name: str | None = None, squeeze_dims: Any = None) -> Tensor:
    """The tensor without the given axes, which have size 1; without all axes of size 1 where none are given."""
    wanted = squeeze_dims if axis is None else axis
    axes = size_list(wanted) if wanted is not None else ()
    if isinstance(axes, Tensor):
        raise TypeError("squeeze: axes must be known")
    return apply(SQUEEZE, [convert_to_tensor(input)], name or "Squeeze", axis=axes)


# -- repetition and order


def _tile_type(types: Sequence[TensorType], multiples: Any) -> TensorType:
    source, counts = types[0], partial_sizes(multiples)
    if counts is None or source.shape is None:
        length = len(counts) if counts is not None else source.rank
        return TensorType(source.dtype, None if length is None else (None,) * length)
    if len(counts) != len(source.shape):
        raise ShapeError(f"{len(counts)} multiples for a tensor of rank {len(source.shape)}")
    if any(count is not None and count < 0 for count in counts):
        raise ShapeError(f"a multiple is negative in {list(counts)}")
    sizes = tuple(None if s is None or m is None else s * m for s, m in zip(source.shape, counts))
    return TensorType(source.dtype, sizes)


def _expand_tile(operation: Operation) -> Tensor:
    source = operation.inputs[0]
    sizes, counts = source.type.sizes, operation.attributes["multiples"]
    spread = [part for size in sizes for part in (1, size)]
    repeated = [part for size, count in zip(sizes, counts) for part in (count, size)]
    return reshape(broadcast_to(reshape(source, spread), repeated), operation.output.type.sizes)


TILE = define(OpDef("tile", infer=_tile_type, attributes={"multiples": tuple}, composite=_expand_tile))


def tile(input: Any, multiples: Any, name: str | None = None) -> Tensor:
    """The tensor repeated multiples[i] times along axis i."""
    return apply(TILE, [convert_to_tensor(input)], name or "Tile", multiples=size_list(multiples))


__all__ = [
    "identity", "identity_n", "stop_gradient", "reshape", "broadcast_to", "transpose", "matrix_transpose", "expand_dims",
    "squeeze", "tile",
]  # fmt: skip
