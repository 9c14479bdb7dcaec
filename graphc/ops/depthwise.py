"""Depthwise and separable convolutions: each channel has filters of its own."""

from __future__ import annotations

from typing import Any

from ..operation import Tensor
from ..scopes import name_scope
from .constants import convert_operands
from .convolution import conv2d
from .convolution_primitives import DEPTHWISE_CONV2D
from .windows import as_padding, as_pair, check_data_format


def depthwise_conv2d(input: Any, filter: Any, strides: Any, padding: Any, rate: Any = None, name: str | None = None,
                     data_format: str | None = None, dilations: Any = None) -> Tensor:  # fmt: skip
    """The convolution of each channel of images [batch, height, width, channels] with its own filters.

    The filter is [height, width, channels, multiplier]; output channel c * multiplier + m comes from channel c.
    """
    data_format = check_data_format(data_format)
    image, weights = convert_operands(input, filter)
    spacing = rate if dilations is None else dilations
    return DEPTHWISE_CONV2D.build(
        [image, weights],
        name or "depthwise",
        data_format,
        strides=as_pair(strides, data_format, "strides"),
        padding=as_padding(padding, data_format),
        dilations=as_pair(1 if spacing is None else spacing, data_format, "dilations"),
    )


def depthwise_conv2d_native(input: Any, filter: Any, strides: Any, padding: Any, data_format: str | None = None,
                            dilations: Any = None, name: str | None = None) -> Tensor:  # fmt: skip
    """depthwise_conv2d with its arguments in another order."""
    return depthwise_conv2d(input, filter, strides, padding, None, name or "DepthwiseConv2dNative", data_format, dilations)


def separable_conv2d(input: Any, depthwise_filter: Any, pointwise_filter: Any, strides: Any, padding: Any,
                     rate: Any = None, name: str | None = None, data_format: str | None = None,
                     dilations: Any = None) -> Tensor:  # fmt: skip
    """A depthwise convolution, then a 1 x 1 convolution with a filter [1, 1, channels * multiplier, output channels]."""
    data_format = check_data_format(data_format)
    with name_scope(name, "separable_conv2d"):
        inner = depthwise_conv2d(input, depthwise_filter, strides, padding, rate, "depthwise", data_format, dilations)
        return conv2d(inner, pointwise_filter, 1, "VALID", data_format=data_format, name="pointwise")


__all__ = ["depthwise_conv2d", "depthwise_conv2d_native", "separable_conv2d"]
