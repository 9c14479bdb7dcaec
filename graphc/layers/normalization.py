"""The batch normalisation layer."""

from __future__ import annotations

from typing import Any

from ..initializers import get as get_initializer
from ..initializers import ones_initializer, zeros_initializer
from ..operation import Tensor
from ..ops.compare import select
from ..ops.constants import convert_to_tensor
from ..ops.conversion import cast
from ..ops.elementwise import multiply, subtract
from ..ops.movement import reshape
from ..ops.normalization import batch_normalization as normalize
from ..ops.normalization import moments, unbiased_variance
from ..scopes import name_scope
from ..shapes import TensorShape, normalize_axis
from ..variables import Variable
from .base import Layer, channels_of
from .training import training_flag


class BatchNormalization(Layer):
    """(inputs - mean) / sqrt(variance + epsilon) * gamma + beta, by channel.

    In training, mean and variance are those of the batch, and the layer adds operations to UPDATE_OPS that move the moving
    averages towards them; else they are the moving averages. For images the variance that is averaged has n - 1 in its
    denominator, as TensorFlow's fused kernel has it. Renormalisation and virtual batches are not supported.
    """

    gamma: Variable | None = None
    beta: Variable | None = None
    moving_mean: Variable
    moving_variance: Variable

    def __init__(self, axis: Any = -1, momentum: Any = 0.99, epsilon: float = 1e-3, center: bool = True, scale: bool = True,
                 beta_initializer: Any = zeros_initializer(), gamma_initializer: Any = ones_initializer(),
                 moving_mean_initializer: Any = zeros_initializer(), moving_variance_initializer: Any = ones_initializer(),
                 beta_regularizer: Any = None, gamma_regularizer: Any = None, beta_constraint: Any = None,
                 gamma_constraint: Any = None, renorm: bool = False, renorm_clipping: Any = None,
                 renorm_momentum: Any = 0.99, fused: bool | None = None, trainable: bool = True,
                 virtual_batch_size: Any = None, adjustment: Any = None, name: Any = None, **options: Any):  # fmt: skip
        super().__init__(trainable, name, **options)
        if renorm or virtual_batch_size is not None or adjustment is not None:
            raise ValueError("batch_normalization: renorm, virtual_batch_size and adjustment are not supported")
        self.axis = int(axis[0]) if isinstance(axis, (list, tuple)) else int(axis)
        self.momentum, self.epsilon, self.center, self.scale, self.fused = momentum, epsilon, center, scale, fused
        self._beta = (get_initializer(beta_initializer), beta_regularizer, beta_constraint)
        self._gamma = (get_initializer(gamma_initializer), gamma_regularizer, gamma_constraint)
        self._moving_mean, self._moving_variance = map(get_initializer, (moving_mean_initializer, moving_variance_initializer))

    def build(self, input_shape: Any) -> None:
        shape = TensorShape(input_shape)
        if shape.ndims is None:
            raise ValueError(f"Input has undefined rank: {shape}")
        self.axis = normalize_axis(self.axis, shape.ndims)
        channels = [channels_of(shape, self.axis, self.name)]
        self._dtype = self._dtype.compute if self._dtype is not None else None
        if self.scale:
            initializer, regularizer, constraint = self._gamma
            self.gamma = self.add_weight("gamma", channels, None, initializer, regularizer, constraint=constraint)
        if self.center:
            initializer, regularizer, constraint = self._beta
            self.beta = self.add_weight("beta", channels, None, initializer, regularizer, constraint=constraint)
        self.moving_mean = self.add_weight("moving_mean", channels, None, self._moving_mean, trainable=False)
        self.moving_variance = self.add_weight("moving_variance", channels, None, self._moving_variance, trainable=False)

    def call(self, inputs: Tensor, *args: Any, **options: Any) -> Tensor:
        training = training_flag(args[0] if args else options.get("training", False))
        wide = cast(inputs, inputs.dtype.compute)
        mean, variance = convert_to_tensor(self.moving_mean), convert_to_tensor(self.moving_variance)
        if training is not False:
            mean, variance = self._batch_statistics(wide, training, mean, variance)
        gamma, beta = (None if v is None else self._spread(convert_to_tensor(v), wide) for v in (self.gamma, self.beta))
        outputs = normalize(wide, self._spread(mean, wide), self._spread(variance, wide), beta, gamma, self.epsilon)
        return cast(outputs, inputs.dtype)

    def _batch_statistics(
        self, inputs: Tensor, training: bool | Tensor, moving_mean: Tensor, moving_variance: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mean and variance to normalise with; the moving averages are updated with those of the batch."""
        rank = len(inputs.type.shape or ())
        mean, variance = moments(inputs, [axis for axis in range(rank) if axis != self.axis])
        fused = rank == 4 if self.fused is None else self.fused
        self._move(self.moving_mean, mean, training)
        self._move(self.moving_variance, unbiased_variance(variance, inputs) if fused else variance, training)
        if training is True:
            return mean, variance
        return select(training, mean, moving_mean), select(training, variance, moving_variance)

    def _move(self, average: Variable, value: Tensor, training: bool | Tensor) -> None:
        with name_scope("AssignMovingAvg"):
            rate = 1.0 - self.momentum
            change = multiply(subtract(average, value), rate)
            self.add_update(average.assign_sub(change if training is True else select(training, change, 0.0)))

    def _spread(self, vector: Tensor, inputs: Tensor) -> Tensor:
        """A vector over channels in a shape that broadcasts to the inputs."""
        after = len(inputs.type.shape or ()) - 1 - self.axis
        return reshape(vector, [-1] + [1] * after) if after else vector


BatchNorm = BatchNormalization


def batch_normalization(inputs: Any, axis: Any = -1, momentum: Any = 0.99, epsilon: float = 1e-3, center: bool = True,
                        scale: bool = True, beta_initializer: Any = zeros_initializer(),
                        gamma_initializer: Any = ones_initializer(), moving_mean_initializer: Any = zeros_initializer(),
                        moving_variance_initializer: Any = ones_initializer(), beta_regularizer: Any = None,
                        gamma_regularizer: Any = None, beta_constraint: Any = None, gamma_constraint: Any = None,
                        training: Any = False, trainable: bool = True, name: str | None = None, reuse: bool | None = None,
                        renorm: bool = False, renorm_clipping: Any = None, renorm_momentum: Any = 0.99,
                        fused: bool | None = None, virtual_batch_size: Any = None,
                        adjustment: Any = None) -> Tensor:  # fmt: skip
    """A BatchNormalization layer on `inputs`; `training` is a bool, a number or a bool tensor.

    The operations that update the moving averages are in the collection UPDATE_OPS: a training step is to depend on them.
    """
    layer = BatchNormalization(axis, momentum, epsilon, center, scale, beta_initializer, gamma_initializer,
                               moving_mean_initializer, moving_variance_initializer, beta_regularizer, gamma_regularizer,
                               beta_constraint, gamma_constraint, renorm, renorm_clipping, renorm_momentum, fused,
                               trainable, virtual_batch_size, adjustment, name, _reuse=reuse, _scope=name)  # fmt: skip
    return layer(inputs, training=training)


__all__ = ["BatchNorm", "BatchNormalization", "batch_normalization"]
