"""Samples of elementwise operations."""

import numpy as np
from op_cases import INTEGERS, SPECIAL, binary, booleans, case, floats, integers, unary
from scipy import special

from graphc.dtypes import as_dtype
from graphc.ops import activations, compare, conversion, elementwise
from graphc.ops import special as gamma


def double(function):
    """A function computed in float64 and rounded once."""

    def compute(*arrays):
        wide = [np.asarray(a).astype(np.float64) for a in arrays]
        return np.asarray(function(*wide)).astype(np.result_type(arrays[0]))

    return compute


# -- functions of one number

for name, function, reference, low, high in (
    ("exp", elementwise.exp, np.exp, -5, 5),
    ("expm1", elementwise.expm1, np.expm1, -3, 3),
    ("log", elementwise.log, np.log, 0.1, 9),
    ("log1p", elementwise.log1p, np.log1p, -0.9, 9),
    ("sqrt", elementwise.sqrt, np.sqrt, 0.1, 9),
    ("rsqrt", elementwise.rsqrt, lambda x: 1 / np.sqrt(x), 0.1, 9),
    ("reciprocal", elementwise.reciprocal, lambda x: 1 / x, 0.3, 3),
    ("sin", elementwise.sin, np.sin, -9, 9),
    ("cos", elementwise.cos, np.cos, -9, 9),
    ("tan", elementwise.tan, np.tan, -1.3, 1.3),
    ("asin", elementwise.asin, np.arcsin, -0.9, 0.9),
    ("acos", elementwise.acos, np.arccos, -0.9, 0.9),
    ("atan", elementwise.atan, np.arctan, -5, 5),
    ("sinh", elementwise.sinh, np.sinh, -3, 3),
    ("cosh", elementwise.cosh, np.cosh, -3, 3),
    ("tanh", elementwise.tanh, np.tanh, -3, 3),
    ("asinh", elementwise.asinh, np.arcsinh, -5, 5),
    ("acosh", elementwise.acosh, np.arccosh, 1.2, 9),
    ("atanh", elementwise.atanh, np.arctanh, -0.9, 0.9),
    ("erf", elementwise.erf, special.erf, -3, 3),
    ("erfc", elementwise.erfc, special.erfc, -3, 3),
    ("sigmoid", activations.sigmoid, special.expit, -5, 5),
    ("log_sigmoid", activations.log_sigmoid, special.log_expit, -5, 5),
    ("softplus", activations.softplus, lambda x: np.logaddexp(x, 0), -5, 5),
    ("softsign", activations.softsign, lambda x: x / (1 + np.abs(x)), -5, 5),
    ("elu", activations.elu, lambda x: np.where(x < 0, np.expm1(x), x), -3, 3),
    ("swish", activations.swish, lambda x: x * special.expit(x), -5, 5),
):
    case(name, function, unary(low, high), double(reference), gradient=True)

case(
    "selu",
    activations.selu,
    unary(-3, 3),
    double(lambda x: 1.0507009873554805 * np.where(x < 0, 1.6732632423543772 * np.expm1(x), x)),
    gradient=True,
)
case(
    "lgamma",
    gamma.lgamma,
    unary(0.3, 9),
    lambda x: np.where(np.isinf(x), np.inf, double(special.gammaln)(x)),
    gradient=True,
)
case("digamma", gamma.digamma, unary(0.3, 9, special=False), double(special.digamma), gradient=True, rounding=4)
case(
    "digamma",
    gamma.digamma,
    [(floats((17,), -3.9, 0.0),), (np.array([0.0, -1.0, -2.0], np.float32),)],
    lambda x: np.where(x == np.round(x), np.nan, double(special.digamma)(x)),
    label="negative",
    rounding=40,
)
for order in (1, 2, 3):
    case(
        "polygamma",
        lambda x, order=order: gamma.polygamma(order, x),
        unary(0.3, 9, special=False),
        double(lambda x, order=order: special.polygamma(order, x)),
        gradient=True,
        label=str(order),
        rounding=20,
    )
case(
    "polygamma",
    lambda x: gamma.polygamma(1, x),
    [(np.array([-0.5, -1.25, -2.75, 0.25]),)],
    label="negative",
    reference=lambda x: np.pi**2 / np.sin(np.pi * x) ** 2 - special.polygamma(1, 1 - x),
    gradient=True,
    rounding=100,
)

