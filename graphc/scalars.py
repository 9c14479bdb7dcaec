"""The vocabulary in which the meaning of an elementwise operation is written, and the interpreter that counts its cost.

    scalar=lambda s, x, alpha: s.maximum(x, s.mul(alpha, x))

An `OpDef.scalar` is such a function of an interpreter `s`, the operand values and the attributes. It is written once and read
by every class that has the methods of `Scalars`: NumPy arrays (the oracle), LLVM vectors (native code) and the cost count
below. Values carry their element type. A Python number may stand wherever a value stands, as long as another operand says
the type; `constant(number, like)` makes it a value of its own. Operands of one call have the same type: nothing is promoted,
`cast` is the only way from one type to another. Interpreters may evaluate both arms of a `select`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from .dtypes import DType, bool_, float32

V = TypeVar("V")
Number = int | float | bool


class Scalars(Protocol[V]):
    """What an interpreter of scalar meaning offers.

    Floating-point operations follow IEEE 754: no exceptions, NaN in gives NaN out. float16 and bfloat16 are computed in float32
    and rounded where an operation ends or a value is cast. Integers wrap. Errors in Python (wrong types, unknown names) are
    TypeErrors; errors in data (division of integers by zero, negative exponent of an integer) are reported by the interpreter
    in its own way, and the result is what the divisor 1 or the exponent 0 gives.
    """

    def constant(self, value: Number, like: V | DType | None = None) -> V:
        """A value in the type of `like`, or a number that takes the type of the operands it meets."""
        ...

    def cast(self, x: V, dtype: DType) -> V:
        """x as another type.

        To bool: x != 0 (so NaN is True). Floats to integers drop the fraction. What lies outside the range, and NaN, follows
        TensorFlow on x86: int32 and int64 give their smallest value; int8, int16, uint8 and uint16 the low bits of the
        conversion to int32; uint32 (uint64) the bits of the conversion to int32 (int64) below 2**31 (2**63), else 2**31
        (2**63) where the value does not fit. Between integers the low bits stay. Into float16 and bfloat16 by way of float32.
        """
        ...

    def bitcast(self, x: V, dtype: DType) -> V:
        """The same bits as another type of the same width of 32 or 64 bits."""
        ...

    # -- arithmetic of floats and integers

    def add(self, a: V, b: V) -> V: ...
    def sub(self, a: V, b: V) -> V: ...
    def mul(self, a: V, b: V) -> V: ...
    def neg(self, x: V) -> V: ...
    def abs(self, x: V) -> V: ...
    def square(self, x: V) -> V: ...

    def div(self, a: V, b: V) -> V:
        """The quotient of floats."""
        ...

    def floordiv(self, a: V, b: V) -> V:
        """The quotient rounded towards minus infinity; floor(a / b) of floats. Integer divisors are checked."""
        ...

    def floormod(self, a: V, b: V) -> V:
        """The remainder with the sign of the divisor; a float remainder is exact. Integer divisors are checked."""
        ...

    def truncdiv(self, a: V, b: V) -> V:
        """The quotient rounded towards zero. Integer divisors are checked."""
        ...

    def truncmod(self, a: V, b: V) -> V:
        """The remainder with the sign of the dividend, as C's fmod. Integer divisors are checked."""
        ...

    def pow(self, a: V, b: V) -> V:
        """a to the power b: C's pow for floats; wrapping for integers, whose exponents are checked not to be negative."""
        ...

    def sign(self, x: V) -> V:
        """-1, 0 or 1; NaN stays NaN."""
        ...

    def maximum(self, a: V, b: V) -> V:
        """The larger; NaN if one is NaN. Of two zeros either may come."""
        ...

    def minimum(self, a: V, b: V) -> V:
        """The smaller; NaN if one is NaN. Of two zeros either may come."""
        ...

    def clip(self, x: V, low: V, high: V) -> V:
        """maximum(minimum(x, high), low)."""
        ...

    # -- functions of floats

    def exp(self, x: V) -> V: ...
    def expm1(self, x: V) -> V: ...
    def log(self, x: V) -> V: ...
    def log1p(self, x: V) -> V: ...
    def sqrt(self, x: V) -> V: ...
    def rsqrt(self, x: V) -> V: ...
    def reciprocal(self, x: V) -> V: ...
    def sin(self, x: V) -> V: ...
    def cos(self, x: V) -> V: ...
    def tan(self, x: V) -> V: ...
    def asin(self, x: V) -> V: ...
    def acos(self, x: V) -> V: ...
    def atan(self, x: V) -> V: ...
    def atan2(self, y: V, x: V) -> V: ...
    def sinh(self, x: V) -> V: ...
    def cosh(self, x: V) -> V: ...
    def tanh(self, x: V) -> V: ...
    def asinh(self, x: V) -> V: ...
    def acosh(self, x: V) -> V: ...
    def atanh(self, x: V) -> V: ...
    def erf(self, x: V) -> V: ...
    def erfc(self, x: V) -> V: ...

    def sigmoid(self, x: V) -> V:
        """1 / (1 + exp(-x)), accurate for every x."""
        ...

    def softplus(self, x: V) -> V:
        """log(1 + exp(x)), accurate for every x."""
        ...

    def lgamma(self, x: V) -> V:
        """log(abs(gamma(x))); infinite at the poles 0, -1, -2 ..."""
        ...

    def digamma(self, x: V) -> V:
        """The derivative of log(gamma(x)); NaN at the poles."""
        ...

    def floor(self, x: V) -> V: ...
    def ceil(self, x: V) -> V: ...
    def trunc(self, x: V) -> V: ...

    def round(self, x: V) -> V:
        """The nearest integer, halves to even. Integers pass."""
        ...

    def rint(self, x: V) -> V:
        """Another name of `round`."""
        ...

    # -- comparison and choice: results are bool

    def eq(self, a: V, b: V) -> V: ...
    def ne(self, a: V, b: V) -> V: ...
    def lt(self, a: V, b: V) -> V: ...
    def le(self, a: V, b: V) -> V: ...
    def gt(self, a: V, b: V) -> V: ...
    def ge(self, a: V, b: V) -> V: ...
    def is_nan(self, x: V) -> V: ...
    def is_inf(self, x: V) -> V: ...
    def is_finite(self, x: V) -> V: ...
    def logical_and(self, a: V, b: V) -> V: ...
    def logical_or(self, a: V, b: V) -> V: ...
    def logical_xor(self, a: V, b: V) -> V: ...
    def logical_not(self, x: V) -> V: ...

    def select(self, condition: V, a: V, b: V) -> V:
        """a where the condition holds, else b."""
        ...

    # -- bits of integers

    def bit_and(self, a: V, b: V) -> V: ...
    def bit_or(self, a: V, b: V) -> V: ...
    def bit_xor(self, a: V, b: V) -> V: ...
    def bit_not(self, x: V) -> V: ...

    def shift_left(self, x: V, count: V) -> V:
        """Counts outside the type's width are clamped to it: below 0 to 0, above to the width - 1."""
        ...

    def shift_right(self, x: V, count: V) -> V:
        """Arithmetic for signed types, logical for unsigned; counts as in `shift_left`."""
        ...

    def mul_high(self, a: V, b: V) -> V:
        """The high 32 bits of the 64-bit product of two uint32."""
        ...

    def unit_float(self, bits: V) -> V:
        """A float32 in [0, 1) from the low 23 bits of a uint32, as TensorFlow's random generators make it."""
        ...


