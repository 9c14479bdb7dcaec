"""The densely connected layer, and the layer that flattens."""

from __future__ import annotations

import math
from typing import Any

from ..initializers import get as get_initializer
from ..initializers import zeros_initializer
from ..operation import Tensor
from ..ops.linear_algebra import matmul
from ..ops.movement import reshape, transpose
from ..ops.shape_ops import shape
from ..ops.softmax import bias_add
from ..variables import Variable
from .base import Layer, as_activation, channels_of, is_channels_first


class Dense(Layer):
    """activation(inputs x kernel + bias) over the last axis, to `units` outputs."""

    kernel: Variable
    bias: Variable | None

    def __init__(self, units: int, activation: Any = None, use_bias: bool = True, kernel_initializer: Any = None,
                 bias_initializer: Any = zeros_initializer(), kernel_regularizer: Any = None, bias_regularizer: Any = None,
                 activity_regularizer: Any = None, kernel_constraint: Any = None, bias_constraint: Any = None,
                 trainable: bool = True, name: Any = None, **options: Any):  # fmt: skip
        super().__init__(trainable, name, activity_regularizer=activity_regularizer, **options)
        self.units, self.activation, self.use_bias = int(units), as_activation(activation), use_bias
        self.kernel_initializer, self.bias_initializer = get_initializer(kernel_initializer), get_initializer(bias_initializer)
        self.kernel_regularizer, self.bias_regularizer = kernel_regularizer, bias_regularizer
        self.kernel_constraint, self.bias_constraint = kernel_constraint, bias_constraint

    def build(self, input_shape: Any) -> None:
        inputs = channels_of(input_shape, -1, self.name)
        self.kernel = self.add_weight(
            "kernel", [inputs, self.units], None, self.kernel_initializer, self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )  # fmt: skip
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                "bias", [self.units], None, self.bias_initializer, self.bias_regularizer, constraint=self.bias_constraint
            )

    def call(self, inputs: Tensor, *args: Any, **options: Any) -> Tensor:
        outputs = matmul(inputs, self.kernel)
        if self.bias is not None:
            outputs = bias_add(outputs, self.bias)
        return outputs if self.activation is None else self.activation(outputs)


def dense(inputs: Any, units: int, activation: Any = None, use_bias: bool = True, kernel_initializer: Any = None,
          bias_initializer: Any = zeros_initializer(), kernel_regularizer: Any = None, bias_regularizer: Any = None,
          activity_regularizer: Any = None, kernel_constraint: Any = None, bias_constraint: Any = None,
          trainable: bool = True, name: str | None = None, reuse: bool | None = None) -> Tensor:  # fmt: skip
    """A Dense layer on `inputs`; with `reuse`, the variables of the layer of that name."""
    layer = Dense(units, activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
                  activity_regularizer, kernel_constraint, bias_constraint, trainable, name, _scope=name,
                  _reuse=reuse)  # fmt: skip
    return layer(inputs)


class Flatten(Layer):
    """All axes but the first as one, channels last."""

    def __init__(self, data_format: str | None = None, name: Any = None, **options: Any):
        super().__init__(name=name, **options)
        self._channels_first = is_channels_first(data_format)

    def call(self, inputs: Tensor, *args: Any, **options: Any) -> Tensor:
        rank = inputs.type.rank
        if self._channels_first and rank is not None and rank > 2:
            inputs = transpose(inputs, [0, *range(2, rank), 1])
        sizes = inputs.type.shape
        if sizes is None or None in sizes[1:]:
            return reshape(inputs, [shape(inputs)[0], -1])
        return reshape(inputs, [-1, math.prod(sizes[1:])])  # type: ignore[arg-type]


def flatten(inputs: Any, name: str | None = None, data_format: str | None = "channels_last") -> Tensor:
    """The inputs as [batch, everything else]."""
    return Flatten(data_format, name)(inputs)


__all__ = ["Dense", "Flatten", "dense", "flatten"]
