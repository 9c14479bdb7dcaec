"""Strided slices with TensorFlow's masks, and what stands in the brackets of `tensor[...]`.

A strided slice becomes a `slice` and a `reshape` when all sizes are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphc.records import record

from ..errors import ShapeError
from ..operation import OPERATORS, OpDef, Operation, Tensor, TensorType, apply, define
from ..shapes import Dimension
from .compare import select
from .constants import convert_to_tensor
from .data_dependent import boolean_mask
from .indexing import gather
from .movement import reshape
from .rules import is_number, is_tensor, partial_sizes, size_list
from .slicing import take_slice


@record
class Masks:
    """TensorFlow's masks of a strided slice: bit i speaks of entry i of begin, end and strides."""

    begin: int = 0
    end: int = 0
    ellipsis: int = 0
    new_axis: int = 0
    shrink_axis: int = 0


NEW_AXIS, INDEX, RANGE = "new_axis", "index", "range"


@record
class Entry:
    """What happens to one axis: a new one appears, one is indexed and disappears, or a range is taken of it.

    `begin` and `end` are None where the range runs to that end; those that are not known yet say so.
    """

    kind: str
    begin: Any = None
    end: Any = None
    stride: Any = 1


UNKNOWN = object()


def _entries(rank: int, begin: Any, end: Any, strides: Any, masks: Masks) -> list[Entry]:
    """One entry for each axis of the operand, and for each new axis, in order. Raises ShapeError for too many."""
    count = len(strides)
    taken = sum(not (masks.new_axis | masks.ellipsis) >> i & 1 for i in range(count))
    if masks.ellipsis.bit_count() > 1:
        raise ShapeError("an index has more than one ellipsis")
    if taken > rank:
        raise ShapeError(f"{taken} indices for a tensor of rank {rank}")
    result: list[Entry] = []
    for i in range(count):
        if masks.ellipsis >> i & 1:
            result += [Entry(RANGE)] * (rank - taken)
        elif masks.new_axis >> i & 1:
            result.append(Entry(NEW_AXIS))
        elif masks.shrink_axis >> i & 1:
            result.append(Entry(INDEX, _value(begin, i)))
        else:
            first = None if masks.begin >> i & 1 else _value(begin, i)
            last = None if masks.end >> i & 1 else _value(end, i)
            result.append(Entry(RANGE, first, last, _value(strides, i)))
    if not masks.ellipsis:
        result += [Entry(RANGE)] * (rank - taken)
    return result


def _value(values: Any, i: int) -> Any:
    found = None if values is None else values[i]
    return UNKNOWN if found is None else found


def _strided_type(
    types: Sequence[TensorType], begin: Any, end: Any, strides: Any, begin_mask: int, end_mask: int, ellipsis_mask: int,
    new_axis_mask: int, shrink_axis_mask: int,
) -> TensorType:  # fmt: skip
    source = types[0]
    first, last, steps = partial_sizes(begin), partial_sizes(end), partial_sizes(strides)
    count = next((len(v) for v in (steps, first, last) if v is not None), None)
    if source.shape is None or count is None:
        return TensorType(source.dtype, None)
    masks = Masks(begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_axis_mask)
    sizes: list[int | None] = []
    axis = 0
    for entry in _entries(len(source.shape), first, last, steps or (None,) * count, masks):
        if entry.kind == NEW_AXIS:
            sizes.append(1)
            continue
        size = source.shape[axis]
        if entry.kind == INDEX:
            _check_index(entry.begin, size, axis)
        else:
            sizes.append(_range_size(entry, size))
        axis += 1
    return TensorType(source.dtype, tuple(sizes))


def _check_index(index: Any, size: int | None, axis: int) -> None:
    if index is not UNKNOWN and size is not None and not -size <= index < size:
        raise ShapeError(f"index {index} is out of bounds for axis {axis} with size {size}")


