"""Convolution layers."""

from __future__ import annotations

from typing import Any

from ..initializers import get as get_initializer
from ..initializers import zeros_initializer
from ..operation import Tensor
from ..ops.convolution import conv1d as convolve_sequence
from ..ops.convolution import conv2d as convolve_image
from ..ops.convolution import conv2d_transpose as convolve_transposed
from ..ops.depthwise import separable_conv2d as convolve_separably
from ..ops.shape_ops import shape
from ..ops.slicing import pad
from ..ops.softmax import bias_add
from ..variables import Variable
from .base import Layer, as_activation, as_numbers, as_padding_name, channels_of, check_rank, is_channels_first


class _Convolution(Layer):
    """What convolution layers share: arguments, kernel and bias, and what follows the convolution."""

    rank = 2
    kernel: Variable
    bias: Variable | None = None

    def __init__(self, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid",
                 data_format: str | None = "channels_last", dilation_rate: Any = 1, activation: Any = None,
                 use_bias: bool = True, kernel_initializer: Any = None, bias_initializer: Any = zeros_initializer(),
                 kernel_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None,
                 kernel_constraint: Any = None, bias_constraint: Any = None, trainable: bool = True, name: Any = None,
                 **options: Any):  # fmt: skip
        super().__init__(trainable, name, activity_regularizer=activity_regularizer, **options)
        self.filters, self.use_bias, self.activation = int(filters), use_bias, as_activation(activation)
        self.kernel_size = as_numbers(kernel_size, self.rank, "kernel_size")
        self.strides = as_numbers(strides, self.rank, "strides")
        self.dilation_rate = as_numbers(dilation_rate, self.rank, "dilation_rate")
        self.padding = as_padding_name(padding, ("valid", "same", "causal") if self.rank == 1 else ("valid", "same"))
        self.data_format = "channels_first" if is_channels_first(data_format) else "channels_last"
        self.kernel_initializer, self.bias_initializer = get_initializer(kernel_initializer), get_initializer(bias_initializer)
        self.kernel_regularizer, self.bias_regularizer = kernel_regularizer, bias_regularizer
        self.kernel_constraint, self.bias_constraint = kernel_constraint, bias_constraint

    @property
    def _layout(self) -> str:
        """The order of axes as operations name it."""
        spatial = "HW" if self.rank == 2 else "W"
        return f"NC{spatial}" if self.data_format == "channels_first" else f"N{spatial}C"

    def _input_channels(self, input_shape: Any) -> int:
        return channels_of(input_shape, 1 if self.data_format == "channels_first" else -1, self.name)

    def build(self, input_shape: Any) -> None:
        self._add_kernel([*self.kernel_size, self._input_channels(input_shape), self.filters])
        self._add_bias()

    def _add_kernel(self, shape: list[int]) -> None:
        self.kernel = self.add_weight(
            "kernel", shape, None, self.kernel_initializer, self.kernel_regularizer, constraint=self.kernel_constraint
        )

    def _add_bias(self) -> None:
        if self.use_bias:
            self.bias = self.add_weight(
                "bias", [self.filters], None, self.bias_initializer, self.bias_regularizer, constraint=self.bias_constraint
            )

    def call(self, inputs: Tensor, *args: Any, **options: Any) -> Tensor:
        check_rank(inputs, self.rank + 2, self.name)
        outputs = self._convolve(inputs)
        if self.bias is not None:
            outputs = bias_add(outputs, self.bias, data_format=self._layout)
        return outputs if self.activation is None else self.activation(outputs)

    def _convolve(self, inputs: Tensor) -> Tensor:
        raise NotImplementedError


class Conv2D(_Convolution):
    """activation(convolution of images with the kernel + bias)."""

    def _convolve(self, inputs: Tensor) -> Tensor:
        return convolve_image(
            inputs, self.kernel, self.strides, self.padding.upper(), data_format=self._layout, dilations=self.dilation_rate
        )


class Conv1D(_Convolution):
    """activation(convolution of sequences with the kernel + bias); "causal" padding looks only back."""

    rank = 1

    def _convolve(self, inputs: Tensor) -> Tensor:
        padding = self.padding
        if padding == "causal":
            ahead = [self.dilation_rate[0] * (self.kernel_size[0] - 1), 0]
            last = self.data_format == "channels_last"
            inputs = pad(inputs, [[0, 0], ahead, [0, 0]] if last else [[0, 0], [0, 0], ahead])
            padding = "valid"
        return convolve_sequence(
            inputs, self.kernel, self.strides[0], padding.upper(), data_format=self._layout, dilations=self.dilation_rate[0]
        )


