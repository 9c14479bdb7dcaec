"""Plain gradient descent."""

from __future__ import annotations

from typing import Any

from ..operation import Tensor
from ..ops.conversion import cast
from ..variables import Variable
from .optimizer import Optimizer


class GradientDescentOptimizer(Optimizer):
    """variable -= learning_rate * gradient. The learning rate is a number, a tensor or a function that gives one."""

    def __init__(self, learning_rate: Any, use_locking: bool = False, name: str = "GradientDescent"):
        super().__init__(use_locking, name)
        self._learning_rate = learning_rate

    def _prepare(self) -> None:
        self._learning_rate_tensor = self._parameter(self._learning_rate, "learning_rate")

    def _apply_dense(self, grad: Tensor, var: Variable) -> Any:
        rate = cast(self._learning_rate_tensor, var.dtype)
        return var.assign_sub(rate * grad, name="ApplyGradientDescent").op
