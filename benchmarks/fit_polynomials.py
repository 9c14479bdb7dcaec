"""Where the polynomials of the vector functions come from: minimax fits by exchange, in 50 digits.

    python benchmarks/fit_polynomials.py [NAME ...] [--coefficients]

For each polynomial: the least possible relative error of the function, and the error of the rounded coefficients in use, both
as negative powers of two. --coefficients prints a new fit, rounded. Needs mpmath.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import mpmath as mp
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from graphc import numpy_special  # noqa: E402
from graphc.runtime.emit import (  # noqa: E402
    math_double,
    math_error,
    math_exponential,
    math_inverse,
    math_logarithm,
    math_trigonometry,
)

mp.mp.dps = 50
Real = Callable[[mp.mpf], mp.mpf]
POINTS = 400


@dataclass(frozen=True)
class Problem:
    """The polynomial p(x) near `target` on [low, high]; weight(x) turns its error into the relative error of the result."""

    target: Real
    low: float
    high: float
    weight: Real
    used: Sequence[float]
    single: bool


def odd(function: Real, limit: float, used: Sequence[float], single: bool) -> Problem:
    """function(s) = s + s**3 p(s**2)."""

    def target(z: mp.mpf) -> mp.mpf:
        return (function(mp.sqrt(z)) / mp.sqrt(z) - 1) / z

    return Problem(target, 0.0, limit**2, lambda z: z / (1 + z * target(z)), used, single)


def exponential(used: Sequence[float], single: bool, near_zero: bool) -> Problem:
    """exp(r) = 1 + r + r**2 p(r); near zero the relative error of exp(r) - 1 counts."""

    def weight(r: mp.mpf) -> mp.mpf:
        return r * r / (mp.expm1(r) if near_zero else mp.exp(r))

    half = float(mp.log(2) / 2) * 1.0005
    return Problem(lambda r: (mp.expm1(r) - r) / (r * r), -half, half, weight, used, single)


def scaled_erfc(constants: math_error.ErrorFunction, single: bool) -> Problem:
    centre = mp.mpf(constants.centre)

    def target(t: mp.mpf) -> mp.mpf:
        a = centre * (1 + t) / (1 - t)
        return mp.erfc(a) * mp.exp(a * a) * (1 + 2 * a)

    low, high = ((a - constants.centre) / (a + constants.centre) for a in (0.49, constants.limit))
    return Problem(target, low, high, lambda t: 1 / target(t), constants.scaled, single)


def near_erf(constants: math_error.ErrorFunction, single: bool) -> Problem:
    """erf(a) = a + a p(a**2)."""

    def target(z: mp.mpf) -> mp.mpf:
        return mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1

    return Problem(target, 0.0, constants.near_limit**2, lambda z: 1 / (1 + target(z)), constants.near, single)


def logarithm_ratio(used: Sequence[float]) -> Problem:
    """log((1 + s) / (1 - s)) = 2 s + s**3 p(s**2) for mantissas in [0.75, 1.5)."""

    def target(z: mp.mpf) -> mp.mpf:
        s = mp.sqrt(z)
        return (mp.log((1 + s) / (1 - s)) - 2 * s) / s**3

    return Problem(target, 0.0, 0.2**2, lambda z: z / 2, used, False)


def cosine(used: Sequence[float], single: bool) -> Problem:
    """cos(r) = 1 - r**2 / 2 + r**4 p(r**2)."""

    def target(z: mp.mpf) -> mp.mpf:
        return (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2

    return Problem(target, 0.0, 0.7854**2, lambda z: z * z / mp.cos(mp.sqrt(z)), used, single)


def problems() -> dict[str, Problem]:
    single, double = math_exponential.SINGLE, math_exponential.DOUBLE

    def log_tail(f: mp.mpf) -> mp.mpf:
        return (mp.log1p(f) - f + f * f / 2) / f**3

    return {
        "exp single": exponential(single.tail, True, near_zero=False),
        "expm1 single": exponential(single.tail_near_zero, True, near_zero=True),
        "exp double": exponential(double.tail, False, near_zero=True),
        "exp2": Problem(lambda t: mp.mpf(2) ** t, -0.5, 0.5, lambda t: mp.mpf(2) ** -t, math_double.EXP2, False),
        "sinh single": odd(mp.sinh, 1.0, single.sinh_tail, True),
        "sinh double": odd(mp.sinh, 1.0, double.sinh_tail, False),
        "tanh single": odd(mp.tanh, 0.55, math_exponential.TANH_SMALL, True),
        "log single": Problem(log_tail, -0.25, 0.5, lambda f: f**3 / mp.log1p(f), math_logarithm.LOG_TAIL, True),
        "log double": logarithm_ratio(math_logarithm.LOG_RATIO),
        "log in double": logarithm_ratio(math_double.LOG_RATIO),
        "erf single": near_erf(math_error.SINGLE, True),
        "erf double": near_erf(math_error.DOUBLE, False),
        "erfc single": scaled_erfc(math_error.SINGLE, True),
        "erfc double": scaled_erfc(math_error.DOUBLE, False),
        "sin single": odd(mp.sin, 0.7854, math_trigonometry.SINGLE.sine, True),
        "sin double": odd(mp.sin, 0.7854, math_trigonometry.DOUBLE.sine, False),
        "cos single": cosine(math_trigonometry.SINGLE.cosine, True),
        "cos double": cosine(math_trigonometry.DOUBLE.cosine, False),
        "asin single": odd(mp.asin, 0.5, math_inverse.SINGLE.asin_tail, True),
        "asin double": odd(mp.asin, 0.5, math_inverse.DOUBLE.asin_tail, False),
        "atan single": odd(mp.atan, 1.0, math_inverse.SINGLE.atan_tail, True),
        "atan double": odd(mp.atan, 1.0, math_inverse.DOUBLE.atan_tail, False),
        "lgamma near 2": Problem(
            lambda z: mp.loggamma(2 + z) / z, -0.5, 0.5, lambda z: z / mp.loggamma(2 + z), numpy_special.LGAMMA_NEAR_TWO, False
        ),
    }  # fmt: skip


def grid(problem: Problem) -> list[mp.mpf]:
    """Points that are dense at the ends, without those where a quotient 0 / 0 would be taken."""
    low, high = mp.mpf(problem.low), mp.mpf(problem.high)
    points = [low + (high - low) * (1 - mp.cos(mp.pi * k / POINTS)) / 2 for k in range(POINTS + 1)]
    tiny = (high - low) * mp.mpf(10) ** -12
    return [x if abs(x) > tiny else x + tiny for x in points]


def largest_error(problem: Problem, coefficients: Sequence[float]) -> mp.mpf:
    terms = [mp.mpf(c) for c in reversed(coefficients)]
    return max(abs((problem.target(x) - mp.polyval(terms, x)) * problem.weight(x)) for x in grid(problem))


def fit(problem: Problem, degree: int) -> tuple[list[mp.mpf], mp.mpf]:
    """Coefficients whose weighted error alternates between equal extremes, and that error."""
    points = grid(problem)
    targets, weights = [problem.target(x) for x in points], [problem.weight(x) for x in points]
    unknowns = degree + 2
    chosen = [min(round(POINTS * (1 - np.cos(np.pi * k / (unknowns - 1))) / 2), POINTS) for k in range(unknowns)]
    for _ in range(30):
        system = mp.matrix(unknowns, unknowns)
        right = mp.matrix(unknowns, 1)
        for row, at in enumerate(chosen):
            for power in range(degree + 1):
                system[row, power] = points[at] ** power * weights[at]
            system[row, degree + 1] = (-1) ** row
            right[row] = targets[at] * weights[at]
        solution = mp.lu_solve(system, right)
        coefficients, level = [solution[k] for k in range(degree + 1)], abs(solution[degree + 1])
        errors = [
            (y - mp.polyval(coefficients[::-1], x)) * w for x, y, w in zip(points, targets, weights)
        ]  # fmt: skip
        extremes = _alternating_extremes(errors)
        while len(extremes) > unknowns:
            extremes.pop(0 if abs(errors[extremes[0]]) < abs(errors[extremes[-1]]) else -1)
        largest = max(abs(e) for e in errors)
        if len(extremes) < unknowns or largest < level * 1.002:
            break
        chosen = extremes
    return coefficients, largest


def _alternating_extremes(errors: Sequence[mp.mpf]) -> list[int]:
    """The largest error of each run of one sign."""
    extremes: list[int] = []
    for at, error in enumerate(errors):
        if extremes and (errors[extremes[-1]] >= 0) == (error >= 0):
            if abs(error) > abs(errors[extremes[-1]]):
                extremes[-1] = at
        else:
            extremes.append(at)
    return extremes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = problems()
    parser.add_argument("names", nargs="*", help=", ".join(known))
    parser.add_argument("--coefficients", action="store_true", help="print a new fit")
    options = parser.parse_args()
    print(f"{'polynomial':16}{'terms':>6}{'least error':>13}{'in use':>9}")
    for name, problem in known.items():
        if options.names and name not in options.names:
            continue
        coefficients, error = fit(problem, len(problem.used) - 1)
        least, used = (mp.nstr(mp.log(e, 2), 4) for e in (error, largest_error(problem, problem.used)))
        print(f"{name:16}{len(problem.used):6}{least:>13}{used:>9}", flush=True)
        if options.coefficients:
            print([float(np.float32(float(c))) if problem.single else float(c) for c in coefficients])


if __name__ == "__main__":
    main()