class Conv2DTranspose(_Convolution):
    """activation(transposed convolution of images with the kernel + bias): strides make images larger."""

    def __init__(self, filters: int, kernel_size: Any, strides: Any = (1, 1), padding: str = "valid",
                 data_format: str | None = "channels_last", activation: Any = None, use_bias: bool = True,
                 kernel_initializer: Any = None, bias_initializer: Any = zeros_initializer(),
                 kernel_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None,
                 kernel_constraint: Any = None, bias_constraint: Any = None, trainable: bool = True, name: Any = None,
                 **options: Any):  # fmt: skip
        super().__init__(filters, kernel_size, strides, padding, data_format, 1, activation, use_bias, kernel_initializer,
                         bias_initializer, kernel_regularizer, bias_regularizer, activity_regularizer, kernel_constraint,
                         bias_constraint, trainable, name, **options)  # fmt: skip

    def build(self, input_shape: Any) -> None:
        self._add_kernel([*self.kernel_size, self.filters, self._input_channels(input_shape)])
        self._add_bias()

    def _convolve(self, inputs: Tensor) -> Tensor:
        known, sizes = inputs.type.shape or (None,) * 4, shape(inputs)
        batch, *spatial = [sizes[axis] if known[axis] is None else known[axis] for axis in (0, *self._spatial_axes)]
        grown = [self._grow(size, axis) for axis, size in enumerate(spatial)]
        first = self.data_format == "channels_first"
        output_shape = [batch, self.filters, *grown] if first else [batch, *grown, self.filters]
        return convolve_transposed(inputs, self.kernel, output_shape, self.strides, self.padding.upper(), self._layout)

    @property
    def _spatial_axes(self) -> tuple[int, int]:
        return (2, 3) if self.data_format == "channels_first" else (1, 2)

    def _grow(self, size: Any, axis: int) -> Any:
        grown = size * self.strides[axis]
        extra = max(self.kernel_size[axis] - self.strides[axis], 0)
        return grown if self.padding == "same" or not extra else grown + extra


class SeparableConv2D(_Convolution):
    """A convolution of each channel by itself, then one of all channels at each pixel, bias and activation."""

    depthwise_kernel: Variable
    pointwise_kernel: Variable

    def __init__(self, filters: int, kernel_size: Any, strides: Any = (1, 1), padding: str = "valid",
                 data_format: str | None = "channels_last", dilation_rate: Any = (1, 1), depth_multiplier: int = 1,
                 activation: Any = None, use_bias: bool = True, depthwise_initializer: Any = None,
                 pointwise_initializer: Any = None, bias_initializer: Any = zeros_initializer(),
                 depthwise_regularizer: Any = None, pointwise_regularizer: Any = None, bias_regularizer: Any = None,
                 activity_regularizer: Any = None, depthwise_constraint: Any = None, pointwise_constraint: Any = None,
                 bias_constraint: Any = None, trainable: bool = True, name: Any = None, **options: Any):  # fmt: skip
        super().__init__(filters, kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, None,
                         bias_initializer, None, bias_regularizer, activity_regularizer, None, bias_constraint, trainable,
                         name, **options)  # fmt: skip
        self.depth_multiplier = int(depth_multiplier)
        self._depthwise = (get_initializer(depthwise_initializer), depthwise_regularizer, depthwise_constraint)
        self._pointwise = (get_initializer(pointwise_initializer), pointwise_regularizer, pointwise_constraint)

    def build(self, input_shape: Any) -> None:
        channels = self._input_channels(input_shape)
        middle = channels * self.depth_multiplier
        self.depthwise_kernel = self._add_part(
            "depthwise_kernel", [*self.kernel_size, channels, self.depth_multiplier], *self._depthwise
        )
        self.pointwise_kernel = self._add_part("pointwise_kernel", [1, 1, middle, self.filters], *self._pointwise)
        self._add_bias()

    def _add_part(self, name: str, shape: list[int], initializer: Any, regularizer: Any, constraint: Any) -> Variable:
        return self.add_weight(name, shape, None, initializer, regularizer, constraint=constraint)

    def _convolve(self, inputs: Tensor) -> Tensor:
        return convolve_separably(
            inputs, self.depthwise_kernel, self.pointwise_kernel, self.strides, self.padding.upper(), self.dilation_rate,
            data_format=self._layout,
        )  # fmt: skip


