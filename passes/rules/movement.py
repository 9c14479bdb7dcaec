"""Rules for operations that only move elements: two become one, and those that move nothing go."""

from __future__ import annotations

import math

from graphc.operation import Literal, Tensor
from graphc.ops.constants import build_constant
from graphc.passes.patterns import Match, attributes, op, rule, tensors
from graphc.passes.rules.building import (
    broadcast,
    concat,
    cut,
    is_made_by,
    reshape,
    reshape_groups,
    transpose,
)

(x,) = tensors("x")
P, Q = attributes("P Q")


# -- reshape


def _collapse_reshapes(m: Match) -> Tensor:
    return reshape(m.x, m.root.output.type.sizes)


def _spread_one_element(m: Match) -> Tensor | None:
    """A movement of a tensor that repeats one element gives one that repeats it too."""
    source = m.x
    return broadcast(reshape(source, ()), m.root.output.type.sizes) if source.type.elements == 1 else None


def _reshape_before_slice(m: Match) -> Tensor | None:
    """Reshapes the whole and slices then, so that the reshape is a view of what is sliced.

    The whole must be in memory anyway, and each sliced axis hold a run of elements that is also a run along the first axis
    that it is split into.
    """
    if m.uses(m.x) == 1 and m.x.operation.definition.kind not in ("source", "kernel"):
        return None
    inner, whole, after = m.operations[1], m.x.type.sizes, m.root.output.type.sizes
    part, begins = inner.output.type.sizes, inner.attributes["begin"]
    groups = reshape_groups(part, after)
    kept_units = all(whole[axis] == 1 for axis, size in enumerate(part) if size == 1)
    if groups is None or not kept_units or any(stride != 1 for stride in inner.attributes["strides"]):
        return None
    shape, begin = list(after), [0] * len(after)
    for left, right in groups:
        run = _find_run([whole[a] for a in left], [part[a] for a in left], [begins[a] for a in left], [after[a] for a in right])
        if run is None:
            return None
        shape[right[0]], begin[right[0]] = run
    return cut(reshape(m.x, tuple(shape)), begin, after, [1] * len(after))


def _find_run(whole: list[int], part: list[int], begin: list[int], after: list[int]) -> tuple[int, int] | None:
    """The extent and the begin, along the first axis after a reshape, of a slice along the first axis before it."""
    if whole[1:] != part[1:]:
        return None
    below, row = math.prod(whole[1:]), math.prod(after[1:])
    if (whole[0] * below) % row or (begin[0] * below) % row:
        return None
    return whole[0] * below // row, begin[0] * below // row


def _moves_nothing(m: Match) -> bool:
    return m.root.output.type == m.x.type


RESHAPE_RULES = [
    rule(op.reshape(x), x, _moves_nothing, name="reshape to the same shape"),
    rule(op.reshape(op.reshape(x)), _collapse_reshapes),
    rule(op.reshape(op.broadcast_to(x)), _spread_one_element),
    rule(op.reshape(op.slice(x)), _reshape_before_slice),
]


# -- transpose


def _only_moves_units(m: Match) -> bool:
    """Whether the axes of more than one element stay in order."""
    order = [axis for axis in m.P if m.x.type.sizes[axis] != 1]
    return order == sorted(order)


TRANSPOSE_RULES = [
    rule(op.transpose(x, perm=P), _collapse_reshapes, _only_moves_units, name="transpose of units"),
    rule(op.transpose(op.transpose(x, perm=P), perm=Q), lambda m: transpose(m.x, [m.P[axis] for axis in m.Q])),
    rule(op.transpose(op.broadcast_to(x)), _spread_one_element),
]


# -- broadcast


def _adds_only_units(m: Match) -> bool:
    return m.x.type.elements == m.root.output.type.elements


BROADCAST_RULES = [
    rule(op.broadcast_to(x), _collapse_reshapes, _adds_only_units, name="broadcast of nothing"),
    rule(op.broadcast_to(op.broadcast_to(x)), lambda m: broadcast(m.x, m.root.output.type.sizes)),
]


# -- slice


