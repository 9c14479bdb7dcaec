"""Exponential functions of float32 and float64: exp, expm1, sigmoid, tanh, sinh, cosh.

exp(x) = 2**n (1 + e) with n the integer nearest to x / log(2) and e = exp(r) - 1 by a polynomial in the rest r. Polynomials are
minimax fits rounded to the type, weighted for the relative error of the result.
"""

from __future__ import annotations

from graphc.records import record
from graphc.runtime.emit import math_tables
from graphc.runtime.emit.function import F32, Value, constant, element_of
from graphc.runtime.emit.math_builder import EXPONENT_BIAS, MANTISSA_BITS, MathBuilder
from graphc.runtime.emit.math_reciprocal import quotient_estimate


@record
class Exponential:
    """Constants of one element type. ln2_high has so few bits that n * ln2_high is exact.

    exp(r) = 1 + r + r**2 tail(r); tail_near_zero has the relative error of exp(r) - 1 in view instead.
    sinh(a) = a + a**3 sinh_tail(a**2) for a < 1. tanh rounds to 1 from tanh_limit on; exp overflows and vanishes beyond the
    limits high and low, expm1 is -1 below minus_one, cosh is infinite from cosh_limit on.
    """

    log2_e: float
    ln2_high: float
    ln2_low: float
    tail: tuple[float, ...]
    tail_near_zero: tuple[float, ...]
    sinh_tail: tuple[float, ...]
    tanh_limit: float
    high: float
    low: float
    minus_one: float
    cosh_limit: float


SINGLE = Exponential(
    log2_e=1.4426950216293335,
    ln2_high=0.693145751953125,
    ln2_low=1.428606765330187e-06,
    tail=(0.4999999403953552, 0.16666516661643982, 0.04166810214519501, 0.008369182236492634, 0.0013838558224961162),
    tail_near_zero=(
        0.5, 0.16666635870933533, 0.041666511446237564, 0.008341509848833084, 0.0013930542627349496, 0.00015046224871184677,
    ),
    sinh_tail=(0.1666666716337204, 0.00833331048488617, 0.00019842895562760532, 2.7822131869470468e-06),
    tanh_limit=math_tables.TANH_LIMIT,
    high=89.0,
    low=-104.0,
    minus_one=-18.0,
    cosh_limit=89.5,
)  # fmt: skip
_TAIL64 = (
    0.5, 0.16666666666666688, 0.041666666666666824, 0.00833333333331389, 0.0013888888888777759, 0.00019841269903386868,
    2.480158755990027e-05, 2.7557228650615187e-06, 2.7557066893191387e-07, 2.5113945264249704e-08, 2.0977970898469972e-09,
)  # fmt: skip
DOUBLE = Exponential(
    log2_e=1.4426950408889634,
    ln2_high=0.6931471805598903,
    ln2_low=5.497923018708371e-14,
    tail=_TAIL64,
    tail_near_zero=_TAIL64,
    sinh_tail=(
        0.16666666666666669, 0.008333333333333148, 0.00019841269841431875, 2.7557319157070645e-06, 2.505212313691506e-08,
        1.60572597541852e-10, 7.758749227819664e-13,
    ),
    tanh_limit=20.0,
    high=710.0,
    low=-746.0,
    minus_one=-40.0,
    cosh_limit=710.6,
)  # fmt: skip

# tanh(a) = a + a**3 q(a**2) for a < 0.55, float32
TANH_SMALL = (-0.3333331346511841, 0.13332436978816986, -0.053835757076740265, 0.021000375971198082, -0.00616961345076561)


def constants_of(x: Value) -> Exponential:
    return SINGLE if element_of(x.type) == F32 else DOUBLE


def exp(m: MathBuilder, x: Value) -> Value:
    f, constants = m.function, constants_of(x)
    x = f.max_keep_nan(f.min_keep_nan(x, constants.high), constants.low)
    n, shifted, e = exponential_parts(m, x)
    return m.scale_by_power(f.fadd(e, 1.0), n, shifted)


def exponential_parts(m: MathBuilder, x: Value, minus: Value | None = None) -> tuple[Value, Value, Value]:
    """n, n in the low bits of a float (as `scale_by_power` takes them), and e with exp(x - minus) = 2**n (1 + e).

    `minus` is far below the last place of x.
    """
    f, constants = m.function, constants_of(x)
    n, shifted = m.round_to_integer(x, constants.log2_e)
    high = m.fma(n, -constants.ln2_high, x)
    if minus is None:
        r = m.fma(n, -constants.ln2_low, high)
    else:
        r = f.fsub(high, m.fma(n, constants.ln2_low, minus))
    return n, shifted, m.fma(f.fmul(r, r), m.polynomial(r, constants.tail), r)


