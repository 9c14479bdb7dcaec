"""RMSProp: steps scaled by a running mean of squared gradients (Tieleman, Hinton 2012)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..initializers import ones_initializer
from ..operation import Tensor
from ..ops.conversion import cast
from ..ops.elementwise import rsqrt
from ..ops.grouping import group
from ..variables import Variable
from .optimizer import Optimizer


class RMSPropOptimizer(Optimizer):
    """mean_square = decay * mean_square + (1 - decay) * gradient^2, ones at first;
    step = momentum * step + learning_rate * gradient / sqrt(mean_square + epsilon); variable -= step.

    With `centered`, the square of the running mean of gradients is subtracted from the mean square. The slots are called
    "rms", "mg" and "momentum".
    """

    def __init__(
        self, learning_rate: Any, decay: Any = 0.9, momentum: Any = 0.0, epsilon: Any = 1e-10,
        use_locking: bool = False, centered: bool = False, name: str = "RMSProp",
    ):  # fmt: skip
        super().__init__(use_locking, name)
        self._learning_rate, self._decay, self._momentum, self._epsilon = learning_rate, decay, momentum, epsilon
        self._centered = centered

    def _create_slots(self, var_list: Sequence[Variable]) -> None:
        for variable in var_list:
            self._get_or_make_slot_with_initializer(
                variable, ones_initializer(), variable.shape, variable.dtype, "rms", self._name
            )
            if self._centered:
                self._zeros_slot(variable, "mg", self._name)
            self._zeros_slot(variable, "momentum", self._name)

    def _prepare(self) -> None:
        self._learning_rate_tensor = self._parameter(self._learning_rate, "learning_rate")
        self._decay_tensor = self._parameter(self._decay, "decay")
        self._momentum_tensor = self._parameter(self._momentum, "momentum")
        self._epsilon_tensor = self._parameter(self._epsilon, "epsilon")

    def _apply_dense(self, grad: Tensor, var: Variable) -> Any:
        shared = (self._learning_rate_tensor, self._decay_tensor, self._momentum_tensor, self._epsilon_tensor)
        rate, decay, momentum, epsilon = (cast(t, var.dtype) for t in shared)
        rms, last_step = self._slot_dict("rms")[var], self._slot_dict("momentum")[var]
        mean_square = rms + (grad * grad - rms) * (1 - decay)
        updates: list[Any] = [self._write(rms, mean_square)]
        variance = mean_square
        if self._centered:
            slot = self._slot_dict("mg")[var]
            mean = slot + (grad - slot) * (1 - decay)
            updates.append(self._write(slot, mean))
            variance = mean_square - mean * mean
        step = last_step * momentum + grad * rate * rsqrt(variance + epsilon)
        updates += [self._write(last_step, step), self._subtract(var, step)]
        return group(*updates, name="ApplyCenteredRMSProp" if self._centered else "ApplyRMSProp")

    _apply_sparse = Optimizer._apply_to_rows
