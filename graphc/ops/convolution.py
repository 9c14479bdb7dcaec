"""Convolutions over images and sequences, with TensorFlow 1's arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..operation import Tensor
from ..scopes import name_scope
from .constants import convert_operands, convert_to_tensor
from .convolution_primitives import CONV2D, CONV2D_FILTER_GRADIENT, CONV2D_INPUT_GRADIENT
from .movement import expand_dims, squeeze
from .rules import size_list
from .windows import as_padding, as_pair, check_data_format

_ONES = (1, 1, 1, 1)


def conv2d(input: Any, filter: Any = None, strides: Any = None, padding: Any = None, use_cudnn_on_gpu: bool = True,
           data_format: str = "NHWC", dilations: Any = _ONES, name: str | None = None,
           filters: Any = None) -> Tensor:  # fmt: skip
    """The convolution of images [batch, height, width, channels] with a filter [height, width, channels, output channels].

    `strides` and `dilations` are a number, a pair or one entry for each axis of the data format; `padding` is "SAME",
    "VALID" or a list of pairs. Raises ShapeError where channels do not fit or no window does.
    """
    data_format = check_data_format(data_format)
    image, weights = convert_operands(input, filter if filters is None else filters)
    return CONV2D.build([image, weights], name or "Conv2D", data_format,
                        **_geometry(strides, padding, dilations, data_format))  # fmt: skip


def _geometry(strides: Any, padding: Any, dilations: Any, data_format: str) -> dict[str, Any]:
    if padding is None:
        raise ValueError("padding must be given")
    return {
        "strides": as_pair(1 if strides is None else strides, data_format, "strides"),
        "padding": as_padding(padding, data_format),
        "dilations": as_pair(1 if dilations is None else dilations, data_format, "dilations"),
    }


def conv2d_backprop_input(input_sizes: Any, filter: Any = None, out_backprop: Any = None, strides: Any = None,
                          padding: Any = None, use_cudnn_on_gpu: bool = True, data_format: str = "NHWC",
                          dilations: Any = _ONES, name: str | None = None, filters: Any = None) -> Tensor:  # fmt: skip
    """The gradient of a conv2d with respect to its images, whose shape is `input_sizes`."""
    data_format = check_data_format(data_format)
    weights, gradient = convert_operands(filter if filters is None else filters, out_backprop)
    return CONV2D_INPUT_GRADIENT.build(
        [weights, gradient], name or "Conv2DBackpropInput", data_format, input_shape=size_list(input_sizes),
        **_geometry(strides, padding, dilations, data_format),
    )  # fmt: skip


def conv2d_backprop_filter(input: Any, filter_sizes: Any, out_backprop: Any, strides: Any = None, padding: Any = None,
                           use_cudnn_on_gpu: bool = True, data_format: str = "NHWC", dilations: Any = _ONES,
                           name: str | None = None) -> Tensor:  # fmt: skip
    """The gradient of a conv2d with respect to its filter, whose shape is `filter_sizes`."""
    data_format = check_data_format(data_format)
    image, gradient = convert_operands(input, out_backprop)
    return CONV2D_FILTER_GRADIENT.build(
        [image, gradient], name or "Conv2DBackpropFilter", data_format, filter_shape=size_list(filter_sizes),
        **_geometry(strides, padding, dilations, data_format),
    )  # fmt: skip


def conv2d_transpose(value: Any = None, filter: Any = None, output_shape: Any = None, strides: Any = None,
                     padding: Any = "SAME", data_format: str = "NHWC", name: str | None = None, input: Any = None,
                     filters: Any = None, dilations: Any = None) -> Tensor:  # fmt: skip
    """The transpose of the conv2d that takes images of `output_shape` to `value`; the filter is that convolution's, so
    [height, width, output channels, channels of value]."""
    images = value if input is None else input
    weights = filter if filters is None else filters
    return conv2d_backprop_input(output_shape, weights, images, strides, padding, data_format=data_format,
                                 dilations=dilations, name=name or "conv2d_transpose")  # fmt: skip


def conv1d(value: Any = None, filters: Any = None, stride: Any = None, padding: Any = None,
           use_cudnn_on_gpu: bool | None = None, data_format: str | None = None, name: str | None = None,
           input: Any = None, dilations: Any = None) -> Tensor:  # fmt: skip
    """The convolution of sequences [batch, width, channels] with a filter [width, channels, output channels].

    `data_format` is "NWC" or "NCW". Causal padding is the caller's.
    """
    formats = {None: "NHWC", "NWC": "NHWC", "NHWC": "NHWC", "NCW": "NCHW", "NCHW": "NCHW"}
    if data_format not in formats:
        raise ValueError(f"data_format must be 'NWC' or 'NCW', not {data_format!r}")
    inner = formats[data_format]
    sequence, weights = convert_operands(value if input is None else input, filters)
    axis = 1 if inner == "NHWC" else 2
    with name_scope(name, "conv1d"):
        result = conv2d(
            expand_dims(sequence, axis), expand_dims(weights, 0), (1, _single(stride)), padding, data_format=inner,
            dilations=(1, _single(dilations)),
        )  # fmt: skip
        return squeeze(result, axis=[axis])


def _single(value: Any) -> int:
    """A number from itself, a list of one, or the middle entries of a list over all axes."""
    if value is None:
        return 1
    if not isinstance(value, (list, tuple)):
        return int(value)
    return max(int(item) for item in value)


def atrous_conv2d(value: Any, filters: Any, rate: int, padding: Any, name: str | None = None) -> Tensor:
    """conv2d with a filter whose entries stand `rate` apart."""
    return conv2d(value, filters, 1, padding, dilations=(rate, rate), name=name or "atrous_conv2d")


def convolution(input: Any, filter: Any = None, padding: Any = None, strides: Any = None, dilation_rate: Any = None,
                name: str | None = None, data_format: str | None = None, filters: Any = None,
                dilations: Any = None) -> Tensor:  # fmt: skip
    """conv1d or conv2d, by the rank of the input.

    Raises ValueError for other ranks, and for a stride together with a dilation.
    """
    image = convert_to_tensor(input)
    weights = filter if filters is None else filters
    rates = dilation_rate if dilations is None else dilations
    _check_strides(strides, rates)
    if image.type.rank == 3:
        return conv1d(image, weights, strides, padding, data_format=data_format, dilations=rates, name=name or "convolution")
    if image.type.rank != 4:
        raise ValueError(f"convolution: the input has rank {image.type.rank}; sequences have 3 and images 4")
    return conv2d(image, weights, strides, padding, data_format=data_format or "NHWC", dilations=rates,
                  name=name or "convolution")  # fmt: skip


def _check_strides(strides: Any, dilations: Any) -> None:
    def largest(value: Any) -> int:
        entries: Sequence[int] = value if isinstance(value, (list, tuple)) else [1 if value is None else value]
        return max(int(entry) for entry in entries)

    if largest(strides) > 1 and largest(dilations) > 1:
        raise ValueError("strides > 1 not supported in conjunction with dilation_rate > 1")


__all__ = [
    "atrous_conv2d", "conv1d", "conv2d", "conv2d_backprop_filter", "conv2d_backprop_input", "conv2d_transpose", "convolution",
]  # fmt: skip
