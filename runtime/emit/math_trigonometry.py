"""Sine and cosine of float32 and float64 as inline vector code.

The argument is reduced by multiples of pi / 2 in three parts; lanes beyond `LIMIT` go to the C library in a cold block.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.runtime.emit.function import F32, Value, element_of
from graphc.runtime.emit.math_builder import MathBuilder


@dataclass(frozen=True)
class Reduction:
    """Constants of one element type. sin(r) = r + r**3 sine(r**2), cos(r) = 1 - r**2/2 + r**4 cosine(r**2)."""

    two_over_pi: float
    half_pi: tuple[float, float, float]
    sine: tuple[float, ...]
    cosine: tuple[float, ...]
    limit: float
    sign_shift: int  # brings bit 1 to the sign
    suffix: str  # of the functions of the C library


SINGLE = Reduction(
    two_over_pi=0.6366197466850281,
    half_pi=(1.5707963705062866, -4.371138828673793e-08, -1.7151245100058819e-15),
    sine=(-0.16666655242443085, 0.008332189172506332, -0.0001951828453456983),
    cosine=(0.04166664555668831, -0.0013887309469282627, 2.4432327336398885e-05),
    limit=100000.0,
    sign_shift=30,
    suffix="f",
)
DOUBLE = Reduction(
    two_over_pi=0.6366197723675814,
    half_pi=(1.5707963267948966, 6.123233995736766e-17, -1.4973849048591691e-33),
    sine=(
        -0.1666666666666663, 0.00833333333332184, -0.00019841269829358514, 2.755731353850285e-06, -2.5050734386366616e-08,
        1.5895433062120172e-10,
    ),
    cosine=(
        0.041666666666666595, -0.0013888888888873338, 2.480158728899748e-05, -2.755731421529825e-07, 2.0875705114657976e-09,
        -1.1358732743887792e-11,
    ),
    limit=100000.0,
    sign_shift=62,
    suffix="",
)  # fmt: skip


def sin(m: MathBuilder, x: Value) -> Value:
    f = m.function
    value = _sine(m, x, 0, "sin")
    return f.select(f.fcmp("oeq", x, 0.0), x, value)  # keeps the sign of zero


def cos(m: MathBuilder, x: Value) -> Value:
    return _sine(m, x, 1, "cos")


def _sine(m: MathBuilder, x: Value, quadrant: int, name: str) -> Value:
    """sin(x + quadrant * pi / 2)."""
    f = m.function
    constants = SINGLE if element_of(x.type) == F32 else DOUBLE
    n, shifted = m.round_to_integer(x, constants.two_over_pi)
    r = x
    for part in constants.half_pi:
        r = m.fma(n, -part, r)
    turns = f.bits(shifted)
    if quadrant:
        turns = f.binary("add", turns, quadrant)
    square = f.fmul(r, r)
    sine = m.fma(f.fmul(square, r), m.horner(square, constants.sine), r)
    cosine = m.fma(f.fmul(square, square), m.horner(square, constants.cosine), m.fma(square, -0.5, 1.0))
    odd = f.icmp("ne", f.bit_and(turns, 1), 0)
    chosen = f.bits(f.select(odd, cosine, sine))
    common = f.floats(f.bit_xor(chosen, f.shl(f.bit_and(turns, 2), constants.sign_shift)))
    rare = f.fcmp("uge", f.fabs(x), constants.limit)
    return m.unless_any(rare, common, lambda: m.call_lanes(name + constants.suffix, x))
