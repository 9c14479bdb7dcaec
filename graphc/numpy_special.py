"""erf, erfc, lgamma and digamma of float64 arrays, which NumPy lacks.

Polynomials are minimax fits. Errors are a few units in the last place, but near the zeros of lgamma at negative arguments and
the zero of digamma at 1.4616, where the absolute error is what stays small.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Array = np.ndarray

# erf(a) = a + a q(a**2) for a <= 1
ERF_NEAR = (
    0.12837916709551256, -0.3761263890318352, 0.11283791670944185, -0.026866170643111337, 0.005223977606117264,
    -0.000854832592926065, 0.00012055293575511641, -1.4924712279893297e-05, 1.6447131350963394e-06, -1.620631242397151e-07,
    1.3710975916016415e-08, -7.779462112025128e-10,
)  # fmt: skip
# erfc(a) exp(a**2) (1 + 2 a) as a polynomial in (a - c) / (a + c) for a >= 1/2
ERFC_CENTRE = 3.5
ERFC_SCALED = (
    1.2423492448711544, -0.14000918013761943, -0.010555596332218323, 0.09751909515325838, -0.11508959816018988,
    0.08798315382487394, -0.048823325827947725, 0.01909933094229851, -0.00421501990736862, -0.0003022678771729621,
    0.0005643844163661324, -0.0001215124168733357, -4.278223433200094e-05, 2.4260894486914014e-05, 2.328340883348534e-06,
    -3.8142575600502518e-06, -4.4319697175819425e-08, 5.999382063012939e-07, -7.838363628736288e-09, -9.282724663691084e-08,
    5.341508175028103e-10, 1.0330182051561493e-08,
)  # fmt: skip
ERFC_LIMIT = 27.3  # erfc rounds to 0 from here on

# lgamma(2 + z) = z q(z) for abs(z) <= 1/2
LGAMMA_NEAR_TWO = (
    0.42278433509846713, 0.3224670334241132, -0.06735230105319814, 0.020580808427784925, -0.007385551028668383,
    0.0028905103307135848, -0.0011927539119917013, 0.00050966952569021, -0.00022315475093488357, 9.945749514790923e-05,
    -4.492634893470584e-05, 2.0507409451020786e-05, -9.438473291870412e-06, 4.37350094526981e-06, -2.0448630532725056e-06,
    9.61062192025429e-07, -4.304764910680626e-07, 1.9665719728356835e-07, -1.3402201754408827e-07, 6.91714859338837e-08,
)  # fmt: skip
# lgamma(y) = (y - 1/2) (log(y) - 1) + (log(2 pi) - 1) / 2 + q(y**-2) / y: Bernoulli numbers B(2 k) / (2 k (2 k - 1))
LGAMMA_ASYMPTOTIC = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400)
HALF_LOG_TWO_PI_LESS_ONE = 0.41893853320467274
# digamma(y) = log(y) - 1 / (2 y) - z q(z) with z = y**-2: Bernoulli numbers B(2 k) / (2 k)
DIGAMMA_ASYMPTOTIC = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12, -3617 / 8160)
SHIFTED = 8  # the asymptotic series hold from here on


def _polynomial(x: Array, coefficients: Sequence[float]) -> Array:
    result = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = result * x + coefficient
    return result


def erf(x: Array) -> Array:
    a = np.abs(x)
    near = a + a * _polynomial(np.minimum(a, 1.0) ** 2, ERF_NEAR)
    return np.copysign(np.where(a < 1.0, near, 1.0 - _erfc_far(a)), x)


def erfc(x: Array) -> Array:
    a = np.abs(x)
    near = a + a * _polynomial(np.minimum(a, 1.0) ** 2, ERF_NEAR)
    value = np.where(a < 0.5, 1.0 - near, _erfc_far(a))
    return np.where(x < 0, 2.0 - value, value)


def _erfc_far(a: Array) -> Array:
    """erfc for a >= 1/2, with exp(-a**2) of a split in two so that no square is rounded."""
    a = np.minimum(a, ERFC_LIMIT)
    high = (np.asarray(a).view(np.int64) & np.int64(-1 << 27)).view(np.float64)
    exponential = np.exp(-high * high) * np.exp((high - a) * (high + a))
    scaled = _polynomial((a - ERFC_CENTRE) / (a + ERFC_CENTRE), ERFC_SCALED)
    return exponential * (scaled / (1.0 + 2.0 * a))


def lgamma(x: Array) -> Array:
    """log(abs(gamma(x)))."""
    reflected = x < 0
    value = _lgamma_positive(np.abs(x))
    fraction = np.abs(x - np.rint(x))
    below = -np.log(np.abs(x * np.sin(np.pi * fraction)) / np.pi) - value
    result = np.where(reflected, np.where(fraction == 0, np.inf, below), value)
    return np.where(np.isinf(x), np.inf, result)


def _lgamma_positive(y: Array) -> Array:
    """Around 2 by a polynomial, from there by the recurrence, from `SHIFTED` on by the asymptotic series."""
    base, factor = np.where(y < 0.5, y + 2.0, np.where(y < 1.5, y + 1.0, y)), np.ones_like(y)
    for _ in range(SHIFTED - 2):
        above = (base > 2.5) & (y < SHIFTED)
        base = np.where(above, base - 1.0, base)
        factor = np.where(above & (y > 2.5), factor * base, factor)
    base = np.where(y < 0.5, y, np.where(y < 1.5, y - 1.0, base - 2.0))
    middle = base * _polynomial(np.where(np.abs(base) < 1, base, 0.0), LGAMMA_NEAR_TWO)
    lower = np.where(y < 0.5, np.log(y) + np.log1p(y), np.log1p(base))
    middle = np.where(y < 1.5, middle - lower, middle + np.log(factor))
    inverse = 1.0 / np.maximum(y, 1.0)
    tail = inverse * _polynomial(inverse * inverse, LGAMMA_ASYMPTOTIC)
    far = (y - 0.5) * (np.log(y) - 1.0) + (HALF_LOG_TWO_PI_LESS_ONE + tail)
    return np.where(y < SHIFTED, middle, far)


def digamma(x: Array) -> Array:
    """Reflected to positive arguments, shifted beyond `SHIFTED` by the recurrence, then by the asymptotic series."""
    reflected = x <= 0
    y = np.where(reflected, 1.0 - x, x)
    total = np.zeros_like(y)
    for _ in range(SHIFTED):
        small = y < SHIFTED
        total = np.where(small, total + 1.0 / y, total)
        y = np.where(small, y + 1.0, y)
    z = 1.0 / (y * y)
    value = np.log(y) - 0.5 / y - z * _polynomial(z, DIGAMMA_ASYMPTOTIC) - total
    below = np.where(x == np.rint(x), np.nan, value - np.pi / np.tan(np.pi * (x - np.rint(x))))
    return np.where(reflected, below, value)
