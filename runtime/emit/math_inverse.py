"""Inverse trigonometric functions of float32 and float64 as inline vector code."""

from __future__ import annotations

from graphc.records import record
from graphc.runtime.emit.function import F32, Value, constant, element_of
from graphc.runtime.emit.math_builder import MathBuilder


@record
class Inverse:
    """Constants of one element type: pi and pi / 2 as sums of two floats, and minimax polynomials.

    asin(s) = s + s**3 asin_tail(s**2) for s <= 1/2, atan(s) = s + s**3 atan_tail(s**2) for s <= 1.
    """

    pi: tuple[float, float]
    half_pi: tuple[float, float]
    asin_tail: tuple[float, ...]
    atan_tail: tuple[float, ...]


SINGLE = Inverse(
    pi=(3.1415927410125732, -8.742277657347586e-08),
    half_pi=(1.5707963705062866, -4.371138828673793e-08),
    asin_tail=(
        0.16666659712791443, 0.07500521838665009, 0.044513385742902756, 0.03183875232934952, 0.014317103661596775,
        0.03769254311919212,
    ),
    atan_tail=(
        -0.33333298563957214, 0.1999852955341339, -0.1426401436328888, 0.10950861126184464, -0.08399207890033722,
        0.05787887051701546, -0.0310935340821743, 0.010866272263228893, -0.0017821451183408499,
    ),
)  # fmt: skip
DOUBLE = Inverse(
    pi=(3.141592653589793, 1.2246467991473532e-16),
    half_pi=(1.5707963267948966, 6.123233995736766e-17),
    asin_tail=(
        0.1666666666666676, 0.07499999999970804, 0.04464285717460763, 0.030381942707981998, 0.022372214982434673,
        0.017351612099114077, 0.013980819625921044, 0.01139891890758343, 0.01078022008443273, 0.0037065151317250858,
        0.021707226761901115, -0.020998800147662842, 0.032628487411108416,
    ),
    atan_tail=(
        -0.33333333333333287, 0.19999999999990442, -0.1428571428503624, 0.11111111086435814, -0.09090908547047948,
        0.07692299709292884, -0.06666583701742439, 0.05881716022613938, -0.05259433168442447, 0.04744923860161852,
        -0.04286384503702174, 0.03820992027989522, -0.03278517447477411, 0.026151312341111843, -0.018613812701245413,
        0.011317325154840156, -0.0056121795982389915, 0.0021514908021183117, -0.0005928617818872249, 0.00010386560442365371,
        -8.653620699079745e-06,
    ),
)  # fmt: skip


def _constants_of(x: Value) -> Inverse:
    return SINGLE if element_of(x.type) == F32 else DOUBLE


def asin(m: MathBuilder, x: Value) -> Value:
    """Above 1/2 by asin(a) = pi / 2 - 2 asin(sqrt((1 - a) / 2))."""
    f = m.function
    high, low = _constants_of(x).half_pi
    large, part = _half_angle(m, f.fabs(x))
    from_above = f.fadd(m.fma(part, -2.0, high), low)
    return f.copysign(f.select(large, from_above, part), x)


def acos(m: MathBuilder, x: Value) -> Value:
    f, constants = m.function, _constants_of(x)
    large, part = _half_angle(m, f.fabs(x))
    double = f.fadd(part, part)
    from_pi = f.fadd(f.fsub(constants.pi[1], double), constants.pi[0])
    outside = f.select(f.fcmp("olt", x, 0.0), from_pi, double)
    inside = f.fadd(f.fsub(constants.half_pi[1], f.copysign(part, x)), constants.half_pi[0])
    return f.select(large, outside, inside)


def _half_angle(m: MathBuilder, a: Value) -> tuple[Value, Value]:
    """Whether a > 1/2, and asin(a) or, where it is, asin(sqrt((1 - a) / 2)). NaN for a > 1."""
    f = m.function
    large = f.fcmp("ogt", a, 0.5)
    square = f.select(large, m.fma(a, -0.5, 0.5), f.fmul(a, a))
    s = f.select(large, f.sqrt(square), a)
    return large, m.fma(f.fmul(s, square), m.polynomial(square, _constants_of(a).asin_tail), s)


def atan(m: MathBuilder, x: Value) -> Value:
    """Above 1 by atan(a) = pi / 2 - atan(1 / a)."""
    f = m.function
    high, low = _constants_of(x).half_pi
    a = f.fabs(x)
    large = f.fcmp("ogt", a, 1.0)
    part = _atan_of_fraction(m, f.select(large, f.fdiv(1.0, a), a))
    from_above = f.fadd(f.fsub(low, part), high)
    return f.copysign(f.select(large, from_above, part), x)


def _atan_of_fraction(m: MathBuilder, s: Value) -> Value:
    square = m.function.fmul(s, s)
    return m.fma(m.function.fmul(s, square), m.estrin(square, _constants_of(s).atan_tail), s)


def atan2(m: MathBuilder, y: Value, x: Value) -> Value:
    """The angle of (x, y), with the signed zeros and infinities of C."""
    f, constants = m.function, _constants_of(x)
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
    high, low = (
        f.select(steep, constant(half_pi, x.type), f.select(left, constant(pi, x.type), 0.0))
        for half_pi, pi in zip(constants.half_pi, constants.pi)
    )
    angle = f.fadd(f.fadd(low, turned), high)
    angle = f.select(f.fcmp("uno", x, y), f.fadd(x, y), angle)
    return f.copysign(angle, y)
