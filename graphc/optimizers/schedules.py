"""Learning rates that fall with the number of steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..operation import Tensor
from ..ops.compare import equal, less_equal, where
from ..ops.constants import convert_to_tensor
from ..ops.conversion import cast
from ..ops.elementwise import ceil, cos, exp, floor, log, minimum, multiply, pow
from ..scopes import name_scope


def exponential_decay(learning_rate: Any, global_step: Any, decay_steps: Any, decay_rate: Any, staircase: bool = False,
                      name: str | None = None) -> Tensor:  # fmt: skip
    """learning_rate * decay_rate ^ (global_step / decay_steps), the quotient rounded down where `staircase`."""
    with name_scope(name, "ExponentialDecay", [learning_rate, global_step]) as scope:
        rate, elapsed = _elapsed(learning_rate, global_step, decay_steps, staircase)
        return multiply(rate, pow(_as(decay_rate, rate), elapsed), name=scope)


def natural_exp_decay(learning_rate: Any, global_step: Any, decay_steps: Any, decay_rate: Any, staircase: bool = False,
                      name: str | None = None) -> Tensor:  # fmt: skip
    """learning_rate * exp(-decay_rate * global_step / decay_steps), the quotient rounded down where `staircase`."""
    with name_scope(name, "NaturalExpDecay", [learning_rate, global_step]) as scope:
        rate, elapsed = _elapsed(learning_rate, global_step, decay_steps, staircase)
        return multiply(rate, exp(-_as(decay_rate, rate) * elapsed), name=scope)


def inverse_time_decay(learning_rate: Any, global_step: Any, decay_steps: Any, decay_rate: Any, staircase: bool = False,
                       name: str | None = None) -> Tensor:  # fmt: skip
    """learning_rate / (1 + decay_rate * global_step / decay_steps), the quotient rounded down where `staircase`."""
    with name_scope(name, "InverseTimeDecay", [learning_rate, global_step]):
        rate, elapsed = _elapsed(learning_rate, global_step, decay_steps, staircase)
        return rate / (1 + _as(decay_rate, rate) * elapsed)


def _elapsed(learning_rate: Any, global_step: Any, decay_steps: Any, staircase: bool) -> tuple[Tensor, Tensor]:
    """The learning rate, and global_step / decay_steps in its type."""
    rate = _learning_rate(learning_rate, global_step)
    elapsed = _as(global_step, rate) / _as(decay_steps, rate)
    return rate, floor(elapsed) if staircase else elapsed


def _learning_rate(learning_rate: Any, global_step: Any) -> Tensor:
    if global_step is None:
        raise ValueError("global_step is required for a learning rate that depends on it.")
    return convert_to_tensor(learning_rate, name="learning_rate")


def _as(value: Any, like: Tensor) -> Tensor:
    return cast(convert_to_tensor(value), like.dtype)


def piecewise_constant(x: Any, boundaries: Sequence[Any], values: Sequence[Any], name: str | None = None) -> Tensor:
    """values[0] where x <= boundaries[0], values[i] up to boundaries[i], the last value after the last boundary.

    Raises ValueError unless there is one value more than there are boundaries, or where the values differ in type.
    """
    if len(boundaries) != len(values) - 1:
        raise ValueError("The length of boundaries should be 1 less than the length of values")
    with name_scope(name, "PiecewiseConstant", [x, boundaries, values]):
        step = convert_to_tensor(x)
        rates = [convert_to_tensor(value) for value in values]
        if len({rate.dtype for rate in rates}) > 1:
            raise ValueError(f"Values must have elements all with the same dtype ({[r.dtype.name for r in rates]}).")
        chosen = rates[-1]
        for boundary, rate in zip(reversed(boundaries), reversed(rates[:-1])):
            chosen = where(less_equal(step, _as(boundary, step)), rate, chosen)
        return chosen


piecewise_constant_decay = piecewise_constant


def polynomial_decay(
    learning_rate: Any, global_step: Any, decay_steps: Any, end_learning_rate: Any = 0.0001, power: Any = 1.0,
    cycle: bool = False, name: str | None = None,
) -> Tensor:  # fmt: skip
    """(learning_rate - end) * (1 - global_step / decay_steps) ^ power + end, and `end_learning_rate` from there on.

    With `cycle`, decay_steps is the next multiple of itself instead.
    """
    with name_scope(name, "PolynomialDecay", [learning_rate, global_step]):
        rate = _learning_rate(learning_rate, global_step)
        end, exponent = _as(end_learning_rate, rate), _as(power, rate)
        step, steps = _as(global_step, rate), _as(decay_steps, rate)
        if cycle:
            steps = steps * where(equal(step, 0), _as(1, rate), ceil(step / steps))
        else:
            step = minimum(step, steps)
        return (rate - end) * pow(1 - step / steps, exponent) + end


def cosine_decay(learning_rate: Any, global_step: Any, decay_steps: Any, alpha: Any = 0.0,
                 name: str | None = None) -> Tensor:  # fmt: skip
    """learning_rate * ((1 - alpha) * (1 + cos(pi * min(global_step / decay_steps, 1))) / 2 + alpha)."""
    with name_scope(name, "CosineDecay", [learning_rate, global_step]):
        rate = _learning_rate(learning_rate, global_step)
        steps = _as(decay_steps, rate)
        share = minimum(_as(global_step, rate), steps) / steps
        wave = 0.5 * (1 + cos(math.pi * share))
        return rate * ((1 - alpha) * wave + alpha)


def cosine_decay_restarts(
    learning_rate: Any, global_step: Any, first_decay_steps: Any, t_mul: Any = 2.0, m_mul: Any = 1.0, alpha: Any = 0.0,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Cosine decay that begins anew whenever it ends: each period `t_mul` times as long, from `m_mul` times the height."""
    with name_scope(name, "SGDRDecay", [learning_rate, global_step]):
        rate = _learning_rate(learning_rate, global_step)
        growth, height = _as(t_mul, rate), _as(m_mul, rate)
        share = _as(global_step, rate) / _as(first_decay_steps, rate)
        if t_mul == 1.0:
            period = floor(share)
            share = share - period
        else:
            period = floor(log(1 - share * (1 - growth)) / log(growth))
            power = pow(growth, period)
            share = (share - (1 - power) / (1 - growth)) / power
        wave = 0.5 * pow(height, period) * (1 + cos(math.pi * share))
        return rate * ((1 - alpha) * wave + alpha)


def linear_cosine_decay(
    learning_rate: Any, global_step: Any, decay_steps: Any, num_periods: Any = 0.5, alpha: Any = 0.0, beta: Any = 0.001,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """learning_rate * ((alpha + 1 - t) * (1 + cos(2 * pi * num_periods * t)) / 2 + beta), t = min(step / steps, 1)."""
    with name_scope(name, "LinearCosineDecay", [learning_rate, global_step]):
        rate = _learning_rate(learning_rate, global_step)
        steps = _as(decay_steps, rate)
        share = minimum(_as(global_step, rate), steps) / steps
        wave = 0.5 * (1 + cos(2 * math.pi * num_periods * share))
        return rate * ((alpha + (1 - share)) * wave + beta)


__all__ = [
    "cosine_decay", "cosine_decay_restarts", "exponential_decay", "inverse_time_decay", "linear_cosine_decay",
    "natural_exp_decay", "piecewise_constant", "piecewise_constant_decay", "polynomial_decay",
]  # fmt: skip
