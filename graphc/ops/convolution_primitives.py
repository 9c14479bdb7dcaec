"""The primitives of convolution: two families (all channels together, each channel by itself) of three operations each.

    conv2d(x, filter)                               y[n,h,w,o] = sum x[n, h*s+i*d, w*s+j*d, c] filter[i,j,c,o]
    conv2d_input_gradient(filter, output_gradient)  the transposed map to an image of `input_shape`
    conv2d_filter_gradient(x, output_gradient)      the gradient of the filter

Each one is linear in both inputs, and the gradients of each are the other two. In the depthwise family the filter is
[height, width, channels, multiplier] and output channel c * multiplier + m comes from input channel c alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.records import record

from ..dtypes import as_dtype
from ..errors import ShapeError
from ..operation import DEFINITIONS, OpDef, Operation, Tensor, TensorType, apply, define
from .rules import FLOATS, check_kind, check_same_dtype
from .windows import Padding, Pair, Sizes, Windowed, image_sizes, output_size, pad_image, shape_sizes, taps

_GEOMETRY = {"strides": tuple, "padding": tuple, "dilations": tuple}


def _check_filter(shape: Any) -> None:
    if shape is not None and len(shape) != 4:
        raise ShapeError(f"the filter has {len(shape)} dimensions, not 4")


@record
class Family:
    """conv2d or depthwise_conv2d with its two gradients.

    The equations, in einsum's notation, are those of one position inside the window: o is the output channel, which the
    depthwise family sees as its two parts, c and m.
    """

    name: str
    kernel: str
    depthwise: bool
    forward_equation: str
    input_equation: str
    filter_equation: str

    def define_all(self) -> tuple[Windowed, Windowed, Windowed]:
        """Enters the three primitives, and their composites for sizes that are not known yet."""
        forward = self._define("", self._forward_type, self._forward_gradient, self._evaluate_forward, {})
        of_input = self._define(
            "_input_gradient", self._input_type, self._input_gradient, self._evaluate_input, {"input_shape": tuple}
        )
        of_filter = self._define(
            "_filter_gradient", self._filter_type, self._filter_gradient, self._evaluate_filter, {"filter_shape": tuple}
        )
        return (
            Windowed(forward, (0,), lambda types, attributes: (image_sizes(types[0].shape), _window(types[1].shape))),
            Windowed(of_input, (1,), lambda types, a: (shape_sizes(a["input_shape"])[1:3], _window(types[0].shape))),
            Windowed(
                of_filter, (0, 1), lambda types, a: (image_sizes(types[0].shape), shape_sizes(a["filter_shape"])[:2]), False
            ),
        )

    def _define(self, suffix: str, infer: Any, gradient: Any, evaluate: Any, attributes: dict[str, type]) -> OpDef:
        return define(
            OpDef(
                self.name + suffix,
                infer=infer,
                gradient=gradient,
                attributes={**attributes, **_GEOMETRY},
                kernel=self.kernel,
                evaluate=evaluate,
            )
        )

    # -- types

    def _forward_type(self, types: Sequence[TensorType], strides: Pair, padding: Padding, dilations: Pair) -> TensorType:
        check_kind(check_same_dtype(types), FLOATS)
        x, filter_shape = types[0].shape, types[1].shape
        sizes = image_sizes(x)
        _check_filter(filter_shape)
        if filter_shape is not None and x is not None:
            channels, taken = x[3], filter_shape[2]
            if channels is not None and taken is not None and channels != taken:
                raise ShapeError(f"the input has {channels} channels, the filter takes {taken}")
        window = _window(filter_shape)
        counts = [output_size(sizes[i], window[i], strides[i], dilations[i], padding[i]) for i in range(2)]
        return TensorType(types[0].dtype, (x[0] if x else None, *counts, self._output_channels(filter_shape)))

    def _output_channels(self, filter_shape: Any) -> int | None:
        if filter_shape is None:
            return None
        if not self.depthwise:
            return filter_shape[3]
        return None if None in filter_shape[2:] else filter_shape[2] * filter_shape[3]

    def _input_type(self, types: Sequence[TensorType], input_shape: Any, strides: Pair, padding: Padding,
                    dilations: Pair) -> TensorType:  # fmt: skip
        check_kind(check_same_dtype(types), FLOATS)
        sizes = shape_sizes(input_shape)
        image = TensorType(types[1].dtype, sizes)
        self._check_output(types[1].shape, self._forward_type([image, types[0]], strides, padding, dilations))
        return image

    def _filter_type(self, types: Sequence[TensorType], filter_shape: Any, strides: Pair, padding: Padding,
                     dilations: Pair) -> TensorType:  # fmt: skip
        check_kind(check_same_dtype(types), FLOATS)
        found = TensorType(types[0].dtype, shape_sizes(filter_shape))
        self._check_output(types[1].shape, self._forward_type([types[0], found], strides, padding, dilations))
        return found

    def _check_output(self, given: Any, expected: TensorType) -> None:
        image_sizes(given)
        for size, wanted in zip(given or (), expected.shape or ()):
            if size is not None and wanted is not None and size != wanted:
                text = ", ".join("?" if s is None else str(s) for s in expected.shape or ())
                raise ShapeError(f"the gradient of the output has shape {list(given)}, the output [{text}]")

    # -- gradients

    def _forward_gradient(self, operation: Operation, gradient: Tensor) -> list[Tensor]:
        x, filters = operation.inputs
        geometry = _geometry(operation)
        return [
            self._apply("_input_gradient", filters, gradient, input_shape=x.type.sizes, **geometry),
            self._apply("_filter_gradient", x, gradient, filter_shape=filters.type.sizes, **geometry),
        ]

    def _input_gradient(self, operation: Operation, gradient: Tensor) -> list[Tensor]:
        filters, output_gradient = operation.inputs
        geometry = _geometry(operation)
        return [
            self._apply("_filter_gradient", gradient, output_gradient, filter_shape=filters.type.sizes, **geometry),
            self._apply("", gradient, filters, **geometry),
        ]

    def _filter_gradient(self, operation: Operation, gradient: Tensor) -> list[Tensor]:
        x, output_gradient = operation.inputs
        geometry = _geometry(operation)
        return [
            self._apply("_input_gradient", gradient, output_gradient, input_shape=x.type.sizes, **geometry),
            self._apply("", x, gradient, **geometry),
        ]

    def _apply(self, suffix: str, a: Tensor, b: Tensor, **attributes: Any) -> Tensor:
        return apply(DEFINITIONS[self.name + suffix], [a, b], **attributes)

    # -- values

    def _evaluate_forward(self, attributes: dict[str, Any], x: np.ndarray, filters: np.ndarray) -> np.ndarray:
        infer = {key: attributes[key] for key in _GEOMETRY}
        types = [TensorType(as_dtype(a.dtype), a.shape) for a in (x, filters)]
        shape = self._forward_type(types, **infer).sizes
        wide_x, wide_filters = _widen(x, filters)
        y = np.zeros(self._view(shape, filters.shape), wide_x.dtype)
        for (i, j), seen in self._taps(wide_x, shape, filters.shape, attributes):
            y += np.einsum(self.forward_equation, seen, wide_filters[i, j], optimize=True)
        return y.reshape(shape).astype(x.dtype)

    def _evaluate_input(self, attributes: dict[str, Any], filters: np.ndarray, output_gradient: np.ndarray) -> np.ndarray:
        shape, padding = attributes["input_shape"], attributes["padding"]
        wide_filters, wide_gradient = _widen(filters, output_gradient)
        wide_gradient = wide_gradient.reshape(self._view(output_gradient.shape, filters.shape))
        image = pad_image(np.zeros(shape, wide_filters.dtype), padding)
        unpadded = dict(attributes, padding=((0, 0), (0, 0)))
        for (i, j), seen in self._taps(image, output_gradient.shape, filters.shape, unpadded):
            seen += np.einsum(self.input_equation, wide_gradient, wide_filters[i, j], optimize=True)
        (top, _), (left, _) = padding
        return image[:, top : top + shape[1], left : left + shape[2]].astype(filters.dtype)

    def _evaluate_filter(self, attributes: dict[str, Any], x: np.ndarray, output_gradient: np.ndarray) -> np.ndarray:
        shape = attributes["filter_shape"]
        wide_x, wide_gradient = _widen(x, output_gradient)
        wide_gradient = wide_gradient.reshape(self._view(output_gradient.shape, shape))
        filters = np.zeros(shape, wide_x.dtype)
        for (i, j), seen in self._taps(wide_x, output_gradient.shape, shape, attributes):
            filters[i, j] = np.einsum(self.filter_equation, seen, wide_gradient, optimize=True)
        return filters.astype(x.dtype)

    def _view(self, output_shape: Sequence[int], filter_shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of the output with the output channel in the parts that the equations name."""
        return (*output_shape[:3], *filter_shape[2:]) if self.depthwise else tuple(output_shape)

    def _taps(self, x: np.ndarray, output_shape: Sequence[int], filter_shape: Sequence[int], attributes: dict[str, Any]) -> Any:
        padded = pad_image(x, attributes["padding"]) if any(map(any, attributes["padding"])) else x
        window, counts = (filter_shape[0], filter_shape[1]), (output_shape[1], output_shape[2])
        return taps(padded, window, counts, attributes["strides"], attributes["dilations"])


def _geometry(operation: Operation) -> dict[str, Any]:
    return {key: operation.attributes[key] for key in _GEOMETRY}


def _window(filter_shape: Any) -> Sizes:
    _check_filter(filter_shape)
    return (None, None) if filter_shape is None else filter_shape[:2]


def _widen(*arrays: np.ndarray) -> list[np.ndarray]:
    """The arrays in the type that is computed in."""
    return [a.astype(as_dtype(a.dtype).compute.numpy) for a in arrays]


CONV2D, CONV2D_INPUT_GRADIENT, CONV2D_FILTER_GRADIENT = Family(
    "conv2d", "convolution", False, "nhwc,co->nhwo", "nhwo,co->nhwc", "nhwc,nhwo->co"
).define_all()
DEPTHWISE_CONV2D, DEPTHWISE_INPUT_GRADIENT, DEPTHWISE_FILTER_GRADIENT = Family(
    "depthwise_conv2d", "depthwise", True, "nhwc,cm->nhwcm", "nhwcm,cm->nhwc", "nhwc,nhwcm->cm"
).define_all()
