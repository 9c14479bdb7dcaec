"""References in float64 for functions of float32, and errors in units in the last place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import special

Array = np.ndarray


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1.0) / (1.0 + e)


def _softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _digamma(x: Array) -> Array:
    return np.where((x <= 0) & (x == np.rint(x)), np.nan, special.digamma(x))


REFERENCES: dict[str, Callable[..., Array]] = {
    "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x),
    "reciprocal": lambda x: 1 / x, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos,
    "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh,
    "atanh": np.arctanh, "erf": special.erf, "erfc": special.erfc, "sigmoid": _sigmoid, "softplus": _softplus,
    "lgamma": lambda x: np.where(np.isinf(x), np.inf, special.gammaln(x)), "digamma": _digamma, "floor": np.floor,
    "ceil": np.ceil, "trunc": np.trunc, "atan2": np.arctan2, "pow": np.power,
}  # fmt: skip


def every_float32(stride: int, offset: int = 0) -> Array:
    """Every stride-th of all bit patterns of float32."""
    return np.arange(offset, 2**32, stride, dtype=np.uint64).astype(np.uint32).view(np.float32)


def special_values(dtype: type = np.float32) -> Array:
    """Zeros, infinities, NaN, denormals, and the neighbours of borders where functions change or overflow."""
    info = np.finfo(dtype)
    plain = [
        0.0, 0.25, 0.5, 0.55, 0.75, 0.925, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 10.0, 20.0, 100.0, 1000.0, 1e-3, 1e-6, 1e5, 1e6, 1e10,
        np.pi, np.pi / 2, np.pi / 4, np.e, np.log(2), 1.46163, 3.93, 9.02, 10.06, 17.3, 26.5, 87.3, 88.0, 88.72284, 89.0,
        89.416, 103.97, 104.0, 709.78, 710.0, 710.4758, 745.2, 746.0,
    ]  # fmt: skip
    sizes = [float(info.tiny), float(info.smallest_subnormal), float(info.max), float(info.eps), *plain]
    with np.errstate(over="ignore"):
        centre = np.array(sizes, dtype)
        around = np.concatenate([centre, np.nextafter(centre, dtype(np.inf)), np.nextafter(centre, dtype(0))])
    around = np.concatenate([around, np.array([np.inf, np.nan], dtype)])
    return np.concatenate([around, -around])


def errors_in_ulp(got: Array, want: Array) -> Array:
    """The error of `got` against the more precise `want`, in units of the last place of got's type.

    Infinite where one is NaN and the other not, or one is infinite and the other further off than rounding explains.
    """
    info = np.finfo(got.dtype)
    with np.errstate(all="ignore"):
        rounded = want.astype(got.dtype)
        same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
        ordinary = np.isfinite(want) & (want != 0)
        exponent = np.maximum(np.frexp(np.where(ordinary, np.abs(want), 1.0))[1] - 1, info.minexp)
        unit = np.ldexp(1.0, (exponent - info.nmant).astype(np.int32))
        finite = np.where(np.isinf(got) & (np.abs(want) > float(info.max) * 0.99), np.copysign(float(info.max), got), got)
        error = np.abs(finite.astype(want.dtype) - np.clip(want, -float(info.max), float(info.max))) / unit
    error = np.where(np.isfinite(error), error, np.inf)
    return np.where(same, 0.0 if got.dtype == want.dtype else np.where(np.isfinite(error), error, 0.0), error)
