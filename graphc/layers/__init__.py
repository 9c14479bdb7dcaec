"""tf.layers: layers that make their own variables."""

from __future__ import annotations

from .base import Layer
from .convolution import (
    Conv1D,
    Conv2D,
    Conv2DTranspose,
    SeparableConv2D,
    conv1d,
    conv2d,
    conv2d_transpose,
    separable_conv2d,
)
from .dense import Dense, Flatten, dense, flatten
from .dropout import Dropout, dropout
from .normalization import BatchNorm, BatchNormalization, batch_normalization
from .pooling import (
    AveragePooling1D,
    AveragePooling2D,
    MaxPooling1D,
    MaxPooling2D,
    average_pooling1d,
    average_pooling2d,
    max_pooling1d,
    max_pooling2d,
)

__all__ = [
    "AveragePooling1D", "AveragePooling2D", "BatchNorm", "BatchNormalization", "Conv1D", "Conv2D", "Conv2DTranspose",
    "Dense", "Dropout", "Flatten", "Layer", "MaxPooling1D", "MaxPooling2D", "SeparableConv2D", "average_pooling1d",
    "average_pooling2d", "batch_normalization", "conv1d", "conv2d", "conv2d_transpose", "dense", "dropout", "flatten",
    "max_pooling1d", "max_pooling2d", "separable_conv2d",
]  # fmt: skip
