"""Arithmetic and mathematical functions, element by element."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from ..dtypes import DType, as_dtype, float32, float64
from ..errors import ShapeError
from ..operation import OPERATORS, OpDef, Operation, Tensor, TensorType, apply, define
from ..scopes import name_scope
from ..shapes import are_compatible, format_shape, merge_shapes
from .compare import greater, greater_equal, less, less_equal, logical_and, not_equal, select
from .constants import convert_operands, convert_to_tensor
from .conversion import cast
from .declare import Function, binary, define_binary, unary
from .movement import broadcast_to, sum_to_shape
from .rules import FLOATS, NUMBERS, check_kind, check_same_dtype, elementwise_type, is_tensor

# -- arithmetic

add = binary("add", "Add", lambda s, x, y: s.add(x, y), lambda g, x, y, z: (g, g), "x + y, elementwise.")
subtract = binary("sub", "Sub", lambda s, x, y: s.sub(x, y), lambda g, x, y, z: (g, -g), "x - y, elementwise.")
multiply = binary("mul", "Mul", lambda s, x, y: s.mul(x, y), lambda g, x, y, z: (g * y, g * x), "x * y, elementwise.")
realdiv = binary(
    "div", "RealDiv", lambda s, x, y: s.div(x, y), lambda g, x, y, z: (g / y, -(g * z) / y), "x / y of floats, elementwise.",
    kinds=FLOATS,
)  # fmt: skip
floordiv = binary(
    "floordiv", "floordiv", lambda s, x, y: s.floordiv(x, y), None,
    "x / y rounded down, elementwise; a run in which an integer is divided by zero fails.",
)  # fmt: skip
floormod = binary(
    "floormod", "FloorMod", lambda s, x, y: s.floormod(x, y), lambda g, x, y, z: (g, -(g * floordiv(x, y))),
    "x - y * floordiv(x, y), elementwise: the remainder with the sign of y.",
)  # fmt: skip
truncatediv = binary(
    "truncdiv", "TruncateDiv", lambda s, x, y: s.truncdiv(x, y), None, "x / y rounded towards zero, elementwise."
)
truncatemod = binary(
    "truncmod", "TruncateMod", lambda s, x, y: s.truncmod(x, y), lambda g, x, y, z: (g, -(g * truncatediv(x, y))),
    "x - y * truncatediv(x, y), elementwise: the remainder with the sign of x.",
)  # fmt: skip
squared_difference = binary(
    "squared_difference", "SquaredDifference", lambda s, x, y: s.square(s.sub(x, y)),
    lambda g, x, y, z: ((part := g * 2 * (x - y)), -part), "(x - y)**2, elementwise.",
)  # fmt: skip
maximum = binary(
    "maximum", "Maximum", lambda s, x, y: s.maximum(x, y),
    lambda g, x, y, z: (select(greater_equal(x, y), g, 0), select(greater_equal(x, y), 0, g)),
    "The larger of x and y, elementwise; NaN where one is.",
)  # fmt: skip
minimum = binary(
    "minimum", "Minimum", lambda s, x, y: s.minimum(x, y),
    lambda g, x, y, z: (select(less_equal(x, y), g, 0), select(less_equal(x, y), 0, g)),
    "The smaller of x and y, elementwise; NaN where one is.",
)  # fmt: skip
atan2 = binary(
    "atan2", "Atan2", lambda s, y, x: s.atan2(y, x),
    lambda g, y, x, z: ((part := g / (square(x) + square(y))) * x, -part * y),
    "The angle of the point (second operand, first operand), in radians in [-pi, pi].", kinds=FLOATS,
)  # fmt: skip


def _power_derivative(g: Tensor, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """The logarithm of what is not positive counts as 0, as in TensorFlow."""
    positive = greater(x, 0)
    logarithm = select(positive, log(select(positive, x, 1)), 0)
    return g * y * pow(x, y - 1), g * z * logarithm


POW = define_binary("pow", lambda s, x, y: s.pow(x, y), _power_derivative)


def pow(x: Any, y: Any, name: str | None = None) -> Tensor:
    """x to the power y, elementwise; a run in which the exponent of an integer is negative fails."""
    return apply(POW, convert_operands(x, y), name or "Pow")


def div_no_nan(x: Any, y: Any, name: str | None = None) -> Tensor:
    """x / y of floats, and 0 where y is 0."""
    return apply(DIV_NO_NAN, convert_operands(x, y), name or "DivNoNan")


DIV_NO_NAN = define_binary(
    "div_no_nan",
    lambda s, x, y: s.select(s.eq(y, 0), s.constant(0, x), s.div(x, y)),
    lambda g, x, y, z: (div_no_nan(g, y), -div_no_nan(g * z, y)),
    FLOATS,
)


xlogy = binary(
    "xlogy", "Xlogy", lambda s, x, y: s.select(s.eq(x, 0), s.constant(0, x), s.mul(x, s.log(y))),
    lambda g, x, y, z: (g * _nonzero(x, log(y)), g * xdivy(x, y)), "x * log(y), and 0 where x is 0.", kinds=FLOATS,
)  # fmt: skip
xdivy: Function = binary(
    "xdivy", "Xdivy", lambda s, x, y: s.select(s.eq(x, 0), s.constant(0, x), s.div(x, y)),
    lambda g, x, y, z: (g * _nonzero(x, reciprocal(y)), g * xdivy(-x, square(y))), "x / y, and 0 where x is 0.", kinds=FLOATS,
)  # fmt: skip


def _nonzero(x: Tensor, value: Tensor) -> Tensor:
    """The value, and 0 where x is 0."""
    return select(not_equal(x, 0), value, 0)


def zeros_of(tensor: Tensor) -> Tensor:
    """Zeros of the type of a tensor whose shape is known."""
    return broadcast_to(convert_to_tensor(0, tensor.dtype), tensor.type.sizes)


# -- functions of one operand

negative = unary("neg", "Neg", lambda s, x: s.neg(x), lambda g, x, y: -g, "-x, elementwise.", NUMBERS)
abs = unary("abs", "Abs", lambda s, x: s.abs(x), lambda g, x, y: g * sign(x), "The absolute value, elementwise.", NUMBERS)
sign: Function = unary("sign", "Sign", lambda s, x: s.sign(x), lambda g, x, y: zeros_of(x), "-1, 0 or 1.", NUMBERS)
square: Function = unary("square", "Square", lambda s, x: s.square(x), lambda g, x, y: g * 2 * x, "x * x.", NUMBERS)
exp = unary("exp", "Exp", lambda s, x: s.exp(x), lambda g, x, y: g * y, "e to the power x, elementwise.")
expm1 = unary("expm1", "Expm1", lambda s, x: s.expm1(x), lambda g, x, y: g * exp(x), "exp(x) - 1, exact near 0.")
log: Function = unary("log", "Log", lambda s, x: s.log(x), lambda g, x, y: g / x, "The natural logarithm, elementwise.")
log1p = unary("log1p", "Log1p", lambda s, x: s.log1p(x), lambda g, x, y: g / (1 + x), "log(1 + x), exact near 0.")
sqrt = unary("sqrt", "Sqrt", lambda s, x: s.sqrt(x), lambda g, x, y: g * 0.5 / y, "The square root, elementwise.")
rsqrt = unary(
    "rsqrt", "Rsqrt", lambda s, x: s.rsqrt(x), lambda g, x, y: g * -0.5 * y * square(y), "1 / sqrt(x), elementwise."
)
reciprocal: Function = unary(
    "reciprocal", "Reciprocal", lambda s, x: s.reciprocal(x), lambda g, x, y: -g * square(y), "1 / x of floats, elementwise."
)
sin = unary("sin", "Sin", lambda s, x: s.sin(x), lambda g, x, y: g * cos(x), "The sine of x in radians.")
cos: Function = unary("cos", "Cos", lambda s, x: s.cos(x), lambda g, x, y: -g * sin(x), "The cosine of x in radians.")
tan = unary("tan", "Tan", lambda s, x: s.tan(x), lambda g, x, y: g * (1 + square(y)), "The tangent of x in radians.")
asin = unary(
    "asin", "Asin", lambda s, x: s.asin(x), lambda g, x, y: g * rsqrt(1 - square(x)), "The arc sine, in [-pi/2, pi/2]."
)
acos = unary(
    "acos", "Acos", lambda s, x: s.acos(x), lambda g, x, y: -g * rsqrt(1 - square(x)), "The arc cosine, in [0, pi]."
)
atan = unary(
    "atan", "Atan", lambda s, x: s.atan(x), lambda g, x, y: g / (1 + square(x)), "The arc tangent, in [-pi/2, pi/2]."
)
sinh = unary("sinh", "Sinh", lambda s, x: s.sinh(x), lambda g, x, y: g * cosh(x), "The hyperbolic sine.")
cosh: Function = unary("cosh", "Cosh", lambda s, x: s.cosh(x), lambda g, x, y: g * sinh(x), "The hyperbolic cosine.")
tanh = unary("tanh", "Tanh", lambda s, x: s.tanh(x), lambda g, x, y: g * (1 - square(y)), "The hyperbolic tangent.")
asinh = unary(
    "asinh", "Asinh", lambda s, x: s.asinh(x), lambda g, x, y: g * rsqrt(square(x) + 1), "The inverse hyperbolic sine."
)
acosh = unary(
    "acosh", "Acosh", lambda s, x: s.acosh(x), lambda g, x, y: g * rsqrt((x - 1) * (x + 1)),
    "The inverse hyperbolic cosine; NaN for x < 1.",
)  # fmt: skip
atanh = unary(
    "atanh", "Atanh", lambda s, x: s.atanh(x), lambda g, x, y: g / (1 - square(x)), "The inverse hyperbolic tangent."
)

_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)

erf = unary(
    "erf", "Erf", lambda s, x: s.erf(x), lambda g, x, y: g * (_TWO_OVER_ROOT_PI * exp(-square(x))),
    "The error function, 2/sqrt(pi) times the integral of exp(-t**2) from 0 to x.",
)  # fmt: skip
erfc = unary(
    "erfc", "Erfc", lambda s, x: s.erfc(x), lambda g, x, y: g * (-_TWO_OVER_ROOT_PI * exp(-square(x))),
    "1 - erf(x), exact where that is small.",
)  # fmt: skip
floor = unary("floor", "Floor", lambda s, x: s.floor(x), None, "The largest integer not above x, as a float.")
ceil = unary("ceil", "Ceil", lambda s, x: s.ceil(x), None, "The smallest integer not below x, as a float.")
rint = unary("rint", "Rint", lambda s, x: s.rint(x), None, "The nearest integer, halves to even, as a float.")
trunc = unary("trunc", "Trunc", lambda s, x: s.trunc(x), None, "x without its fraction, as a float.")
round = unary("round", "Round", lambda s, x: s.round(x), None, "The nearest integer, halves to even.", NUMBERS)


# -- division by the kind of number


_TRUE_QUOTIENTS = {"int8": float32, "uint8": float32, "int16": float32, "uint16": float32, "int32": float64, "int64": float64}


def truediv(x: Any, y: Any, name: str | None = None) -> Tensor:
    """The quotient as Python 3 has it: of floats in their type, of 8 and 16 bit integers in float32, of others in float64."""
    return _divide_true(x, y, name or "truediv")


def _divide_true(x: Any, y: Any, name: str) -> Tensor:
    a, b = convert_operands(x, y)
    if a.dtype.is_floating or a.dtype != b.dtype:
        return realdiv(a, b, name=name)
    check_kind(a.dtype, NUMBERS)
    wide = _TRUE_QUOTIENTS.get(a.dtype.name, float64)
    with name_scope(name) as scope:
        return realdiv(cast(a, wide), cast(b, wide), name=scope)


def divide(x: Any, y: Any, name: str | None = None) -> Tensor:
    """The quotient as Python 3 has it; see truediv."""
    return _divide_true(x, y, name or "truediv")


def div(x: Any, y: Any, name: str | None = None) -> Tensor:
    """The quotient as Python 2 has it: of integers rounded down."""
    a, b = convert_operands(x, y)
    return (realdiv if a.dtype.is_floating else floordiv)(a, b, name=name or "div")


mod, floor_div, mul, sub, neg = floormod, floordiv, multiply, subtract, negative


def _named(function: Function, name: str) -> Function:
    return lambda *operands: function(*operands, name=name)


OPERATORS.update({
    "add": _named(add, "add"), "sub": _named(subtract, "sub"), "mul": _named(multiply, "mul"), "div": _named(div, "div"),
    "truediv": _named(truediv, "truediv"), "floordiv": _named(floordiv, "floordiv"), "mod": _named(floormod, "mod"),
    "pow": _named(pow, "pow"), "neg": negative, "abs": abs,
})  # fmt: skip


# -- several operands


def _sum_type(types: Sequence[TensorType]) -> TensorType:
    dtype, shape = check_same_dtype(types), types[0].shape
    check_kind(dtype, NUMBERS)
    for other in types[1:]:
        if not are_compatible(shape, other.shape):
            raise ShapeError(f"shapes {format_shape(shape)} and {format_shape(other.shape)} differ")
        shape = merge_shapes(shape, other.shape)
    return TensorType(dtype, shape)


ADD_N = define(
    OpDef(
        "add_n",
        infer=_sum_type,
        gradient=lambda operation, gradient: [gradient] * len(operation.inputs),
        scalar=lambda s, *values: reduce(s.add, values),
    )
)


def add_n(inputs: Any, name: str | None = None) -> Tensor:
    """The sum of tensors of one shape. Raises ValueError for none, ShapeError where shapes differ."""
    values = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    if not values:
        raise ValueError("inputs must be a list of at least one Tensor with the same dtype and shape")
    return apply(ADD_N, [convert_to_tensor(value) for value in values], name or "AddN")


def accumulate_n(inputs: Any, shape: Any = None, tensor_dtype: Any = None, name: str | None = None) -> Tensor:
    """The sum of tensors of one shape."""
    return add_n(inputs, name or "AccumulateNV2")


def _clip_type(types: Sequence[TensorType]) -> TensorType:
    result = elementwise_type(NUMBERS)(types)
    if not are_compatible(result.shape, types[0].shape):
        raise ShapeError(
            f"limits of shapes {format_shape(types[1].shape)} and {format_shape(types[2].shape)} do not fit a tensor of shape "
            f"{format_shape(types[0].shape)}"
        )
    return TensorType(result.dtype, merge_shapes(result.shape, types[0].shape))


def _clip_gradient(operation: Operation, gradient: Tensor) -> list[Tensor]:
    """The gradient goes to the operand that the result is taken from."""
    x, low, high = operation.inputs
    below = less(minimum(x, high), low)
    above = logical_and(greater(x, high), greater_equal(high, low))
    inside = logical_and(less_equal(x, high), greater_equal(x, low))
    return [
        select(inside, gradient, 0),
        sum_to_shape(select(below, gradient, 0), low.type.sizes),
        sum_to_shape(select(above, gradient, 0), high.type.sizes),
    ]


CLIP = define(OpDef("clip", infer=_clip_type, gradient=_clip_gradient, scalar=lambda s, x, low, high: s.clip(x, low, high)))


def clip_by_value(t: Any, clip_value_min: Any, clip_value_max: Any, name: str | None = None) -> Tensor:
    """The values of t, those outside the limits as the nearer limit. The limits broadcast to the shape of t."""
    x = convert_to_tensor(t)
    limits = [convert_to_tensor(v, None if is_tensor(v) else x.dtype) for v in (clip_value_min, clip_value_max)]
    return apply(CLIP, [x, *limits], name or "clip_by_value")


def saturate_cast(value: Any, dtype: Any, name: str | None = None) -> Tensor:
    """The values as another type, those out of its range as its smallest and largest."""
    tensor, wanted = convert_to_tensor(value), as_dtype(dtype)
    if not wanted.is_bool and not tensor.dtype.is_bool:
        if tensor.dtype.min < wanted.min:
            tensor = maximum(tensor, _inner_bound(wanted.min, tensor.dtype))
        if tensor.dtype.max > wanted.max:
            tensor = minimum(tensor, _inner_bound(wanted.max, tensor.dtype))
    return cast(tensor, wanted, name=name or "saturate_cast")


def _inner_bound(bound: Any, dtype: DType) -> Any:
    """The bound of a range, or the value of `dtype` next to it inside the range."""
    if not dtype.is_floating:
        return int(bound)
    value = dtype.numpy.type(bound)
    outside = (int(value) if isinstance(bound, int) else float(value)) > bound > 0
    return float(np.nextafter(value, dtype.numpy.type(0)) if outside else value)


def scalar_mul(scalar: Any, x: Any, name: str | None = None) -> Tensor:
    """The product of a 0-d number and a tensor. Raises ValueError for another shape of the number."""
    values = convert_to_tensor(x)
    factor = convert_to_tensor(scalar, values.dtype)
    if factor.type.rank not in (0, None):
        raise ValueError(f"Only scalar multiply works, got shape {format_shape(factor.type.shape)}")
    return multiply(factor, values, name=name)


def polyval(coeffs: Sequence[Any], x: Any, name: str | None = None) -> Tensor:
    """coeffs[0] * x**(n - 1) + ... + coeffs[n - 1], by Horner's scheme. Raises ValueError where coeffs is no list."""
    if not isinstance(coeffs, list):
        raise ValueError(f"Argument coeffs must be list type found {type(coeffs)}.")
    values = convert_to_tensor(x)
    with name_scope(name, "polyval"):
        if not coeffs:
            return multiply(values, 0)
        total = convert_to_tensor(coeffs[0], values.dtype)
        for coefficient in coeffs[1:]:
            total = add(coefficient, multiply(total, values))
        return total


__all__ = [
    "add", "subtract", "sub", "multiply", "mul", "divide", "div", "truediv", "realdiv", "floordiv", "floor_div", "truncatediv",
    "div_no_nan", "mod", "floormod", "truncatemod", "pow", "negative", "neg", "abs", "sign", "exp", "expm1", "log", "log1p",
    "sqrt", "rsqrt", "square", "reciprocal", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh",
    "asinh", "acosh", "atanh", "erf", "erfc", "floor", "ceil", "round", "rint", "maximum", "minimum", "squared_difference",
    "xlogy", "xdivy", "clip_by_value", "saturate_cast", "add_n", "accumulate_n", "scalar_mul", "polyval",
]  # fmt: skip
