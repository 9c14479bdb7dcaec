"""Tensors put together and taken apart: concat, stack, unstack, split, padding, and blocks of space as channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..operation import Dynamic, OpDef, Operation, Tensor, TensorType, apply, define
from ..shapes import format_shape, merge_shapes
from .constants import convert_to_tensor
from .elementwise import zeros_of
from .movement import expand_dims, identity, reshape, transpose
from .rules import check_axis, check_same_dtype, integer, is_tensor, normalize, partial_sizes, size_list
from .shape_ops import rank as rank_of
from .slicing import take_slice

# -- concat


def _concat_type(types: Sequence[TensorType], axis: Any) -> TensorType:
    dtype = check_same_dtype(types)
    ranks = {t.rank for t in types} - {None}
    if len(ranks) > 1:
        raise ShapeError("ranks differ: " + ", ".join(format_shape(t.shape) for t in types))
    if not ranks:
        return TensorType(dtype, None)
    (rank,) = ranks
    if rank is None or isinstance(axis, Dynamic):
        return TensorType(dtype, (None,) * (rank or 0))
    if rank == 0:
        raise ShapeError("0-d tensors cannot be joined; use stack")
    check_axis(axis, rank)
    merged: Any = (None,) * rank
    for t in types:
        other = None if t.shape is None else (*t.shape[:axis], None, *t.shape[axis + 1 :])
        try:
            merged = merge_shapes(merged, other)
        except ValueError:
            shapes = ", ".join(format_shape(t.shape) for t in types)
            raise ShapeError(f"shapes {shapes} differ in more than axis {axis}") from None
    sizes = [None if t.shape is None else t.shape[axis] for t in types]
    total = None if None in sizes else sum(sizes)  # type: ignore[arg-type]
    return TensorType(dtype, (*merged[:axis], total, *merged[axis + 1 :]))


def _concat_gradient(operation: Operation, gradient: Tensor) -> list[Tensor]:
    sizes = [t.type.sizes[operation.attributes["axis"]] for t in operation.inputs]
    parts = split(gradient, sizes, operation.attributes["axis"])
    return parts


CONCAT = define(
    OpDef(
        "concat",
        infer=_concat_type,
        gradient=_concat_gradient,
        attributes={"axis": int},
        movement="concat",
        evaluate=lambda attributes, *arrays: np.concatenate(arrays, attributes["axis"]),
    )
)


def concat(values: Any, axis: Any, name: str = "concat", concat_dim: Any = None) -> Tensor:
    """Tensors one after another along an axis; all their other sizes are the same.

    The old order of arguments, concat(axis, values), is understood. Raises ShapeError where other sizes differ.
    """
    if _is_old_order(values, axis):
        values, axis = axis, values
    place = integer(axis if concat_dim is None else concat_dim)
    tensors = _convert_all(values if isinstance(values, (list, tuple)) else [values])
    rank = next((t.type.rank for t in tensors if t.type.rank is not None), None)
    if len(tensors) == 1:
        return identity(tensors[0], name=name)
    return apply(CONCAT, tensors, name or "concat", axis=normalize_place(place, rank, tensors[0]))


def _is_old_order(values: Any, axis: Any) -> bool:
    return isinstance(values, int) and isinstance(axis, (list, tuple))


def normalize_place(axis: int | Tensor, rank: int | None, tensor: Tensor) -> int | Tensor:
    """An axis counted from the front; as a tensor where it is negative and the rank is not known yet."""
    if isinstance(axis, Tensor):
        return axis
    if rank is not None:
        return normalize(axis, rank)
    if axis >= 0:
        return axis
    return rank_of(tensor) + axis


def _convert_all(values: Sequence[Any]) -> list[Tensor]:
    """All values as tensors of the type of the first that is one."""
    if not values:
        raise ValueError("at least one tensor is needed")
    first = next((convert_to_tensor(v) for v in values if is_tensor(v)), None)
    dtype = first.dtype if first is not None else convert_to_tensor(values[0]).dtype
    return [convert_to_tensor(v) if is_tensor(v) else convert_to_tensor(v, dtype) for v in values]


# -- stack and unstack


def _stack_type(types: Sequence[TensorType], axis: int) -> TensorType:
    dtype, shape = check_same_dtype(types), types[0].shape
    for t in types[1:]:
        try:
            shape = merge_shapes(shape, t.shape)
        except ValueError:
            raise ShapeError(f"shapes {format_shape(shape)} and {format_shape(t.shape)} differ") from None
    if shape is None:
        return TensorType(dtype, None)
    place = normalize(axis, len(shape) + 1)
    if not 0 <= place <= len(shape):
        raise ShapeError(f"axis {axis} is out of range for a result of rank {len(shape) + 1}")
    return TensorType(dtype, (*shape[:place], len(types), *shape[place:]))


def _expand_stack(operation: Operation) -> Tensor:
    axis = normalize(operation.attributes["axis"], operation.inputs[0].type.rank + 1)  # type: ignore[operator]
    parts = [expand_dims(t, axis) for t in operation.inputs]
    return parts[0] if len(parts) == 1 else apply(CONCAT, parts, axis=axis)


STACK = define(
    OpDef(
        "stack",
        infer=_stack_type,
        gradient=lambda operation, gradient: unstack(gradient, len(operation.inputs), operation.attributes["axis"]),
        attributes={"axis": int},
        composite=_expand_stack,
    )
)


def stack(values: Any, axis: int = 0, name: str = "stack") -> Tensor:
    """Tensors of one shape along a new axis. Raises ShapeError where shapes differ."""
    if is_tensor(values) or isinstance(values, np.ndarray):
        values = list(convert_to_tensor(values)) if is_tensor(values) else list(values)
    return apply(STACK, _convert_all(values), name or "stack", axis=int(axis))


pack = parallel_stack = stack


def _unstack_type(types: Sequence[TensorType], num: int, axis: int) -> list[TensorType]:
    source = types[0]
    if source.shape is None:
        return [source] * num
    rank = len(source.shape)
    place = normalize(axis, rank)
    check_axis(place, rank)
    if source.shape[place] not in (None, num):
        raise ShapeError(f"axis {axis} has size {source.shape[place]}, not {num}")
    return [TensorType(source.dtype, (*source.shape[:place], *source.shape[place + 1 :]))] * num


def _expand_unstack(operation: Operation) -> list[Tensor]:
    source = operation.inputs[0]
    axis = normalize(operation.attributes["axis"], len(source.type.sizes))
    parts = _cut(source, [1] * operation.attributes["num"], axis)
    return [reshape(part, out.type.sizes) for part, out in zip(parts, operation.outputs)]


UNSTACK = define(OpDef("unstack", infer=_unstack_type, attributes={"num": int, "axis": int}, composite=_expand_unstack))


def unstack(value: Any, num: int | None = None, axis: int = 0, name: str = "unstack") -> list[Tensor]:
    """The parts of a tensor along an axis, which disappears. Raises ValueError where their number is not known."""
    tensor = convert_to_tensor(value)
    shape = tensor.type.shape
    if num is None:
        place = normalize(axis, len(shape)) if shape is not None else -1
        if shape is None or not 0 <= place < len(shape) or shape[place] is None:
            raise ValueError(f"Cannot infer num from shape {format_shape(shape)}")
        num = shape[place]
    return _as_list(apply(UNSTACK, [tensor], name or "unstack", num=int(num), axis=int(axis)))  # type: ignore[arg-type]


unpack = unstack


def _as_list(outputs: Any) -> list[Tensor]:
    if isinstance(outputs, Operation):
        return []
    return [outputs] if isinstance(outputs, Tensor) else list(outputs)


# -- split


def _split_type(types: Sequence[TensorType], num: int, sizes: Any, axis: Any) -> list[TensorType]:
    source = types[0]
    if source.shape is None or isinstance(axis, Dynamic):
        return [TensorType(source.dtype, None)] * num
    check_axis(axis, len(source.shape))
    parts = _part_sizes(source.shape[axis], num, sizes)
    return [TensorType(source.dtype, (*source.shape[:axis], n, *source.shape[axis + 1 :])) for n in parts]


def _part_sizes(total: int | None, num: int, sizes: Any) -> list[int | None]:
    """The sizes of the parts; `sizes` is empty for equal ones, and may have one -1 for what is left."""
    given = partial_sizes(sizes)
    if given == ():
        if total is not None and total % num:
            raise ShapeError(f"a size of {total} does not divide into {num} equal parts")
        return [None if total is None else total // num] * num
    if given is None or None in given or total is None:
        return [None if n == -1 else n for n in given] if given is not None else [None] * num
    fixed = sum(n for n in given if n != -1)  # type: ignore[misc]
    free = given.count(-1)
    if free > 1 or fixed > total or (not free and fixed != total):
        raise ShapeError(f"parts of sizes {list(given)} do not make up a size of {total}")
    return [total - fixed if n == -1 else n for n in given]


def _expand_split(operation: Operation) -> list[Tensor]:
    axis = operation.attributes["axis"]
    return _cut(operation.inputs[0], [t.type.sizes[axis] for t in operation.outputs], axis)


def _cut(tensor: Tensor, sizes: Sequence[int], axis: int) -> list[Tensor]:
    parts, start = [], 0
    whole = tensor.type.sizes
    for size in sizes:
        begin = [start if i == axis else 0 for i in range(len(whole))]
        parts.append(take_slice(tensor, begin, [size if i == axis else n for i, n in enumerate(whole)]))
        start += size
    return parts


def _split_gradient(operation: Operation, *gradients: Tensor | None) -> list[Tensor]:
    parts = [zeros_of(t) if g is None else g for t, g in zip(operation.outputs, gradients)]
    return [parts[0] if len(parts) == 1 else apply(CONCAT, parts, axis=operation.attributes["axis"])]


SPLIT = define(
    OpDef(
        "split",
        infer=_split_type,
        gradient=_split_gradient,
        attributes={"num": int, "sizes": tuple, "axis": int},
        composite=_expand_split,
    )
)


def split(
    value: Any, num_or_size_splits: Any, axis: Any = 0, num: int | None = None, name: str = "split", split_dim: Any = None
) -> list[Tensor]:
    """The tensor cut along an axis into equal parts, or into parts of the given sizes (one may be -1).

    The old order of arguments, split(axis, num, value), is understood. Raises ShapeError where sizes do not make up the axis.
    """
    if isinstance(value, int) and is_tensor(axis):
        value, axis = axis, value
    place = integer(axis if split_dim is None else split_dim)
    tensor = convert_to_tensor(value)
    if isinstance(num_or_size_splits, (int, np.integer)):
        count, sizes = int(num_or_size_splits), ()
    else:
        sizes = size_list(num_or_size_splits)  # type: ignore[assignment]
        count = num if num is not None else _length(sizes)
    place = normalize_place(place, tensor.type.rank, tensor)
    return _as_list(apply(SPLIT, [tensor], name or "split", num=count, sizes=sizes, axis=place))


def _length(sizes: tuple[int, ...] | Tensor) -> int:
    if isinstance(sizes, tuple):
        return len(sizes)
    shape = sizes.type.shape
    if not shape or shape[0] is None:
        raise ValueError("split: the number of parts is not known; give num")
    return shape[0]


# -- space and depth


def _blocks_type(types: Sequence[TensorType], block_size: int, to_depth: bool) -> TensorType:
    source = types[0]
    if source.shape is None:
        return TensorType(source.dtype, (None,) * 4)
    if len(source.shape) != 4:
        raise ShapeError(f"takes images of rank 4, not {len(source.shape)}")
    batch, height, width, depth = source.shape
    area = block_size * block_size
    if not to_depth:
        if depth is not None and depth % area:
            raise ShapeError(f"{depth} channels do not divide into blocks of {block_size}x{block_size}")
        grown = [None if size is None else size * block_size for size in (height, width)]
        return TensorType(source.dtype, (batch, *grown, None if depth is None else depth // area))
    if any(size is not None and size % block_size for size in (height, width)):
        raise ShapeError(f"an image of {height}x{width} does not divide into blocks of {block_size}x{block_size}")
    shrunk = [None if size is None else size // block_size for size in (height, width)]
    return TensorType(source.dtype, (batch, *shrunk, None if depth is None else depth * area))


def _expand_blocks(operation: Operation) -> Tensor:
    source, block = operation.inputs[0], operation.attributes["block_size"]
    batch, height, width, depth = source.type.sizes
    if operation.attributes["to_depth"]:
        parts = reshape(source, [batch, height // block, block, width // block, block, depth])
        moved = transpose(parts, [0, 1, 3, 2, 4, 5])
    else:
        parts = reshape(source, [batch, height, width, block, block, depth // (block * block)])
        moved = transpose(parts, [0, 1, 3, 2, 4, 5])
    return reshape(moved, operation.output.type.sizes)


SPACE_DEPTH = define(
    OpDef("space_depth", infer=_blocks_type, attributes={"block_size": int, "to_depth": bool}, composite=_expand_blocks)
)


def space_to_depth(input: Any, block_size: int, name: str | None = None, data_format: str = "NHWC") -> Tensor:
    """Blocks of an image, [batch, height, width, channels], as channels."""
    return _move_blocks(input, block_size, name or "SpaceToDepth", data_format, True)


def depth_to_space(input: Any, block_size: int, name: str | None = None, data_format: str = "NHWC") -> Tensor:
    """Channels of an image, [batch, height, width, channels], as blocks."""
    return _move_blocks(input, block_size, name or "DepthToSpace", data_format, False)


def _move_blocks(value: Any, block_size: int, name: str, data_format: str, to_depth: bool) -> Tensor:
    image = convert_to_tensor(value)
    if data_format == "NHWC":
        return apply(SPACE_DEPTH, [image], name, block_size=int(block_size), to_depth=to_depth)
    if data_format != "NCHW":
        raise ValueError(f"data_format must be NHWC or NCHW, not {data_format}")
    last = transpose(image, [0, 2, 3, 1])
    return transpose(apply(SPACE_DEPTH, [last], name, block_size=int(block_size), to_depth=to_depth), [0, 3, 1, 2])


__all__ = [
    "concat", "stack", "pack", "parallel_stack", "unstack", "unpack", "split", "space_to_depth", "depth_to_space",
]  # fmt: skip
