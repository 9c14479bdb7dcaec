"""Pooling over windows of images: the primitives and the functions on them.

The gradient of a maximum goes to the first element of the window, row by row, that equals it; where the maximum is NaN
there is none. An average counts the elements of the image in the window, not the padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import as_dtype
from ..errors import DTypeError, ShapeError
from ..evaluate import identity_of
from ..operation import OpDef, Operation, Tensor, TensorType, apply, define
from ..scopes import name_scope
from .compare import equal, logical_and, logical_not, select
from .constants import convert_to_tensor
from .movement import expand_dims, squeeze
from .slicing import pad, take_slice
from .windows import (
    Padding,
    Pair,
    Windowed,
    as_padding,
    as_pair,
    check_data_format,
    image_sizes,
    output_size,
    pad_image,
    shape_sizes,
    taps,
)  # fmt: skip

_GEOMETRY = {"ksize": tuple, "strides": tuple, "padding": tuple}


def _geometry(operation: Operation) -> dict[str, Any]:
    return {key: operation.attributes[key] for key in _GEOMETRY}


def _pooled_type(image: TensorType, ksize: Pair, strides: Pair, padding: Padding) -> TensorType:
    sizes = image_sizes(image.shape)
    if any(max(pair) >= size for pair, size in zip(padding, ksize)):
        raise ShapeError(f"the padding {padding} leaves windows of {ksize[0]} x {ksize[1]} without elements")
    counts = [output_size(sizes[i], ksize[i], strides[i], 1, padding[i]) for i in range(2)]
    n, channels = (image.shape[0], image.shape[3]) if image.shape is not None else (None, None)
    return TensorType(image.dtype, (n, counts[0], counts[1], channels))


def _max_pool_type(types: Sequence[TensorType], **geometry: Any) -> TensorType:
    if not types[0].dtype.is_numeric:
        raise DTypeError(f"the input is {types[0].dtype.name}, which has no order")
    return _pooled_type(types[0], **geometry)


def _avg_pool_type(types: Sequence[TensorType], **geometry: Any) -> TensorType:
    if not types[0].dtype.is_floating:
        raise DTypeError(f"the input is {types[0].dtype.name}; an average takes floating-point numbers")
    return _pooled_type(types[0], **geometry)


def _output_shape(shape: Sequence[int], geometry: dict[str, Any], dtype: Any) -> tuple[int, ...]:
    inner = {key: geometry[key] for key in _GEOMETRY}
    return _pooled_type(TensorType(as_dtype(dtype), tuple(shape)), **inner).sizes


def _taps(padded: np.ndarray, counts: Sequence[int], geometry: dict[str, Any]) -> Any:
    return taps(padded, geometry["ksize"], (counts[1], counts[2]), geometry["strides"], (1, 1))


def _crop(image: np.ndarray, shape: Sequence[int], padding: Padding) -> np.ndarray:
    (top, _), (left, _) = padding
    return image[:, top : top + shape[1], left : left + shape[2]]


# -- max_pool


def _evaluate_max(attributes: dict[str, Any], x: np.ndarray) -> np.ndarray:
    counts = _output_shape(x.shape, attributes, x.dtype)
    lowest = identity_of("max", as_dtype(x.dtype))
    padded = pad_image(x, attributes["padding"], lowest)
    result = np.full(counts, lowest, x.dtype)
    for _, seen in _taps(padded, counts, attributes):
        result = np.maximum(result, seen)
    return result


def _evaluate_max_gradient(attributes: dict[str, Any], x: np.ndarray, y: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    padded = pad_image(x, attributes["padding"], identity_of("max", as_dtype(x.dtype)))
    result = pad_image(np.zeros(x.shape, as_dtype(x.dtype).compute.numpy), attributes["padding"])
    pending = np.ones(y.shape, bool)  # windows whose maximum was not met yet
    for (_, seen), (_, target) in zip(_taps(padded, y.shape, attributes), _taps(result, y.shape, attributes)):
        here = pending & (seen == y)
        target += np.where(here, gradient, 0)
        pending &= ~here
    return _crop(result, x.shape, attributes["padding"]).astype(x.dtype)


def _max_pool_gradient(operation: Operation, gradient: Tensor) -> list[Tensor]:
    x = operation.inputs[0]
    return [apply(MAX_POOL_GRADIENT, [x, operation.output, gradient], **_geometry(operation))]


def _max_gradient_type(types: Sequence[TensorType], **geometry: Any) -> TensorType:
    _check_pooled(types[1], _pooled_type(types[0], **geometry))
    _check_pooled(types[2], types[1])
    return types[0]


def _check_pooled(given: TensorType, expected: TensorType) -> None:
    image_sizes(given.shape)
    for size, wanted in zip(given.shape or (), expected.shape or ()):
        if size is not None and wanted is not None and size != wanted:
            raise ShapeError(f"the pooled image is {expected}, its gradient {given}")


def _max_pool_second_gradient(operation: Operation, gradient: Tensor) -> list[Tensor | None]:
    """max_pool_gradient is linear in its last input: where that went to, the gradient comes from."""
    return [None, None, apply(MAX_POOL_PICK, [*operation.inputs[:2], gradient], **_geometry(operation))]


MAX_POOL = define(
    OpDef(
        "max_pool",
        infer=_max_pool_type,
        gradient=_max_pool_gradient,
        attributes=_GEOMETRY,
        kernel="pooling",
        evaluate=_evaluate_max,
    )
)
MAX_POOL_GRADIENT = define(
    OpDef(
        "max_pool_gradient",
        infer=_max_gradient_type,
        gradient=_max_pool_second_gradient,
        attributes=_GEOMETRY,
        kernel="pooling",
        evaluate=_evaluate_max_gradient,
    )
)
"""max_pool_gradient(x, y, output_gradient), where y = max_pool(x)."""


def _open_pick(operation: Operation) -> Tensor:
    """Walks over the positions in the window, as many as ksize has, and takes the value at the first that is the maximum."""
    x, y, values = operation.inputs
    geometry = _geometry(operation)
    lowest = identity_of("max", x.dtype)
    padding = [(0, 0), *geometry["padding"], (0, 0)]
    padded_x, padded_values = pad(x, padding, constant_values=lowest), pad(values, padding)
    result = pending = None
    for i in range(geometry["ksize"][0]):
        for j in range(geometry["ksize"][1]):
            here = equal(_seen_at(padded_x, (i, j), y, geometry), y)
            if pending is not None:
                here = logical_and(here, pending)
            value = _seen_at(padded_values, (i, j), y, geometry)
            result = select(here, value, 0 if result is None else result)
            pending = logical_not(here) if pending is None else logical_and(pending, logical_not(here))
    assert result is not None
    return result


def _seen_at(padded: Tensor, position: Pair, y: Tensor, geometry: dict[str, Any]) -> Tensor:
    """What all windows see at one position inside the window."""
    return take_slice(padded, (0, *position, 0), y.type.sizes, (1, *geometry["strides"], 1))


def _pick_gradient(operation: Operation, gradient: Tensor) -> list[Tensor | None]:
    return [None, None, apply(MAX_POOL_GRADIENT, [*operation.inputs[:2], gradient], **_geometry(operation))]


MAX_POOL_PICK = define(
    OpDef(
        "max_pool_pick",
        infer=lambda types, **geometry: types[1],
        gradient=_pick_gradient,
        attributes=_GEOMETRY,
        composite=_open_pick,
    )
)
"""max_pool_pick(x, y, values): for each window of x, the entry of `values` where x has the window's maximum y."""


