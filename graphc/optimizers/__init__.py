"""Optimizers, learning rates, clipping, moving averages and the global step: much of tf.train."""

from __future__ import annotations

from .adadelta import AdadeltaOptimizer
from .adagrad import AdagradOptimizer
from .adam import AdamOptimizer
from .clipping import clip_by_average_norm, clip_by_global_norm, clip_by_norm, global_norm
from .ftrl import FtrlOptimizer
from .global_step import (
    assert_global_step,
    create_global_step,
    get_global_step,
    get_or_create_global_step,
    global_step,
)
from .gradient_descent import GradientDescentOptimizer
from .momentum import MomentumOptimizer
from .moving_averages import ExponentialMovingAverage, assign_moving_average
from .optimizer import Optimizer
from .rmsprop import RMSPropOptimizer
from .schedules import (
    cosine_decay,
    cosine_decay_restarts,
    exponential_decay,
    inverse_time_decay,
    linear_cosine_decay,
    natural_exp_decay,
    piecewise_constant,
    piecewise_constant_decay,
    polynomial_decay,
)

__all__ = [
    "AdadeltaOptimizer", "AdagradOptimizer", "AdamOptimizer", "ExponentialMovingAverage", "FtrlOptimizer",
    "GradientDescentOptimizer", "MomentumOptimizer", "Optimizer", "RMSPropOptimizer", "assert_global_step",
    "assign_moving_average", "clip_by_average_norm", "clip_by_global_norm", "clip_by_norm", "cosine_decay",
    "cosine_decay_restarts", "create_global_step", "exponential_decay", "get_global_step", "get_or_create_global_step",
    "global_norm", "global_step", "inverse_time_decay", "linear_cosine_decay", "natural_exp_decay",
    "piecewise_constant", "piecewise_constant_decay", "polynomial_decay",
]  # fmt: skip
