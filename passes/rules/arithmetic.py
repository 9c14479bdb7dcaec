"""Rules of arithmetic. Those on floats keep every bit, signed zeros and NaN too, but where a comment says otherwise."""

from __future__ import annotations

from graphc.operation import DEFINITIONS, Tensor, apply
from graphc.ops.constants import build_constant
from graphc.passes.patterns import Match, const, op, rule, tensors
from graphc.passes.rules.facts import (
    is_float,
    is_integer,
    is_never_negative_zero,
    is_non_negative,
    is_normal,
    is_power_of_two,
    wrapped,
)

x, y = tensors("x y")
c, d = const("c"), const("d")


def _apply(name: str, *operands: Tensor) -> Tensor:
    return apply(DEFINITIONS[name], operands)


def _number(value: float, m: Match) -> Tensor:
    return build_constant(value, m.root.output.dtype)


# -- sums

SUMS = [
    rule(op.add(x, const(0)), x, lambda m: is_never_negative_zero(m.x)),
    rule(op.add(x, const(-0.0)), x),
    rule(op.add(op.add(x, c), d), lambda m: _apply("add", m.x, _number(wrapped(m.c + m.d, m.x), m)), is_integer),
    rule(op.add(x, op.neg(y)), op.sub(x, y)),
    rule(op.sub(x, const(0)), x),
    rule(op.sub(x, x), const(0), is_integer),
    rule(op.sub(const(0), x), op.neg(x), is_integer),
    rule(op.sub(x, op.neg(y)), op.add(x, y)),
    rule(op.neg(op.neg(x)), x),
    rule(op.neg(op.sub(x, y)), op.sub(y, x), is_integer),
]

# -- products


def _is_safe_product(m: Match) -> bool:
    """Whether x * c * d is x * (c * d) up to rounding: no overflow or underflow that only one of them has."""
    if not is_float(m):
        return False
    shrinks = abs(m.c) <= 1 and abs(m.d) <= 1
    grows = abs(m.c) >= 1 and abs(m.d) >= 1
    return (shrinks or grows) and all(is_normal(value, m.x) for value in (m.c, m.d, m.c * m.d))


PRODUCTS = [
    rule(op.mul(x, const(1)), x),
    rule(op.mul(x, const(-1)), op.neg(x)),
    rule(op.mul(x, const(0)), const(0), is_integer),
    rule(op.mul(x, x), op.square(x)),
    rule(op.mul(op.neg(x), op.neg(y)), op.mul(x, y)),
    rule(op.mul(op.neg(x), c), lambda m: _apply("mul", m.x, _number(-m.c, m)), is_float),
    rule(op.neg(op.mul(x, c)), lambda m: _apply("mul", m.x, _number(-m.c, m)), is_float),
    rule(op.mul(op.mul(x, c), d), lambda m: _apply("mul", m.x, _number(wrapped(m.c * m.d, m.x), m)), is_integer),
    # One rounding instead of two.
    rule(op.mul(op.mul(x, c), d), lambda m: _apply("mul", m.x, _number(m.c * m.d, m)), _is_safe_product),
]

# -- quotients


def _is_exact_divisor(m: Match) -> bool:
    return is_float(m) and is_power_of_two(m.c, m.x)


QUOTIENTS = [
    rule(op.div(x, const(1)), x),
    rule(op.div(x, const(-1)), op.neg(x)),
    rule(op.div(x, c), lambda m: _apply("mul", m.x, _number(1.0 / m.c, m)), _is_exact_divisor),
    rule(op.div(op.neg(x), op.neg(y)), op.div(x, y)),
    # The reciprocal square root is rounded once, not twice.
    rule(op.div(const(1), op.sqrt(x)), op.rsqrt(x)),
    rule(op.reciprocal(op.sqrt(x)), op.rsqrt(x)),
    rule(op.div(const(1), x), op.reciprocal(x), is_float),
    rule(op.floordiv(x, const(1)), x, is_integer),
    rule(op.floormod(x, const(1)), const(0), is_integer),
]

# -- signs and extremes


def _is_positive_result(m: Match) -> bool:
    return is_non_negative(m.x) and is_never_negative_zero(m.x)


SIGNS = [
    rule(op.abs(op.neg(x)), op.abs(x)),
    rule(op.abs(x), x, _is_positive_result, name="abs of what is not negative"),
    rule(op.square(op.neg(x)), op.square(x)),
    rule(op.square(op.abs(x)), op.square(x)),
    rule(op.maximum(x, x), x),
    rule(op.minimum(x, x), x),
    rule(op.maximum(op.maximum(x, c), d), lambda m: _apply("maximum", m.x, _number(max(m.c, m.d), m)),
         lambda m: m.c == m.c and m.d == m.d),
    rule(op.minimum(op.minimum(x, c), d), lambda m: _apply("minimum", m.x, _number(min(m.c, m.d), m)),
         lambda m: m.c == m.c and m.d == m.d),
    rule(op.relu(op.relu(x)), op.relu(x)),
    rule(op.squared_difference(x, const(0)), op.square(x)),
]  # fmt: skip

# -- powers: the library's pow is not rounded correctly, products and square roots are


def _is_root(m: Match) -> bool:
    return is_float(m) and is_non_negative(m.x)


POWERS = [
    rule(op.pow(x, const(0)), const(1)),
    rule(op.pow(x, const(1)), x),
    rule(op.pow(x, const(2)), op.square(x)),
    rule(op.pow(x, const(3)), op.mul(x, op.square(x))),
    rule(op.pow(x, const(-1)), op.reciprocal(x), is_float),
    rule(op.pow(x, const(0.5)), op.sqrt(x), _is_root),
    rule(op.pow(x, const(-0.5)), op.rsqrt(x), _is_root),
]

RULES = [*SUMS, *PRODUCTS, *QUOTIENTS, *SIGNS, *POWERS]
