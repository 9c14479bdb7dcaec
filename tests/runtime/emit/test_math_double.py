"""Functions of float64 against 40 digits: errors in units in the last place on samples, and special values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from accuracy import REFERENCES, special_values
from scalar_running import calling, run_native

from graphc.runtime.schedule.machine import host_machine
from graphc.scalars import FLOAT_UNARY

mp = pytest.importorskip("mpmath")
EXACT = {"floor", "ceil", "trunc", "sqrt", "reciprocal"}
SHAPES = [(host_machine().lanes(64), 1), (1, 1), (4, 2)]


def _uniform(low: float, high: float, count: int = 300) -> np.ndarray:
    return np.random.default_rng(0).uniform(low, high, count)


def _sizes(low: float, high: float, count: int = 200) -> np.ndarray:
    """Both signs, logarithms of the sizes uniform."""
    values = np.exp(_uniform(low, high, count))
    values[::2] *= -1
    return values


GENERAL = [_uniform(-40, 40), _uniform(-3, 3), _sizes(-40, 0)]
_TURNS = [_uniform(-10, 10), _uniform(-99999, 99999), np.arange(1, 200) * (np.pi / 2), _sizes(-30, 0)]
ARGUMENTS = {
    "exp": [*GENERAL, _uniform(-745, 709)],
    "expm1": [*GENERAL, _uniform(-745, 709)],
    "sigmoid": [*GENERAL, _uniform(-745, 709)],
    "softplus": [*GENERAL, _uniform(-745, 709)],
    "log": [_uniform(0.5, 2), np.abs(_sizes(-700, 700))],
    "log1p": [_uniform(-0.9999, 2), np.abs(_sizes(-40, 300)), -np.abs(_sizes(-40, 0))],
    "rsqrt": [_uniform(0.5, 2), np.abs(_sizes(-700, 700))],
    "erfc": [_uniform(-6, 26), _uniform(-1, 1)],
    "sin": _TURNS,
    "cos": _TURNS,
    "tan": _TURNS,
    "asin": [_uniform(-1, 1), _sizes(-30, 0)],
    "acos": [_uniform(-1, 1), _sizes(-30, 0)],
    "atanh": [_uniform(-1, 1), _sizes(-30, 0)],
    "acosh": [_uniform(1, 10), 1 + np.abs(_sizes(-30, 300))],
    "lgamma": [_uniform(3, 100), np.abs(_sizes(-30, 0))],
    "digamma": [_uniform(2, 100), np.abs(_sizes(-30, 0))],
}
REFERENCE_40_DIGITS = {
    "sigmoid": lambda v: 1 / (1 + mp.exp(-v)), "softplus": lambda v: mp.log1p(mp.exp(v)), "rsqrt": lambda v: 1 / mp.sqrt(v),
    "lgamma": lambda v: mp.log(abs(mp.gamma(v))),
}  # fmt: skip
BOUNDS = {"digamma": 8.0, "tan": 2.5}


def error_in_ulp(got: float, want) -> float:
    exponent = max(mp.frexp(want)[1] - 1, -1022) if want else -1022
    return float(abs(mp.mpf(got) - want) / mp.mpf(2) ** (exponent - 52)) if math.isfinite(got) else math.inf


@pytest.mark.parametrize("name", sorted(FLOAT_UNARY - EXACT))
def test_samples(name):
    x = np.concatenate(ARGUMENTS.get(name, GENERAL))
    with mp.workdps(40):
        function = REFERENCE_40_DIGITS.get(name) or getattr(mp, name)
        want = [function(mp.mpf(float(v))) for v in x]
        for lanes, chains in SHAPES:
            got = run_native(calling(name), x, lanes=lanes, chains=chains)
            errors = [error_in_ulp(float(g), w) for g, w in zip(got, want)]
            worst = int(np.argmax(errors))
            assert errors[worst] <= BOUNDS.get(name, 2.0), (errors[worst], x[worst], got[worst], lanes, chains)


@pytest.mark.parametrize("name", sorted(FLOAT_UNARY))
def test_special_values(name):
    """Loosely against NumPy and SciPy: this is about infinities, NaN, zeros, overflow and denormals."""
    x = special_values(np.float64)
    if name in ("lgamma", "digamma"):
        x = x[np.isnan(x) | (x >= 3) | (x == np.rint(x)) | (np.abs(x) < 1e-3)]  # SciPy errs near negative poles
    with np.errstate(all="ignore"):
        want = REFERENCES[name](x)
        for lanes, chains in SHAPES:
            got = run_native(calling(name), x, lanes=lanes, chains=chains)
            close = np.abs(got - want) <= 1e-13 * np.abs(want) + 5e-324
            close |= (got == want) | (np.isnan(got) & np.isnan(want))
            zero = (want == 0) & (got == 0)
            signs = np.signbit(got) == np.signbit(want)
            assert close.all(), (x[~close], got[~close], want[~close], lanes)
            assert signs[zero].all(), (x[zero & ~signs], lanes)


def test_powers():
    random = np.random.default_rng(0)
    x, y = np.exp(random.uniform(-5, 5, 300)), random.uniform(-50, 50, 300)
    got = run_native(calling("pow"), x, y)
    with mp.workdps(40):
        errors = [error_in_ulp(float(g), mp.mpf(float(a)) ** mp.mpf(float(b))) for g, a, b in zip(got, x, y)]
    assert max(errors) <= 1.0
