"""What all vector functions are built from: fused multiply-add, polynomials, powers of two, rare lanes by the C library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from graphc.runtime.emit.function import (
    BITS,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    Function,
    Module,
    Operand,
    Value,
    constant,
    element_of,
    vector_constant,
    vector_type,
)
from graphc.runtime.emit.vectors import any_lane
from graphc.runtime.schedule.machine import Machine

CURRENT_ROUNDING = 4  # the rounding argument of AVX-512 intrinsics that means "as set in MXCSR"
ROUNDING_SHIFT = {F32: 1.5 * 2.0**23, F64: 1.5 * 2.0**52}
"""Adding it to a small float leaves the nearest integer in the low mantissa bits."""

EXPONENT_BIAS = {F32: 127, F64: 1023}
MANTISSA_BITS = {F32: 23, F64: 52}


class MathBuilder:
    """Helpers for functions on vectors of one `Function`, for one machine. Values may be interleaved chains."""

    def __init__(self, function: Function, machine: Machine):
        self.function, self.machine = function, machine

    def fills_avx512(self, x: Value) -> bool:
        """Whether AVX-512's own instructions for exponents, tables and special values apply to x."""
        return self.machine.has_avx512 and x.lanes > 1 and x.lanes * BITS[element_of(x.type)] == 512

    # -- arithmetic

    def fma(self, a: Operand, b: Operand, c: Operand) -> Value:
        """a * b + c, rounded once where the machine can."""
        if self.machine.has_fma:
            return self.function.fma(a, b, c)
        return self.function.fadd(self.function.fmul(a, b), c)

    def negated_product_plus(self, a: Value, b: Operand, c: Operand) -> Value:
        """c - a * b."""
        return self.fma(self.function.fneg(a), b, c)

    def product_error(self, a: Value, b: Value, product: Value) -> Value:
        """a * b - product exactly, where product is a * b rounded."""
        f = self.function
        if self.machine.has_fma:
            return f.fma(a, b, f.fneg(product))
        a_high, b_high = self._upper_half(a), self._upper_half(b)
        a_low, b_low = f.fsub(a, a_high), f.fsub(b, b_high)
        error = f.fsub(f.fmul(a_high, b_high), product)
        error = f.fadd(f.fadd(error, f.fmul(a_high, b_low)), f.fmul(a_low, b_high))
        return f.fadd(error, f.fmul(a_low, b_low))

    def _upper_half(self, a: Value) -> Value:
        """a without the lower half of its mantissa bits."""
        element = element_of(a.type)
        mask = -(1 << (MANTISSA_BITS[element] // 2 + 1))
        return self.function.floats(self.function.bit_and(self.function.bits(a), mask))

    def horner(self, x: Value, coefficients: Sequence[float]) -> Value:
        """sum of coefficients[k] x**k, the shortest code."""
        result: Value = constant(coefficients[-1], x.type)
        for coefficient in reversed(coefficients[:-1]):
            result = self.fma(x, result, coefficient)
        return result

    def estrin(self, x: Value, coefficients: Sequence[float]) -> Value:
        """sum of coefficients[k] x**k in logarithmic depth, a few instructions more than `horner`."""
        terms: list[Operand] = list(coefficients)
        power = x
        while len(terms) > 1:
            paired: list[Operand] = [self.fma(power, terms[i + 1], terms[i]) for i in range(0, len(terms) - 1, 2)]
            terms = paired + (terms[-1:] if len(terms) % 2 else [])
            if len(terms) > 1:
                power = self.function.fmul(power, power)
        return self.function.coerce(terms[0], x.type)

    def polynomial(self, x: Value, coefficients: Sequence[float]) -> Value:
        """sum of coefficients[k] x**k in the way that suits the type: float64 ones are long, so their depth counts."""
        return self.horner(x, coefficients) if element_of(x.type) == F32 else self.estrin(x, coefficients)

    # -- exponents

    def round_to_integer(self, x: Value, scale: float) -> tuple[Value, Value]:
        """The integer n nearest to x * scale as a float, and a float whose low mantissa bits are n (as ROUNDING_SHIFT)."""
        shift = ROUNDING_SHIFT[element_of(x.type)]
        shifted = self.fma(x, scale, shift)
        return self.function.fsub(shifted, shift), shifted

    def power_of_two(self, exponent: Value) -> Value:
        """2**exponent for integers within the range of normal exponents."""
        element = F32 if element_of(exponent.type) == I32 else F64
        biased = self.function.binary("add", exponent, EXPONENT_BIAS[element])
        return self.function.floats(self.function.shl(biased, MANTISSA_BITS[element]))

    def scale_by_power(self, y: Value, n: Value, shifted: Value) -> Value:
        """y * 2**n, rounded once, through overflow and denormals; n and shifted as from `round_to_integer`."""
        f = self.function
        if self.fills_avx512(y):
            name = "ps" if element_of(y.type) == F32 else "pd"
            arguments = [y, n, y, self._all_lanes(y), constant(CURRENT_ROUNDING, I32)]
            return f.intrinsic(f"llvm.x86.avx512.mask.scalef.{name}.512", y.type, arguments)
        exponent = f.binary("sub", f.bits(shifted), self._shift_bits(y))
        half = f.ashr(exponent, 1)
        rest = f.binary("sub", exponent, half)
        return f.fmul(f.fmul(y, self.power_of_two(half)), self.power_of_two(rest))

    def add_to_exponent(self, y: Value, shifted: Value) -> Value:
        """y * 2**n where the result is normal: one addition of integers; shifted as from `round_to_integer`."""
        f = self.function
        mantissa = MANTISSA_BITS[element_of(y.type)]
        return f.floats(f.binary("add", f.bits(y), f.shl(f.bits(shifted), mantissa)))

    def _shift_bits(self, like: Value) -> int:
        return {F32: 0x4B400000, F64: 0x4338000000000000}[element_of(like.type)]

    def _all_lanes(self, x: Value) -> Value:
        return constant(-1, I16 if x.lanes == 16 else I8)

    # -- AVX-512 only: the caller asks `fills_avx512` first

    def get_exponent(self, x: Value) -> Value:
        """floor(log2(abs(x))) as a float, denormals included."""
        name = "ps" if element_of(x.type) == F32 else "pd"
        arguments = [x, Value("undef", x.type), self._all_lanes(x), constant(CURRENT_ROUNDING, I32)]
        return self.function.intrinsic(f"llvm.x86.avx512.mask.getexp.{name}.512", x.type, arguments)

    def get_mantissa(self, x: Value) -> Value:
        """x divided by the power of two that brings it into [0.75, 1.5)."""
        name = "ps" if element_of(x.type) == F32 else "pd"
        undefined = Value("undef", x.type)
        arguments = [x, constant(3, I32), undefined, self._all_lanes(x), constant(CURRENT_ROUNDING, I32)]
        return self.function.intrinsic(f"llvm.x86.avx512.mask.getmant.{name}.512", x.type, arguments)

    def replace_specials(self, result: Value, x: Value, responses: int) -> Value:
        """`result` where x is ordinary, else what the table `responses` says for x's class (vfixupimm)."""
        single = element_of(x.type) == F32
        name, integer = ("ps", I32) if single else ("pd", I64)
        table = constant(responses, vector_type(integer, x.lanes))
        arguments = [result, x, table, constant(0, I32), self._all_lanes(x), constant(CURRENT_ROUNDING, I32)]
        return self.function.intrinsic(f"llvm.x86.avx512.mask.fixupimm.{name}.512", x.type, arguments)

    def look_up(self, table: Sequence[float], index: Value) -> Value:
        """table[index mod len(table)] in each of 16 lanes; 16 or 32 float32 that stay in registers."""
        f = self.function
        type_ = vector_type(F32, 16)
        low = _table_half(tuple(table[:16]))
        if len(table) == 16:
            return f.intrinsic("llvm.x86.avx512.permvar.sf.512", type_, [low, index])
        high = _table_half(tuple(table[16:]))
        return f.intrinsic("llvm.x86.avx512.vpermi2var.ps.512", type_, [low, index, high])

    def interval_index(self, a: Value, intervals_per_unit: float) -> Value:
        """The number of the interval that a >= 0 is in, as integers."""
        return self.function.bits(self.fma(a, intervals_per_unit, ROUNDING_SHIFT[F32]))

    def piecewise(
        self, a: Value, index: Value, centre: Sequence[float], table: Sequence[Sequence[float]], base: Value | None = None
    ) -> Value:
        """A polynomial in a - centre whose coefficients each lane looks up by its interval; `base` stands in for row 0."""
        t = self.function.fsub(a, self.look_up(centre, index))
        value = self.look_up(table[-1], index)
        for row in reversed(table[1:-1]):
            value = self.fma(t, value, self.look_up(row, index))
        return self.fma(t, value, self.look_up(table[0], index) if base is None else base)

    # -- rare lanes

    def unless_any(self, rare: Value, common: Value, slow: Callable[[], Value]) -> Value:
        """`common`, or the value of `slow()` in all lanes where `rare` holds in any; `slow` is emitted in a cold block."""
        f = self.function
        found = any_lane(f, rare)
        cold, join = f.fresh_label("rare"), f.fresh_label("join")
        f.module.define_metadata("!100", '!{!"branch_weights", i32 1, i32 100000}')
        before = f.block
        f.branch_if(found, cold, join, ", !prof !100")
        f.place_label(cold)
        otherwise = slow()
        after = f.block
        f.branch(join)
        f.place_label(join)
        return f.phi(common.type, (common, before), (otherwise, after))

    def call_lanes(self, name: str, *arguments: Value) -> Value:
        """The C library's `name` for each lane, through one function out of line for each name and width."""
        first = arguments[0]
        element, lanes = element_of(first.type), first.lanes
        module = self.function.module
        if lanes == 1:
            module.declare(name, element, [element] * len(arguments), "nounwind")
            return self.function.call("@" + name, element, list(arguments))
        helper = f"{name}_x{lanes}"
        if helper not in module.functions:
            _define_lane_loop(module, helper, name, element, lanes, len(arguments))
        return self.function.call("@" + helper, first.type, list(arguments))

    def in_double(self, x: Value) -> Value:
        return self.function.cast("fpext", x, vector_type(F64, x.lanes))

    def in_single(self, x: Value) -> Value:
        return self.function.cast("fptrunc", x, vector_type(F32, x.lanes))


@lru_cache(maxsize=256)
def _table_half(values: tuple[float, ...]) -> Value:
    return vector_constant(values, F32)


def _define_lane_loop(module: Module, helper: str, name: str, element: str, lanes: int, arity: int) -> None:
    """`helper` takes and returns vectors and calls `name` for each lane."""
    type_ = vector_type(element, lanes)
    module.declare(name, element, [element] * arity, "nounwind")
    parameters = [(f"x{i}", type_) for i in range(arity)]
    body = Function(module, helper, parameters, type_, "noinline nounwind cold", "internal")
    slots = [body.allocate(type_) for _ in range(arity + 1)]
    for slot, argument in zip(slots, body.arguments):
        body.store(argument, slot, 64)

    def call_one(lane: Operand, _: list[Value]) -> list[Value]:
        values = [body.load(body.offset(slot, lane, element), element) for slot in slots[:arity]]
        body.store(body.call("@" + name, element, values), body.offset(slots[arity], lane, element))
        return []

    body.loop(0, lanes, 1, [], call_one)
    body.return_value(body.load(slots[arity], type_, 64))
