"""Parts of tensors and what lies around them: slice, pad, reverse and roll.

The primitives are transposes of each other: `slice(begin, size, strides)` takes size[i] elements along axis i, from begin[i] in
steps of strides[i] (which may be negative); `pad(paddings, value)` puts a value before and after.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import bool_
from ..errors import ShapeError
from ..operation import DEFINITIONS, Dynamic, OpDef, Operation, Tensor, TensorType, apply, define
from ..static_values import static_value
from .constants import as_array, convert_to_tensor
from .movement import reshape
from .rules import is_tensor, normalize, partial_sizes, size_list

# -- the primitive


def _slice_type(
    types: Sequence[TensorType], begin: Sequence[int | None], size: Sequence[int | None], strides: Sequence[int]
) -> TensorType:
    source = types[0]
    if source.shape is None:
        return TensorType(source.dtype, tuple(size))
    if not len(begin) == len(size) == len(source.shape):
        raise ShapeError(f"{len(begin)} beginnings and {len(size)} sizes for a tensor of rank {len(source.shape)}")
    for axis, (b, n, step, limit) in enumerate(zip(begin, size, strides, source.shape)):
        if n is not None and n < 0 or b is not None and b < 0:
            raise ShapeError(f"begin {b} and size {n} of axis {axis} must not be negative")
        if b is None or n is None or limit is None or n == 0 and b <= limit:
            continue
        last = b + (n - 1) * step
        if b >= limit or not 0 <= last < limit:
            raise ShapeError(f"axis {axis} has size {limit}; {n} elements from {b} in steps of {step} leave it")
    return TensorType(source.dtype, tuple(size))


def _slice_index(attributes: Any, source: Sequence[int], result: Sequence[int], index: Sequence[Any]) -> Sequence[Any]:
    return tuple(i * step + first for i, step, first in zip(index, attributes["strides"], attributes["begin"]))


def _evaluate_slice(attributes: Any, x: np.ndarray) -> np.ndarray:
    parts = []
    for first, count, step in zip(attributes["begin"], attributes["size"], attributes["strides"]):
        end = first + count * step
        parts.append(np.s_[first : end if end >= 0 else None : step] if count else np.s_[0:0])
    return x[tuple(parts)]


def _slice_gradient(operation: Operation, gradient: Tensor) -> list[Tensor]:
    """Zeros around and, for strides, between the elements; negative strides are reversed first."""
    sizes = operation.inputs[0].type.sizes
    begin, strides = list(operation.attributes["begin"]), list(operation.attributes["strides"])
    count = gradient.type.sizes
    reversed_axes = [axis for axis, step in enumerate(strides) if step < 0]
    for axis in reversed_axes:
        begin[axis] += max(count[axis] - 1, 0) * strides[axis]
        strides[axis] = -strides[axis]
    spread = _spread(_reverse(gradient, reversed_axes), strides)
    paddings = [(b, total - b - n) for b, total, n in zip(begin, sizes, spread.type.sizes)]
    return [pad(spread, paddings)]


def _spread(tensor: Tensor, strides: Sequence[int]) -> Tensor:
    """The elements `strides` apart, with zeros between."""
    sizes = tensor.type.sizes
    if all(step == 1 for step in strides):
        return tensor
    pairs = [part for size in sizes for part in (size, 1)]
    gaps = [gap for step in strides for gap in ((0, 0), (0, step - 1))]
    padded = pad(reshape(tensor, pairs), gaps)
    wide = reshape(padded, [size * step for size, step in zip(sizes, strides)])
    spans = [(size - 1) * step + 1 if size else 0 for size, step in zip(sizes, strides)]
    return take_slice(wide, [0] * len(sizes), spans)


SLICE = define(
    OpDef(
        "slice",
        infer=_slice_type,
        gradient=_slice_gradient,
        attributes={"begin": tuple, "size": tuple, "strides": tuple},
        movement=_slice_index,
        evaluate=_evaluate_slice,
    )
)


def take_slice(
    tensor: Tensor, begin: Sequence[int], size: Sequence[int], strides: Sequence[int] | None = None, name: str | None = None
) -> Tensor:
    """size[i] elements along axis i, from begin[i] on; the tensor itself where that is all of it."""
    steps = tuple(strides) if strides is not None else (1,) * len(tuple(begin))
    if tensor.type.shape == tuple(size) and all(step == 1 for step in steps) and not any(begin):
        return tensor
    return apply(SLICE, [tensor], name, begin=tuple(begin), size=tuple(size), strides=steps)


def slice(input_: Any, begin: Any, size: Any, name: str | None = None) -> Tensor:
    """size[i] elements along axis i, from begin[i] on; all that remain where size[i] is -1.

    Raises ShapeError where that leaves the tensor.
    """
    source, first, count = convert_to_tensor(input_), size_list(begin), size_list(size)
    if isinstance(first, Tensor) or isinstance(count, Tensor) or -1 in count:
        return apply(OPEN_SLICE, [source], name or "Slice", begin=first, size=count)
    return apply(SLICE, [source], name or "Slice", begin=first, size=count, strides=(1,) * len(count))


def _open_slice_type(types: Sequence[TensorType], begin: Any, size: Any) -> TensorType:
    source, first, count = types[0], partial_sizes(begin), partial_sizes(size)
    if first is None and count is None:
        return TensorType(source.dtype, None if source.shape is None else (None,) * len(source.shape))
    length = len(count or first or ())
    first, count = first or (None,) * length, count or (None,) * length
    limits = source.shape if source.shape is not None else (None,) * length
    if not len(first) == len(count) == len(limits):
        raise ShapeError(f"{len(first)} beginnings and {len(count)} sizes for a tensor of rank {len(limits)}")
    sizes = tuple(_rest(b, limit) if n == -1 else n for b, n, limit in zip(first, count, limits))
    return _slice_type(types, first, sizes, (1,) * length)


def _rest(begin: int | None, limit: int | None) -> int | None:
    return None if begin is None or limit is None else limit - begin


def _expand_open_slice(operation: Operation) -> Tensor:
    return take_slice(operation.inputs[0], operation.attributes["begin"], operation.output.type.sizes)


OPEN_SLICE = define(
    OpDef("open_slice", infer=_open_slice_type, attributes={"begin": tuple, "size": tuple}, composite=_expand_open_slice)
)
"""A slice whose sizes are not all known: -1 stands for what remains."""


# -- reverse


def _expand_reverse(operation: Operation) -> Tensor:
    source = operation.inputs[0]
    rank = len(source.type.sizes)
    return _reverse(source, [normalize(axis, rank) for axis in operation.attributes["axis"]])


def _reverse(tensor: Tensor, axes: Sequence[int]) -> Tensor:
    if not axes:
        return tensor
    sizes = tensor.type.sizes
    begin = [max(size - 1, 0) if axis in axes else 0 for axis, size in enumerate(sizes)]
    return take_slice(tensor, begin, sizes, [-1 if axis in axes else 1 for axis in range(len(sizes))])


def _reverse_type(types: Sequence[TensorType], axis: Any) -> TensorType:
    rank, axes = types[0].rank, partial_sizes(axis)
    if rank is None or axes is None:
        return types[0]
    found = [normalize(item, rank) for item in axes if item is not None]
    if any(not 0 <= item < rank for item in found) or len(set(found)) != len(found):
        raise ShapeError(f"axes {list(axes)} are out of range for rank {rank}, or repeated")
    return types[0]


REVERSE = define(OpDef("reverse", infer=_reverse_type, attributes={"axis": tuple}, composite=_expand_reverse))


def reverse(tensor: Any, axis: Any, name: str | None = None) -> Tensor:
    """The elements in the opposite order along the given axes."""
    return apply(REVERSE, [convert_to_tensor(tensor)], name or "ReverseV2", axis=size_list(axis))


reverse_v2 = reverse


# -- pad


def _pad_type(types: Sequence[TensorType], paddings: Any, value: Any = 0, mode: str = "CONSTANT") -> TensorType:
    source = types[0]
    if source.shape is None or isinstance(paddings, Dynamic):
        return TensorType(source.dtype, None if source.shape is None else (None,) * len(source.shape))
    if len(paddings) != len(source.shape):
        raise ShapeError(f"{len(paddings)} pairs of paddings for a tensor of rank {len(source.shape)}")
    sizes = []
    for axis, (size, (low, high)) in enumerate(zip(source.shape, paddings)):
        if low < 0 or high < 0:
            raise ShapeError(f"paddings {low} and {high} of axis {axis} must not be negative")
        limit = None if size is None or mode == "CONSTANT" else size - (mode == "REFLECT")
        if limit is not None and max(low, high) > limit:
            raise ShapeError(f"paddings {low} and {high} of axis {axis} exceed {limit}, which is what {mode} mode has to copy")
        sizes.append(None if size is None else size + low + high)
    return TensorType(source.dtype, tuple(sizes))


def _pad_gradient(operation: Operation, gradient: Tensor) -> list[Tensor]:
    begin = [low for low, _ in operation.attributes["paddings"]]
    return [take_slice(gradient, begin, operation.inputs[0].type.sizes)]


def _evaluate_pad(attributes: Any, x: np.ndarray) -> np.ndarray:
    filler = np.asarray(attributes["value"]).astype(x.dtype)
    result = np.full([n + low + high for n, (low, high) in zip(x.shape, attributes["paddings"])], filler, x.dtype)
    result[tuple(np.s_[low : low + n] for n, (low, _) in zip(x.shape, attributes["paddings"]))] = x
    return result


PAD = define(
    OpDef(
        "pad",
        infer=_pad_type,
        gradient=_pad_gradient,
        attributes={"paddings": tuple, "value": object},
        movement="pad",
        evaluate=_evaluate_pad,
    )
)


def _expand_mirror(operation: Operation) -> Tensor:
    result = operation.inputs[0]
    edge = operation.attributes["mode"] == "REFLECT"
    for axis, (low, high) in enumerate(operation.attributes["paddings"]):
        size = result.type.sizes[axis]
        parts = [result]
        if low:
            parts.insert(0, _reverse(_part(result, axis, int(edge), low), [axis]))
        if high:
            parts.append(_reverse(_part(result, axis, size - high - edge, high), [axis]))
        result = result if len(parts) == 1 else apply(DEFINITIONS["concat"], parts, axis=axis)
    return result


def _part(tensor: Tensor, axis: int, start: int, count: int) -> Tensor:
    """`count` elements along one axis, all along the others."""
    sizes = tensor.type.sizes
    begin = [start if i == axis else 0 for i in range(len(sizes))]
    return take_slice(tensor, begin, [count if i == axis else n for i, n in enumerate(sizes)])


MIRROR_PAD = define(
    OpDef("mirror_pad", infer=_pad_type, attributes={"paddings": tuple, "mode": str}, composite=_expand_mirror)
)


def pad(
    tensor: Any, paddings: Any, mode: str = "CONSTANT", name: str | None = None, constant_values: Any = 0
) -> Tensor:
    """The tensor with paddings[i] = (before, after) elements more along axis i.

    They are `constant_values`, or copies of those inside: mirrored at the border where `mode` is SYMMETRIC, at the outermost
    element where it is REFLECT. Raises ValueError for another mode, ShapeError where there is too little to copy.
    """
    source, pairs, kind = convert_to_tensor(tensor), _padding_pairs(paddings), mode.upper()
    if kind in ("REFLECT", "SYMMETRIC"):
        return apply(MIRROR_PAD, [source], name or "MirrorPad", paddings=pairs, mode=kind)
    if kind != "CONSTANT":
        raise ValueError(f"Unknown padding mode: {mode}")
    filler = static_value(convert_to_tensor(constant_values)) if is_tensor(constant_values) else constant_values
    if not isinstance(filler, Dynamic):
        value = bool(filler) if source.dtype.is_bool else as_array(filler, source.dtype).item()
        return apply(PAD, [source], name or "Pad", paddings=pairs, value=value)
    inside = apply(PAD, [apply(DEFINITIONS["ones_like"], [source], dtype=bool_)], paddings=pairs, value=False)
    return apply(
        DEFINITIONS["select"], [inside, apply(PAD, [source], paddings=pairs, value=0), convert_to_tensor(constant_values)], name
    )


def _padding_pairs(paddings: Any) -> Any:
    """Pairs of numbers where they are known, else a tensor [rank, 2]."""
    if not is_tensor(paddings):
        rows = [size_list(row) for row in paddings]
        if all(isinstance(row, tuple) for row in rows):
            if any(len(row) != 2 for row in rows):
                raise ShapeError(f"pad: paddings are pairs of numbers, not {paddings!r}")
            return tuple(rows)
    tensor = convert_to_tensor(paddings)
    known = static_value(tensor)
    return tensor if isinstance(known, Dynamic) else known


# -- roll


def _expand_roll(operation: Operation) -> Tensor:
    result = operation.inputs[0]
    rank = len(result.type.sizes)
    for shift, axis in zip(operation.attributes["shift"], operation.attributes["axis"]):
        place = normalize(axis, rank)
        size = result.type.sizes[place]
        moved = shift % size if size else 0
        if moved:
            parts = [_part(result, place, size - moved, moved), _part(result, place, 0, size - moved)]
            result = apply(DEFINITIONS["concat"], parts, axis=place)
    return result


def _roll_type(types: Sequence[TensorType], shift: Any, axis: Any) -> TensorType:
    shifts, axes, rank = partial_sizes(shift), partial_sizes(axis), types[0].rank
    if shifts is not None and axes is not None and len(shifts) != len(axes):
        raise ShapeError(f"{len(shifts)} shifts for {len(axes)} axes")
    if axes is not None and rank is not None and any(a is not None and not -rank <= a < rank for a in axes):
        raise ShapeError(f"axes {list(axes)} are out of range for rank {rank}")
    return types[0]


ROLL = define(OpDef("roll", infer=_roll_type, attributes={"shift": tuple, "axis": tuple}, composite=_expand_roll))


def roll(input: Any, shift: Any, axis: Any, name: str | None = None) -> Tensor:
    """The elements moved by `shift` along axes; what leaves at one end comes in at the other."""
    return apply(ROLL, [convert_to_tensor(input)], name or "Roll", shift=size_list(shift), axis=size_list(axis))


__all__ = ["slice", "reverse", "reverse_v2", "pad", "roll"]