ARITHMETIC = frozenset(("add", "sub", "mul", "floordiv", "floormod", "truncdiv", "truncmod", "pow", "maximum", "minimum"))
"""Binary operations of floats and of integers."""

COMPARISONS = frozenset(("eq", "ne", "lt", "le", "gt", "ge"))
LOGICAL = frozenset(("logical_and", "logical_or", "logical_xor"))
BITWISE = frozenset(("bit_and", "bit_or", "bit_xor", "shift_left", "shift_right"))
CLASSIFYING = frozenset(("is_nan", "is_inf", "is_finite"))

FLOAT_UNARY = frozenset((
    "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "reciprocal", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh",
    "tanh", "asinh", "acosh", "atanh", "erf", "erfc", "sigmoid", "softplus", "lgamma", "digamma", "floor", "ceil", "trunc",
))  # fmt: skip
"""Functions of one float, with a result of the same type."""

FLOAT_BINARY = frozenset(("div", "atan2"))
ANY_UNARY = frozenset(("neg", "abs", "square", "sign", "round", "rint"))
"""Functions of one float or integer, with a result of the same type."""


def operand_type(operation: str, values: Sequence[Any]) -> DType:
    """The element type that all values with an attribute `dtype` (a DType) share. Raises TypeError where they do not."""
    found: DType | None = None
    for value in values:
        dtype = getattr(value, "dtype", None)
        if dtype is None:
            continue
        if found is not None and dtype is not found:
            raise TypeError(f"{operation}: operands have different types, {found.name} and {dtype.name}")
        found = dtype
    if found is None:
        raise TypeError(f"{operation}: no operand says the element type; use constant(number, like)")
    return found


