"""Running means of variables and tensors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..collections import GraphKeys
from ..dtypes import float32
from ..initializers import zeros_initializer
from ..operation import Operation, Tensor
from ..ops.constants import convert_to_tensor
from ..ops.conversion import cast
from ..ops.elementwise import minimum, pow
from ..ops.grouping import group
from ..scopes import init_scope, name_scope
from ..variable_functions import global_variables, moving_average_variables, trainable_variables
from ..variable_scopes import get_variable, variable_scope
from ..variables import Variable
from .slots import create_slot, create_zeros_slot


def assign_moving_average(variable: Variable, value: Any, decay: Any, zero_debias: bool = True,
                          name: str | None = None) -> Tensor:  # fmt: skip
    """variable -= (variable - value) * (1 - decay); gives the new value.

    With `zero_debias`, a variable that began at zero holds an unbiased mean: further variables keep the plain mean and
    the number of updates t, and `variable` is the mean divided by 1 - decay^t.
    """
    with name_scope(name, "AssignMovingAvg", [variable, value, decay]) as scope:
        rate = cast(1.0 - convert_to_tensor(decay, name="decay"), variable.dtype)
        target = convert_to_tensor(value, variable.dtype)
        if not zero_debias:
            return variable.assign_sub((variable.read_value() - target) * rate, name=scope)
        return _assign_unbiased(variable, target, rate, scope)


def _assign_unbiased(variable: Variable, value: Tensor, rate: Tensor, scope: str) -> Tensor:
    with variable_scope(variable.op.name, reuse=False), init_scope():
        biased = get_variable("biased", variable.shape, variable.dtype, zeros_initializer(), trainable=False)
        steps = get_variable("local_step", [], variable.dtype, zeros_initializer(), trainable=False)
    mean = biased.assign_sub((biased.read_value() - value) * rate)
    count = steps.assign_add(1)
    return variable.assign(mean / (1 - pow(1 - rate, count)), name=scope)


class ExponentialMovingAverage:
    """Shadows of variables and tensors that follow them: shadow -= (shadow - value) * (1 - decay) at every `apply`.

    With `num_updates` the decay is min(decay, (1 + num_updates) / (10 + num_updates)), so that the first steps count more.
    Shadows of variables begin at their initial values, shadows of tensors at zero (unbiased where `zero_debias`).
    """

    def __init__(self, decay: Any, num_updates: Any = None, zero_debias: bool = False,
                 name: str = "ExponentialMovingAverage"):  # fmt: skip
        self._decay, self._num_updates, self._zero_debias, self._name = decay, num_updates, zero_debias, name
        self._averages: dict[Any, Variable] = {}

    @property
    def name(self) -> str:
        return self._name

    def apply(self, var_list: Iterable[Any] | None = None) -> Operation:
        """An operation that moves the shadows of all `var_list`, trainable variables by default, making those that lack.

        Raises TypeError for values that are not of a floating type.
        """
        sources = list(var_list) if var_list is not None else trainable_variables()
        for source in sources:
            if not source.dtype.is_floating:
                raise TypeError(f"The variables must be half, float, or double: {source.name}")
            if source not in self._averages:
                self._averages[source] = self._make_shadow(source)
        with name_scope(self._name) as scope:
            decay = self._effective_decay()
            updates = [
                assign_moving_average(
                    self._averages[source], source, decay, self._zero_debias and not isinstance(source, Variable)
                )
                for source in sources
            ]
            return group(*updates, name=scope)

    def _make_shadow(self, source: Any) -> Variable:
        with init_scope():
            if not isinstance(source, Variable):
                return create_zeros_slot(source, self._name)
            shadow = create_slot(source, source.initialized_value(), self._name)
        source.graph.add_to_collection(GraphKeys.MOVING_AVERAGE_VARIABLES, source)
        return shadow

    def _effective_decay(self) -> Tensor:
        decay = convert_to_tensor(self._decay, name="decay")
        if self._num_updates is None:
            return decay
        updates = cast(convert_to_tensor(self._num_updates), float32)
        return minimum(decay, (1.0 + updates) / (10.0 + updates))

    def average(self, var: Any) -> Variable | None:
        """The shadow of a variable or tensor, or None."""
        return self._averages.get(var)

    def average_name(self, var: Any) -> str:
        """The name of the shadow that `var` has or would get."""
        if var in self._averages:
            return self._averages[var].op.name
        return f"{var.op.name}/{self._name}"

    def variables_to_restore(self, moving_avg_variables: Iterable[Variable] | None = None) -> dict[str, Variable]:
        """Variables by the names that a checkpoint has for their values in evaluation: shadows where there are any."""
        shadowed = moving_avg_variables
        if shadowed is None:
            shadowed = [*trainable_variables(), *moving_average_variables()]
        found = {self.average_name(variable): variable for variable in dict.fromkeys(shadowed)}
        names = {variable.op.name for variable in found.values()}
        found.update((v.op.name, v) for v in global_variables() if v.op.name not in names and v.op.name not in found)
        return found


__all__ = ["ExponentialMovingAverage", "assign_moving_average"]
