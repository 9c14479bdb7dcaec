"""Adagrad: steps scaled by all gradients so far (Duchi, Hazan, Singer 2011)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..initializers import constant_initializer
from ..operation import Tensor
from ..ops.conversion import cast
from ..ops.elementwise import rsqrt
from ..ops.grouping import group
from ..variables import Variable
from .optimizer import Optimizer


class AdagradOptimizer(Optimizer):
    """accumulator += gradient^2; variable -= learning_rate * gradient / sqrt(accumulator).

    The slot is called "accumulator". Raises ValueError where its first value is not positive.
    """

    def __init__(
        self, learning_rate: Any, initial_accumulator_value: float = 0.1, use_locking: bool = False, name: str = "Adagrad"
    ):
        if initial_accumulator_value <= 0.0:
            raise ValueError(f"initial_accumulator_value must be positive: {initial_accumulator_value}")
        super().__init__(use_locking, name)
        self._learning_rate, self._initial_accumulator_value = learning_rate, initial_accumulator_value

    def _create_slots(self, var_list: Sequence[Variable]) -> None:
        start = constant_initializer(self._initial_accumulator_value)
        for variable in var_list:
            self._get_or_make_slot_with_initializer(
                variable, start, variable.shape, variable.dtype, "accumulator", self._name
            )

    def _prepare(self) -> None:
        self._learning_rate_tensor = self._parameter(self._learning_rate, "learning_rate")

    def _apply_dense(self, grad: Tensor, var: Variable) -> Any:
        slot = self._slot_dict("accumulator")[var]
        rate = cast(self._learning_rate_tensor, var.dtype)
        accumulator = slot + grad * grad
        step = grad * rate * rsqrt(accumulator)
        return group(slot.assign(accumulator), var.assign_sub(step), name="ApplyAdagrad")
