"""FTRL-Proximal: online learning that leaves many weights at zero (McMahan et al. 2013)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..initializers import constant_initializer
from ..operation import Tensor
from ..ops.compare import where
from ..ops.conversion import cast
from ..ops.elementwise import abs as absolute
from ..ops.elementwise import pow, sign, sqrt
from ..ops.filling import zeros_like
from ..ops.grouping import group
from ..variables import Variable
from .optimizer import Optimizer


class FtrlOptimizer(Optimizer):
    """new = accumulator + gradient^2; linear += gradient - (new^-p - accumulator^-p) / learning_rate * variable;
    variable = (l1 * sign(linear) - linear) / (new^-p / learning_rate + 2 * l2) where |linear| > l1, else 0.

    p is `learning_rate_power`, -0.5 for rates that fall with the root of the gradients' squares. With
    `l2_shrinkage_regularization_strength` s the gradient in `linear` is gradient + 2 * s * variable. The slots are called
    "accum" and "linear". Raises ValueError for a negative strength, a positive power or a negative first value.
    """

    def __init__(
        self, learning_rate: Any, learning_rate_power: float = -0.5, initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0, l2_regularization_strength: float = 0.0, use_locking: bool = False,
        name: str = "Ftrl", accum_name: str | None = None, linear_name: str | None = None,
        l2_shrinkage_regularization_strength: float = 0.0,
    ):  # fmt: skip
        super().__init__(use_locking, name)
        if initial_accumulator_value < 0.0:
            raise ValueError(f"initial_accumulator_value {initial_accumulator_value} needs to be positive or zero")
        if learning_rate_power > 0.0:
            raise ValueError(f"learning_rate_power {learning_rate_power} needs to be negative or zero")
        strengths = {
            "l1_regularization_strength": l1_regularization_strength,
            "l2_regularization_strength": l2_regularization_strength,
            "l2_shrinkage_regularization_strength": l2_shrinkage_regularization_strength,
        }
        for key, strength in strengths.items():
            if strength < 0.0:
                raise ValueError(f"{key} {strength} needs to be positive or zero")
        self._learning_rate, self._learning_rate_power = learning_rate, learning_rate_power
        self._initial_accumulator_value = initial_accumulator_value
        self._l1, self._l2, self._shrinkage = strengths.values()
        self._accum_name, self._linear_name = accum_name or name, linear_name or name

    def _create_slots(self, var_list: Sequence[Variable]) -> None:
        start = constant_initializer(self._initial_accumulator_value)
        for variable in var_list:
            self._get_or_make_slot_with_initializer(
                variable, start, variable.shape, variable.dtype, "accum", self._accum_name
            )
            self._zeros_slot(variable, "linear", self._linear_name)

    def _prepare(self) -> None:
        self._learning_rate_tensor = self._parameter(self._learning_rate, "learning_rate")

        self._power_tensor = self._parameter(self._learning_rate_power, "learning_rate_power")
        self._l1_tensor = self._parameter(self._l1, "l1_regularization_strength")
        self._l2_tensor = self._parameter(self._l2, "l2_regularization_strength")
        self._shrinkage_tensor = self._parameter(self._shrinkage, "l2_shrinkage_regularization_strength")

    def _apply_dense(self, grad: Tensor, var: Variable) -> Any:
        accum, linear = self._slot_dict("accum")[var], self._slot_dict("linear")[var]
        shared = (self._learning_rate_tensor, self._power_tensor, self._l1_tensor, self._l2_tensor)
        rate, power, l1, l2 = (cast(t, var.dtype) for t in shared)
        shrunk = grad + var * (2 * cast(self._shrinkage_tensor, var.dtype)) if self._shrinkage else grad
        accumulated = accum + grad * grad
        after, before = self._scale(accumulated, power), self._scale(accum.value(), power)
        total = linear + shrunk - (after - before) / rate * var
        weight = (sign(total) * l1 - total) / (after / rate + 2 * l2)
        new = where(absolute(total) > l1, weight, zeros_like(weight))
        updates = self._write(accum, accumulated), self._write(linear, total), self._write(var, new)
        return group(*updates, name="ApplyFtrl")

    _apply_sparse = Optimizer._apply_to_rows

    def _scale(self, accumulated: Tensor, power: Tensor) -> Tensor:
        return sqrt(accumulated) if self._learning_rate_power == -0.5 else pow(accumulated, -power)