_DEFAULT_COST = 1.0
_COSTS = {
    "cast": 1, "div": 4, "reciprocal": 4, "sqrt": 5, "rsqrt": 5, "floordiv": 6, "floormod": 9, "truncdiv": 5, "truncmod": 8,
    "pow": 60, "maximum": 3, "minimum": 3, "clip": 6, "sign": 3, "exp": 13, "expm1": 15, "log": 16, "log1p": 20, "sin": 24,
    "cos": 24, "tan": 34, "asin": 22, "acos": 24, "atan": 22, "atan2": 34, "sinh": 22, "cosh": 18, "tanh": 18, "asinh": 40,
    "acosh": 40, "atanh": 30, "erf": 18, "erfc": 38, "sigmoid": 21, "softplus": 36, "lgamma": 200, "digamma": 120,
    "is_inf": 2, "is_finite": 2, "shift_left": 2, "shift_right": 2, "mul_high": 4, "unit_float": 3,
}  # fmt: skip
"""Vector instructions that a call issues for 32-bit elements; what is not listed issues one."""

_INTEGER_COSTS = {"floordiv": 60, "floormod": 60, "truncdiv": 50, "truncmod": 50, "pow": 150}


class Typed:
    """The value of the cost count: an element type and nothing more."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: DType):
        self.dtype = dtype


class CostScalars:
    """Adds up what the calls of a scalar function cost, in vector instructions for 32-bit elements.

    64-bit types cost twice as much, smaller types as much as 32-bit ones, since they are computed in 32 bits.
    """

    def __init__(self) -> None:
        self.cost = 0.0

    def constant(self, value: Number, like: Typed | DType | None = None) -> Typed | Number:
        if like is None:
            return value
        return Typed(like) if isinstance(like, DType) else like

    def cast(self, x: Typed, dtype: DType) -> Typed:
        self._spend("cast", x.dtype)
        return Typed(dtype)

    def bitcast(self, x: Typed, dtype: DType) -> Typed:
        return Typed(dtype)

    def select(self, condition: Typed, a: Typed | Number, b: Typed | Number) -> Typed:
        dtype = operand_type("select", (a, b))
        self._spend("select", dtype)
        return Typed(dtype)

    def unit_float(self, bits: Typed) -> Typed:
        self._spend("unit_float", bits.dtype)
        return Typed(float32)

    def __getattr__(self, operation: str) -> Callable[..., Typed]:
        if operation.startswith("_") or operation not in _OPERATIONS:
            raise AttributeError(operation)

        def count(*values: Typed | Number) -> Typed:
            dtype = operand_type(operation, values)
            self._spend(operation, dtype)
            return Typed(bool_) if operation in _PREDICATES else Typed(dtype)

        return count

    def _spend(self, operation: str, dtype: DType) -> None:
        cost = float(_COSTS.get(operation, _DEFAULT_COST))
        if dtype.is_integer:
            cost = float(_INTEGER_COSTS.get(operation, cost))
        self.cost += cost * (2 if dtype.bits == 64 else 1)


class CountScalars(CostScalars):
    """Counts the calls on floats instead, each as one operation: sums, products, comparisons, and functions such as exp,
    tanh, erf or pow alike. Choosing and converting count nothing."""

    def _spend(self, operation: str, dtype: DType) -> None:
        self.cost += dtype.is_floating and operation not in _UNCOUNTED


_UNCOUNTED = frozenset(("select", "cast"))
_PREDICATES = COMPARISONS | CLASSIFYING
_OPERATIONS = frozenset(name for name in vars(Scalars) if not name.startswith("_"))


def issue_cost(scalar: Callable[..., Any], operands: Sequence[DType], attributes: Mapping[str, Any] | None = None) -> float:
    """What one element of `scalar` costs, in vector instructions for 32-bit elements (see `CostScalars`)."""
    counter = CostScalars()
    scalar(counter, *[Typed(dtype.compute) for dtype in operands], **(attributes or {}))
    return counter.cost


def count_operations(scalar: Callable[..., Any], operands: Sequence[DType], attributes: Mapping[str, Any] | None = None) -> int:
    """The floating-point operations of one element of `scalar` (see `CountScalars`)."""
    counter = CountScalars()
    scalar(counter, *[Typed(dtype.compute) for dtype in operands], **(attributes or {}))
    return int(counter.cost)
