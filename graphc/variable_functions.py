"""Functions on variables, and the variables of the default graph."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .collections import GraphKeys
from .dtypes import string
from .graph import get_default_graph
from .operation import OpDef, Operation, Tensor, TensorType, apply, define
from .ops.constants import convert_to_tensor
from .ops.grouping import group
from .ops.rules import is_tensor
from .ops.state import ASSIGN, IS_INITIALIZED
from .scopes import name_scope
from .variables import Variable


def assign(ref: Variable, value: Any, validate_shape: bool | None = None, use_locking: bool | None = None,
           name: str | None = None) -> Tensor:  # fmt: skip
    """Sets a variable to `value`; gives the new value."""
    check = ref.validate_shape if validate_shape is None else validate_shape
    given = convert_to_tensor(value, None if is_tensor(value) else ref.dtype)
    return apply(ASSIGN, [ref._as_graph_element(), given], name or "Assign", validate_shape=check)


def assign_add(ref: Variable, value: Any, use_locking: bool | None = None, name: str | None = None) -> Tensor:
    """Adds `value` to a variable; gives the new value."""
    return ref.assign_add(value, name=name)


def assign_sub(ref: Variable, value: Any, use_locking: bool | None = None, name: str | None = None) -> Tensor:
    """Subtracts `value` from a variable; gives the new value."""
    return ref.assign_sub(value, name=name)


def is_variable_initialized(variable: Variable) -> Tensor:
    """Whether the variable is initialised when the run begins: bool of shape []."""
    return apply(IS_INITIALIZED, [variable._as_graph_element()])


def _list_uninitialized(operation: Operation, *initialized: np.ndarray) -> np.ndarray:
    names = operation.attributes["names"]
    return np.array([name.encode() for name, held in zip(names, initialized) if not held], object)


UNINITIALIZED_NAMES = define(
    OpDef(
        "uninitialized_names",
        infer=lambda types, names: TensorType(string, (None,)),
        attributes={"names": tuple},
        differentiable=False,
        host=_list_uninitialized,
    )
)


def report_uninitialized_variables(var_list: Iterable[Variable] | None = None,
                                   name: str = "report_uninitialized_variables") -> Tensor:  # fmt: skip
    """The names of the variables (all global and local ones by default) without value when the run begins: strings."""
    variables = list(var_list) if var_list is not None else [*global_variables(), *local_variables()]
    with name_scope(name):
        flags = [is_variable_initialized(variable) for variable in variables]
        return apply(UNINITIALIZED_NAMES, flags, names=tuple(variable.op.name for variable in variables))


def variables_initializer(var_list: Iterable[Variable], name: str = "init") -> Operation:
    """An operation that initialises the variables."""
    return group(*[variable.initializer for variable in var_list], name=name)


def global_variables_initializer() -> Operation:
    """An operation that initialises all global variables of the default graph."""
    return variables_initializer(global_variables())


def local_variables_initializer() -> Operation:
    """An operation that initialises all local variables of the default graph."""
    return variables_initializer(local_variables())


def initialize_all_variables() -> Operation:
    """global_variables_initializer under its old name."""
    return global_variables_initializer()


def initialize_local_variables() -> Operation:
    """local_variables_initializer under its old name."""
    return local_variables_initializer()


def initialize_variables(var_list: Iterable[Variable], name: str = "init") -> Operation:
    """variables_initializer under its old name."""
    return variables_initializer(var_list, name)


def global_variables(scope: str | None = None) -> list[Variable]:
    """The variables of the default graph; with `scope`, those whose name matches that regular expression."""
    return get_default_graph().get_collection(GraphKeys.GLOBAL_VARIABLES, scope)


def all_variables() -> list[Variable]:
    """global_variables under its old name."""
    return global_variables()


def local_variables(scope: str | None = None) -> list[Variable]:
    """The variables in the collection LOCAL_VARIABLES of the default graph."""
    return get_default_graph().get_collection(GraphKeys.LOCAL_VARIABLES, scope)


def model_variables(scope: str | None = None) -> list[Variable]:
    """The variables in the collection MODEL_VARIABLES of the default graph."""
    return get_default_graph().get_collection(GraphKeys.MODEL_VARIABLES, scope)


def trainable_variables(scope: str | None = None) -> list[Variable]:
    """The variables that optimizers train by default."""
    return get_default_graph().get_collection(GraphKeys.TRAINABLE_VARIABLES, scope)


def moving_average_variables(scope: str | None = None) -> list[Variable]:
    """The variables of which moving averages are kept."""
    return get_default_graph().get_collection(GraphKeys.MOVING_AVERAGE_VARIABLES, scope)


__all__ = [
    "all_variables", "assign", "assign_add", "assign_sub", "global_variables", "global_variables_initializer",
    "initialize_all_variables", "initialize_local_variables", "initialize_variables", "is_variable_initialized",
    "local_variables", "local_variables_initializer", "model_variables", "moving_average_variables",
    "report_uninitialized_variables", "trainable_variables", "variables_initializer",
]  # fmt: skip
