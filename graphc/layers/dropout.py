"""The dropout layer."""

from __future__ import annotations

from typing import Any

from ..operation import Tensor
from ..ops.compare import select
from ..ops.dropout import dropout as drop
from ..ops.movement import identity
from .base import Layer
from .training import training_flag


class Dropout(Layer):
    """Sets inputs to zero with probability `rate` in training and scales the others up; else hands them on."""

    def __init__(self, rate: Any = 0.5, noise_shape: Any = None, seed: int | None = None, name: Any = None, **options: Any):
        super().__init__(name=name, **options)
        self.rate, self.noise_shape, self.seed = rate, noise_shape, seed

    def call(self, inputs: Tensor, *args: Any, **options: Any) -> Tensor:
        training = training_flag(args[0] if args else options.get("training", False))
        if training is False:
            return identity(inputs)
        dropped = drop(inputs, noise_shape=self.noise_shape, seed=self.seed, rate=self.rate)
        return dropped if training is True else select(training, dropped, inputs)


def dropout(inputs: Any, rate: Any = 0.5, noise_shape: Any = None, seed: int | None = None, training: Any = False,
            name: str | None = None) -> Tensor:  # fmt: skip
    """A Dropout layer on `inputs`; `training` is a bool, a number or a bool tensor."""
    return Dropout(rate, noise_shape, seed, name)(inputs, training=training)


__all__ = ["Dropout", "dropout"]
