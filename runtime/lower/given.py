"""Constants that kernels are given when they run, so that kernels which differ in them alone are one.

A learning rate or a scale is no part of a kernel's text: it lies with the program's constants, as an operand. What emission
can make better code of stays in the text: numbers that say what is computed (0, 1, 2 and their like), exponents, limits of
clips, integers, everything that is not finite. So do all numbers of loops over large arrays, where a register that holds one
costs more than compiling for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphc.operation import Operation
from graphc.ops.fused import find_prologues
from graphc.program import Program
from graphc.runtime.lower.lowered import Argument, Immediate

LARGEST_LOOPS = 1 << 15  # elements
SLOT = 8  # bytes of memory for a number of any type

_TAKERS = frozenset((
    "add", "sub", "mul", "div", "select", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal",
    "squared_difference",
))  # fmt: skip
"""The operations whose code is the same for a number that is known as for one that is not."""

_PLAIN = frozenset((0.0, 0.5, 1.0, 2.0))


def find_given(body: Program, region: str) -> list[Operation]:
    """The constants in the body of a fused operation that its kernel is given, in the order of their places."""
    found = [op for op in body.operations if op.definition.name == "constant" and _is_ordinary(op)]
    if not found or region == "loops" and _largest(body) > LARGEST_LOOPS:
        return []
    fixed = set(body.fetches)
    prologues = find_prologues(body)
    for operation in body.operations:
        if operation.definition.name not in _TAKERS or operation in prologues:
            fixed.update(operation.inputs)
    return [op for op in found if op.output not in fixed]


def given_of(operation: Operation) -> list[Operation]:
    """The constants that the kernel of an operation is given; none where it is not a fused one."""
    if operation.definition.name != "fused":
        return []
    return find_given(operation.attributes["body"], operation.attributes["region"])


def pack_given(constants: Sequence[Operation]) -> Immediate:
    """The memory from which a kernel reads the values of its given constants, a slot each."""
    return Immediate(b"".join([op.attributes["value"].array.tobytes().ljust(SLOT, b"\0") for op in constants]))


def given_arguments(constants: Sequence[Operation]) -> list[Argument]:
    """The given constants as an operand each."""
    packed = pack_given(constants)
    return [Argument(packed, SLOT * place) for place in range(len(constants))]


def _largest(body: Program) -> int:
    tensors = [*(p.tensor for p in body.parameters), *(t for op in body.operations for t in op.outputs)]
    return max(t.type.elements for t in tensors)


def _is_ordinary(constant: Operation) -> bool:
    array = constant.attributes["value"].array
    if not constant.output.dtype.is_floating or array.size != 1:
        return False
    value = float(array.item())
    return math.isfinite(value) and abs(value) not in _PLAIN
