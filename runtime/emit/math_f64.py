"""float64 functions as inline vector code; what is missing here calls the C library for each lane.

Each function takes a `MathBuilder` and a vector of float64.
"""

from __future__ import annotations

from graphc.runtime.emit.function import Value, constant
from graphc.runtime.emit.math_builder import MathBuilder

INFINITY, NAN = float("inf"), float("nan")
LOG2_E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 0.6931471805598903, 5.497923018708371e-14
EXP_TAIL = (
    0.5, 0.16666666666666688, 0.041666666666666824, 0.00833333333331389, 0.0013888888888777759, 0.00019841269903386868,
    2.480158755990027e-05, 2.7557228650615187e-06, 2.7557066893191387e-07, 2.5113945264249704e-08, 2.0977970898469972e-09,
)  # fmt: skip
# log(1 + f) = f - s (f - s**2 r(s**2)) with s = f / (2 + f)
LOG_RATIO = (
    0.666666666666666, 0.4000000000005664, 0.2857142855584156, 0.2222222429466591, 0.18181665995491905, 0.153911077750091,
    0.13173672495465716, 0.13842529189676167,
)  # fmt: skip


def exp(m: MathBuilder, x: Value) -> Value:
    f = m.function
    x = f.max_keep_nan(f.min_keep_nan(x, 710.0), -746.0)
    n, shifted = m.round_to_integer(x, LOG2_E)
    r = m.fma(n, -LN2_LOW, m.fma(n, -LN2_HIGH, x))
    p = f.fadd(m.fma(f.fmul(r, r), m.estrin(r, EXP_TAIL), r), 1.0)
    return m.scale_by_power(p, n, shifted)


def expm1(m: MathBuilder, x: Value) -> Value:
    f = m.function
    y = f.max_keep_nan(f.min_keep_nan(x, 710.0), -40.0)
    n, shifted = m.round_to_integer(y, LOG2_E)
    r = m.fma(n, -LN2_LOW, m.fma(n, -LN2_HIGH, y))
    p = m.fma(f.fmul(r, r), m.estrin(r, EXP_TAIL), r)
    half = f.floats(f.binary("add", f.shl(f.bits(shifted), 52), 0x3FE0000000000000))
    v = m.fma(half, p, f.fsub(half, 0.5))
    return f.copysign(f.fadd(v, v), x)


def log(m: MathBuilder, x: Value) -> Value:
    f = m.function
    denormal = f.fcmp("olt", x, 2.0**-1022)
    bits = f.bits(f.select(denormal, f.fmul(x, 2.0**52), x))
    k = f.ashr(f.binary("sub", bits, 0x3FE8000000000000), 52)  # bits of 0.75
    mantissa = f.floats(f.binary("sub", bits, f.shl(k, 52)))
    e = f.cast("sitofp", k, x.type)
    e = f.select(denormal, f.fsub(e, 52.0), e)
    fraction = f.fsub(mantissa, 1.0)
    s = f.fdiv(fraction, f.fadd(fraction, 2.0))
    z = f.fmul(s, s)
    tail = f.fmul(s, f.fsub(fraction, f.fmul(z, m.estrin(z, LOG_RATIO))))
    result = f.fsub(fraction, f.fsub(tail, f.fmul(e, LN2_LOW)))
    result = m.fma(e, LN2_HIGH, result)
    inside = f.bit_and(f.fcmp("ogt", x, 0.0), f.fcmp("olt", x, INFINITY))
    below = f.select(f.fcmp("olt", x, 0.0), constant(NAN, x.type), x)
    special = f.select(f.fcmp("oeq", x, 0.0), constant(-INFINITY, x.type), below)
    return f.select(inside, result, special)


def tanh(m: MathBuilder, x: Value) -> Value:
    f = m.function
    a = f.min_keep_nan(f.fabs(x), 20.0)
    t = expm1(m, f.fadd(a, a))
    return f.copysign(f.fdiv(t, f.fadd(t, 2.0)), x)


def sigmoid(m: MathBuilder, x: Value) -> Value:
    f = m.function
    e = exp(m, f.fneg(f.fabs(x)))
    numerator = f.select(f.fcmp("olt", x, 0.0), e, constant(1.0, x.type))
    return f.fdiv(numerator, f.fadd(e, 1.0))


def softplus(m: MathBuilder, x: Value) -> Value:
    f = m.function
    small = m.call_lanes("log1p", exp(m, f.fneg(f.fabs(x))))
    return f.fadd(f.max_keep_nan(x, 0.0), small)


def rsqrt(m: MathBuilder, x: Value) -> Value:
    return m.function.fdiv(1.0, m.function.sqrt(x))
