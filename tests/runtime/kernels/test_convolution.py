"""Convolutions and their gradients against sums over taps in double precision."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from kernel_running import guarded, guarded_copy, machines, run_sequence

from graphc import dtypes
from graphc.runtime.kernels.convolution import Convolution, forward_axis, gradient_axes
from graphc.runtime.kernels.convolution_kernels import (
    build_convolution,
    build_convolution_filter_gradient,
    build_convolution_input_gradient,
)

MACHINES = machines()
F32 = dtypes.float32
TOLERANCE = {F32: 3e-6, dtypes.float64: 1e-14, dtypes.float16: 2e-3, dtypes.bfloat16: 1.5e-2}
DTYPES = (F32, F32, F32, dtypes.float64, F32, dtypes.float16, F32, dtypes.bfloat16)


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


def random_convolution(seed: int, largest: int = 20) -> Convolution:
    pick = random.Random(seed)
    channels = [n for n in (1, 2, 3, 5, 8, 15, 16, 17, 32, 40, 64) if n <= largest * 3]
    while True:
        kernel = (pick.choice([1, 2, 3, 3, 5]), pick.choice([1, 2, 3, 3, 5]))
        try:
            c = Convolution(
                images=pick.choice([1, 2, 3, 4, 5, 8, 17]),
                height=pick.randint(1, largest),
                width=pick.randint(1, largest),
                channels=pick.choice(channels),
                kernel_height=kernel[0],
                kernel_width=kernel[1],
                filters=pick.choice(channels),
                strides=pick.choice([(1, 1), (1, 1), (2, 2), (1, 2), (3, 2)]),
                padding=pick.choice([(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 0, 1), (2, 1, 0, 2), (4, 4, 4, 4)]),
                dilations=pick.choice([(1, 1), (1, 1), (1, 1), (2, 1), (1, 2), (2, 3)]),
                dtype=DTYPES[seed % len(DTYPES)],
            )
        except ValueError:
            continue
        if c.pixels and c.flops < 3e7:
            return c


def check(result: np.ndarray, expected: np.ndarray, scale: np.ndarray, c: Convolution, what: str) -> None:
    error = np.max(abs(result.astype(np.float64) - expected) / (scale + 1), initial=0)
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


def fuzz(kind: str, first: int, count: int, largest: int) -> None:
    for seed in range(first, first + count):
        machine = MACHINES[seed % len(MACHINES)]
        KINDS[kind](random_convolution(seed, largest), seed, machine, random.Random(seed).choice([1, 2, 4]))


@pytest.mark.parametrize("kind", KINDS)
def test_random_convolutions_are_right(kind):
    fuzz(kind, 0, 20, 10)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", range(10))
def test_many_random_convolutions_are_right(kind, part):
    fuzz(kind, 1000 + 40 * part, 40, 30)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("images", [1, 9])
def test_bits_do_not_depend_on_threads(kind, images):
    c = Convolution(images, 13, 15, 24, 3, 3, 40, padding=(1, 1, 1, 1))
    results = [KINDS[kind](c, 3, MACHINES[0], threads) for threads in (1, 2, 4)]
    assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2])


def test_gradient_axes_meet_the_same_pairs():
    for size, kernel, stride, dilation, before in itertools.product(range(1, 7), (1, 2, 3), (1, 2, 3), (1, 2, 3), (0, 2)):
        if size + before + 1 - (kernel - 1) * dilation < 1:
            continue
        axis = forward_axis(size, kernel, stride, dilation, (before, 1))
        forward_pairs = {
            (axis.start + o * axis.stride + t * axis.step, t, o) for o in range(axis.outputs) for t in axis.valid_taps(o)
        }
        backward_pairs = {
            (g.first + o * g.pitch, g.first_tap + t * g.tap_pitch, g.start + o * g.stride + t * g.step)
            for g in gradient_axes(axis)
            for o in range(g.outputs)
            for t in g.valid_taps(o)
        }
        assert forward_pairs == backward_pairs