def conv2d(inputs: Any, filters: int, kernel_size: Any, strides: Any = (1, 1), padding: str = "valid",
           data_format: str = "channels_last", dilation_rate: Any = (1, 1), activation: Any = None, use_bias: bool = True,
           kernel_initializer: Any = None, bias_initializer: Any = zeros_initializer(), kernel_regularizer: Any = None,
           bias_regularizer: Any = None, activity_regularizer: Any = None, kernel_constraint: Any = None,
           bias_constraint: Any = None, trainable: bool = True, name: str | None = None,
           reuse: bool | None = None) -> Tensor:  # fmt: skip
    """A Conv2D layer on images."""
    layer = Conv2D(filters, kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
                   kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, activity_regularizer,
                   kernel_constraint, bias_constraint, trainable, name, _reuse=reuse, _scope=name)  # fmt: skip
    return layer(inputs)


def conv1d(inputs: Any, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid",
           data_format: str = "channels_last", dilation_rate: Any = 1, activation: Any = None, use_bias: bool = True,
           kernel_initializer: Any = None, bias_initializer: Any = zeros_initializer(), kernel_regularizer: Any = None,
           bias_regularizer: Any = None, activity_regularizer: Any = None, kernel_constraint: Any = None,
           bias_constraint: Any = None, trainable: bool = True, name: str | None = None,
           reuse: bool | None = None) -> Tensor:  # fmt: skip
    """A Conv1D layer on sequences."""
    layer = Conv1D(filters, kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
                   kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, activity_regularizer,
                   kernel_constraint, bias_constraint, trainable, name, _reuse=reuse, _scope=name)  # fmt: skip
    return layer(inputs)


def conv2d_transpose(inputs: Any, filters: int, kernel_size: Any, strides: Any = (1, 1), padding: str = "valid",
                     data_format: str = "channels_last", activation: Any = None, use_bias: bool = True,
                     kernel_initializer: Any = None, bias_initializer: Any = zeros_initializer(),
                     kernel_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None,
                     kernel_constraint: Any = None, bias_constraint: Any = None, trainable: bool = True,
                     name: str | None = None, reuse: bool | None = None) -> Tensor:  # fmt: skip
    """A Conv2DTranspose layer on images."""
    layer = Conv2DTranspose(filters, kernel_size, strides, padding, data_format, activation, use_bias, kernel_initializer,
                            bias_initializer, kernel_regularizer, bias_regularizer, activity_regularizer,
                            kernel_constraint, bias_constraint, trainable, name, _reuse=reuse, _scope=name)  # fmt: skip
    return layer(inputs)


def separable_conv2d(inputs: Any, filters: int, kernel_size: Any, strides: Any = (1, 1), padding: str = "valid",
                     data_format: str = "channels_last", dilation_rate: Any = (1, 1), depth_multiplier: int = 1,
                     activation: Any = None, use_bias: bool = True, depthwise_initializer: Any = None,
                     pointwise_initializer: Any = None, bias_initializer: Any = zeros_initializer(),
                     depthwise_regularizer: Any = None, pointwise_regularizer: Any = None, bias_regularizer: Any = None,
                     activity_regularizer: Any = None, depthwise_constraint: Any = None, pointwise_constraint: Any = None,
                     bias_constraint: Any = None, trainable: bool = True, name: str | None = None,
                     reuse: bool | None = None) -> Tensor:  # fmt: skip
    """A SeparableConv2D layer on images."""
    layer = SeparableConv2D(filters, kernel_size, strides, padding, data_format, dilation_rate, depth_multiplier,
                            activation, use_bias, depthwise_initializer, pointwise_initializer, bias_initializer,
                            depthwise_regularizer, pointwise_regularizer, bias_regularizer, activity_regularizer,
                            depthwise_constraint, pointwise_constraint, bias_constraint, trainable, name, _reuse=reuse,
                            _scope=name)  # fmt: skip
    return layer(inputs)


__all__ = [
    "Conv1D", "Conv2D", "Conv2DTranspose", "SeparableConv2D", "conv1d", "conv2d", "conv2d_transpose", "separable_conv2d",
]  # fmt: skip
