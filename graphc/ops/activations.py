"""Elementwise functions of neural networks."""

from __future__ import annotations

from typing import Any

from ..operation import OpDef, Operation, Tensor, apply, define
from .compare import greater, less, logical_and, select
from .constants import convert_to_tensor
from .declare import define_unary, unary
from .elementwise import abs, exp, negative, square
from .joining import concat
from .rules import FLOATS, NUMBERS, elementwise_type

sigmoid = unary(
    "sigmoid", "Sigmoid", lambda s, x: s.sigmoid(x), lambda g, x, y: g * (y * (1 - y)), "1 / (1 + exp(-x)), elementwise."
)
log_sigmoid = unary(
    "log_sigmoid", "LogSigmoid", lambda s, x: s.neg(s.softplus(s.neg(x))), lambda g, x, y: g * sigmoid(negative(x)),
    "log(sigmoid(x)), exact for every x.",
)  # fmt: skip

SOFTPLUS = define_unary("softplus", lambda s, x: s.softplus(x), lambda g, x, y: g * sigmoid(x))
SOFTSIGN = define_unary(
    "softsign", lambda s, x: s.div(x, s.add(s.abs(x), 1)), lambda g, x, y: g / square(1 + abs(x))
)
RELU = define_unary("relu", lambda s, x: s.maximum(x, 0), lambda g, x, y: select(greater(y, 0), g, 0), NUMBERS)
RELU6 = define_unary(
    "relu6",
    lambda s, x: s.minimum(s.maximum(x, 0), 6),
    lambda g, x, y: select(logical_and(greater(y, 0), less(y, 6)), g, 0),
    NUMBERS,
)
ELU = define_unary(
    "elu",
    lambda s, x: s.select(s.lt(x, 0), s.expm1(x), x),
    lambda g, x, y: select(less(x, 0), g * exp(x), g),
)

_SELU_SCALE = 1.0507009873554804934193349852946
_SELU_SCALE_ALPHA = 1.7580993408473768599402175208123

SELU = define_unary(
    "selu",
    lambda s, x: s.select(s.lt(x, 0), s.mul(s.expm1(x), _SELU_SCALE_ALPHA), s.mul(x, _SELU_SCALE)),
    lambda g, x, y: select(less(x, 0), g * _SELU_SCALE_ALPHA * exp(x), g * _SELU_SCALE),
)


def relu(features: Any, name: str | None = None) -> Tensor:
    """max(x, 0), elementwise; NaN stays."""
    return apply(RELU, [convert_to_tensor(features)], name or "Relu")


def relu6(features: Any, name: str | None = None) -> Tensor:
    """min(max(x, 0), 6), elementwise."""
    return apply(RELU6, [convert_to_tensor(features)], name or "Relu6")


def elu(features: Any, name: str | None = None) -> Tensor:
    """exp(x) - 1 where x < 0, else x (Clevert and others, 2015)."""
    return apply(ELU, [convert_to_tensor(features)], name or "Elu")


def selu(features: Any, name: str | None = None) -> Tensor:
    """The scaled elu that keeps mean 0 and variance 1 (Klambauer and others, 2017)."""
    return apply(SELU, [convert_to_tensor(features)], name or "Selu")


def softplus(features: Any, name: str | None = None) -> Tensor:
    """log(1 + exp(x)), exact for every x."""
    return apply(SOFTPLUS, [convert_to_tensor(features)], name or "Softplus")


def softsign(features: Any, name: str | None = None) -> Tensor:
    """x / (1 + abs(x)), elementwise."""
    return apply(SOFTSIGN, [convert_to_tensor(features)], name or "Softsign")


LEAKY_RELU = define(
    OpDef(
        "leaky_relu",
        infer=elementwise_type(FLOATS),
        gradient=lambda operation, gradient: [_leaky_gradient(operation, gradient)],
        attributes={"alpha": float},
        scalar=lambda s, x, alpha: s.select(s.gt(x, 0), x, s.mul(x, alpha)),
    )
)


def _leaky_gradient(operation: Operation, gradient: Tensor) -> Tensor:
    return select(greater(operation.inputs[0], 0), gradient, gradient * operation.attributes["alpha"])


def leaky_relu(features: Any, alpha: Any = 0.2, name: str | None = None) -> Tensor:
    """x where x > 0, else alpha * x."""
    x = convert_to_tensor(features)
    if isinstance(alpha, Tensor) or not x.dtype.is_floating:
        return select(greater(x, 0), x, x * alpha, name=name or "LeakyRelu")
    return apply(LEAKY_RELU, [x], name or "LeakyRelu", alpha=float(alpha))


def crelu(features: Any, name: str | None = None, axis: int = -1) -> Tensor:
    """relu of x and of -x, side by side along an axis."""
    x = convert_to_tensor(features)
    return relu(concat([x, negative(x)], axis), name=name or "CRelu")


def swish(features: Any, name: str | None = None) -> Tensor:
    """x * sigmoid(x), elementwise (Ramachandran and others, 2017)."""
    return apply(SWISH, [convert_to_tensor(features)], name or "swish")


SWISH = define_unary(
    "swish", lambda s, x: s.mul(x, s.sigmoid(x)), lambda g, x, y: g * (sigmoid(x) * (1 + x * (1 - sigmoid(x))))
)

__all__ = [
    "sigmoid", "log_sigmoid", "softplus", "softsign", "relu", "relu6", "elu", "selu", "leaky_relu", "crelu", "swish",
]  # fmt: skip
