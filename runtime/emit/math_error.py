"""erf and erfc of float32 and float64 as inline vector code."""

from __future__ import annotations

from graphc.numpy_special import ERF_NEAR, ERFC_CENTRE, ERFC_LIMIT, ERFC_SCALED
from graphc.records import record
from graphc.runtime.emit import math_tables
from graphc.runtime.emit.function import F32, Value, element_of
from graphc.runtime.emit.math_builder import MathBuilder
from graphc.runtime.emit.math_exponential import exponential_parts


@record
class ErrorFunction:
    """Constants of one element type.

    erf(a) = a + a near(a**2) for a <= near_limit. erfc(a) exp(a**2) (1 + 2 a) is the polynomial `scaled` in
    (a - centre) / (a + centre) for a >= 1/2; the centre makes its first coefficient nearly exact. erfc rounds to 0 from the
    limit on.
    """

    near: tuple[float, ...]
    near_limit: float
    centre: float
    scaled: tuple[float, ...]
    limit: float


SINGLE = ErrorFunction(
    near=(
        0.12837915122509003, -0.37612488865852356, 0.11281730234622955, -0.026762915775179863, 0.004987252410501242,
        -0.0005958970868960023,
    ),
    near_limit=0.925,
    centre=1.9859999418258667,
    scaled=(
        1.2773021459579468, -0.09159025549888611, -0.16808097064495087, 0.16362392902374268, -0.0523359514772892,
        -0.008937330916523933, 0.008479523472487926, 0.0013722724979743361, -0.0012304786359891295, -0.00027370807947590947,
    ),
    limit=10.06,
)  # fmt: skip
DOUBLE = ErrorFunction(
    near=ERF_NEAR,
    near_limit=1.0,
    centre=ERFC_CENTRE,
    scaled=ERFC_SCALED,
    limit=ERFC_LIMIT,
)
# log(erfc(a)) for a in [0.925, 3.93], float32
ERF_FAR = (-0.0002070229093078524, -1.1276273727416992, -0.6372657418251038, -0.10385643690824509, 0.022189833223819733,
           -0.003033712739124894, 0.00019494927255436778)  # fmt: skip


def _constants_of(x: Value) -> ErrorFunction:
    return SINGLE if element_of(x.type) == F32 else DOUBLE


def erf(m: MathBuilder, x: Value) -> Value:
    f = m.function
    if element_of(x.type) != F32:
        a = f.fabs(x)
        far = f.fsub(1.0, _erfc_far(m, f.min_keep_nan(a, 6.0)))
        return f.copysign(f.select(f.fcmp("oge", a, DOUBLE.near_limit), far, _erf_near(m, a)), x)
    a = f.min_keep_nan(f.fabs(x), math_tables.ERF_LIMIT)
    if m.fills_avx512(x):
        scale = math_tables.intervals_per_unit(math_tables.ERF_LIMIT)
        index = m.interval_index(a, scale)
        # The first interval holds slope - 1: adding a itself saves the rounding of the slope.
        base = f.select(f.fcmp("olt", a, 0.5 / scale), a, m.look_up(math_tables.ERF_TABLE[0], index))
        return f.copysign(m.piecewise(a, index, math_tables.ERF_CENTRE, math_tables.ERF_TABLE, base), x)
    n, shifted, e = exponential_parts(m, m.horner(a, ERF_FAR))
    far = f.fsub(1.0, m.add_to_exponent(f.fadd(e, 1.0), shifted))
    return f.copysign(f.select(f.fcmp("oge", a, SINGLE.near_limit), far, _erf_near(m, a)), x)  # NaN takes the polynomial


def _erf_near(m: MathBuilder, a: Value) -> Value:
    square = m.function.fmul(a, a)
    return m.fma(a, m.polynomial(square, _constants_of(a).near), a)


def erfc(m: MathBuilder, x: Value) -> Value:
    """erfc of a = abs(x), or 2 minus that for negative x."""
    f = m.function
    a = f.min_keep_nan(f.fabs(x), _constants_of(x).limit)
    y = _erfc_far(m, a)
    if element_of(x.type) != F32 or not m.fills_avx512(x):
        # Below 1/2 the quotient is sensitive to its argument.
        y = f.select(f.fcmp("olt", a, 0.5), f.fsub(1.0, _erf_near(m, a)), y)
    return f.select(f.fcmp("olt", x, 0.0), f.fsub(2.0, y), y)


def _erfc_far(m: MathBuilder, a: Value) -> Value:
    """exp(-a**2) erfcx(a): with exp(-a**2) = 2**n (1 + e) and erfcx(a) = p + rest it is 2**n (p + (p e + rest)), rounded
    nearly once."""
    f = m.function
    square = f.fmul(a, a)
    n, shifted, e = exponential_parts(m, f.fneg(square), m.product_error(a, a, square))
    if element_of(a.type) == F32 and m.fills_avx512(a):
        index = f.lshr(f.bits(f.fadd(a, 1.0)), 20)
        p = m.piecewise(a, index, math_tables.ERFCX_CENTRE, math_tables.ERFCX_TABLE)
        return m.scale_by_power(m.fma(p, e, p), n, shifted)
    p, rest = _erfcx_by_quotient(m, a)
    return m.scale_by_power(f.fadd(p, m.fma(p, e, rest)), n, shifted)


def _erfcx_by_quotient(m: MathBuilder, a: Value) -> tuple[Value, Value]:
    """exp(a**2) erfc(a) for a >= 1/2 as a sum of a float and a small rest: a polynomial over 1 + 2 a."""
    f, constants = m.function, _constants_of(a)
    t = f.fdiv(f.fsub(a, constants.centre), f.fadd(a, constants.centre))
    slope = m.polynomial(t, constants.scaled[1:])
    q = m.fma(t, slope, constants.scaled[0])
    q_rest = m.fma(t, slope, f.fsub(constants.scaled[0], q))
    twice = f.fadd(a, a)
    d = f.fadd(twice, 1.0)
    back = f.fsub(d, twice)
    lost = f.fadd(f.fsub(twice, f.fsub(d, back)), f.fsub(1.0, back))
    inverse = f.fdiv(1.0, d)
    p = f.fmul(q, inverse)
    rest = m.negated_product_plus(p, lost, m.negated_product_plus(p, d, q))
    return p, f.fmul(f.fadd(rest, q_rest), inverse)
