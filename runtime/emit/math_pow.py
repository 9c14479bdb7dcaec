"""Powers: of floats with all special cases of C, and of integers."""

from __future__ import annotations

from graphc.runtime.emit.function import F32, F64, Value, constant, element_of, vector_type
from graphc.runtime.emit.math_builder import ROUNDING_SHIFT, MathBuilder

INFINITY, NAN = float("inf"), float("nan")
LARGEST = 3.4028234663852886e38
LOG2_E = 1.4426950408889634
# log((1 + s) / (1 - s)) = 2 s + s**3 r(s**2) for mantissas in [0.75, 1.5), to 36 bits
LOG_RATIO = (
    0.6666666666666727, 0.3999999999613585, 0.2857142939992935, 0.2222213812225713, 0.18186371617542788, 0.1524987723313041,
    0.15370614380388808,
)  # fmt: skip
# 2**t for abs(t) <= 1/2, to 34 bits
EXP2 = (
    0.9999999999616737, 0.6931471807284688, 0.24022651198223252, 0.05550410353378888, 0.009618027245095416,
    0.0013333922601620884, 0.00015469293872982594, 1.5201917377578894e-05,
)  # fmt: skip


def pow_float(m: MathBuilder, x: Value, y: Value) -> Value:
    """x to the power y."""
    if element_of(x.type) != F32:
        return m.call_lanes("pow", x, y)
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
    bits = f.bits(wide)
    k = f.ashr(f.binary("sub", bits, 0x3FE8000000000000), 52)  # bits of 0.75
    mantissa = f.floats(f.binary("sub", bits, f.shl(k, 52)))
    fraction = f.fsub(mantissa, 1.0)
    s = f.fdiv(fraction, f.fadd(fraction, 2.0))
    z = f.fmul(s, s)
    natural = m.fma(f.fmul(s, z), m.horner(z, LOG_RATIO), f.fadd(s, s))
    binary = m.fma(natural, LOG2_E, f.cast("sitofp", k, double))
    special = f.select(f.fcmp("oeq", x, 0.0), constant(-INFINITY, double), wide)
    ordinary = f.bit_and(f.fcmp("ogt", x, 0.0), f.fcmp("olt", x, INFINITY))
    binary = f.select(ordinary, binary, special)
    t = f.fmul(exponent_factor, binary)
    t = f.max_keep_nan(f.min_keep_nan(t, 300.0), -300.0)
    shifted = f.fadd(t, ROUNDING_SHIFT[F64])
    n = f.fsub(shifted, ROUNDING_SHIFT[F64])
    p = m.add_to_exponent(m.horner(f.fsub(t, n), EXP2), shifted)
    return f.select(f.fcmp("uno", t, t), t, p)


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
