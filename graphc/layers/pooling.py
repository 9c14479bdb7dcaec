"""Pooling layers."""

from __future__ import annotations

from typing import Any

from ..operation import Tensor
from ..ops.pooling import avg_pool, max_pool, pool
from .base import Layer, as_numbers, as_padding_name, check_rank, is_channels_first


class _Pooling2D(Layer):
    _function: Any

    def __init__(self, pool_size: Any, strides: Any, padding: str = "valid", data_format: str | None = "channels_last",
                 name: Any = None, **options: Any):  # fmt: skip
        super().__init__(name=name, **options)
        self.pool_size = as_numbers(pool_size, 2, "pool_size")
        self.strides = as_numbers(pool_size if strides is None else strides, 2, "strides")
        self.padding = as_padding_name(padding)
        self.data_format = "channels_first" if is_channels_first(data_format) else "channels_last"

    def call(self, inputs: Tensor, *args: Any, **options: Any) -> Tensor:
        check_rank(inputs, 4, self.name)
        layout = "NCHW" if self.data_format == "channels_first" else "NHWC"
        return type(self)._function(inputs, self.pool_size, self.strides, self.padding.upper(), layout)


class MaxPooling2D(_Pooling2D):
    """The largest element of each window of images."""

    _function = max_pool


class AveragePooling2D(_Pooling2D):
    """The mean of each window of images."""

    _function = avg_pool


class _Pooling1D(Layer):
    _kind: str

    def __init__(self, pool_size: Any, strides: Any, padding: str = "valid", data_format: str | None = "channels_last",
                 name: Any = None, **options: Any):  # fmt: skip
        super().__init__(name=name, **options)
        self.pool_size = as_numbers(pool_size, 1, "pool_size")
        self.strides = as_numbers(pool_size if strides is None else strides, 1, "strides")
        self.padding = as_padding_name(padding)
        self.data_format = "channels_first" if is_channels_first(data_format) else "channels_last"

    def call(self, inputs: Tensor, *args: Any, **options: Any) -> Tensor:
        check_rank(inputs, 3, self.name)
        layout = "NCW" if self.data_format == "channels_first" else "NWC"
        return pool(inputs, self.pool_size, self._kind, self.padding.upper(), strides=self.strides, data_format=layout)


class MaxPooling1D(_Pooling1D):
    """The largest element of each window of sequences."""

    _kind = "MAX"


class AveragePooling1D(_Pooling1D):
    """The mean of each window of sequences."""

    _kind = "AVG"


def max_pooling2d(inputs: Any, pool_size: Any, strides: Any, padding: str = "valid", data_format: str = "channels_last",
                  name: str | None = None) -> Tensor:  # fmt: skip
    """A MaxPooling2D layer on images."""
    return MaxPooling2D(pool_size, strides, padding, data_format, name)(inputs)


def average_pooling2d(inputs: Any, pool_size: Any, strides: Any, padding: str = "valid",
                      data_format: str = "channels_last", name: str | None = None) -> Tensor:  # fmt: skip
    """An AveragePooling2D layer on images."""
    return AveragePooling2D(pool_size, strides, padding, data_format, name)(inputs)


def max_pooling1d(inputs: Any, pool_size: Any, strides: Any, padding: str = "valid", data_format: str = "channels_last",
                  name: str | None = None) -> Tensor:  # fmt: skip
    """A MaxPooling1D layer on sequences."""
    return MaxPooling1D(pool_size, strides, padding, data_format, name)(inputs)


def average_pooling1d(inputs: Any, pool_size: Any, strides: Any, padding: str = "valid",
                      data_format: str = "channels_last", name: str | None = None) -> Tensor:  # fmt: skip
    """An AveragePooling1D layer on sequences."""
    return AveragePooling1D(pool_size, strides, padding, data_format, name)(inputs)


__all__ = [
    "AveragePooling1D", "AveragePooling2D", "MaxPooling1D", "MaxPooling2D", "average_pooling1d", "average_pooling2d",
    "max_pooling1d", "max_pooling2d",
]  # fmt: skip
