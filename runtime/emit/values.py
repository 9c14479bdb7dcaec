"""Element types, constants and typed values of LLVM IR, as text."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache

F16, BF16, F32, F64 = "half", "bfloat", "float", "double"
I1, I8, I16, I32, I64, PTR = "i1", "i8", "i16", "i32", "i64", "ptr"

BITS = {F16: 16, BF16: 16, F32: 32, F64: 64, I1: 1, I8: 8, I16: 16, I32: 32, I64: 64, PTR: 64}
FLOATS = frozenset((F16, BF16, F32, F64))
_SUFFIX = {F16: "f16", BF16: "bf16", F32: "f32", F64: "f64", PTR: "p0"}
_INTEGER_OF = {F16: I16, BF16: I16, F32: I32, F64: I64}
_FLOAT_OF = {I16: F16, I32: F32, I64: F64}


def vector_type(element: str, lanes: int) -> str:
    """The type of `lanes` elements; one lane is the scalar itself."""
    return f"<{lanes} x {element}>" if lanes > 1 else element


def element_of(type_: str) -> str:
    return type_.split(" x ")[1][:-1] if type_[0] == "<" else type_


def lanes_of(type_: str) -> int:
    return int(type_[1:].split(" x ")[0]) if type_[0] == "<" else 1


def suffix_of(type_: str) -> str:
    """The overload suffix of an intrinsic, such as v16f32."""
    element = element_of(type_)
    name = _SUFFIX.get(element, element)
    return f"v{lanes_of(type_)}{name}" if type_[0] == "<" else name


def format_number(value: float | int | bool, element: str) -> str:
    """The text of a constant of type `element`; floats are written by their exact bits, rounded to the type."""
    if element == F64:
        return "0x%016X" % struct.unpack("<Q", struct.pack("<d", float(value)))[0]
    if element == F32:
        return "0x%016X" % struct.unpack("<Q", struct.pack("<d", _round_to_single(float(value))))[0]
    if element == F16:
        import numpy as np

        return "0xH%04X" % int(np.float16(value).view(np.uint16))
    if element == BF16:
        bits = struct.unpack("<I", struct.pack("<f", _round_to_single(float(value))))[0]
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16 if value == value else (bits >> 16) | 0x40
        return "0xR%04X" % (rounded & 0xFFFF)
    if element == I1:
        return "true" if value else "false"
    if element == PTR:
        return "null"
    bits = BITS[element]
    number = int(value)
    return str((number + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1)))  # wrapped into the signed range


def _round_to_single(value: float) -> float:
    try:
        return struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def integer_of(element: str) -> str:
    """The integer type as wide as a float type."""
    return _INTEGER_OF[element]


def float_of(element: str) -> str:
    """The float type as wide as an integer type (half for i16)."""
    return _FLOAT_OF[element]


class Value:
    """A name (or the text of a constant) with its LLVM type."""

    __slots__ = ("ref", "type")

    def __init__(self, ref: str, type_: str):
        self.ref, self.type = ref, type_

    def __str__(self) -> str:
        return f"{self.type} {self.ref}"

    @property
    def lanes(self) -> int:
        return lanes_of(self.type)


Operand = Value | int | float | bool


def constant(value: float | int | bool, type_: str) -> Value:
    return _constant(value, type_) if value else _make_constant(value, type_)  # 0.0 and -0.0 are one key


def _make_constant(value: float | int | bool, type_: str) -> Value:
    element = element_of(type_)
    text = format_number(value, element)
    return Value(f"splat ({element} {text})" if type_[0] == "<" else text, type_)


_constant = lru_cache(maxsize=4096, typed=True)(_make_constant)


def vector_constant(values: Sequence[float | int | bool], element: str) -> Value:
    """A constant vector with one value a lane."""
    if len(values) == 1:
        return constant(values[0], element)
    text = ", ".join(f"{element} {format_number(v, element)}" for v in values)
    return Value(f"<{text}>", vector_type(element, len(values)))
