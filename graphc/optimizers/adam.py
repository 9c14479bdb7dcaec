"""Adam: steps from running means of gradients and of their squares (Kingma, Ba 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..graph import get_default_graph
from ..operation import Operation, Tensor
from ..ops.conversion import cast
from ..ops.elementwise import sqrt
from ..ops.grouping import group
from ..scopes import control_dependencies
from ..variables import Variable
from .optimizer import Optimizer


class AdamOptimizer(Optimizer):
    """m = beta1 * m + (1 - beta1) * gradient; v = beta2 * v + (1 - beta2) * gradient^2;
    rate = learning_rate * sqrt(1 - beta2^t) / (1 - beta1^t); variable -= rate * m / (sqrt(v) + epsilon).

    This is the form before section 2.1 of the paper, so epsilon is its "epsilon hat". The slots are called "m" and "v";
    beta1^t and beta2^t are the variables beta1_power and beta2_power.
    """

    def __init__(
        self, learning_rate: Any = 0.001, beta1: Any = 0.9, beta2: Any = 0.999, epsilon: Any = 1e-8,
        use_locking: bool = False, name: str = "Adam",
    ):  # fmt: skip
        super().__init__(use_locking, name)
        self._lr, self._beta1, self._beta2, self._epsilon = learning_rate, beta1, beta2, epsilon

    def _get_beta_accumulators(self) -> tuple[Any, Any]:
        graph = get_default_graph()
        return self._get_non_slot_variable("beta1_power", graph), self._get_non_slot_variable("beta2_power", graph)

    def _create_slots(self, var_list: Sequence[Variable]) -> None:
        first = min(var_list, key=lambda variable: variable.name)
        self._create_non_slot_variable(self._call_if_callable(self._beta1), "beta1_power", first)
        self._create_non_slot_variable(self._call_if_callable(self._beta2), "beta2_power", first)
        for variable in var_list:
            self._zeros_slot(variable, "m", self._name)
            self._zeros_slot(variable, "v", self._name)

    def _prepare(self) -> None:
        self._lr_t = self._parameter(self._lr, "learning_rate")
        self._beta1_t = self._parameter(self._beta1, "beta1")
        self._beta2_t = self._parameter(self._beta2, "beta2")
        self._epsilon_t = self._parameter(self._epsilon, "epsilon")

    def _apply_dense(self, grad: Tensor, var: Variable) -> Any:
        shared = (self._lr_t, self._beta1_t, self._beta2_t, self._epsilon_t, *self._get_beta_accumulators())
        rate, beta1, beta2, epsilon, beta1_power, beta2_power = (cast(t, var.dtype) for t in shared)
        rate = rate * sqrt(1 - beta2_power) / (1 - beta1_power)
        m, v = self._slot_dict("m")[var], self._slot_dict("v")[var]
        mean = m + (grad - m) * (1 - beta1)
        mean_square = v + (grad * grad - v) * (1 - beta2)
        step = mean * rate / (sqrt(mean_square) + epsilon)
        return group(m.assign(mean), v.assign(mean_square), var.assign_sub(step), name="ApplyAdam")

    def _finish(self, update_ops: Sequence[Any], name_scope: str) -> Operation:
        beta1_power, beta2_power = self._get_beta_accumulators()
        with control_dependencies(update_ops):
            powers = [
                beta1_power.assign(beta1_power * cast(self._beta1_t, beta1_power.dtype)),
                beta2_power.assign(beta2_power * cast(self._beta2_t, beta2_power.dtype)),
            ]
        return group(*update_ops, *powers, name=name_scope)
