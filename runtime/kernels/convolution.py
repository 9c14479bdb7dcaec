"""Convolutions of images as data: shapes, strides, padding, dilation, and the axes that their loops run over."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from graphc import dtypes
from graphc.dtypes import DType
from graphc.records import record

METHODS = ("", "direct", "fast", "winograd", "winograd3", "winograd4")


class ImageWindows(ABC):
    """Windows that slide over the rows and columns of images."""

    @property
    @abstractmethod
    def rows(self) -> Axis: ...

    @property
    @abstractmethod
    def columns(self) -> Axis: ...

    @property
    def result_height(self) -> int:
        return self.rows.outputs

    @property
    def result_width(self) -> int:
        return self.columns.outputs


@record
class Convolution(ImageWindows):
    """result[n, y, x, f] = sum over i, j, c of image[n, y*sy + i*dy - top, x*sx + j*dx - left, c] * filter[i, j, c, f].

    Images are NHWC, the filter is HWIO; positions outside an image count as zero. `strides` and `dilations` are those of
    rows and columns, `padding` is top, bottom, left, right. `method` is "" for the direct sum or Winograd's tiles of 2 x 2
    results, which have its errors, whatever costs less; "fast" for larger tiles too; "direct" for the direct sum alone; and
    "winograd", "winograd3", "winograd4" for tiles of 2 x 2 to 4 x 4 wherever they are possible.
    """

    images: int
    height: int
    width: int
    channels: int
    kernel_height: int
    kernel_width: int
    filters: int
    strides: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    dtype: DType = dtypes.float32
    method: str = ""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"a convolution's method is {', '.join(METHODS[1:])}, not {self.method!r}")
        if min(self.strides + self.dilations) < 1 or min(self.padding) < 0:
            raise ValueError(f"strides and dilations are at least 1 and padding at least 0: {self}")
        if min(self.result_height, self.result_width) < 0:
            raise ValueError(f"the filter is larger than the padded image: {self}")

    @property
    def pixels(self) -> int:
        """Of all results."""
        return self.images * self.result_height * self.result_width

    @property
    def depth(self) -> int:
        return self.kernel_height * self.kernel_width * self.channels

    @property
    def flops(self) -> int:
        return 2 * self.pixels * self.filters * self.depth

    @property
    def bytes_moved(self) -> int:
        image = self.images * self.height * self.width * self.channels
        return (image + self.depth * self.filters + self.pixels * self.filters) * self.dtype.size

    @property
    def rows(self) -> Axis:
        return forward_axis(self.height, self.kernel_height, self.strides[0], self.dilations[0], self.padding[:2])

    @property
    def columns(self) -> Axis:
        return forward_axis(self.width, self.kernel_width, self.strides[1], self.dilations[1], self.padding[2:])


@record
class Axis:
    """Rows or columns of a convolution: output o reads position start + o * stride + t * step with tap t.

    Output o is number first + o * pitch of the result; tap t is number first_tap + t * tap_pitch of the filter.
    """

    size: int
    outputs: int
    start: int
    stride: int
    taps: int
    step: int
    first: int = 0
    pitch: int = 1
    first_tap: int = 0
    tap_pitch: int = 1

    def valid_taps(self, output: int) -> range:
        """The taps whose positions lie inside."""
        base = self.start + output * self.stride
        low = max(0, math.ceil(-base / self.step))
        return range(low, max(low, min(self.taps, math.ceil((self.size - base) / self.step))))

    @property
    def padded(self) -> bool:
        """Some tap of some output lies outside."""
        return self.outputs > 0 and self.taps > 0 and (self.before > 0 or self.after > 0)

    @property
    def before(self) -> int:
        """Positions before the first one that are read as zeros."""
        return max(0, -self.start) if self.taps else 0

    @property
    def after(self) -> int:
        last = self.start + (self.outputs - 1) * self.stride + (self.taps - 1) * self.step
        return max(0, last - self.size + 1) if self.taps else 0

    @property
    def has_empty_outputs(self) -> bool:
        """Some output has no valid tap."""
        return any(not self.valid_taps(output) for output in range(self.outputs))

    @property
    def reached_taps(self) -> list[int]:
        """The taps that are valid for some output."""
        return sorted({tap for output in range(self.outputs) for tap in self.valid_taps(output)})

    @property
    def reaches_all_taps(self) -> bool:
        return len(self.reached_taps) == self.taps

    @property
    def total_taps(self) -> int:
        """Valid taps of all outputs."""
        return sum(len(self.valid_taps(output)) for output in range(self.outputs))


def forward_axis(size: int, kernel: int, stride: int, dilation: int, padding: tuple[int, ...]) -> Axis:
    outputs = (size + sum(padding) - (kernel - 1) * dilation - 1) // stride + 1
    return Axis(size, outputs, -padding[0], stride, kernel, dilation)


def gradient_axes(forward: Axis) -> list[Axis]:
    """The axes along which the gradient of the image is a convolution of the gradient of the result.

    There is one for each remainder of the image's position by the stride; its taps are those of the filter that can reach
    such positions, the last one first, so that they meet the results in rising order.
    """
    axes = []
    pitch = forward.stride // math.gcd(forward.stride, forward.step)
    step = forward.step // math.gcd(forward.stride, forward.step)
    for remainder in range(min(forward.stride, forward.size)):
        taps = [t for t in range(forward.taps) if (remainder - forward.start - t * forward.step) % forward.stride == 0]
        outputs = math.ceil((forward.size - remainder) / forward.stride)
        last = taps[-1] if taps else 0
        start = (remainder - forward.start - last * forward.step) // forward.stride
        axes.append(
            Axis(forward.outputs, outputs, start, 1, len(taps), step, remainder, forward.stride, last, -pitch)
        )
    return axes