def _compose_slices(m: Match) -> Tensor:
    inner, outer = m.operations[1].attributes, m.root.attributes
    begin = [b + c * s for b, c, s in zip(inner["begin"], outer["begin"], inner["strides"])]
    strides = [s * t for s, t in zip(inner["strides"], outer["strides"])]
    return cut(m.x, begin, m.root.output.type.sizes, strides)


def _slice_one_part(m: Match) -> Tensor | None:
    """A slice that lies in one operand of a concatenation."""
    joined = m.operations[1]
    axis, size = joined.attributes["axis"], m.root.output.type.sizes
    if 0 in size:
        return None
    begin, strides = list(m.root.attributes["begin"]), m.root.attributes["strides"]
    ends = (begin[axis], begin[axis] + (size[axis] - 1) * strides[axis])
    low, high = min(ends), max(ends)
    start = 0
    for part in joined.inputs:
        length = part.type.sizes[axis]
        if start <= low and high < start + length:
            begin[axis] -= start
            return cut(part, begin, size, strides)
        start += length
    return None


def _is_whole(m: Match) -> bool:
    attributes = m.root.attributes
    return _moves_nothing(m) and not any(attributes["begin"]) and all(stride == 1 for stride in attributes["strides"])


SLICE_RULES = [
    rule(op.slice(x), x, _is_whole, name="slice of all"),
    rule(op.slice(op.slice(x)), _compose_slices),
    rule(op.slice(op.broadcast_to(x)), _spread_one_element),
    rule(op.slice(op.concat()), _slice_one_part),
]


# -- pad and concat


def _pads_nothing(m: Match) -> bool:
    return not any(low or high for low, high in m.root.attributes["paddings"])


def _merge_operands(m: Match) -> Tensor | None:
    """Drops empty operands, opens concatenations along the same axis, and joins neighbouring slices of one tensor."""
    axis = m.root.attributes["axis"]
    parts: list[Tensor] = []
    for tensor in m.root.inputs:
        nested = is_made_by(tensor, "concat") and tensor.operation.attributes["axis"] == axis and m.uses(tensor) == 1
        parts += tensor.operation.inputs if nested else [tensor]
    full = [part for part in parts if part.type.sizes[axis]] or parts[:1]
    merged: list[Tensor] = []
    for part in full:
        joined = _join_slices(merged[-1], part, axis) if merged else None
        if joined is None:
            merged.append(part)
        else:
            merged[-1] = joined
    return None if len(merged) > 1 and merged == list(m.root.inputs) else concat(merged, axis)


def _join_slices(a: Tensor, b: Tensor, axis: int) -> Tensor | None:
    """One slice for two that follow one another along an axis."""
    if not (is_made_by(a, "slice") and is_made_by(b, "slice")) or a.operation.inputs[0] is not b.operation.inputs[0]:
        return None
    first, second = a.operation.attributes, b.operation.attributes
    if any(stride != 1 for stride in (*first["strides"], *second["strides"])):
        return None
    follows = list(first["begin"])
    follows[axis] += a.type.sizes[axis]
    if follows != list(second["begin"]):
        return None
    size = list(a.type.sizes)
    size[axis] += b.type.sizes[axis]
    return cut(a.operation.inputs[0], first["begin"], size, first["strides"])


JOINING_RULES = [
    rule(op.pad(x), x, _pads_nothing, name="pad by nothing"),
    rule(op.concat(), _merge_operands),
]


# -- constants


def _spread_constant(m: Match) -> Tensor | None:
    """A constant of one value as a number that is spread."""
    literal: Literal = m.root.attributes["value"]
    if literal.array.size < 2 or not literal.is_uniform:
        return None
    number = build_constant(literal.array.reshape(-1)[0].reshape(()), m.root.output.dtype)
    return broadcast(number, m.root.output.type.sizes)


CONSTANT_RULES = [rule(op.constant(), _spread_constant)]

RULES = [*RESHAPE_RULES, *TRANSPOSE_RULES, *BROADCAST_RULES, *SLICE_RULES, *JOINING_RULES, *CONSTANT_RULES]
