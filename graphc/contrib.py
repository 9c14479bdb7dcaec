"""tf.contrib, as far as it has a meaning here: initializers, regularizers, the global step."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from .dtypes import float32
from .initializers import VarianceScaling
from .layers import flatten
from .optimizers import assert_global_step, create_global_step, get_global_step, get_or_create_global_step
from .regularizers import apply_regularization, l1_l2_regularizer, l1_regularizer, l2_regularizer, sum_regularizer
from .variable_functions import global_variables, local_variables, model_variables, trainable_variables


def variance_scaling_initializer(factor: float = 2.0, mode: str = "FAN_IN", uniform: bool = False,
                                 seed: int | None = None, dtype: Any = float32) -> VarianceScaling:  # fmt: skip
    """Random numbers of variance factor / n; n is the number of inputs (FAN_IN), outputs (FAN_OUT) or their mean (FAN_AVG)."""
    return VarianceScaling(factor, mode.lower(), "uniform" if uniform else "truncated_normal", seed, dtype)


def xavier_initializer(uniform: bool = True, seed: int | None = None, dtype: Any = float32) -> VarianceScaling:
    """Random numbers of variance 2 / (inputs + outputs) (Glorot, Bengio 2010)."""
    return variance_scaling_initializer(1.0, "FAN_AVG", uniform, seed, dtype)


layers = SimpleNamespace(
    apply_regularization=apply_regularization,
    flatten=flatten,
    l1_l2_regularizer=l1_l2_regularizer,
    l1_regularizer=l1_regularizer,
    l2_regularizer=l2_regularizer,
    sum_regularizer=sum_regularizer,
    variance_scaling_initializer=variance_scaling_initializer,
    xavier_initializer=xavier_initializer,
    xavier_initializer_conv2d=xavier_initializer,
)
framework = SimpleNamespace(
    assert_global_step=assert_global_step,
    create_global_step=create_global_step,
    get_global_step=get_global_step,
    get_or_create_global_step=get_or_create_global_step,
    get_local_variables=local_variables,
    get_model_variables=model_variables,
    get_trainable_variables=trainable_variables,
    get_variables=global_variables,
)

__all__ = ["framework", "layers", "variance_scaling_initializer", "xavier_initializer"]
