"""Logarithms of float32 and float64: log, log1p, softplus.

x = mantissa * 2**k with a mantissa in [0.75, 1.5), so that arguments near 1 keep k = 0 and their relative accuracy.
"""

from __future__ import annotations

from graphc.runtime.emit.function import F32, Value, constant, element_of
from graphc.runtime.emit.math_builder import MANTISSA_BITS, MathBuilder
from graphc.runtime.emit.math_exponential import exp

INFINITY, NAN = float("inf"), float("nan")
LN2 = 0.6931471824645996
LN2_HIGH, LN2_LOW = 0.6931471805598903, 5.497923018708371e-14  # float64; k * LN2_HIGH is exact
SMALLEST_NORMAL = {F32: 2.0**-126, "double": 2.0**-1022}
BITS_OF_THREE_QUARTERS = {F32: 0x3F400000, "double": 0x3FE8000000000000}
BITS_OF_FOUR = {F32: 0x40800000, "double": 0x4010000000000000}

# log(1 + f) = f - f**2 / 2 + f**3 q(f) for f in [-0.25, 0.5), float32
LOG_TAIL = (0.3333345055580139, -0.25000104308128357, 0.19990800321102142, -0.16646863520145416, 0.14478367567062378,
            -0.131660595536232, 0.10474282503128052, -0.04515184089541435)  # fmt: skip
# log(1 + f) = f - s (f - s**2 r(s**2)) with s = f / (2 + f), float64
LOG_RATIO = (0.666666666666666, 0.4000000000005664, 0.2857142855584156, 0.2222222429466591, 0.18181665995491905,
             0.153911077750091, 0.13173672495465716, 0.13842529189676167)  # fmt: skip

# vfixupimm: zeros give -inf, negative numbers NaN, +inf and NaN stay
LOG_RESPONSES = 0x03530422


def log(m: MathBuilder, x: Value) -> Value:
    f = m.function
    if m.fills_avx512(x):
        mantissa, k = m.get_mantissa(x), m.get_exponent(x)
        # get_exponent counts from [1, 2): one more where the mantissa was taken below 1.
        k = f.select(f.fcmp("olt", mantissa, 1.0), f.fadd(k, 1.0), k)
        return m.replace_specials(_log_of_parts(m, f.fsub(mantissa, 1.0), k), x, LOG_RESPONSES)
    element = element_of(x.type)
    shift = MANTISSA_BITS[element]
    denormal = f.fcmp("olt", x, SMALLEST_NORMAL[element])
    bits = f.bits(f.select(denormal, f.fmul(x, 2.0**shift), x))
    exponent = f.ashr(f.binary("sub", bits, BITS_OF_THREE_QUARTERS[element]), shift)
    mantissa = f.floats(f.binary("sub", bits, f.shl(exponent, shift)))
    k = f.cast("sitofp", exponent, x.type)
    k = f.select(denormal, f.fsub(k, float(shift)), k)
    return _with_specials(m, _log_of_parts(m, f.fsub(mantissa, 1.0), k), x, 0.0)


def _log_of_parts(m: MathBuilder, fraction: Value, k: Value) -> Value:
    """log((1 + fraction) * 2**k) for a fraction in [-0.25, 0.5)."""
    f = m.function
    if element_of(fraction.type) == F32:
        square = f.fmul(fraction, fraction)
        tail = m.fma(fraction, m.horner(fraction, LOG_TAIL), -0.5)
        return m.fma(k, LN2, m.fma(square, tail, fraction))
    s = f.fdiv(fraction, f.fadd(fraction, 2.0))
    z = f.fmul(s, s)
    tail = f.fmul(s, f.fsub(fraction, f.fmul(z, m.estrin(z, LOG_RATIO))))
    return m.fma(k, LN2_HIGH, f.fsub(fraction, f.fsub(tail, f.fmul(k, LN2_LOW))))


def _with_specials(m: MathBuilder, result: Value, x: Value, pole: float) -> Value:
    """`result` for finite x above the pole, -inf at the pole, NaN below, x for +inf and NaN."""
    f = m.function
    inside = f.bit_and(f.fcmp("ogt", x, pole), f.fcmp("olt", x, INFINITY))
    below = f.select(f.fcmp("olt", x, pole), constant(NAN, x.type), x)
    special = f.select(f.fcmp("oeq", x, pole), constant(-INFINITY, x.type), below)
    return f.select(inside, result, special)


def log1p(m: MathBuilder, x: Value) -> Value:
    f, element = m.function, element_of(x.type)
    shift = MANTISSA_BITS[element]
    exponent = f.ashr(f.binary("sub", f.bits(f.fadd(x, 1.0)), BITS_OF_THREE_QUARTERS[element]), shift)
    # 4 * 2**-k is no denormal for any k.
    scale = f.floats(f.binary("sub", BITS_OF_FOUR[element], f.shl(exponent, shift)))
    fraction = m.fma(f.fmul(x, 0.25), scale, m.fma(scale, 0.25, -1.0))
    result = _log_of_parts(m, fraction, f.cast("sitofp", exponent, x.type))
    result = _with_specials(m, result, x, -1.0)
    return f.select(f.fcmp("olt", f.fabs(x), 1e-20), x, result)


def softplus(m: MathBuilder, x: Value) -> Value:
    """log(1 + exp(x)) = max(x, 0) + log(1 + exp(-abs(x)))."""
    f = m.function
    e = exp(m, f.fneg(f.fabs(x)))
    return f.fadd(f.max_keep_nan(x, 0.0), _log1p_of_unit(m, e))


def _log1p_of_unit(m: MathBuilder, e: Value) -> Value:
    """log(1 + e) for e in [0, 1]: k is 0, or 1 from 1 + e = 1.5 on. NaN stays."""
    f = m.function
    doubled = f.fcmp("oge", e, 0.5)
    fraction = f.select(doubled, m.fma(e, 0.5, -0.5), e)
    return _log_of_parts(m, fraction, f.select(doubled, constant(1.0, e.type), 0.0))
