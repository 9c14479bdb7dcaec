"""Convolutions and their gradients as sums over taps in double precision, and kernels held against them."""

from __future__ import annotations

import itertools

import numpy as np
from kernel_running import guarded, guarded_copy, run_sequence

from graphc import dtypes
from graphc.runtime.emit.function import Function
from graphc.runtime.kernels.convolution import Convolution
from graphc.runtime.kernels.convolution_kernels import (
    build_convolution,
    build_convolution_filter_gradient,
    build_convolution_input_gradient,
)
from graphc.runtime.kernels.tile import Tile

F32 = dtypes.float32
TOLERANCE = {F32: 3e-6, dtypes.float64: 1e-14, dtypes.float16: 2e-3, dtypes.bfloat16: 1.5e-2}


def taps(c: Convolution):
    """For every tap: its place in the filter and the slices of the padded image that it meets."""
    for i, j in itertools.product(range(c.kernel_height), range(c.kernel_width)):
        y, x = i * c.dilations[0], j * c.dilations[1]
        yield (
            i,
            j,
            slice(y, y + (c.result_height - 1) * c.strides[0] + 1, c.strides[0]),
            slice(x, x + (c.result_width - 1) * c.strides[1] + 1, c.strides[1]),
        )


def padded(c: Convolution, images: np.ndarray) -> np.ndarray:
    top, bottom, left, right = c.padding
    return np.pad(images.astype(np.float64), ((0, 0), (top, bottom), (left, right), (0, 0)))


def forward(c: Convolution, images: np.ndarray, filters: np.ndarray) -> np.ndarray:
    wide, result = padded(c, images), np.zeros((c.images, c.result_height, c.result_width, c.filters))
    for i, j, rows, columns in taps(c):
        result += wide[:, rows, columns] @ filters[i, j].astype(np.float64)
    return result


def input_gradient(c: Convolution, gradient: np.ndarray, filters: np.ndarray) -> np.ndarray:
    wide = padded(c, np.zeros((c.images, c.height, c.width, c.channels)))
    for i, j, rows, columns in taps(c):
        wide[:, rows, columns] += gradient.astype(np.float64) @ filters[i, j].astype(np.float64).T
    return wide[:, c.padding[0] : c.padding[0] + c.height, c.padding[2] : c.padding[2] + c.width]


def filter_gradient(c: Convolution, images: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    wide, result = padded(c, images), np.zeros((c.kernel_height, c.kernel_width, c.channels, c.filters))
    for i, j, rows, columns in taps(c):
        result[i, j] = np.einsum("nyxc,nyxf->cf", wide[:, rows, columns], gradient.astype(np.float64))
    return result


def arrays(c: Convolution, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, filters and gradients of results, each ending (or beginning) at a forbidden page."""
    rng = np.random.default_rng(seed)
    shapes = (
        (c.images, c.height, c.width, c.channels),
        (c.kernel_height, c.kernel_width, c.channels, c.filters),
        (c.images, c.result_height, c.result_width, c.filters),
    )
    images, filters, gradient = (
        guarded_copy(rng.standard_normal(shape).astype(c.dtype.numpy), rng.random() < 0.7) for shape in shapes
    )
    return images, filters, gradient


def check(result: np.ndarray, expected: np.ndarray, scale: np.ndarray, c: Convolution, what: str) -> None:
    error = np.max(abs(result.astype(np.float64) - expected) / (scale + 1), initial=0)
    if c.method == "winograd" and what == "filter gradient":  # errors of all taps are alike, however few pixels each one meets
        error = np.max(abs(result - expected)) / (scale.mean() + 1)
    if c.method in ("fast", "winograd3", "winograd4"):  # where few channels are summed, and where most of a tile is padding
        error = np.max(abs(result - expected)) / (scale.mean() + 1) / 3
    assert error < TOLERANCE[c.dtype], (what, c, error)


def check_forward(c: Convolution, seed: int, machine, threads: int) -> np.ndarray:
    images, filters, gradient = arrays(c, seed)
    result = guarded(gradient.shape, c.dtype.numpy, bool(seed % 2))
    run_sequence(build_convolution(c, machine, threads), [images, filters, result], machine)
    check(result, forward(c, images, filters), forward(c, abs(images), abs(filters)), c, "forward")
    return result.copy()


def check_input_gradient(c: Convolution, seed: int, machine, threads: int) -> np.ndarray:
    images, filters, gradient = arrays(c, seed)
    result = guarded(images.shape, c.dtype.numpy, bool(seed % 2))
    run_sequence(build_convolution_input_gradient(c, machine, threads), [gradient, filters, result], machine)
    scale = input_gradient(c, abs(gradient), abs(filters))
    check(result, input_gradient(c, gradient, filters), scale, c, "input gradient")
    return result.copy()


def check_filter_gradient(c: Convolution, seed: int, machine, threads: int) -> np.ndarray:
    images, filters, gradient = arrays(c, seed)
    result = guarded(filters.shape, c.dtype.numpy, bool(seed % 2))
    run_sequence(build_convolution_filter_gradient(c, machine, threads), [images, gradient, result], machine)
    scale = filter_gradient(c, abs(images), abs(gradient))
    check(result, filter_gradient(c, images, gradient), scale, c, "filter gradient")
    return result.copy()


KINDS = {"forward": check_forward, "input": check_input_gradient, "filter": check_filter_gradient}


class LongEpilogue:
    """result = a polynomial of the sum and of one value a pixel and channel: too long to be repeated in registers."""

    operand_count = 2

    def __init__(self, filters: int, terms: int):
        self.filters, self.terms = filters, terms

    def emit(self, function: Function, tile: Tile) -> None:
        for r, row in enumerate(tile.values):
            for j, value in enumerate(row):
                other = tile.load(tile.operands[0], dtypes.float32, r, j, self.filters)
                total = function.fadd(value, other)
                for _ in range(self.terms):
                    total = function.fadd(function.fmul(total, 0.5), other)
                tile.store(total, tile.operands[1], dtypes.float32, r, j, self.filters)