def _range_size(entry: Entry, size: int | None) -> int | None:
    if entry.stride == 0:
        raise ShapeError("a stride is zero")
    if entry.begin is None and entry.end is None and entry.stride in (1, -1):
        return size
    if size is None or UNKNOWN in (entry.begin, entry.end, entry.stride):
        return None
    return len(range(*np.s_[entry.begin : entry.end : entry.stride].indices(size)))


def _expand_strided(operation: Operation) -> Tensor:
    source, a = operation.inputs[0], operation.attributes
    sizes = source.type.sizes
    masks = Masks(a["begin_mask"], a["end_mask"], a["ellipsis_mask"], a["new_axis_mask"], a["shrink_axis_mask"])
    begin, size, strides = [], [], []
    entries = [e for e in _entries(len(sizes), a["begin"], a["end"], a["strides"], masks) if e.kind != NEW_AXIS]
    for entry, limit in zip(entries, sizes):
        if entry.kind == INDEX:
            taken = range(entry.begin % limit, entry.begin % limit + 1)
        else:
            taken = range(*np.s_[entry.begin : entry.end : entry.stride].indices(limit))
        begin.append(taken.start if len(taken) else 0)
        size.append(len(taken))
        strides.append(taken.step if len(taken) > 1 else 1)
    part = take_slice(source, begin, size, strides)
    wanted = operation.output.type.sizes
    return part if part.type.sizes == wanted else reshape(part, wanted)


STRIDED_SLICE = define(
    OpDef(
        "strided_slice",
        infer=_strided_type,
        attributes={
            "begin": tuple, "end": tuple, "strides": tuple, "begin_mask": int, "end_mask": int, "ellipsis_mask": int,
            "new_axis_mask": int, "shrink_axis_mask": int,
        },
        composite=_expand_strided,
    )
)  # fmt: skip


def strided_slice(
    input_: Any, begin: Any, end: Any, strides: Any = None, begin_mask: int = 0, end_mask: int = 0, ellipsis_mask: int = 0,
    new_axis_mask: int = 0, shrink_axis_mask: int = 0, var: Any = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """The elements begin, begin + stride ... before end along each axis, with TensorFlow's masks.

    Raises ShapeError for an index that is out of bounds or a stride of zero.
    """
    first = size_list(begin)
    if strides is None:
        length = len(first) if isinstance(first, tuple) else (first.type.shape or (None,))[0]
        if length is None:
            raise ValueError("strided_slice: the length of begin must be known where no strides are given")
        strides = (1,) * length
    return apply(
        STRIDED_SLICE, [convert_to_tensor(input_)], name or "StridedSlice", begin=first, end=size_list(end),
        strides=size_list(strides), begin_mask=begin_mask, end_mask=end_mask, ellipsis_mask=ellipsis_mask,
        new_axis_mask=new_axis_mask, shrink_axis_mask=shrink_axis_mask,
    )  # fmt: skip


# -- tensor[...]

_MARKS = ("begin", "end", "ellipsis", "new_axis", "shrink_axis")


@dataclass
class _Brackets:
    """The lists and masks of a strided slice, as they grow from the items in the brackets."""

    begin: list[Any] = field(default_factory=list)
    end: list[Any] = field(default_factory=list)
    strides: list[Any] = field(default_factory=list)
    masks: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_MARKS, 0))

    def append(self, begin: Any, end: Any, stride: Any, *marks: str) -> None:
        bit = 1 << len(self.begin)
        self.begin.append(begin)
        self.end.append(end)
        self.strides.append(stride)
        for mark in marks:
            self.masks[mark] |= bit

    def add(self, item: Any) -> None:
        if item is Ellipsis:
            self.append(0, 0, 1, "ellipsis")
        elif item is None:
            self.append(0, 0, 1, "new_axis")
        elif isinstance(item, slice):
            marks = [mark for mark, bound in (("begin", item.start), ("end", item.stop)) if _bound(bound) is None]
            begin, end = (0 if _bound(bound) is None else _bound(bound) for bound in (item.start, item.stop))
            self.append(begin, end, 1 if item.step is None else item.step, *marks)
        elif is_number(item):
            self.append(int(item), int(item) + 1, 1, "shrink_axis")
        else:
            raise TypeError(
                "Only integers, slices (`:`), ellipsis (`...`), tf.newaxis (`None`) and scalar tensors are valid indices, "
                f"got {item!r}"
            )


