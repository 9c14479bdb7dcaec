"""Sine, cosine and tangent of float32 and float64 as inline vector code.

The argument is reduced by multiples of pi / 2 in three parts; lanes beyond `LIMIT` go to the C library in a cold block.
"""

from __future__ import annotations

from graphc.records import record
from graphc.runtime.emit import math_double
from graphc.runtime.emit.function import BITS, F32, Value, element_of
from graphc.runtime.emit.math_builder import MathBuilder


@record
class Reduction:
    """Constants of one element type. sin(r) = r + r**3 sine(r**2), cos(r) = 1 - r**2/2 + r**4 cosine(r**2)."""

    two_over_pi: float
    half_pi: tuple[float, float, float]
    sine: tuple[float, ...]
    cosine: tuple[float, ...]
    limit: float
    suffix: str  # of the functions of the C library


SINGLE = Reduction(
    two_over_pi=0.6366197466850281,
    half_pi=(1.5707963705062866, -4.371138828673793e-08, -1.7151245100058819e-15),
    sine=(-0.16666655242443085, 0.008332189172506332, -0.0001951828453456983),
    cosine=(0.04166664555668831, -0.0013887309469282627, 2.4432327336398885e-05),
    limit=100000.0,
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
    suffix="",
)  # fmt: skip

# Parts for float64 with so few bits that their products are exact; float32 then goes by way of float64.
HALF_PI_WITHOUT_FMA = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21)


def sin(m: MathBuilder, x: Value) -> Value:
    f = m.function
    value = _sine(m, x, 0, "sin")
    return f.select(f.fcmp("oeq", x, 0.0), x, value)  # keeps the sign of zero


def cos(m: MathBuilder, x: Value) -> Value:
    return _sine(m, x, 1, "cos")


def tan(m: MathBuilder, x: Value) -> Value:
    """The tangent of float64; that of float32 is in `math_double`."""
    f = m.function
    turns, sine, cosine = _reduced(m, x, DOUBLE)
    odd = f.icmp("ne", f.bit_and(turns, 1), 0)
    value = f.fdiv(f.select(odd, cosine, sine), f.select(odd, f.fneg(sine), cosine))
    common = f.select(f.fcmp("oeq", x, 0.0), x, value)
    return m.unless_any(f.fcmp("uge", f.fabs(x), DOUBLE.limit), common, lambda: m.call_lanes("tan", x))


def _sine(m: MathBuilder, x: Value, quadrant: int, name: str) -> Value:
    """sin(x + quadrant * pi / 2)."""
    f = m.function
    single = element_of(x.type) == F32
    constants = SINGLE if single else DOUBLE
    if single and not m.machine.has_fma:
        turns, sine, cosine = math_double.sine_and_cosine(m, m.in_double(x))
    else:
        turns, sine, cosine = _reduced(m, x, constants)
    if quadrant:
        turns = f.binary("add", turns, quadrant)
    common = _turned(m, turns, sine, cosine)
    if common.type != x.type:
        common = m.in_single(common)
    rare = f.fcmp("uge", f.fabs(x), constants.limit)
    return m.unless_any(rare, common, lambda: m.call_lanes(name + constants.suffix, x))


def _reduced(m: MathBuilder, x: Value, constants: Reduction) -> tuple[Value, Value, Value]:
    """Number of quarter turns (its low bits), and sine and cosine of the rest."""
    f = m.function
    n, shifted = m.round_to_integer(x, constants.two_over_pi)
    r = x
    for part in constants.half_pi if m.machine.has_fma else HALF_PI_WITHOUT_FMA:
        r = m.fma(n, -part, r)
    square = f.fmul(r, r)
    sine = m.fma(f.fmul(square, r), m.horner(square, constants.sine), r)
    cosine = m.fma(f.fmul(square, square), m.horner(square, constants.cosine), m.fma(square, -0.5, 1.0))
    return f.bits(shifted), sine, cosine


def _turned(m: MathBuilder, turns: Value, sine: Value, cosine: Value) -> Value:
    """The sine after a number of quarter turns."""
    f = m.function
    odd = f.icmp("ne", f.bit_and(turns, 1), 0)
    chosen = f.bits(f.select(odd, cosine, sine))
    return f.floats(f.bit_xor(chosen, f.shl(f.bit_and(turns, 2), BITS[element_of(turns.type)] - 2)))
