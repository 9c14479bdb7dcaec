"""What one multiply-accumulate of a contraction is, for every element type.

An `Arithmetic` says how an element of the left operand is loaded into all lanes, how a vector of the right operand is
loaded, and how both join an accumulator. The register tile of `microkernel` knows nothing else about types.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from graphc.dtypes import DType
from graphc.records import record
from graphc.runtime.emit.function import Function, Value, constant, vector_type
from graphc.runtime.emit.vectors import (
    bfloat_to_float,
    float_to_bfloat,
    from_memory,
    load,
    memory_element,
    register_element,
)
from graphc.runtime.kernels.contraction import Prologue
from graphc.runtime.schedule.machine import Machine


class Arithmetic(Protocol):
    """The three steps of a multiply-accumulate. `total` is the type of the sums, `lanes` of which lie in one vector.

    `left_element` and `right_element` are the LLVM types that addresses of the two operands count in.
    """

    @property
    def machine(self) -> Machine: ...

    @property
    def total(self) -> DType: ...

    @property
    def lanes(self) -> int: ...

    @property
    def left_element(self) -> str: ...

    @property
    def right_element(self) -> str: ...

    def load_left(self, function: Function, pointer: Value) -> Value: ...

    def load_right(self, function: Function, pointer: Value, mask: Value | None, align: int | None) -> Value: ...

    def multiply_add(self, function: Function, left: Value, right: Value, total: Value) -> Value: ...


@record
class PlainArithmetic:
    """Operands of any number type in memory, multiplied and summed in the type that they compute in."""

    machine: Machine
    left: DType
    right: DType
    round_left: bool = False  # to bf16, where that precision is asked for
    round_right: bool = False
    prologue: Prologue | None = None  # of the right operand; the left one is brought into the type of the sums before

    @property
    def total(self) -> DType:
        return self.left.compute

    @property
    def lanes(self) -> int:
        return self.machine.lanes(self.total.bits)

    @property
    def left_element(self) -> str:
        return memory_element(self.left)

    @property
    def right_element(self) -> str:
        return memory_element(self.right)

    def packed(self, left: bool, right: bool) -> PlainArithmetic:
        """The same with operands that packing has brought into the type of the sums."""
        return replace(
            self,
            left=self.total if left else self.left,
            right=self.total if right else self.right,
            round_left=self.round_left and not left,
            round_right=self.round_right and not right,
            prologue=None if right else self.prologue,
        )

    def load_left(self, function: Function, pointer: Value) -> Value:
        scalar = load(function, self.machine, pointer, self.left, 1)
        return function.splat(rounded(function, scalar) if self.round_left else scalar, self.lanes)

    def load_right(self, function: Function, pointer: Value, mask: Value | None, align: int | None) -> Value:
        value = load_computed(function, self.machine, pointer, self.right, self.lanes, mask, self.prologue, align)
        return rounded(function, value) if self.round_right else value

    def multiply_add(self, function: Function, left: Value, right: Value, total: Value) -> Value:
        if not self.total.is_floating:
            return function.binary("add", function.binary("mul", left, right), total)
        if self.machine.has_fma:
            return function.fma(left, right, total)
        return function.fadd(function.fmul(left, right), total)


def vector_of(dtype: DType, lanes: int) -> str:
    """The LLVM type of a vector of `dtype` in registers."""
    return vector_type(register_element(dtype), lanes)


def rounded(function: Function, value: Value) -> Value:
    """f32 values rounded to those that bf16 has."""
    return bfloat_to_float(function, float_to_bfloat(function, value))


def load_computed(
    function: Function, machine: Machine, pointer: Value, dtype: DType, lanes: int, mask: Value | None,
    prologue: Prologue | None, align: int | None = None,
) -> Value:  # fmt: skip
    """`lanes` elements of an operand as they are multiplied; those off in `mask` are zero, whatever the prologue makes of 0."""
    value = load(function, machine, pointer, dtype, lanes, mask, align=align)
    if prologue is None:
        return value
    computed = prologue.emit(function, value)
    return computed if mask is None else function.select(mask, computed, constant(0, computed.type))


def load_scalar(function: Function, machine: Machine, pointer: Value, dtype: DType) -> Value:
    return from_memory(function, machine, function.load(pointer, memory_element(dtype)), dtype)
