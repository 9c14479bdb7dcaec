"""float32 functions as inline vector code: exponentials, logarithms, error functions, reciprocal square root.

Each function takes a `MathBuilder` and a vector of float32. Polynomials are minimax fits rounded to float32, with the weight
of the relative error of the result. docs/numerics.md has the measured errors.
"""

from __future__ import annotations

from graphc.runtime.emit import math_tables
from graphc.runtime.emit.function import Value, constant
from graphc.runtime.emit.math_builder import MathBuilder

INFINITY, NAN = float("inf"), float("nan")

LOG2_E = 1.4426950216293335
LN2 = 0.6931471824645996
LN2_HIGH, LN2_LOW = 0.693145751953125, 1.428606765330187e-06  # the high part has 16 bits: n * LN2_HIGH is exact

# exp(r) = 1 + r + r**2 q(r) for abs(r) <= log(2) / 2
EXP_TAIL = (0.4999999403953552, 0.16666516661643982, 0.04166810214519501, 0.008369182236492634, 0.0013838558224961162)
# The same with the relative error of exp(r) - 1
EXPM1_TAIL = (0.5, 0.16666635870933533, 0.041666511446237564, 0.008341509848833084, 0.0013930542627349496,
              0.00015046224871184677)  # fmt: skip
# log(1 + f) = f - f**2 / 2 + f**3 q(f) for f in [-0.25, 0.5)
LOG_TAIL = (0.3333345055580139, -0.25000104308128357, 0.19990800321102142, -0.16646863520145416, 0.14478367567062378,
            -0.131660595536232, 0.10474282503128052, -0.04515184089541435)  # fmt: skip
# tanh(a) = a + a**3 q(a**2) for a < 0.55
TANH_SMALL = (-0.3333331346511841, 0.13332436978816986, -0.053835757076740265, 0.021000375971198082, -0.00616961345076561)
# erf(a) = a + a q(a**2) for a < 0.925; log(erfc(a)) in [0.925, 3.93]
ERF_SMALL = (0.12837915122509003, -0.37612488865852356, 0.11281730234622955, -0.026762915775179863, 0.004987252410501242,
             -0.0005958970868960023)  # fmt: skip
ERF_LARGE = (-0.0002070229093078524, -1.1276273727416992, -0.6372657418251038, -0.10385643690824509, 0.022189833223819733,
             -0.003033712739124894, 0.00019494927255436778)  # fmt: skip
# erfc(a) exp(a**2) (1 + 2 a) as a polynomial in (a - 2) / (a + 2)
ERFC_SCALED = (1.2769783735275269, -0.09276411682367325, -0.16603004932403564, 0.16405725479125977, -0.05421719700098038,
               -0.008070345036685467, 0.008670146577060223, 0.0013423151103779674, -0.0012666996335610747,
               -0.000430537445936352)  # fmt: skip

# vfixupimm: -0 and 0 give -inf, negative gives NaN, +inf and NaN stay
LOG_RESPONSES = 0x03530422


def exp(m: MathBuilder, x: Value) -> Value:
    f = m.function
    x = f.max_keep_nan(f.min_keep_nan(x, 89.0), -104.0)
    n, shifted, p = _exp_parts(m, x)
    return m.scale_by_power(p, n, shifted)


def _exp_parts(m: MathBuilder, x: Value) -> tuple[Value, Value, Value]:
    """n, n in the low bits of a float, and p with exp(x) = 2**n p."""
    f = m.function
    n, shifted = m.round_to_integer(x, LOG2_E)
    r = m.fma(n, -LN2_LOW, m.fma(n, -LN2_HIGH, x))
    tail = m.horner(r, EXP_TAIL)
    return n, shifted, f.fadd(m.fma(f.fmul(r, r), tail, r), 1.0)


def exp_bounded(m: MathBuilder, x: Value) -> Value:
    """exp for x in [-87, 88], without clamps and with the cheapest scaling."""
    _, shifted, p = _exp_parts(m, x)
    return m.add_to_exponent(p, shifted)


def expm1(m: MathBuilder, x: Value) -> Value:
    f = m.function
    y = f.max_keep_nan(f.min_keep_nan(x, 89.0), -18.0)
    n, shifted = m.round_to_integer(y, LOG2_E)
    r = m.fma(n, -LN2_LOW, m.fma(n, -LN2_HIGH, y))
    p = m.fma(f.fmul(r, r), m.horner(r, EXPM1_TAIL), r)
    # Half the result, so that n = 128 does not overflow early.
    half = f.floats(f.binary("add", f.shl(f.bits(shifted), 23), 0x3F000000))
    v = m.fma(half, p, f.fsub(half, 0.5))
    return f.copysign(f.fadd(v, v), x)


