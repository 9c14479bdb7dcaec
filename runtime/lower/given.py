"""Constants that loops are given when they run, so that kernels which differ in them alone are one.

A learning rate or a scale is no part of a kernel's text: it lies with the program's constants, as an operand. What emission can
make better code of stays in the text: numbers that say what is computed (0, 1, 2 and their like), exponents, limits of clips,
integer factors, everything that is not finite.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import numpy as np

from graphc.operation import Operation
from graphc.program import Program
from graphc.runtime.lower.lowered import Immediate

REGIONS = frozenset(("loops",))

_TAKERS = frozenset((
    "add", "sub", "mul", "div", "select", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal",
    "squared_difference",
))  # fmt: skip
"""The operations whose code is the same for a number that is known as for one that is not."""

_PLAIN = frozenset((0.0, 0.5, 1.0, 2.0))


def find_given(operation: Operation) -> list[Operation]:
    """The constants in a region that its kernel is given, in the order of their places."""
    if operation.attributes.get("region") not in REGIONS:
        return []
    return find_given_in(operation.attributes["body"])


def find_given_in(body: Program) -> list[Operation]:
    """The constants in the body of a region of loops that its kernel is given, in the order of their places."""
    found = [op for op in body.operations if op.definition.name == "constant" and _is_ordinary(op)]
    if not found:
        return found
    fixed = set(body.fetches)
    for operation in body.operations:
        if operation.definition.name not in _TAKERS:
            fixed.update(operation.inputs)
    return [op for op in found if op.output not in fixed]


def pack_given(constants: Sequence[Operation]) -> Immediate:
    """The memory that a kernel reads the values of its given constants from: eight bytes each."""
    return Immediate(b"".join([_pack(op) for op in constants]))


def _pack(constant: Operation) -> bytes:
    value, dtype = constant.attributes["value"].array.item(), constant.output.dtype.compute
    if dtype.name == "float32":
        return struct.pack("<fxxxx", value)
    return np.array(value, dtype.numpy).tobytes().ljust(8, b"\0")


def _is_ordinary(constant: Operation) -> bool:
    dtype, array = constant.output.dtype, constant.attributes["value"].array
    if not dtype.is_floating or array.size != 1:
        return False
    value = float(array.item())
    return math.isfinite(value) and abs(value) not in _PLAIN
