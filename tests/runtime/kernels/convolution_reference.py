"""Convolutions and their gradients as sums over taps in double precision, and kernels held against them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

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
from graphc.runtime.kernels.sequence import KernelSequence
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


@dataclass(frozen=True)
class Kind:
    """A convolution or one of its gradients. `first`, `second` and `result` are places among images, filters and the gradient
    of the result."""

    name: str
    build: Callable[..., KernelSequence]
    reference: Callable[[Convolution, np.ndarray, np.ndarray], np.ndarray]
    first: int
    second: int
    result: int

    def __call__(self, c: Convolution, seed: int, machine, threads: int) -> np.ndarray:
        """The result for the arrays of a seed, held against the reference."""
        given = arrays(c, seed)
        first, second = given[self.first], given[self.second]
        result = guarded(given[self.result].shape, c.dtype.numpy, bool(seed % 2))
        run_sequence(self.build(c, machine, threads), [first, second, result], machine)
        check(result, self.reference(c, first, second), self.reference(c, abs(first), abs(second)), c, self.name)
        return result.copy()

    def check_epilogue(self, c: Convolution, machine, terms: int) -> None:
        """Runs it with an epilogue of so many terms."""
        given = arrays(c, 5)
        first, second, other = (given[i] for i in (self.first, self.second, self.result))
        result = guarded(other.shape)
        sequence = self.build(c, machine, 2, LongEpilogue(other.shape[-1], terms))
        run_sequence(sequence, [first, second, other, result], machine)
        expected = self.reference(c, first, second) + other
        scale = self.reference(c, abs(first), abs(second)) + abs(other)
        for _ in range(terms):
            expected = expected * 0.5 + other
        check(result, expected, scale, c, f"epilogue of {terms} terms")


KINDS = {
    "forward": Kind("forward", build_convolution, forward, 0, 1, 2),
    "input": Kind("input gradient", build_convolution_input_gradient, input_gradient, 2, 1, 0),
    "filter": Kind("filter gradient", build_convolution_filter_gradient, filter_gradient, 0, 2, 1),
}