# -- avg_pool


def _element_counts(shape: Sequence[int], counts: Sequence[int], geometry: dict[str, Any]) -> np.ndarray:
    """How many elements of the image each window holds, [1, rows, columns, 1]."""
    ones = pad_image(np.ones((1, shape[1], shape[2], 1), np.int64), geometry["padding"])
    return sum(seen for _, seen in _taps(ones, counts, geometry))


def _evaluate_avg(attributes: dict[str, Any], x: np.ndarray) -> np.ndarray:
    counts = _output_shape(x.shape, attributes, x.dtype)
    wide = x.astype(as_dtype(x.dtype).compute.numpy)
    total = np.zeros(counts, wide.dtype)
    for _, seen in _taps(pad_image(wide, attributes["padding"]), counts, attributes):
        total += seen
    return (total / _element_counts(x.shape, counts, attributes).astype(wide.dtype)).astype(x.dtype)


def _evaluate_avg_gradient(attributes: dict[str, Any], gradient: np.ndarray) -> np.ndarray:
    shape = attributes["input_shape"]
    wide = gradient.astype(as_dtype(gradient.dtype).compute.numpy)
    share = wide / _element_counts(shape, gradient.shape, attributes).astype(wide.dtype)
    result = pad_image(np.zeros(shape, wide.dtype), attributes["padding"])
    for _, seen in _taps(result, gradient.shape, attributes):
        seen += share
    return _crop(result, shape, attributes["padding"]).astype(gradient.dtype)