def log(m: MathBuilder, x: Value) -> Value:
    f = m.function
    if m.fills_avx512(x):
        mantissa, exponent = m.get_mantissa(x), m.get_exponent(x)
        # get_exponent counts from [1, 2): one more where the mantissa was taken below 1.
        exponent = f.select(f.fcmp("olt", mantissa, 1.0), f.fadd(exponent, 1.0), exponent)
        return m.replace_specials(_log_of_parts(m, mantissa, exponent), x, LOG_RESPONSES)
    denormal = f.fcmp("olt", x, 2.0**-126)
    normal = f.select(denormal, f.fmul(x, 2.0**23), x)
    bits = f.bits(normal)
    k = f.ashr(f.binary("sub", bits, 0x3F400000), 23)  # bits of 0.75
    mantissa = f.floats(f.binary("sub", bits, f.shl(k, 23)))
    exponent = f.cast("sitofp", k, x.type)
    exponent = f.select(denormal, f.fsub(exponent, 23.0), exponent)
    return _with_log_specials(m, _log_of_parts(m, mantissa, exponent), x, 0.0)


def _log_of_parts(m: MathBuilder, mantissa: Value, exponent: Value) -> Value:
    """log(mantissa * 2**exponent) for a mantissa in [0.75, 1.5)."""
    return _log1p_of_parts(m, m.function.fsub(mantissa, 1.0), exponent)


def _log1p_of_parts(m: MathBuilder, fraction: Value, exponent: Value) -> Value:
    f = m.function
    square = f.fmul(fraction, fraction)
    tail = m.fma(fraction, m.horner(fraction, LOG_TAIL), -0.5)
    return m.fma(exponent, LN2, m.fma(square, tail, fraction))


def _with_log_specials(m: MathBuilder, result: Value, x: Value, pole: float) -> Value:
    """`result` for finite x above the pole, -inf at the pole, NaN below, x for +inf and NaN."""
    f = m.function
    inside = f.bit_and(f.fcmp("ogt", x, pole), f.fcmp("olt", x, INFINITY))
    below = f.select(f.fcmp("olt", x, pole), constant(NAN, x.type), x)
    special = f.select(f.fcmp("oeq", x, pole), constant(-INFINITY, x.type), below)
    return f.select(inside, result, special)


def log1p(m: MathBuilder, x: Value) -> Value:
    f = m.function
    k = f.ashr(f.binary("sub", f.bits(f.fadd(x, 1.0)), 0x3F400000), 23)
    # 4 * 2**-k: no denormal for any k
    scale = f.floats(f.binary("sub", constant(0x40800000, k.type), f.shl(k, 23)))
    fraction = m.fma(f.fmul(x, 0.25), scale, m.fma(scale, 0.25, -1.0))
    result = _log1p_of_parts(m, fraction, f.cast("sitofp", k, x.type))
    result = _with_log_specials(m, result, x, -1.0)
    return f.select(f.fcmp("olt", f.fabs(x), 1e-20), x, result)


def softplus(m: MathBuilder, x: Value) -> Value:
    f = m.function
    small = log1p(m, exp(m, f.fneg(f.fabs(x))))
    positive = f.max_keep_nan(x, 0.0)
    return f.fadd(positive, small)


def sigmoid(m: MathBuilder, x: Value) -> Value:
    """1 / (1 + e) or e / (1 + e) with e = exp(-abs(x)): exact into the denormals."""
    f = m.function
    e = exp(m, f.fneg(f.fabs(x)))
    numerator = f.select(f.fcmp("olt", x, 0.0), e, constant(1.0, x.type))
    denominator = f.fadd(e, 1.0)
    lost = f.fsub(e, f.fsub(denominator, 1.0))
    quotient, inverse = quotient_estimate(m, numerator, denominator)
    rest = m.negated_product_plus(quotient, denominator, numerator)
    rest = m.negated_product_plus(quotient, lost, rest)
    return m.fma(rest, inverse, quotient)