def expm1(m: MathBuilder, x: Value) -> Value:
    f, constants = m.function, constants_of(x)
    y = f.max_keep_nan(f.min_keep_nan(x, constants.high), constants.minus_one)
    n, shifted = m.round_to_integer(y, constants.log2_e)
    r = m.fma(n, -constants.ln2_low, m.fma(n, -constants.ln2_high, y))
    e = m.fma(f.fmul(r, r), m.polynomial(r, constants.tail_near_zero), r)
    half = _scaled_power(m, shifted, 1)  # half the result, so that the largest n does not overflow early
    v = m.fma(half, e, f.fsub(half, 0.5))
    return f.copysign(f.fadd(v, v), x)


def _scaled_power(m: MathBuilder, shifted: Value, less: int) -> Value:
    """2**(n - less) for the n in the low bits of `shifted`."""
    f, element = m.function, element_of(shifted.type)
    mantissa = MANTISSA_BITS[element]
    bias = (EXPONENT_BIAS[element] - less) << mantissa
    return f.floats(f.binary("add", f.shl(f.bits(shifted), mantissa), bias))


def sigmoid(m: MathBuilder, x: Value) -> Value:
    """1 / (1 + e) or e / (1 + e) with e = exp(-abs(x)): accurate into the denormals.

    The quotient is corrected by what it and the sum 1 + e lost in rounding.
    """
    f = m.function
    e = exp(m, f.fneg(f.fabs(x)))
    numerator = f.select(f.fcmp("olt", x, 0.0), e, 1.0)
    denominator = f.fadd(e, 1.0)
    lost = f.fsub(e, f.fsub(denominator, 1.0))
    quotient, inverse = quotient_estimate(m, numerator, denominator)
    rest = m.negated_product_plus(quotient, denominator, numerator)
    rest = m.negated_product_plus(quotient, lost, rest)
    return m.fma(rest, inverse, quotient)


def tanh(m: MathBuilder, x: Value) -> Value:
    f = m.function
    if element_of(x.type) != F32:
        a = f.min_keep_nan(f.fabs(x), DOUBLE.tanh_limit)
        e = expm1(m, f.fadd(a, a))
        return f.copysign(f.fdiv(e, f.fadd(e, 2.0)), x)
    if m.fills_avx512(x):
        a = f.min_keep_nan(f.fabs(x), SINGLE.tanh_limit)
        index = m.interval_index(a, math_tables.intervals_per_unit(SINGLE.tanh_limit))
        return f.copysign(m.piecewise(a, index, math_tables.TANH_CENTRE, math_tables.TANH_TABLE), x)
    a = f.fabs(x)
    e = exp(m, f.fadd(a, a))
    large = m.fma(f.fdiv(1.0, f.fadd(e, 1.0)), -2.0, 1.0)
    square = f.fmul(a, a)
    small = m.fma(f.fmul(a, square), m.horner(square, TANH_SMALL), a)
    return f.copysign(f.select(f.fcmp("olt", a, 0.55), small, large), x)


def sinh(m: MathBuilder, x: Value) -> Value:
    f = m.function
    a = f.fabs(x)
    square = f.fmul(a, a)
    small = m.fma(f.fmul(a, square), m.horner(square, constants_of(x).sinh_tail), a)
    large = _half_exponentials(m, a, -1.0)
    return f.copysign(f.select(f.fcmp("olt", a, 1.0), small, large), x)


def cosh(m: MathBuilder, x: Value) -> Value:
    return _half_exponentials(m, m.function.fabs(x), 1.0)


def _half_exponentials(m: MathBuilder, a: Value, sign: float) -> Value:
    """(exp(a) + sign exp(-a)) / 2 for a >= 0, rounded nearly once: with exp(a) = 4 h (1 + e) it is
    2 (h + (h e + sign / (16 h (1 + e))))."""
    f = m.function
    a = f.min_keep_nan(a, constants_of(a).cosh_limit)
    _, shifted, e = exponential_parts(m, a)
    h = _scaled_power(m, shifted, 2)
    inverse = f.fdiv(constant(sign / 16.0, a.type), m.fma(h, e, h))
    half = f.fadd(h, m.fma(h, e, inverse))
    return f.fadd(half, half)
