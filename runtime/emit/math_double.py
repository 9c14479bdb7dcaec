"""Kernels in float64 with 35 bits or more, for functions of float32 that are then nearly correctly rounded.

Arguments come from float32, so that overflow and denormals do not occur.
"""

from __future__ import annotations

from graphc.runtime.emit.function import F64, Value, constant, vector_type
from graphc.runtime.emit.math_builder import ROUNDING_SHIFT, MathBuilder

INFINITY = float("inf")
LN2 = 0.6931471805599453
HALF_PI = (1.5707963267948966, 6.123233995736766e-17)
HALF_PI_WITHOUT_FMA = (1.5707963267341256, 6.077100506303966e-11)  # of 33 bits, so that products are exact
LIMIT, LIMIT_WITHOUT_FMA = 1e9, 1e5
TWO_OVER_PI = 0.6366197723675814
# log((1 + s) / (1 - s)) = 2 s + s**3 r(s**2) for mantissas in [0.75, 1.5), to 42 bits
LOG_RATIO = (0.666666667108711, 0.39999984473436134, 0.28573196595375694, 0.22134714114427287, 0.2012702389449408)
# 2**t for abs(t) <= 1/2, to 29 bits
EXP2 = (
    1.0000000005542586, 0.6931472057493725, 0.2402264689283634, 0.05550328759859632, 0.00961848873795877, 0.0013399936400031842,
    0.00015345865674483872,
)  # fmt: skip
# sin(r) = r + r**3 p(r**2) and cos(r) = 1 + r**2 q(r**2) for abs(r) <= pi / 4
SINE = (-0.16666666641525735, 0.008333329373978514, -0.00019839330950487978, 2.7182740378932827e-06)
COSINE = (-0.49999999999486760, 0.04166666655296376, -0.0013888880634238588, 2.479895539203736e-05, -2.717440245238346e-07)


def log_parts(m: MathBuilder, x: Value) -> tuple[Value, Value]:
    """k and log(mantissa) with x = mantissa * 2**k, for normal x > 0; the logarithm keeps its relative accuracy near 0."""
    f = m.function
    bits = f.bits(x)
    k = f.ashr(f.binary("sub", bits, 0x3FE8000000000000), 52)  # bits of 0.75
    fraction = f.fsub(f.floats(f.binary("sub", bits, f.shl(k, 52))), 1.0)
    s = f.fdiv(fraction, f.fadd(fraction, 2.0))
    z = f.fmul(s, s)
    natural = m.fma(f.fmul(s, z), m.horner(z, LOG_RATIO), f.fadd(s, s))
    return f.cast("sitofp", k, vector_type(F64, x.lanes)), natural


def log(m: MathBuilder, x: Value) -> Value:
    """log(x) for normal x > 0."""
    k, natural = log_parts(m, x)
    return m.fma(k, LN2, natural)


def exp2(m: MathBuilder, t: Value) -> Value:
    """2**t for abs(t) <= 1000."""
    f = m.function
    shifted = f.fadd(t, ROUNDING_SHIFT[F64])
    n = f.fsub(shifted, ROUNDING_SHIFT[F64])
    return m.add_to_exponent(m.horner(f.fsub(t, n), EXP2), shifted)


def sine_and_cosine(m: MathBuilder, x: Value) -> tuple[Value, Value, Value]:
    """Number of quarter turns (its low bits), and sine and cosine of the rest, for abs(x) below the limit."""
    f = m.function
    n, shifted = m.round_to_integer(x, TWO_OVER_PI)
    high, low = HALF_PI if m.machine.has_fma else HALF_PI_WITHOUT_FMA
    r = m.fma(n, -low, m.fma(n, -high, x))
    z = f.fmul(r, r)
    sine = m.fma(f.fmul(r, z), m.horner(z, SINE), r)
    cosine = m.fma(z, m.horner(z, COSINE), 1.0)
    return f.bits(shifted), sine, cosine


def tan(m: MathBuilder, x: Value) -> Value:
    """The tangent of float32."""
    f = m.function
    turns, sine, cosine = sine_and_cosine(m, m.in_double(x))
    odd = f.icmp("ne", f.bit_and(turns, 1), 0)
    value = f.fdiv(f.select(odd, cosine, sine), f.select(odd, f.fneg(sine), cosine))
    common = f.select(f.fcmp("oeq", x, 0.0), x, m.in_single(value))
    limit = LIMIT if m.machine.has_fma else LIMIT_WITHOUT_FMA
    return m.unless_any(f.fcmp("uge", f.fabs(x), limit), common, lambda: m.call_lanes("tanf", x))


def acosh(m: MathBuilder, x: Value) -> Value:
    """The inverse hyperbolic cosine of float32."""
    f = m.function
    wide = m.in_double(x)
    root = f.sqrt(f.fmul(f.fsub(wide, 1.0), f.fadd(wide, 1.0)))
    value = m.in_single(log(m, f.fadd(wide, root)))
    inside = f.fcmp("olt", x, INFINITY)
    below = f.select(f.fcmp("olt", x, 1.0), constant(float("nan"), x.type), value)
    return f.select(inside, below, x)


def asinh(m: MathBuilder, x: Value) -> Value:
    """The inverse hyperbolic sine of float32."""
    f = m.function
    a = f.fabs(x)
    wide = m.in_double(a)
    value = m.in_single(log(m, f.fadd(wide, f.sqrt(m.fma(wide, wide, 1.0)))))
    return _with_small(m, x, a, value, -1.0 / 6.0, INFINITY)


def atanh(m: MathBuilder, x: Value) -> Value:
    """The inverse hyperbolic tangent of float32."""
    f = m.function
    a = f.fabs(x)
    wide = m.in_double(a)
    value = log(m, f.fdiv(f.fadd(wide, 1.0), f.fsub(1.0, wide)))
    value = _with_small(m, x, a, m.in_single(f.fmul(value, 0.5)), 1.0 / 3.0, 1.0)
    special = f.select(f.fcmp("oeq", a, 1.0), f.copysign(constant(INFINITY, x.type), x), constant(float("nan"), x.type))
    return f.select(f.fcmp("olt", a, 1.0), value, special)


def _with_small(m: MathBuilder, x: Value, a: Value, value: Value, cubic: float, limit: float) -> Value:
    """`value` with the sign of x, but x + cubic x**3 for small a = abs(x), and x itself where a is not below the limit."""
    f = m.function
    small = m.fma(f.fmul(a, f.fmul(a, a)), cubic, a)
    value = f.select(f.fcmp("olt", a, 2.0**-9), small, value)
    return f.copysign(f.select(f.fcmp("olt", a, limit), value, a), x)
