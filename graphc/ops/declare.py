"""Makers of elementwise operations: the definition and the public function of one or two operands in one statement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..dtypes import DType
from ..operation import OpDef, Operation, Tensor, apply, define
from .constants import convert_operands, convert_to_tensor
from .movement import sum_to_shape
from .rules import FLOATS, NUMBERS, elementwise_type

Scalar = Callable[..., Any]
Function = Callable[..., Tensor]
UnaryDerivative = Callable[[Tensor, Tensor, Tensor], Tensor]
BinaryDerivative = Callable[[Tensor, Tensor, Tensor, Tensor], "tuple[Tensor | None, Tensor | None]"]


def define_unary(
    name: str,
    scalar: Scalar,
    derivative: UnaryDerivative | None,
    kinds: str = FLOATS,
    result: DType | None = None,
    attributes: dict[str, type] | None = None,
) -> OpDef:
    """An elementwise operation of one operand of `kinds`.

    `derivative(g, x, y)` is the gradient with respect to x, from the gradient g of the result y; an operation without it is not
    differentiable.
    """

    def gradient(operation: Operation, g: Tensor) -> Sequence[Tensor]:
        assert derivative is not None
        return [derivative(g, operation.inputs[0], operation.output)]

    return define(
        OpDef(
            name,
            infer=elementwise_type(kinds, result),
            gradient=gradient if derivative else None,
            differentiable=derivative is not None,
            attributes=attributes or {},
            scalar=scalar,
        )
    )


def define_binary(
    name: str, scalar: Scalar, derivative: BinaryDerivative | None, kinds: str = NUMBERS, result: DType | None = None
) -> OpDef:
    """An elementwise operation of two operands of `kinds`, which broadcast.

    `derivative(g, x, y, z)` gives the gradients with respect to x and y in the shape of the result z (None for none); they are
    summed to the operands' shapes here.
    """

    def gradient(operation: Operation, g: Tensor) -> Sequence[Tensor | None]:
        assert derivative is not None
        x, y = operation.inputs
        found = derivative(g, x, y, operation.output)
        return [part if part is None else sum_to_shape(part, t.type.sizes) for part, t in zip(found, (x, y))]

    return define(
        OpDef(
            name,
            infer=elementwise_type(kinds, result),
            gradient=gradient if derivative else None,
            differentiable=derivative is not None,
            scalar=scalar,
        )
    )


def unary(
    name: str,
    default_name: str,
    scalar: Scalar,
    derivative: UnaryDerivative | None,
    doc: str,
    kinds: str = FLOATS,
    result: DType | None = None,
) -> Function:
    """Defines an operation of one operand (see define_unary) and gives its public function, f(x, name=None).

    `default_name` is the name of operations that the user gives none.
    """
    definition = define_unary(name, scalar, derivative, kinds, result)

    def function(x: Any, name: str | None = None) -> Tensor:
        return apply(definition, [convert_to_tensor(x)], name or default_name)

    return _document(function, name, doc)


def binary(
    name: str,
    default_name: str,
    scalar: Scalar,
    derivative: BinaryDerivative | None,
    doc: str,
    kinds: str = NUMBERS,
    result: DType | None = None,
) -> Function:
    """Defines an operation of two operands (see define_binary) and gives its public function, f(x, y, name=None)."""
    definition = define_binary(name, scalar, derivative, kinds, result)

    def function(x: Any, y: Any, name: str | None = None) -> Tensor:
        return apply(definition, convert_operands(x, y), name or default_name)

    return _document(function, name, doc)


def _document(function: Function, name: str, doc: str) -> Function:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function
