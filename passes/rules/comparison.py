"""Rules for comparisons, logic, choices and casts."""

from __future__ import annotations

from graphc.dtypes import DType
from graphc.operation import DEFINITIONS, Tensor, apply
from graphc.passes.patterns import Match, const, op, rule, tensors
from graphc.passes.rules.facts import is_integer

x, y, z = tensors("x y z")

COMPARISONS = [
    rule(op.equal(x, x), const(True), is_integer),
    rule(op.not_equal(x, x), const(False), is_integer),
    rule(op.less_equal(x, x), const(True), is_integer),
    rule(op.greater_equal(x, x), const(True), is_integer),
    rule(op.less(x, x), const(False)),
    rule(op.greater(x, x), const(False)),
]

LOGIC = [
    rule(op.logical_not(op.logical_not(x)), x),
    rule(op.logical_not(op.equal(x, y)), op.not_equal(x, y)),
    rule(op.logical_not(op.not_equal(x, y)), op.equal(x, y)),
    rule(op.logical_and(x, const(True)), x),
    rule(op.logical_and(x, const(False)), const(False)),
    rule(op.logical_or(x, const(False)), x),
    rule(op.logical_or(x, const(True)), const(True)),
    rule(op.logical_xor(x, const(False)), x),
    rule(op.logical_and(x, x), x),
    rule(op.logical_or(x, x), x),
    rule(op.logical_xor(x, x), const(False)),
]

CHOICES = [
    rule(op.select(const(True), x, y), x),
    rule(op.select(const(False), x, y), y),
    rule(op.select(x, y, y), y),
    rule(op.select(op.logical_not(x), y, z), op.select(x, z, y)),
]

_SMALL_INTEGERS = ("bool", "uint8", "int8", "uint16", "int16", "int32")
_MANTISSA_BITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}


def _holds_exactly(wide: DType, narrow: DType) -> bool:
    """Whether every value of one type is a value of the other."""
    if narrow.is_bool:
        return wide.is_numeric
    if narrow.is_floating:
        return wide.is_floating and wide.bits > narrow.bits
    if wide.is_floating:
        return narrow.name in _SMALL_INTEGERS and narrow.bits <= _MANTISSA_BITS[wide.name]
    return wide.is_integer and wide.bits > narrow.bits and (wide.kind == "i" or narrow.kind == "u")


def _skip_wide_type(m: Match) -> Tensor | None:
    """A cast by way of a type that holds every value, straight."""
    source, way, result = m.x.dtype, m.operations[1].output.dtype, m.root.output.dtype
    if result.is_bool or not _holds_exactly(way, source):
        return None
    changes_kind = way.is_floating and not source.is_floating
    if changes_kind and not (result.is_floating or result == source):
        return None  # out of range, a float wraps in another way than an integer
    return apply(DEFINITIONS["cast"], [m.x], dtype=result)


CASTS = [
    rule(op.cast(x), x, lambda m: m.x.dtype == m.root.output.dtype, name="cast to the same type"),
    rule(op.cast(op.cast(x)), _skip_wide_type),
]

RULES = [*COMPARISONS, *LOGIC, *CHOICES, *CASTS]