for name, function, reference in (
    ("neg", elementwise.negative, np.negative),
    ("abs", elementwise.abs, np.abs),
    ("sign", elementwise.sign, np.sign),
    ("square", elementwise.square, np.square),
    ("relu", activations.relu, lambda x: np.maximum(x, 0)),
    ("relu6", activations.relu6, lambda x: np.clip(x, 0, 6)),
):
    case(name, function, unary(-9, 9, kinds="fi"), reference, gradient=True)
case(
    "leaky_relu",
    activations.leaky_relu,
    unary(-9, 9),
    lambda x: np.where(x > 0, x, x * x.dtype.type(0.2)),
    gradient=True,
)
case("round", elementwise.round, [*unary(-9, 9, kinds="fi"), (np.arange(-3, 3, 0.5, np.float32),)], np.round)
for name, function, reference in (
    ("floor", elementwise.floor, np.floor),
    ("ceil", elementwise.ceil, np.ceil),
    ("rint", elementwise.rint, np.rint),
    ("trunc", elementwise.trunc, np.trunc),
):
    case(name, function, unary(-9, 9), reference)

# -- functions of two numbers

for name, function, reference in (
    ("add", elementwise.add, np.add),
    ("sub", elementwise.subtract, np.subtract),
    ("mul", elementwise.multiply, np.multiply),
    ("maximum", elementwise.maximum, np.maximum),
    ("minimum", elementwise.minimum, np.minimum),
    ("squared_difference", elementwise.squared_difference, lambda x, y: np.square(x - y)),
):
    case(name, function, binary(-9, 9, kinds="fi"), reference, gradient=True)

case("div", elementwise.realdiv, binary(-3, 3, low2=0.5, high2=3), np.divide, gradient=True)
case("atan2", elementwise.atan2, binary(-3, 3, low2=0.5, high2=3), np.arctan2, gradient=True)
case(
    "floordiv",
    elementwise.floordiv,
    binary(-9, 9, kinds="fi", low2=1, high2=5),
    lambda x, y: np.floor(x / y),
    label="floats",
)
case(
    "floordiv",
    elementwise.floordiv,
    [(integers((3, 17), -99, 99, d), integers((17,), -7, -1, d, seed=1)) for d in ("int32", "int8", "int64")],
    np.floor_divide,
    label="negative",
)
case("floormod", elementwise.floormod, binary(-9, 9, kinds="fi", special=False, low2=1, high2=5), np.mod, gradient=True)
case("truncdiv", elementwise.truncatediv, binary(-9, 9, kinds="fi", low2=1, high2=5), lambda x, y: np.trunc(x / y))
case(
    "truncmod",
    elementwise.truncatemod,
    binary(-9, 9, kinds="fi", special=False, low2=1, high2=5),
    np.fmod,
    gradient=True,
)
case("pow", elementwise.pow, binary(0.3, 3, low2=-2, high2=2), double(np.power), gradient=True)
case("pow", elementwise.pow, binary(-3, 3, kinds="i", low2=0, high2=3), np.power, label="integers")
_SIGNED = [(floats((17,), -2, 2), np.round(floats((17,), -3, 3, seed=1)))]
case("pow", elementwise.pow, _SIGNED, double(np.power), label="negative bases")
case(
    "div_no_nan",
    elementwise.div_no_nan,
    [*binary(-3, 3, low2=0.5, high2=3), (floats((3,)), np.zeros(3, np.float32))],
    lambda x, y: np.where(y == 0, x.dtype.type(0), x / np.where(y == 0, x.dtype.type(1), y)),
    gradient=True,
)
_ZEROS = (np.array([0, 0, 2], np.float32), np.array([0, 3, 4], np.float32))
case("xlogy", elementwise.xlogy, [*binary(0.5, 3, special=False), _ZEROS], double(special.xlogy), gradient=True)
case(
    "xdivy",
    elementwise.xdivy,
    [*binary(0.5, 3, special=False), _ZEROS],
    lambda x, y: np.where(x == 0, x.dtype.type(0), x / y),
    gradient=True,
)

# -- several operands

