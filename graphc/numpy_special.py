"""erf, erfc, lgamma and digamma of float64 arrays, which NumPy lacks."""

from __future__ import annotations

import math

import numpy as np

SHIFTED = 8.0
# digamma(y) = log(y) - 1 / (2 y) - sum of B(2 k) / (2 k) y**(-2 k)
DIGAMMA_ASYMPTOTIC = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12, -3617 / 8160)


def _lgamma_of_number(x: float) -> float:
    if math.isinf(x) or (x <= 0 and x == math.floor(x)):
        return math.inf
    return math.lgamma(x)


_erf = np.frompyfunc(math.erf, 1, 1)
_erfc = np.frompyfunc(math.erfc, 1, 1)
_lgamma = np.frompyfunc(_lgamma_of_number, 1, 1)


def erf(x: np.ndarray) -> np.ndarray:
    return np.asarray(_erf(x), np.float64)


def erfc(x: np.ndarray) -> np.ndarray:
    return np.asarray(_erfc(x), np.float64)


def lgamma(x: np.ndarray) -> np.ndarray:
    return np.asarray(_lgamma(x), np.float64)


def digamma(x: np.ndarray) -> np.ndarray:
    """Reflected to positive arguments, shifted beyond 8 by the recurrence, then by the asymptotic series."""
    reflected = x <= 0
    y = np.where(reflected, 1.0 - x, x)
    total = np.zeros_like(y)
    for _ in range(int(SHIFTED)):
        small = y < SHIFTED
        total = np.where(small, total + 1.0 / y, total)
        y = np.where(small, y + 1.0, y)
    z = 1.0 / (y * y)
    tail = np.zeros_like(z)
    for coefficient in reversed(DIGAMMA_ASYMPTOTIC):
        tail = tail * z + coefficient
    value = np.log(y) - 0.5 / y - z * tail - total
    angle = np.pi * (x - np.rint(x))
    below = np.where(x == np.rint(x), np.nan, value - np.pi / np.tan(angle))
    return np.where(reflected, below, value)
