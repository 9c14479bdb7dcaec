"""The argument `training` of layers that behave otherwise in training."""

from __future__ import annotations

from typing import Any

from ..dtypes import bool_
from ..operation import Tensor
from ..ops.constants import convert_to_tensor
from ..ops.conversion import cast
from ..ops.rules import is_tensor
from ..static_values import constant_value


def training_flag(training: Any) -> bool | Tensor:
    """A bool where the value is known now, else a bool tensor."""
    if not is_tensor(training):
        return bool(training)
    tensor = convert_to_tensor(training)
    known = constant_value(tensor)
    if known is not None:
        return bool(known)
    return tensor if tensor.dtype == bool_ else cast(tensor, bool_)