case(
    "add_n",
    lambda *xs: elementwise.add_n(list(xs)),
    [(floats((3, 17)),) * 3, (integers((5,)), integers((5,), seed=1)), (floats(()),)],
    lambda *xs: sum(xs),
    gradient=True,
)
_LIMITS = (floats((3, 17), -9, 9), np.float32(-2), floats((17,), 1, 3))
case("clip", elementwise.clip_by_value, [_LIMITS], lambda x, a, b: np.maximum(np.minimum(x, b), a), gradient=True)
case(
    "clip",
    lambda x: elementwise.clip_by_value(x, -3, 4),
    unary(-9, 9, kinds="fi", special=True)[:-4],
    lambda x: np.clip(x, x.dtype.type(-3), x.dtype.type(4)) if x.dtype.kind != "u" else np.clip(x, 0, 4),
    label="numbers",
)

# -- comparisons, logic and bits

for name, function, reference in (
    ("equal", compare.equal, np.equal),
    ("not_equal", compare.not_equal, np.not_equal),
    ("less", compare.less, np.less),
    ("less_equal", compare.less_equal, np.less_equal),
    ("greater", compare.greater, np.greater),
    ("greater_equal", compare.greater_equal, np.greater_equal),
):
    case(name, function, binary(-3, 3, kinds="fi"), reference)
_BOOLEANS = [(booleans((3, 17)), booleans((17,), seed=1)), (booleans(()), booleans((0,)))]
case("equal", compare.equal, _BOOLEANS, np.equal, label="bool")
for name, function, reference in (
    ("is_nan", compare.is_nan, np.isnan),
    ("is_inf", compare.is_inf, np.isinf),
    ("is_finite", compare.is_finite, np.isfinite),
):
    case(name, function, unary(-3, 3), reference)
for name, function, reference in (
    ("logical_and", compare.logical_and, np.logical_and),
    ("logical_or", compare.logical_or, np.logical_or),
    ("logical_xor", compare.logical_xor, np.logical_xor),
):
    case(name, function, _BOOLEANS, reference)
case("logical_not", compare.logical_not, [(booleans((3, 17)),), (booleans(()),)], np.logical_not)
for name, function, reference in (
    ("bitwise_and", compare.bitwise_and, np.bitwise_and),
    ("bitwise_or", compare.bitwise_or, np.bitwise_or),
    ("bitwise_xor", compare.bitwise_xor, np.bitwise_xor),
):
    case(name, function, binary(-99, 99, kinds="i"), reference)
case("invert", compare.invert, unary(-99, 99, kinds="i"), np.invert)
case("left_shift", compare.left_shift, binary(-9, 9, kinds="i", low2=0, high2=6), np.left_shift)
case("right_shift", compare.right_shift, binary(-99, 99, kinds="i", low2=0, high2=6), np.right_shift)

# -- choice and conversion

_CHOICES = [
    (booleans((3, 17)), floats((3, 17)), floats((3, 17), seed=1)),
    (booleans((17,)), floats((3, 1)), floats((), seed=1)),
    (booleans((5,)), integers((5,)), integers((5,), seed=1)),
    (booleans((5,)), booleans((5,), seed=1), booleans((5,), seed=2)),
    (booleans((0,)), floats((0,)), floats((0,))),
]
case("select", compare.select, _CHOICES, np.where, gradient=True)
case(
    "where",
    compare.where,
    [(booleans((3,)), floats((3, 17)), floats((3, 17), seed=1)), (booleans((3,)), *[integers((3, 2, 2))] * 2)],
    lambda c, x, y: np.where(c.reshape([-1] + [1] * (x.ndim - 1)), x, y),
    gradient=True,
)


def _convert(dtype):
    return lambda x: conversion.cast(x, dtype)


for source, target in (("float32", "int32"), ("int64", "float64"), ("uint32", "float32")):
    case(
        "bitcast",
        lambda x, target=target: conversion.bitcast(x, target),
        [(floats((33,), dtype=source) if source[0] == "f" else integers((33,), 0, 2**30, source),)],
        lambda x, target=target: x.view(target),
        label=target,
    )
_FITTING = [(floats((33,), 0, 100, d),) for d in ("float32", "float64", "float16", "bfloat16")]
_FITTING += [(integers((33,), 0, 100, d),) for d in INTEGERS] + [(booleans((33,)),)]
for target in ("float32", "float64", "float16", "bfloat16", *INTEGERS, "bool"):
    wanted = as_dtype(target).numpy
    samples = [sample for sample in _FITTING if sample[0].dtype != wanted]
    case("cast", _convert(target), samples, lambda x, wanted=wanted: x.astype(wanted), label=target)
case("cast", _convert("float32"), [(np.array(SPECIAL),)], lambda x: x.astype(np.float32), label="special")
