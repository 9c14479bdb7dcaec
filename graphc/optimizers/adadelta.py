"""Adadelta: steps scaled by running means of gradients and of steps (Zeiler 2012)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..operation import Tensor
from ..ops.conversion import cast
from ..ops.elementwise import rsqrt, sqrt
from ..ops.grouping import group
from ..variables import Variable
from .optimizer import Optimizer


class AdadeltaOptimizer(Optimizer):
    """step = gradient * sqrt(mean step^2 + epsilon) / sqrt(mean gradient^2 + epsilon); variable -= learning_rate * step.

    Both means decay by `rho`. Their slots are called "accum_update" and "accum".
    """

    def __init__(
        self, learning_rate: Any = 0.001, rho: Any = 0.95, epsilon: Any = 1e-8, use_locking: bool = False,
        name: str = "Adadelta",
    ):  # fmt: skip
        super().__init__(use_locking, name)
        self._lr, self._rho, self._epsilon = learning_rate, rho, epsilon

    def _create_slots(self, var_list: Sequence[Variable]) -> None:
        for variable in var_list:
            self._zeros_slot(variable, "accum", self._name)
            self._zeros_slot(variable, "accum_update", self._name)

    def _prepare(self) -> None:
        self._lr_t = self._parameter(self._lr, "lr")
        self._rho_t = self._parameter(self._rho, "rho")
        self._epsilon_t = self._parameter(self._epsilon, "epsilon")

    def _apply_dense(self, grad: Tensor, var: Variable) -> Any:
        gradients, steps = self._slot_dict("accum")[var], self._slot_dict("accum_update")[var]
        rate, rho, epsilon = (cast(t, var.dtype) for t in (self._lr_t, self._rho_t, self._epsilon_t))
        mean_gradient = gradients * rho + grad * grad * (1 - rho)
        step = sqrt(steps + epsilon) * rsqrt(mean_gradient + epsilon) * grad
        mean_step = steps * rho + step * step * (1 - rho)
        updates = self._write(gradients, mean_gradient), self._write(steps, mean_step), self._subtract(var, step * rate)
        return group(*updates, name="ApplyAdadelta")

    _apply_sparse = Optimizer._apply_to_rows
