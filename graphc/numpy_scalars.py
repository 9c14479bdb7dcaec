"""Scalar meaning on NumPy arrays: the oracle that native code is compared with.

Functions of float32 are computed in float64 and rounded once, so that the oracle's own error is half a unit in the last
place. Arrays of float16 and bfloat16 are computed with in float32, as native code does, and rounded where the operation ends.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partialmethod
from typing import Any

import numpy as np

from .dtypes import DType, as_dtype, int32
from .errors import InvalidArgumentError
from .numpy_special import digamma, erf, erfc, lgamma
from .scalars import Typed, operand_type

Array = np.ndarray
Operand = Any  # an array or a Python number


def widen(array: Array) -> Array:
    """Arrays of 16-bit floats as float32, others as they are."""
    dtype = as_dtype(array.dtype)
    return array if dtype.compute is dtype else array.astype(np.float32)


def _in_double(function: Callable[..., Array]) -> Callable[..., Array]:
    """A function of float64 for arrays of any float type."""

    def compute(*arrays: Array) -> Array:
        if arrays[0].dtype == np.float64:
            return function(*arrays)
        return function(*[a.astype(np.float64) for a in arrays]).astype(arrays[0].dtype)

    return compute


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1.0) / (1.0 + e)


def _softplus(x: Array) -> Array:
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


_FUNCTIONS: dict[str, Callable[..., Array]] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "rsqrt": lambda x: 1.0 / np.sqrt(x),
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "erf": erf,
    "erfc": erfc,
    "lgamma": lgamma,
    "digamma": digamma,
}
_DOUBLE = {name: _in_double(function) for name, function in _FUNCTIONS.items()}

_COMPARE = {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal}
_ARITHMETIC = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "maximum": np.maximum, "minimum": np.minimum}
_BITS = {
    "logical_and": np.logical_and, "logical_or": np.logical_or, "logical_xor": np.logical_xor, "bit_and": np.bitwise_and,
    "bit_or": np.bitwise_or, "bit_xor": np.bitwise_xor,
}  # fmt: skip


class NumpyScalars:
    """The vocabulary of `graphc.scalars.Scalars` on arrays, with broadcasting.

    Operands are Python numbers and arrays of the computed types: the caller applies `widen`, silences NumPy's floating-point
    warnings and casts the results to the types that the operation declares, as `evaluate_operation` does. Raises
    InvalidArgumentError for a division of integers by zero and a negative power of integers.
    """

    # -- operands

    def constant(self, value: int | float | bool, like: Array | DType | None = None) -> Any:
        if like is None:
            return value
        return _number(value, like.compute if isinstance(like, DType) else _type_of("constant", like))

    def cast(self, x: Array, dtype: DType) -> Array:
        if x.dtype.kind == "f" and dtype.is_integer:
            return _float_to_integer(x, dtype)
        if x.dtype.kind == "f" and dtype.is_floating and dtype.bits == 16:
            return x.astype(np.float32).astype(dtype.numpy).astype(np.float32)
        if dtype.compute is not dtype:
            return x.astype(np.float32).astype(dtype.numpy).astype(np.float32)
        return x.astype(dtype.numpy)

    def bitcast(self, x: Array, dtype: DType) -> Array:
        if dtype.bits != 8 * x.dtype.itemsize or dtype.bits < 32:
            raise TypeError(f"bitcast from {x.dtype} to {dtype.name}")
        return x.view(dtype.numpy)

    # -- arithmetic

    def _arithmetic(self, operation: str, a: Operand, b: Operand) -> Array:
        return _ARITHMETIC[operation](*_operands(operation, a, b))

    add = partialmethod(_arithmetic, "add")
    sub = partialmethod(_arithmetic, "sub")
    mul = partialmethod(_arithmetic, "mul")
    maximum = partialmethod(_arithmetic, "maximum")
    minimum = partialmethod(_arithmetic, "minimum")

    def div(self, a: Operand, b: Operand) -> Array:
        left, right = _floats("div", a, b)
        return left / right

    def floordiv(self, a: Operand, b: Operand) -> Array:
        left, right = _operands("floordiv", a, b)
        if left.dtype.kind == "f":
            return np.floor(left / right)
        return _floor_division(left, right)[0]

    def floormod(self, a: Operand, b: Operand) -> Array:
        left, right = _operands("floormod", a, b)
        if left.dtype.kind != "f":
            return _floor_division(left, right)[1]
        rest = np.fmod(left, right)
        wrong = (rest != 0) & ((right < 0) != (rest < 0))
        return np.where(wrong, rest + right, rest)

    def truncdiv(self, a: Operand, b: Operand) -> Array:
        left, right = _operands("truncdiv", a, b)
        if left.dtype.kind == "f":
            return np.trunc(left / right)
        return _truncated_division(left, right)[0]

    def truncmod(self, a: Operand, b: Operand) -> Array:
        left, right = _operands("truncmod", a, b)
        if left.dtype.kind == "f":
            return np.fmod(left, right)
        return _truncated_division(left, right)[1]

    def pow(self, a: Operand, b: Operand) -> Array:
        left, right = _operands("pow", a, b)
        if left.dtype.kind == "f":
            return _in_double(np.power)(left, right)
        if (right < 0).any():
            raise InvalidArgumentError("Integers to negative integer powers are not allowed")
        return np.power(left, right)

    def neg(self, x: Array) -> Array:
        return np.negative(_value("neg", x))

    def abs(self, x: Array) -> Array:
        return np.abs(_value("abs", x))

    def square(self, x: Array) -> Array:
        return np.multiply(_value("square", x), x)

    def sign(self, x: Array) -> Array:
        return np.sign(_value("sign", x)) + np.zeros((), x.dtype)

    def clip(self, x: Operand, low: Operand, high: Operand) -> Array:
        return self.maximum(self.minimum(x, high), low)

    # -- functions of floats

    def _function(self, name: str, *operands: Operand) -> Array:
        return _DOUBLE[name](*_floats(name, *operands))

    exp = partialmethod(_function, "exp")
    expm1 = partialmethod(_function, "expm1")
    log = partialmethod(_function, "log")
    log1p = partialmethod(_function, "log1p")
    rsqrt = partialmethod(_function, "rsqrt")
    sin = partialmethod(_function, "sin")
    cos = partialmethod(_function, "cos")
    tan = partialmethod(_function, "tan")
    asin = partialmethod(_function, "asin")
    acos = partialmethod(_function, "acos")
    atan = partialmethod(_function, "atan")
    atan2 = partialmethod(_function, "atan2")
    sinh = partialmethod(_function, "sinh")
    cosh = partialmethod(_function, "cosh")
    tanh = partialmethod(_function, "tanh")
    asinh = partialmethod(_function, "asinh")
    acosh = partialmethod(_function, "acosh")
    atanh = partialmethod(_function, "atanh")
    erf = partialmethod(_function, "erf")
    erfc = partialmethod(_function, "erfc")
    sigmoid = partialmethod(_function, "sigmoid")
    softplus = partialmethod(_function, "softplus")
    lgamma = partialmethod(_function, "lgamma")
    digamma = partialmethod(_function, "digamma")

    def sqrt(self, x: Array) -> Array:
        return np.sqrt(*_floats("sqrt", x))

    def reciprocal(self, x: Array) -> Array:
        return self.div(1.0, x)

    def floor(self, x: Array) -> Array:
        return np.floor(x) if x.dtype.kind == "f" else x

    def ceil(self, x: Array) -> Array:
        return np.ceil(x) if x.dtype.kind == "f" else x

    def trunc(self, x: Array) -> Array:
        return np.trunc(x) if x.dtype.kind == "f" else x

    def round(self, x: Array) -> Array:
        return np.rint(x) if x.dtype.kind == "f" else x

    rint = round

    # -- comparison and choice

    def _compare(self, operation: str, a: Operand, b: Operand) -> Array:
        return _COMPARE[operation](*_operands(operation, a, b))

    eq = partialmethod(_compare, "eq")
    ne = partialmethod(_compare, "ne")
    lt = partialmethod(_compare, "lt")
    le = partialmethod(_compare, "le")
    gt = partialmethod(_compare, "gt")
    ge = partialmethod(_compare, "ge")

    def is_nan(self, x: Array) -> Array:
        return np.isnan(*_floats("is_nan", x))

    def is_inf(self, x: Array) -> Array:
        return np.isinf(*_floats("is_inf", x))

    def is_finite(self, x: Array) -> Array:
        return np.isfinite(*_floats("is_finite", x))

    def select(self, condition: Array, a: Operand, b: Operand) -> Array:
        if condition.dtype != np.bool_:
            raise TypeError(f"select by {condition.dtype}")
        return np.where(condition, *_operands("select", a, b))

    # -- bits

    def _bits(self, operation: str, a: Operand, b: Operand) -> Array:
        left, right = _operands(operation, a, b)
        if left.dtype.kind == "f" or (left.dtype == np.bool_) != operation.startswith("logical"):
            raise TypeError(f"{operation} of {left.dtype}")
        return _BITS[operation](left, right)

    logical_and = partialmethod(_bits, "logical_and")
    logical_or = partialmethod(_bits, "logical_or")
    logical_xor = partialmethod(_bits, "logical_xor")
    bit_and = partialmethod(_bits, "bit_and")
    bit_or = partialmethod(_bits, "bit_or")
    bit_xor = partialmethod(_bits, "bit_xor")

    def logical_not(self, x: Array) -> Array:
        return self.logical_xor(x, True)

    def bit_not(self, x: Array) -> Array:
        return np.invert(self.bit_or(x, x))

    def shift_left(self, x: Array, count: Operand) -> Array:
        left, right = _operands("shift_left", x, count)
        return np.left_shift(left, np.clip(right, 0, 8 * left.dtype.itemsize - 1))

    def shift_right(self, x: Array, count: Operand) -> Array:
        left, right = _operands("shift_right", x, count)
        return np.right_shift(left, np.clip(right, 0, 8 * left.dtype.itemsize - 1))

    def mul_high(self, a: Operand, b: Operand) -> Array:
        left, right = _operands("mul_high", a, b)
        if left.dtype != np.uint32:
            raise TypeError(f"mul_high of {left.dtype}")
        return ((left.astype(np.uint64) * right.astype(np.uint64)) >> np.uint64(32)).astype(np.uint32)

    def unit_float(self, bits: Array) -> Array:
        mantissa = (bits & np.uint32(0x7FFFFF)) | np.uint32(0x3F800000)
        return np.asarray(mantissa, np.uint32).view(np.float32) - np.float32(1)


def _type_of(operation: str, *operands: Operand) -> DType:
    return operand_type(operation, [Typed(as_dtype(a.dtype)) for a in operands if hasattr(a, "dtype")])


def _number(value: int | float | bool, dtype: DType) -> Array:
    if dtype.is_integer and value != int(value):
        raise TypeError(f"{value} is no {dtype.name}")
    return np.asarray(value, dtype.numpy)


def _operands(operation: str, *operands: Operand) -> list[Array]:
    """All operands as arrays of their common type."""
    dtype = _type_of(operation, *operands)
    return [a if hasattr(a, "dtype") else _number(a, dtype) for a in operands]


def _value(operation: str, x: Operand) -> Array:
    return _operands(operation, x)[0]


def _floats(operation: str, *operands: Operand) -> list[Array]:
    values = _operands(operation, *operands)
    if values[0].dtype.kind != "f":
        raise TypeError(f"{operation} takes floats, not {values[0].dtype}")
    return values


def _float_to_integer(x: Array, dtype: DType) -> Array:
    """As TensorFlow on x86, see `Scalars.cast`."""
    if dtype.bits < 32:
        return _float_to_integer(x, int32).astype(dtype.numpy)
    bound = x.dtype.type(2.0 ** (dtype.bits - 1))
    signed = np.dtype(f"int{dtype.bits}")
    smallest = np.iinfo(signed).min
    large = (x >= bound) & dtype.is_unsigned
    reduced = np.where(large, x - bound, x)
    fits = np.abs(reduced) < bound
    whole = np.where(fits, np.where(fits, reduced, 0).astype(signed), smallest)
    return np.where(large, whole | smallest, whole).astype(dtype.numpy)


def _checked_divisor(divisor: Array) -> Array:
    if not divisor.all():
        raise InvalidArgumentError("Integer division by zero")
    return divisor


def _floor_division(a: Array, b: Array) -> tuple[Array, Array]:
    if a.dtype.kind not in "iu":
        raise TypeError(f"division of {a.dtype}")
    divisor = _checked_divisor(b)
    return np.floor_divide(a, divisor), np.remainder(a, divisor)


def _truncated_division(a: Array, b: Array) -> tuple[Array, Array]:
    quotient, rest = _floor_division(a, b)
    raised = (rest != 0) & ((rest < 0) != (a < 0)) if a.dtype.kind == "i" else np.zeros((), np.bool_)
    one = a.dtype.type(1)
    return np.where(raised, quotient + one, quotient), np.where(raised, rest - b, rest)
