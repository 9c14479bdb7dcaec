"""Operations on variables: the variable itself, reads of it and writes to it.

A write has the variable as its first input and gives the new value as its first output; its `composite` builds the new
value from the inputs, the variable's current value standing in the place of the variable. `graphc.program` turns reads
and writes into plain data flow.
"""

from __future__ import annotations

from typing import Any

from ..operation import DEFINITIONS, OpDef, Tensor, TensorType, apply, define
from ..shapes import are_compatible, format_shape

VARIABLE = define(
    OpDef(
        "variable",
        infer=lambda types, dtype, shape, key: TensorType(dtype, shape),
        attributes={"dtype": object, "shape": tuple, "key": str},
    )
)
"""The storage of a variable; `key` names it in a session."""


def _pass_gradient(operation: Any, gradient: Tensor) -> list[Tensor]:
    return [gradient]


READ = define(
    OpDef(
        "read_variable",
        infer=lambda types: types[0],
        gradient=_pass_gradient,
        composite=lambda operation: operation.inputs[0],
        effect="read",
    )
)
"""The value of a variable: at the start of the run, or after the write that it depends on."""

IS_INITIALIZED = define(
    OpDef(
        "is_variable_initialized",
        infer=lambda types: TensorType(_bool(), ()),
        differentiable=False,
        composite=lambda operation: _unresolved(operation),
        effect="read",
    )
)

INITIALIZED_VALUE = define(
    OpDef(
        "initialized_value",
        infer=lambda types: types[0],
        gradient=lambda operation, gradient: [gradient, None],
        composite=lambda operation: _unresolved(operation),
        effect="read",
    )
)
"""initialized_value(variable, initial): the variable where it was initialised before the run, else `initial`."""


def _bool() -> Any:
    from ..dtypes import bool_

    return bool_


def _unresolved(operation: Any) -> Any:
    raise ValueError(f"{operation.name} depends on a session's state and has no value outside one")


def _same_as_variable(types: list[TensorType], **attributes: Any) -> TensorType:
    variable, value = types[0], types[1]
    if variable.dtype != value.dtype:
        from ..errors import DTypeError

        raise DTypeError(f"the variable holds {variable.dtype.name}, the value is {value.dtype.name}")
    if attributes.get("validate_shape", True) and not are_compatible(variable.shape, value.shape):
        from ..errors import ShapeError

        raise ShapeError(f"the variable has shape {format_shape(variable.shape)}, the value {format_shape(value.shape)}")
    return variable if attributes.get("validate_shape", True) else value


ASSIGN = define(
    OpDef(
        "assign",
        infer=_same_as_variable,
        attributes={"validate_shape": bool},
        composite=lambda operation: operation.inputs[1],
        effect="write",
    )
)
ASSIGN_ADD = define(
    OpDef(
        "assign_add",
        infer=_same_as_variable,
        composite=lambda operation: apply(DEFINITIONS["add"], operation.inputs),
        effect="write",
    )
)
ASSIGN_SUB = define(
    OpDef(
        "assign_sub",
        infer=_same_as_variable,
        composite=lambda operation: apply(DEFINITIONS["sub"], operation.inputs),
        effect="write",
    )
)
