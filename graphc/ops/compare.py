"""Comparisons, logic, bits, and the choice between two tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..dtypes import bool_
from ..errors import DTypeError, ShapeError
from ..operation import OPERATORS, OpDef, Operation, Tensor, TensorType, apply, define
from ..shapes import format_shape
from .constants import convert_operands, convert_to_tensor
from .declare import binary, unary
from .movement import reshape, sum_to_shape
from .rules import ANY, BOOL, FLOATS, INTEGERS, broadcast_types, check_same_dtype, is_tensor

# -- comparisons

equal = binary(
    "equal", "Equal", lambda s, x, y: s.eq(x, y), None, "Whether x == y, elementwise.", kinds=ANY, result=bool_
)
not_equal = binary(
    "not_equal", "NotEqual", lambda s, x, y: s.ne(x, y), None, "Whether x != y, elementwise.", kinds=ANY, result=bool_
)
less = binary("less", "Less", lambda s, x, y: s.lt(x, y), None, "Whether x < y, elementwise.", result=bool_)
less_equal = binary("less_equal", "LessEqual", lambda s, x, y: s.le(x, y), None, "Whether x <= y, elementwise.", result=bool_)
greater = binary("greater", "Greater", lambda s, x, y: s.gt(x, y), None, "Whether x > y, elementwise.", result=bool_)
greater_equal = binary(
    "greater_equal", "GreaterEqual", lambda s, x, y: s.ge(x, y), None, "Whether x >= y, elementwise.", result=bool_
)

is_nan = unary("is_nan", "IsNan", lambda s, x: s.is_nan(x), None, "Which elements are NaN.", FLOATS, bool_)
is_inf = unary("is_inf", "IsInf", lambda s, x: s.is_inf(x), None, "Which elements are infinite.", FLOATS, bool_)
is_finite = unary(
    "is_finite", "IsFinite", lambda s, x: s.is_finite(x), None, "Which elements are neither infinite nor NaN.", FLOATS, bool_
)

# -- logic

logical_and = binary(
    "logical_and", "LogicalAnd", lambda s, x, y: s.logical_and(x, y), None, "x and y, elementwise, of bool.", kinds=BOOL
)
logical_or = binary(
    "logical_or", "LogicalOr", lambda s, x, y: s.logical_or(x, y), None, "x or y, elementwise, of bool.", kinds=BOOL
)
logical_xor = binary(
    "logical_xor", "LogicalXor", lambda s, x, y: s.logical_xor(x, y), None, "x unlike y, elementwise, of bool.", kinds=BOOL
)
logical_not = unary("logical_not", "LogicalNot", lambda s, x: s.logical_not(x), None, "not x, elementwise, of bool.", BOOL)

# -- bits

bitwise_and = binary(
    "bitwise_and", "BitwiseAnd", lambda s, x, y: s.bit_and(x, y), None, "The bits set in x and y.", kinds=INTEGERS
)
bitwise_or = binary(
    "bitwise_or", "BitwiseOr", lambda s, x, y: s.bit_or(x, y), None, "The bits set in x or y.", kinds=INTEGERS
)
bitwise_xor = binary(
    "bitwise_xor", "BitwiseXor", lambda s, x, y: s.bit_xor(x, y), None, "The bits set in one of x and y.", kinds=INTEGERS
)
invert = unary("invert", "Invert", lambda s, x: s.bit_not(x), None, "The bits not set in x.", INTEGERS)
left_shift = binary(
    "left_shift", "LeftShift", lambda s, x, y: s.shift_left(x, y), None,
    "x shifted left by y bits; y is clamped to the width of the type.", kinds=INTEGERS,
)  # fmt: skip
right_shift = binary(
    "right_shift", "RightShift", lambda s, x, y: s.shift_right(x, y), None,
    "x shifted right by y bits, with its sign; y is clamped to the width of the type.", kinds=INTEGERS,
)  # fmt: skip


def _logical_or_bitwise(logical: Any, bitwise: Any) -> Any:
    def operator(x: Any, y: Any) -> Tensor:
        a, b = convert_operands(x, y)
        return (logical if a.dtype.is_bool else bitwise)(a, b, name=logical.__name__.removeprefix("logical_"))

    return operator


OPERATORS["lt"], OPERATORS["le"] = less, less_equal
OPERATORS["gt"], OPERATORS["ge"] = greater, greater_equal
OPERATORS["and"] = _logical_or_bitwise(logical_and, bitwise_and)
OPERATORS["or"] = _logical_or_bitwise(logical_or, bitwise_or)
OPERATORS["xor"] = _logical_or_bitwise(logical_xor, bitwise_xor)
OPERATORS["invert"] = lambda x: (logical_not if x.dtype.is_bool else invert)(x)

# -- choice


def _select_type(types: Sequence[TensorType]) -> TensorType:
    condition, a, b = types
    if not condition.dtype.is_bool:
        raise DTypeError(f"the condition is {condition.dtype.name}, not bool")
    dtype = check_same_dtype([a, b])
    return TensorType(dtype, broadcast_types(types))


def _select_gradient(operation: Operation, gradient: Tensor) -> list[Tensor | None]:
    condition, a, b = operation.inputs
    zero = convert_to_tensor(0, gradient.dtype)
    return [
        None,
        sum_to_shape(select(condition, gradient, zero), a.type.sizes),
        sum_to_shape(select(condition, zero, gradient), b.type.sizes),
    ]


SELECT = define(
    OpDef("select", infer=_select_type, gradient=_select_gradient, scalar=lambda s, condition, a, b: s.select(condition, a, b))
)


def select(condition: Any, x: Any, y: Any, name: str | None = None) -> Tensor:
    """x where the condition holds, else y; all three broadcast."""
    a, b = convert_operands(x, y)
    return apply(SELECT, [convert_to_tensor(condition), a, b], name or "Select")


def _where_type(types: Sequence[TensorType]) -> TensorType:
    condition, a, b = types
    if a.shape is None or b.shape is None or condition.shape is None:
        _select_type([TensorType(condition.dtype, None), a, b])
        return TensorType(a.dtype, broadcast_types([a, b]))
    rows = len(condition.shape) == 1 and len(a.shape) > 1
    if rows and None not in (condition.shape[0], a.shape[0]) and condition.shape[0] != a.shape[0]:
        raise ShapeError(
            f"a condition of shape {format_shape(condition.shape)} does not choose rows of shape {format_shape(a.shape)}"
        )
    aligned = (*condition.shape, *(1,) * (len(a.shape) - 1)) if rows else condition.shape
    return _select_type([TensorType(condition.dtype, aligned), a, b])


def _expand_where(operation: Operation) -> Tensor:
    condition, a, b = operation.inputs
    rank = len(a.type.sizes)
    if condition.type.rank == 1 and rank > 1:
        condition = reshape(condition, [*condition.type.sizes, *(1,) * (rank - 1)])
    return apply(SELECT, [condition, a, b])


WHERE = define(OpDef("where", infer=_where_type, composite=_expand_where))
"""Chooses elements, or rows where the condition is a vector and the operands have more axes."""


def where(condition: Any, x: Any = None, y: Any = None, name: str | None = None) -> Tensor:
    """x where the condition holds, else y; without x and y the indices where it holds.

    The condition has the shape of x and y, or is 0-d, or a vector that chooses whole rows of them. Indices come as int64,
    one row an element in the order of memory; how many there are is known when it runs. Raises ValueError where one of x and y
    is given.
    """
    if x is None and y is None:
        from .data_dependent import true_indices

        return true_indices(convert_to_tensor(condition), name)
    mask = convert_to_tensor(condition, dtype=None if is_tensor(condition) else bool_)
    if x is None or y is None:
        raise ValueError("x and y must both be non-None or both be None.")
    a, b = convert_operands(x, y)
    chooses_rows = mask.type.rank == 1 and a.type.rank != 1
    return apply(WHERE if chooses_rows or mask.type.rank is None else SELECT, [mask, a, b], name or "Select")


__all__ = [
    "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "is_nan", "is_inf", "is_finite", "logical_and",
    "logical_or", "logical_xor", "logical_not", "select", "where",
]  # fmt: skip
BITWISE = {
    "bitwise_and": bitwise_and, "bitwise_or": bitwise_or, "bitwise_xor": bitwise_xor, "invert": invert,
    "left_shift": left_shift, "right_shift": right_shift,
}  # fmt: skip
"""The names of tf.bitwise."""
