"""Python's operators on tensors and variables: each builds the operation that `OPERATORS` has under its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .operation import Tensor

OPERATORS: dict[str, Callable[..., Any]] = {}
"""Functions by the names of Python's operators ("add", "getitem" ...), filled in by the modules that define the operations."""


class Operand:
    """What may stand on either side of an operator."""

    __slots__ = ()
    __array_priority__ = 100  # NumPy arrays on the left leave operators to us

    def __add__(self, other: Any) -> Tensor:
        return OPERATORS["add"](self, other)

    def __radd__(self, other: Any) -> Tensor:
        return OPERATORS["add"](other, self)

    def __sub__(self, other: Any) -> Tensor:
        return OPERATORS["sub"](self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return OPERATORS["sub"](other, self)

    def __mul__(self, other: Any) -> Tensor:
        return OPERATORS["mul"](self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return OPERATORS["mul"](other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return OPERATORS["truediv"](self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return OPERATORS["truediv"](other, self)

    def __floordiv__(self, other: Any) -> Tensor:
        return OPERATORS["floordiv"](self, other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return OPERATORS["floordiv"](other, self)

    def __mod__(self, other: Any) -> Tensor:
        return OPERATORS["mod"](self, other)

    def __rmod__(self, other: Any) -> Tensor:
        return OPERATORS["mod"](other, self)

    def __pow__(self, other: Any) -> Tensor:
        return OPERATORS["pow"](self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return OPERATORS["pow"](other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return OPERATORS["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return OPERATORS["matmul"](other, self)

    def __and__(self, other: Any) -> Tensor:
        return OPERATORS["and"](self, other)

    def __rand__(self, other: Any) -> Tensor:
        return OPERATORS["and"](other, self)

    def __or__(self, other: Any) -> Tensor:
        return OPERATORS["or"](self, other)

    def __ror__(self, other: Any) -> Tensor:
        return OPERATORS["or"](other, self)

    def __xor__(self, other: Any) -> Tensor:
        return OPERATORS["xor"](self, other)

    def __rxor__(self, other: Any) -> Tensor:
        return OPERATORS["xor"](other, self)

    def __lt__(self, other: Any) -> Tensor:
        return OPERATORS["lt"](self, other)

    def __le__(self, other: Any) -> Tensor:
        return OPERATORS["le"](self, other)

    def __gt__(self, other: Any) -> Tensor:
        return OPERATORS["gt"](self, other)

    def __ge__(self, other: Any) -> Tensor:
        return OPERATORS["ge"](self, other)

    def __neg__(self) -> Tensor:
        return OPERATORS["neg"](self)

    def __abs__(self) -> Tensor:
        return OPERATORS["abs"](self)

    def __invert__(self) -> Tensor:
        return OPERATORS["invert"](self)

    def __div__(self, other: Any) -> Tensor:
        return OPERATORS["div"](self, other)

    def __pos__(self) -> Operand:
        return self

    def __getitem__(self, key: Any) -> Tensor:
        return OPERATORS["getitem"](self, key)
