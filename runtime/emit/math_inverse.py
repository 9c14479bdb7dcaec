"""Inverse trigonometric functions of float32 as inline vector code."""

from __future__ import annotations

from graphc.runtime.emit.function import Value, constant
from graphc.runtime.emit.math_builder import MathBuilder

PI_HIGH, PI_LOW = 3.1415927410125732, -8.742277657347586e-08
HALF_PI_HIGH, HALF_PI_LOW = 1.5707963705062866, -4.371138828673793e-08
# asin(s) = s + s**3 q(s**2) for s <= 1/2
ASIN_TAIL = (0.16666659712791443, 0.07500521838665009, 0.044513385742902756, 0.03183875232934952, 0.014317103661596775,
             0.03769254311919212)  # fmt: skip
# atan(s) = s + s**3 q(s**2) for s <= 1
ATAN_TAIL = (-0.33333298563957214, 0.1999852955341339, -0.1426401436328888, 0.10950861126184464, -0.08399207890033722,
             0.05787887051701546, -0.0310935340821743, 0.010866272263228893, -0.0017821451183408499)  # fmt: skip


def asin(m: MathBuilder, x: Value) -> Value:
    """Above 1/2 by asin(a) = pi / 2 - 2 asin(sqrt((1 - a) / 2))."""
    f = m.function
    a = f.fabs(x)
    large, part = _half_angle(m, a)
    from_above = f.fadd(m.fma(part, -2.0, HALF_PI_HIGH), HALF_PI_LOW)
    return f.copysign(f.select(large, from_above, part), x)


def acos(m: MathBuilder, x: Value) -> Value:
    f = m.function
    a = f.fabs(x)
    large, part = _half_angle(m, a)
    negative = f.fcmp("olt", x, 0.0)
    double = f.fadd(part, part)
    outside = f.select(negative, f.fadd(f.fsub(PI_LOW, double), PI_HIGH), double)
    inside = f.fadd(f.fsub(HALF_PI_LOW, f.copysign(part, x)), HALF_PI_HIGH)
    return f.select(large, outside, inside)


def _half_angle(m: MathBuilder, a: Value) -> tuple[Value, Value]:
    """Whether a > 1/2, and asin(a) or, where it is, asin(sqrt((1 - a) / 2)). NaN for a > 1."""
    f = m.function
    large = f.fcmp("ogt", a, 0.5)
    square = f.select(large, m.fma(a, -0.5, 0.5), f.fmul(a, a))
    s = f.select(large, f.sqrt(square), a)
    return large, m.fma(f.fmul(s, square), m.horner(square, ASIN_TAIL), s)


def atan(m: MathBuilder, x: Value) -> Value:
    """Above 1 by atan(a) = pi / 2 - atan(1 / a)."""
    f = m.function
    a = f.fabs(x)
    large = f.fcmp("ogt", a, 1.0)
    part = _atan_of_fraction(m, f.select(large, f.fdiv(1.0, a), a))
    from_above = f.fadd(f.fsub(HALF_PI_LOW, part), HALF_PI_HIGH)
    return f.copysign(f.select(large, from_above, part), x)


def _atan_of_fraction(m: MathBuilder, s: Value) -> Value:
    square = m.function.fmul(s, s)
    return m.fma(m.function.fmul(s, square), m.estrin(square, ATAN_TAIL), s)


def atan2(m: MathBuilder, y: Value, x: Value) -> Value:
    """The angle of (x, y), with the signed zeros and infinities of C."""
    f = m.function
    a, b = f.fabs(y), f.fabs(x)
    steep = f.fcmp("ogt", a, b)
    small, great = f.select(steep, b, a), f.select(steep, a, b)
    quotient = f.fdiv(small, great)
    quotient = f.select(f.fcmp("oeq", great, 0.0), small, quotient)  # both zero
    both_infinite = f.fcmp("oeq", small, float("inf"))
    quotient = f.select(both_infinite, constant(1.0, x.type), quotient)
    part = _atan_of_fraction(m, quotient)
    left = f.icmp("slt", f.bits(x), 0)
    # steep: pi / 2 -+ part; else pi - part on the left, part on the right
    turned = f.select(f.bit_xor(steep, left), f.fneg(part), part)
    zero = constant(0.0, x.type)
    base_high = f.select(steep, constant(HALF_PI_HIGH, x.type), f.select(left, constant(PI_HIGH, x.type), zero))
    base_low = f.select(steep, constant(HALF_PI_LOW, x.type), f.select(left, constant(PI_LOW, x.type), zero))
    angle = f.fadd(f.fadd(base_low, turned), base_high)
    angle = f.select(f.fcmp("uno", x, y), f.fadd(x, y), angle)
    return f.copysign(angle, y)
