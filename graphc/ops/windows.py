"""What convolutions and pooling share: windows that move over the two inner axes of images.

The primitives take images as NHWC and padding as numbers of rows and columns. A padding that depends on sizes which are
not known yet ("SAME"), or images as NCHW, make a composite around the primitive, which is opened when all is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..operation import Dynamic, OpDef, Operation, Tensor, TensorType, apply, define
from ..shapes import Shape
from .movement import transpose
from .rules import partial_sizes

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]
Sizes = Sequence[int | None]

_TO_NHWC, _TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)


def output_size(size: int | None, window: int | None, stride: int, dilation: int, padding: Pair) -> int | None:
    """How many windows fit along an axis. Raises ShapeError where not one does."""
    if size is None or window is None:
        return None
    reach = (window - 1) * dilation + 1
    padded = size + padding[0] + padding[1]
    if padded < reach:
        raise ShapeError(f"the window spans {reach} elements, the padded input has {padded}")
    return (padded - reach) // stride + 1


def same_padding(size: int, window: int, stride: int, dilation: int) -> Pair:
    """The padding that gives ceil(size / stride) windows; what is odd goes after the data."""
    count = -(-size // stride)
    total = max((count - 1) * stride + (window - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def resolve_padding(padding: str | Padding, sizes: Sizes, windows: Sizes, strides: Pair, dilations: Pair) -> Padding:
    """Padding as numbers; none along an axis whose size is not known."""
    if not isinstance(padding, str):
        return padding
    pairs = [(0, 0), (0, 0)]
    if padding == "SAME":
        for axis, (size, window) in enumerate(zip(sizes, windows)):
            if size is not None and window is not None:
                pairs[axis] = same_padding(size, window, strides[axis], dilations[axis])
    return pairs[0], pairs[1]


def taps(padded: np.ndarray, window: Pair, counts: Pair, strides: Pair, dilations: Pair) -> Iterator[tuple[Pair, np.ndarray]]:
    """For each position inside the window, what all windows see there: a view [n, counts[0], counts[1], channels]."""
    for i in range(window[0]):
        for j in range(window[1]):
            top, left = i * dilations[0], j * dilations[1]
            rows = slice(top, top + (counts[0] - 1) * strides[0] + 1, strides[0])
            columns = slice(left, left + (counts[1] - 1) * strides[1] + 1, strides[1])
            yield (i, j), padded[:, rows if counts[0] else slice(0), columns if counts[1] else slice(0)]


def pad_image(image: np.ndarray, padding: Padding, value: Any = 0) -> np.ndarray:
    return np.pad(image, ((0, 0), *padding, (0, 0)), constant_values=value)


# -- arguments as users give them


def check_data_format(data_format: str | None) -> str:
    """NHWC or NCHW. Raises ValueError for anything else."""
    found = "NHWC" if data_format is None else data_format
    if found not in ("NHWC", "NCHW"):
        raise ValueError(f"data_format must be 'NHWC' or 'NCHW', not {data_format!r}")
    return found


def as_pair(value: Any, data_format: str, what: str) -> Pair:
    """Height and width of a number, a pair, or a list over all four axes, whose other entries must be 1."""
    entries = [int(v) for v in value] if isinstance(value, (list, tuple, np.ndarray)) else [int(value)]
    if len(entries) == 1:
        entries = entries * 2
    if len(entries) == 4:
        spatial = (1, 2) if data_format == "NHWC" else (2, 3)
        if any(entries[axis] != 1 for axis in range(4) if axis not in spatial):
            raise ValueError(f"{what} over batch or channels is not supported: {list(value)}")
        entries = [entries[axis] for axis in spatial]
    if len(entries) != 2:
        raise ValueError(f"{what} must be a number or a list of length 1, 2 or 4, not {value!r}")
    if min(entries) < 1:
        raise ValueError(f"{what} must be positive, not {value!r}")
    return entries[0], entries[1]


def as_padding(padding: Any, data_format: str) -> str | Padding:
    """ "SAME", "VALID" or the numbers of an explicit padding [[0, 0], [top, bottom], [left, right], [0, 0]]."""
    if isinstance(padding, str):
        if padding.upper() not in ("SAME", "VALID"):
            raise ValueError(f"padding must be 'SAME', 'VALID' or a list of pairs, not {padding!r}")
        return padding.upper()
    pairs = [(int(low), int(high)) for low, high in padding]
    if len(pairs) == 4:
        spatial = (1, 2) if data_format == "NHWC" else (2, 3)
        if any(pairs[axis] != (0, 0) for axis in range(4) if axis not in spatial):
            raise ValueError(f"explicit padding of batch or channels is not supported: {padding!r}")
        pairs = [pairs[axis] for axis in spatial]
    if len(pairs) != 2 or min(min(pair) for pair in pairs) < 0:
        raise ValueError(f"explicit padding must be pairs of non-negative numbers, not {padding!r}")
    return pairs[0], pairs[1]


# -- composites that wait for sizes


class Windowed:
    """A primitive over images with its composite for NCHW images and for padding that is not known yet.

    `images` are the inputs that are images. `sizes(types, attributes)` gives the sizes that are padded and those of the
    window, from types in NHWC.
    """

    def __init__(
        self,
        primitive: OpDef,
        images: tuple[int, ...],
        sizes: Callable[[Sequence[TensorType], dict[str, Any]], tuple[Sizes, Sizes]],
        image_result: bool = True,
    ):
        self.primitive, self.images, self.sizes, self.image_result = primitive, images, sizes, image_result
        self.composite = define(
            OpDef(
                "windowed_" + primitive.name,
                infer=self._infer,
                gradient=self._gradient,
                attributes={**primitive.attributes, "padding": object, "data_format": str},
                composite=self._open,
            )
        )

    def build(self, inputs: Sequence[Tensor], name: str, data_format: str, **attributes: Any) -> Tensor:
        """The primitive where everything that it needs is known, else the composite."""
        if data_format == "NHWC" and not any(isinstance(value, Tensor) for value in attributes.values()):
            types = [tensor.type for tensor in inputs]
            if attributes["padding"] == "VALID" or self._knows_sizes(types, attributes):
                return apply(self.primitive, inputs, name, **self._resolved(types, attributes))
        return apply(self.composite, inputs, name, data_format=data_format, **attributes)

    def _knows_sizes(self, types: Sequence[TensorType], attributes: dict[str, Any]) -> bool:
        """Whether padding can be computed; also where a shape is wrong, so that the primitive says so."""
        try:
            sizes, windows = self.sizes(types, attributes)
        except ShapeError:
            return True
        return None not in (*sizes, *windows)

    def _resolved(self, types: Sequence[TensorType], attributes: dict[str, Any]) -> dict[str, Any]:
        """The attributes with padding as numbers; none where a shape is wrong, which the primitive's type rule tells."""
        try:
            sizes, windows = self.sizes(types, attributes)
        except ShapeError:
            sizes = windows = (None, None)
        dilations = attributes.get("dilations", (1, 1))
        padding = resolve_padding(attributes["padding"], sizes, windows, attributes["strides"], dilations)
        return {**attributes, "padding": padding}

    def _infer(self, types: Sequence[TensorType], data_format: str, **attributes: Any) -> TensorType:
        inner = [permute_type(t, _TO_NHWC, data_format) if i in self.images else t for i, t in enumerate(types)]
        result = self.primitive.infer(inner, **self._resolved(inner, _permute_attributes(attributes, data_format)))
        assert isinstance(result, TensorType)
        return permute_type(result, _TO_NCHW, data_format) if self.image_result else result

    def _apply_primitive(self, operation: Operation) -> Tensor:
        attributes = dict(operation.attributes)
        data_format = attributes.pop("data_format")
        inputs = [permute(t, _TO_NHWC, data_format) if i in self.images else t for i, t in enumerate(operation.data_inputs)]
        known = self._resolved([t.type for t in inputs], _permute_attributes(attributes, data_format))
        return apply(self.primitive, inputs, **known)

    def _open(self, operation: Operation) -> Tensor:
        result = self._apply_primitive(operation)
        return permute(result, _TO_NCHW, operation.attributes["data_format"]) if self.image_result else result

    def _gradient(self, operation: Operation, gradient: Tensor) -> list[Tensor | None]:
        data_format = operation.attributes["data_format"]
        inner = permute(gradient, _TO_NHWC, data_format) if self.image_result else gradient
        assert self.primitive.gradient is not None
        found = self.primitive.gradient(self._apply_primitive(operation).operation, inner)
        return [
            permute(g, _TO_NCHW, data_format) if g is not None and i in self.images else g for i, g in enumerate(found)
        ]  # fmt: skip