def quotient_estimate(m: MathBuilder, a: Value, d: Value) -> tuple[Value, Value]:
    """a / d to at least 14 bits, and 1 / d likewise, for d far from 0, infinity and denormals."""
    f = m.function
    if m.fills_avx512(d):
        inverse = f.intrinsic("llvm.x86.avx512.rcp14.ps.512", d.type, [d, d, constant(-1, "i16")])
    else:
        inverse = f.fdiv(1.0, d)
    return f.fmul(a, inverse), inverse


def tanh(m: MathBuilder, x: Value) -> Value:
    f = m.function
    if m.fills_avx512(x):
        a = f.min_keep_nan(f.fabs(x), math_tables.TANH_LIMIT)
        value = _piecewise(m, a, math_tables.TANH_LIMIT, math_tables.TANH_CENTRE, math_tables.TANH_TABLE)
        return f.copysign(value, x)
    a = f.fabs(x)
    e = exp(m, f.fadd(a, a))
    large = m.fma(f.fdiv(1.0, f.fadd(e, 1.0)), -2.0, 1.0)
    square = f.fmul(a, a)
    small = m.fma(f.fmul(a, square), m.horner(square, TANH_SMALL), a)
    return f.copysign(f.select(f.fcmp("olt", a, 0.55), small, large), x)


def erf(m: MathBuilder, x: Value) -> Value:
    f = m.function
    a = f.min_keep_nan(f.fabs(x), math_tables.ERF_LIMIT)
    if m.fills_avx512(x):
        value = _piecewise(m, a, math_tables.ERF_LIMIT, math_tables.ERF_CENTRE, math_tables.ERF_TABLE, slope_minus_one=True)
        return f.copysign(value, x)
    square = f.fmul(a, a)
    small = m.fma(a, m.horner(square, ERF_SMALL), a)
    large = f.fsub(1.0, exp_bounded(m, m.horner(a, ERF_LARGE)))
    return f.copysign(f.select(f.fcmp("oge", a, 0.925), large, small), x)  # NaN takes the polynomial


def _piecewise(
    m: MathBuilder, a: Value, limit: float, centre: tuple[float, ...], table: tuple[tuple[float, ...], ...],
    slope_minus_one: bool = False,
) -> Value:  # fmt: skip
    """A polynomial whose coefficients each lane looks up by its interval; a in [0, limit].

    With `slope_minus_one` the first interval is a + a q(a), which saves the rounding of the slope.
    """
    f = m.function
    scale = math_tables.intervals_per_unit(limit)
    index = f.bits(m.fma(a, scale, 1.5 * 2.0**23))
    t = f.fsub(a, m.look_up(centre, index))
    value = m.look_up(table[-1], index)
    for degree in reversed(range(len(table) - 1)):
        base = m.look_up(table[degree], index)
        if slope_minus_one and degree == 0:
            base = f.select(f.fcmp("olt", a, 0.5 / scale), a, base)
        value = m.fma(t, value, base)
    return value


def erfc(m: MathBuilder, x: Value) -> Value:
    f = m.function
    a = f.min_keep_nan(f.fabs(x), 10.06)
    t = f.fdiv(f.fsub(a, 2.0), f.fadd(a, 2.0))
    p = f.fdiv(m.horner(t, ERFC_SCALED), m.fma(a, 2.0, 1.0))
    square = f.fmul(a, a)
    low = m.product_error(a, a, square)
    minus = f.fneg(square)
    n, shifted = m.round_to_integer(minus, LOG2_E)
    r = m.fma(n, -LN2_LOW, m.fma(n, -LN2_HIGH, minus))
    r = f.fsub(r, low)
    e = f.fadd(m.fma(f.fmul(r, r), m.horner(r, EXP_TAIL), r), 1.0)
    y = m.scale_by_power(f.fmul(p, e), n, shifted)
    return f.select(f.fcmp("olt", x, 0.0), f.fsub(2.0, y), y)


def rsqrt(m: MathBuilder, x: Value) -> Value:
    f = m.function
    if not m.fills_avx512(x):
        return f.fdiv(1.0, f.sqrt(x))
    y = f.intrinsic("llvm.x86.avx512.rsqrt14.ps.512", x.type, [x, x, constant(-1, "i16")])
    e = m.negated_product_plus(f.fmul(x, y), y, 1.0)
    r = m.fma(f.fmul(y, e), m.fma(e, 0.375, 0.5), y)
    return f.select(f.fcmp("ord", e, e), r, y)  # at 0, inf, NaN and negative x the estimate is exact
