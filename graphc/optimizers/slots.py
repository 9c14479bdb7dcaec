"""Slots: the variables that an optimizer keeps beside each variable that it trains."""

from __future__ import annotations

from typing import Any

from ..initializers import zeros_initializer
from ..operation import Tensor
from ..variable_scopes import get_variable, variable_scope
from ..variables import Variable


def create_slot(primary: Variable | Tensor, value: Any, name: str, shape: Any = None, dtype: Any = None) -> Variable:
    """A variable `primary/name` that is not trained. `value` is a tensor, or an initializer for `shape` and `dtype`."""
    with variable_scope(None, f"{primary.op.name}/{name}"):
        return get_variable("", shape, dtype, value, trainable=False)


def create_zeros_slot(primary: Variable | Tensor, name: str, dtype: Any = None) -> Variable:
    """A variable `primary/name` of the same shape and type, zeros at first."""
    wanted = dtype if dtype is not None else primary.dtype
    return create_slot(primary, zeros_initializer(), name, primary.get_shape(), wanted)