def permute(image: Tensor, order: tuple[int, ...], data_format: str) -> Tensor:
    return image if data_format == "NHWC" else transpose(image, list(order))


def permute_type(type_: TensorType, order: tuple[int, ...], data_format: str) -> TensorType:
    """The type of an image after `permute`. Raises ShapeError for what has not four dimensions."""
    if data_format == "NHWC" or type_.shape is None:
        return type_
    if len(type_.shape) != 4:
        raise ShapeError(f"images have 4 dimensions, not {len(type_.shape)}")
    return TensorType(type_.dtype, tuple(type_.shape[axis] for axis in order))


def _permute_attributes(attributes: dict[str, Any], data_format: str) -> dict[str, Any]:
    """The attribute that is the shape of an image, as NHWC."""
    shape = attributes.get("input_shape")
    known = None if shape is None or data_format == "NHWC" else partial_sizes(shape)
    if known is None:
        return attributes
    permuted = tuple(known[axis] for axis in _TO_NHWC)
    return {**attributes, "input_shape": Dynamic(permuted) if isinstance(shape, Dynamic) else permuted}


def image_sizes(shape: Shape) -> Sizes:
    """Height and width of an NHWC shape, None where they are not known. Raises ShapeError for another rank than 4."""
    if shape is None:
        return None, None
    if len(shape) != 4:
        raise ShapeError(f"images have 4 dimensions, not {len(shape)}")
    return shape[1], shape[2]


def shape_sizes(shape: Any, rank: int = 4) -> tuple[int | None, ...]:
    """The entries of an attribute that is a shape; None where they are not known."""
    known = partial_sizes(shape)
    if known is None:
        return (None,) * rank
    if len(known) != rank:
        raise ShapeError(f"the shape {list(known)} should have {rank} entries")
    return known
