"""Gradient descent with momentum, Nesterov's too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..operation import Tensor
from ..ops.conversion import cast
from ..ops.grouping import group
from ..variables import Variable
from .optimizer import Optimizer


class MomentumOptimizer(Optimizer):
    """accumulator = momentum * accumulator + gradient; variable -= learning_rate * accumulator.

    With `use_nesterov`, variable -= learning_rate * (gradient + momentum * accumulator). The slot is called "momentum".
    """

    def __init__(
        self, learning_rate: Any, momentum: Any, use_locking: bool = False, name: str = "Momentum",
        use_nesterov: bool = False,
    ):  # fmt: skip
        super().__init__(use_locking, name)
        self._learning_rate, self._momentum, self._use_nesterov = learning_rate, momentum, use_nesterov

    def _create_slots(self, var_list: Sequence[Variable]) -> None:
        for variable in var_list:
            self._zeros_slot(variable, "momentum", self._name)

    def _prepare(self) -> None:
        self._learning_rate_tensor = self._parameter(self._learning_rate, "learning_rate")
        self._momentum_tensor = self._parameter(self._momentum, "momentum")

    def _apply_dense(self, grad: Tensor, var: Variable) -> Any:
        slot = self._zeros_slot(var, "momentum", self._name)
        rate, momentum = cast(self._learning_rate_tensor, var.dtype), cast(self._momentum_tensor, var.dtype)
        accumulator = slot * momentum + grad
        step = grad * rate + accumulator * momentum * rate if self._use_nesterov else accumulator * rate
        return group(self._write(slot, accumulator), self._subtract(var, step), name="ApplyMomentum")

    _apply_sparse = Optimizer._apply_to_rows
