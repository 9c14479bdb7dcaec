"""The gamma function's logarithm and its derivatives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..operation import OpDef, Operation, Tensor, apply, define
from .constants import convert_to_tensor
from .declare import Function, unary
from .rules import FLOATS, elementwise_type

lgamma = unary(
    "lgamma", "Lgamma", lambda s, x: s.lgamma(x), lambda g, x, y: g * digamma(x), "log(abs(gamma(x))), elementwise."
)
digamma: Function = unary(
    "digamma", "Digamma", lambda s, x: s.digamma(x), lambda g, x, y: g * polygamma(1, x),
    "The derivative of lgamma, elementwise; NaN at 0, -1, -2 ...",
)  # fmt: skip

_SHIFT = 8  # the asymptotic series is used from here on
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)  # B2, B4 ...


def _polygamma(s: Any, x: Any, order: int) -> Any:
    """Abramowitz and Stegun 6.4.6 (shift), 6.4.11 (asymptotic series) and 6.4.7 (reflection), for order >= 1."""
    negative = s.lt(x, 0.5)
    right = s.select(negative, s.sub(1.0, x), x)
    value = _polygamma_right(s, right, order)
    angle = s.mul(s.sub(x, s.round(x)), math.pi)
    cotangent = s.div(s.cos(angle), s.sin(angle))
    reflected = s.mul(_horner(s, _cotangent_derivative(order), cotangent), -math.pi)
    left = s.add(value, reflected) if order % 2 == 0 else s.sub(reflected, value)
    return s.select(negative, left, value)


def _polygamma_right(s: Any, x: Any, order: int) -> Any:
    """For x >= 0.5."""
    total = s.constant(0.0, x)
    for step in range(_SHIFT + order):
        total = s.add(total, _inverse_power(s, s.add(x, float(step)), order + 1))
    far = s.add(x, float(_SHIFT + order))
    inverse = s.reciprocal(far)
    inverse_square = s.square(inverse)
    factorials = [
        b * math.factorial(2 * k + order - 1) / math.factorial(2 * k) for k, b in enumerate(_BERNOULLI, start=1)
    ]
    series = s.mul(_horner(s, factorials, inverse_square), inverse_square)
    first = s.add(s.mul(inverse, math.factorial(order) / 2), math.factorial(order - 1))
    asymptotic = s.mul(_inverse_power(s, far, order), s.add(first, series))
    magnitude = s.add(s.mul(total, math.factorial(order)), asymptotic)
    return magnitude if order % 2 else s.neg(magnitude)


def _inverse_power(s: Any, x: Any, power: int) -> Any:
    inverse = s.reciprocal(x)
    result = inverse
    for _ in range(power - 1):
        result = s.mul(result, inverse)
    return result


def _horner(s: Any, coefficients: Sequence[float], x: Any) -> Any:
    """The polynomial with the given coefficients, the constant one first."""
    result = s.constant(float(coefficients[-1]), x)
    for coefficient in reversed(coefficients[:-1]):
        result = s.add(s.mul(result, x), float(coefficient))
    return result


def _cotangent_derivative(order: int) -> list[float]:
    """The derivative of cot(pi x) of an order, as a polynomial in cot(pi x): D c = -pi (1 + c**2)."""
    polynomial = [0.0, 1.0]
    for _ in range(order):
        derivative = [k * c for k, c in enumerate(polynomial)][1:]
        grown = [0.0] * (len(derivative) + 2)
        for k, c in enumerate(derivative):
            grown[k] -= math.pi * c
            grown[k + 2] -= math.pi * c
        polynomial = grown
    return polynomial


def _polygamma_gradient(operation: Operation, gradient: Tensor) -> list[Tensor]:
    return [gradient * polygamma(operation.attributes["order"] + 1, operation.inputs[0])]


POLYGAMMA = define(
    OpDef(
        "polygamma",
        infer=elementwise_type(FLOATS),
        gradient=_polygamma_gradient,
        attributes={"order": int},
        scalar=_polygamma,
    )
)


def polygamma(a: Any, x: Any, name: str | None = None) -> Tensor:
    """The derivative of digamma of order a, a whole number that is known. Raises ValueError for another order."""
    if isinstance(a, Tensor) or a != int(a) or a < 0:
        raise ValueError(f"polygamma: the order must be a known whole number, not {a!r}")
    if int(a) == 0:
        return digamma(x, name=name)
    return apply(POLYGAMMA, [convert_to_tensor(x)], name or "Polygamma", order=int(a))


__all__ = ["lgamma", "digamma", "polygamma"]