def _bound(value: Any) -> Any:
    return value.value if isinstance(value, Dimension) else value


def get_item(tensor: Tensor, key: Any) -> Tensor:
    """tensor[key]: integers, slices with numbers or tensors, ellipsis, tf.newaxis, 0-d integer tensors, or a bool mask."""
    items = list(key) if isinstance(key, tuple) else [key]
    if len(items) == 1 and is_tensor(items[0]) and convert_to_tensor(items[0]).dtype.is_bool:
        return boolean_mask(tensor, items[0])
    brackets, picks = _Brackets(), []
    for position, item in enumerate(items):
        index = _known_index(item)
        if isinstance(index, Tensor):
            picks.append((_axis_of(position, items, tensor.type.rank), index))
            brackets.add(np.s_[:])
        else:
            brackets.add(index)
    result = tensor
    if not picks or any(item is not None and item != np.s_[:] for item in map(_plain_item, items)):
        result = _take(tensor, brackets)
    for axis, index in reversed(picks):
        result = _pick(result, index, axis)
    return result


def _plain_item(item: Any) -> Any:
    """An item with tensors (which are picked later) and ellipses as full slices."""
    return np.s_[:] if is_tensor(item) or item is Ellipsis else item if item is not None else 0


def _known_index(item: Any) -> Any:
    """A tensor or a 0-d array as a number where its value is known."""
    if isinstance(item, np.ndarray) and item.ndim == 0 and item.dtype.kind in "iu":
        return int(item)
    if not is_tensor(item):
        return item
    index = convert_to_tensor(item)
    if index.type.rank not in (0, None) or not index.dtype.is_integer:
        raise TypeError(f"an index must be a 0-d integer tensor, not {index!r}")
    known = size_list(index)
    return known[0] if isinstance(known, tuple) else index


def _axis_of(position: int, items: Sequence[Any], rank: int | None) -> int:
    """The axis of the result of the slice in which the item at `position` stands."""
    before = items[:position]
    axis = sum(1 for item in before if item is not Ellipsis and not is_number(_known_index(item)))
    if not any(item is Ellipsis for item in before):
        return axis
    if rank is None:
        raise ValueError("an index tensor after an ellipsis needs an operand of known rank")
    taken = sum(1 for item in items if item is not Ellipsis and item is not None)
    return axis + rank - taken


def _take(tensor: Tensor, brackets: _Brackets) -> Tensor:
    masks = {f"{name}_mask": bits for name, bits in brackets.masks.items()}
    return apply(
        STRIDED_SLICE, [tensor], "strided_slice", begin=size_list(brackets.begin), end=size_list(brackets.end),
        strides=size_list(brackets.strides), **masks,
    )  # fmt: skip


OPERATORS["getitem"] = get_item


# -- an index that is known at run time only


def _pick_type(types: Sequence[TensorType], axis: int) -> TensorType:
    source = types[0]
    if source.shape is None:
        return source
    if axis >= len(source.shape):
        raise ShapeError(f"{axis + 1} indices for a tensor of rank {len(source.shape)}")
    return TensorType(source.dtype, source.shape[:axis] + source.shape[axis + 1 :])


def _expand_pick(operation: Operation) -> Tensor:
    source, index = operation.inputs
    axis = operation.attributes["axis"]
    if index.dtype.is_unsigned:
        return gather(source, index, axis=axis)
    wrapped = select(index < 0, index + source.type.sizes[axis], index)
    return gather(source, wrapped, axis=axis)


PICK = define(OpDef("pick", infer=_pick_type, attributes={"axis": int}, composite=_expand_pick))


def _pick(tensor: Tensor, index: Tensor, axis: int) -> Tensor:
    """The part at `index` along an axis; a negative index counts from the end."""
    return apply(PICK, [tensor, index], "strided_slice", axis=axis)


__all__ = ["strided_slice"]
