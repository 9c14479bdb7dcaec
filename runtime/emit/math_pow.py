"""Powers: of float32 with all special cases of C, and of integers."""

from __future__ import annotations

from graphc.runtime.emit import math_double
from graphc.runtime.emit.function import F64, Value, constant, vector_type
from graphc.runtime.emit.math_builder import MathBuilder

INFINITY, NAN = float("inf"), float("nan")
LARGEST = 3.4028234663852886e38
LOG2_E = 1.4426950408889634


def pow_single(m: MathBuilder, x: Value, y: Value) -> Value:
    """x to the power y of float32, by way of float64."""
    f = m.function
    y = f.max_keep_nan(f.min_keep_nan(y, LARGEST), -LARGEST)
    magnitude = f.fabs(x)
    power = m.in_single(_power_in_double(m, magnitude, y))
    half = f.fmul(y, 0.5)
    integral = f.fcmp("oeq", f.trunc_float(y), y)
    odd = f.bit_and(integral, f.fcmp("one", f.trunc_float(half), half))
    negative = f.icmp("slt", f.bits(x), 0)
    power = f.select(f.bit_and(odd, negative), f.copysign(power, constant(-1.0, x.type)), power)
    finite_negative = f.bit_and(f.fcmp("olt", x, 0.0), f.fcmp("ogt", x, -INFINITY))
    undefined = f.bit_and(finite_negative, f.fcmp("one", f.trunc_float(y), y))
    power = f.select(undefined, constant(NAN, x.type), power)
    one = f.bit_or(f.fcmp("oeq", x, 1.0), f.fcmp("oeq", y, 0.0))
    return f.select(one, constant(1.0, x.type), power)


def _power_in_double(m: MathBuilder, x: Value, y: Value) -> Value:
    """2**(y log2(x)) as float64, for float32 x >= 0 and finite y."""
    f = m.function
    double = vector_type(F64, x.lanes)
    wide, exponent_factor = m.in_double(x), m.in_double(y)
    k, natural = math_double.log_parts(m, wide)
    binary = m.fma(natural, LOG2_E, k)
    special = f.select(f.fcmp("oeq", x, 0.0), constant(-INFINITY, double), wide)
    ordinary = f.bit_and(f.fcmp("ogt", x, 0.0), f.fcmp("olt", x, INFINITY))
    binary = f.select(ordinary, binary, special)
    t = f.fmul(exponent_factor, binary)
    t = f.max_keep_nan(f.min_keep_nan(t, 300.0), -300.0)
    return f.select(f.fcmp("uno", t, t), t, math_double.exp2(m, t))


def pow_integer(m: MathBuilder, x: Value, y: Value, bits: int) -> Value:
    """x to the power y >= 0 of integers, wrapping: one squaring for each of the `bits` bits that y may have."""
    f = m.function
    result = constant(1, x.type)
    for bit in range(bits):
        chosen = f.icmp("ne", f.bit_and(y, 1 << bit), 0)
        result = f.select(chosen, f.binary("mul", result, x), result)
        if bit + 1 < bits:
            x = f.binary("mul", x, x)
    return result


def pow_constant_integer(m: MathBuilder, x: Value, exponent: int) -> Value:
    """x to a known power >= 0 of integers, wrapping."""
    f = m.function
    result: Value | None = None
    while exponent:
        if exponent & 1:
            result = x if result is None else f.binary("mul", result, x)
        exponent >>= 1
        if exponent:
            x = f.binary("mul", x, x)
    return result if result is not None else constant(1, x.type)