def _avg_gradient_type(types: Sequence[TensorType], input_shape: Any, **geometry: Any) -> TensorType:
    image = TensorType(types[0].dtype, shape_sizes(input_shape))
    _check_pooled(types[0], _avg_pool_type([image], **geometry))
    return image


def _avg_pool_gradient(operation: Operation, gradient: Tensor) -> list[Tensor]:
    shape = operation.inputs[0].type.sizes
    return [apply(AVG_POOL_GRADIENT, [gradient], input_shape=shape, **_geometry(operation))]


AVG_POOL = define(
    OpDef(
        "avg_pool",
        infer=_avg_pool_type,
        gradient=_avg_pool_gradient,
        attributes=_GEOMETRY,
        kernel="pooling",
        evaluate=_evaluate_avg,
    )
)
AVG_POOL_GRADIENT = define(
    OpDef(
        "avg_pool_gradient",
        infer=_avg_gradient_type,
        gradient=lambda operation, gradient: [apply(AVG_POOL, [gradient], **_geometry(operation))],
        attributes={"input_shape": tuple, **_GEOMETRY},
        kernel="pooling",
        evaluate=_evaluate_avg_gradient,
    )
)


# -- functions

_MAX = Windowed(MAX_POOL, (0,), lambda types, attributes: (image_sizes(types[0].shape), attributes["ksize"]))
_AVG = Windowed(AVG_POOL, (0,), lambda types, attributes: (image_sizes(types[0].shape), attributes["ksize"]))


def _pool(pooling: Windowed, value: Any, ksize: Any, strides: Any, padding: Any, data_format: str | None, name: str) -> Tensor:
    found = check_data_format(data_format)
    return pooling.build(
        [convert_to_tensor(value)], name, found,
        ksize=as_pair(ksize, found, "ksize"), strides=as_pair(strides, found, "strides"), padding=as_padding(padding, found),
    )  # fmt: skip


def max_pool(value: Any = None, ksize: Any = None, strides: Any = None, padding: Any = None, data_format: str = "NHWC",
             name: str | None = None, input: Any = None) -> Tensor:  # fmt: skip
    """The largest element of each window of images [batch, height, width, channels], by channel.

    `ksize` and `strides` are a number, a pair or one entry for each axis of the data format; NaN in a window gives NaN.
    """
    return _pool(_MAX, value if input is None else input, ksize, strides, padding, data_format, name or "MaxPool")


def avg_pool(value: Any = None, ksize: Any = None, strides: Any = None, padding: Any = None, data_format: str = "NHWC",
             name: str | None = None, input: Any = None) -> Tensor:  # fmt: skip
    """The mean of each window of images [batch, height, width, channels], by channel, padding not counted."""
    return _pool(_AVG, value if input is None else input, ksize, strides, padding, data_format, name or "AvgPool")


def _pool_sequence(pooling: Windowed, value: Tensor, ksize: int, stride: int, padding: Any, data_format: str) -> Tensor:
    axis = 1 if data_format == "NHWC" else 2
    pooled = _pool(pooling, expand_dims(value, axis), (1, ksize), (1, stride), padding, data_format, "pool")
    return squeeze(pooled, axis=[axis])


def pool(input: Any, window_shape: Any, pooling_type: str, padding: Any, dilation_rate: Any = None, strides: Any = None,
         name: str | None = None, data_format: str | None = None, dilations: Any = None) -> Tensor:  # fmt: skip
    """Pools sequences [batch, width, channels] or images by `pooling_type`, "MAX" or "AVG". Dilation is not supported."""
    if pooling_type not in ("MAX", "AVG"):
        raise ValueError(f"pooling_type must be 'MAX' or 'AVG', not {pooling_type!r}")
    spacing = dilation_rate if dilations is None else dilations
    if spacing is not None and any(int(d) != 1 for d in np.ravel(spacing)):
        raise ValueError("pool: dilation is not supported")
    value = convert_to_tensor(input)
    pooling = _MAX if pooling_type == "MAX" else _AVG
    window = [int(w) for w in np.ravel(window_shape)]
    steps = [1] * len(window) if strides is None else [int(s) for s in np.ravel(strides)]
    with name_scope(name, pooling_type.lower() + "_pool"):
        if len(window) == 1:
            layout = "NCHW" if data_format in ("NCW", "NCHW") else "NHWC"
            return _pool_sequence(pooling, value, window[0], steps[0], padding, layout)
        return _pool(pooling, value, window, steps, padding, data_format, "pool")


__all__ = ["avg_pool", "max_pool", "pool"]
