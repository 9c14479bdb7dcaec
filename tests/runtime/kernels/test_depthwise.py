"""Depthwise convolution and its gradients against sums over taps in double precision."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from kernel_running import guarded, guarded_copy, machines, run_sequence

from graphc import dtypes
from graphc.runtime.kernels.depthwise import (
    DepthwiseConvolution,
    build_depthwise,
    build_depthwise_input_gradient,
)
from graphc.runtime.kernels.depthwise_filter import build_depthwise_filter_gradient
from graphc.runtime.kernels.sequence import KernelSequence, single

MACHINES = machines()
TOLERANCE = {dtypes.float32: 3e-6, dtypes.float64: 1e-14, dtypes.float16: 2e-3, dtypes.bfloat16: 1.5e-2}
DTYPES = (dtypes.float32, dtypes.float32, dtypes.float64, dtypes.float16, dtypes.float32, dtypes.bfloat16)


def taps(c: DepthwiseConvolution):
    for i, j in itertools.product(range(c.kernel_height), range(c.kernel_width)):
        y, x = i * c.dilations[0], j * c.dilations[1]
        rows = slice(y, y + (c.result_height - 1) * c.strides[0] + 1, c.strides[0])
        yield i, j, rows, slice(x, x + (c.result_width - 1) * c.strides[1] + 1, c.strides[1])


def pad(c: DepthwiseConvolution, images: np.ndarray) -> np.ndarray:
    top, bottom, left, right = c.padding
    return np.pad(images.astype(np.float64), ((0, 0), (top, bottom), (left, right), (0, 0)))


def forward(c: DepthwiseConvolution, images: np.ndarray, filters: np.ndarray) -> np.ndarray:
    wide, filters = pad(c, images), filters.astype(np.float64)
    total = sum(np.einsum("nyxc,cq->nyxcq", wide[:, rows, columns], filters[i, j]) for i, j, rows, columns in taps(c))
    return total.reshape(*total.shape[:3], c.filters)


def input_gradient(c: DepthwiseConvolution, gradient: np.ndarray, filters: np.ndarray) -> np.ndarray:
    wide = pad(c, np.zeros((c.images, c.height, c.width, c.channels)))
    parts = gradient.astype(np.float64).reshape(*gradient.shape[:3], c.channels, c.multiplier)
    for i, j, rows, columns in taps(c):
        wide[:, rows, columns] += np.einsum("nyxcq,cq->nyxc", parts, filters[i, j].astype(np.float64))
    return wide[:, c.padding[0] : c.padding[0] + c.height, c.padding[2] : c.padding[2] + c.width]


def filter_gradient(c: DepthwiseConvolution, images: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    wide, result = pad(c, images), np.zeros((c.kernel_height, c.kernel_width, c.channels, c.multiplier))
    parts = gradient.astype(np.float64).reshape(*gradient.shape[:3], c.channels, c.multiplier)
    for i, j, rows, columns in taps(c):
        result[i, j] = np.einsum("nyxc,nyxcq->cq", wide[:, rows, columns], parts)
    return result


def random_convolution(seed: int) -> DepthwiseConvolution:
    pick = random.Random(seed)
    while True:
        c = DepthwiseConvolution(
            images=pick.choice([1, 2, 3]),
            height=pick.randint(1, 12),
            width=pick.randint(1, 14),
            channels=pick.choice([1, 2, 3, 8, 15, 16, 17, 33]),
            kernel_height=pick.choice([1, 2, 3, 5]),
            kernel_width=pick.choice([1, 2, 3, 5]),
            multiplier=pick.choice([1, 1, 1, 1, 2, 3, 4, 6, 8, 16, 17, 33]),
            strides=pick.choice([(1, 1), (1, 1), (2, 2), (3, 2)]),
            padding=pick.choice([(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 2, 1), (4, 4, 4, 4)]),
            dilations=pick.choice([(1, 1), (1, 1), (2, 1), (2, 3)]),
            dtype=DTYPES[seed % len(DTYPES)],
        )
        if c.result_height > 0 and c.result_width > 0:
            return c


def check(seed: int, threads: int | None = None) -> list[np.ndarray]:
    machine, c = MACHINES[seed % len(MACHINES)], random_convolution(seed)
    threads = threads or random.Random(seed).choice([1, 2, 4])
    rng = np.random.default_rng(seed)
    shapes = (
        (c.images, c.height, c.width, c.channels),
        (c.kernel_height, c.kernel_width, c.channels, c.multiplier),
        (c.images, c.result_height, c.result_width, c.filters),
    )
    images, filters, gradient = (
        guarded_copy(rng.standard_normal(shape).astype(c.dtype.numpy), rng.random() < 0.7) for shape in shapes
    )
    outputs = []
    for what, build, reference, first, second, like in (
        ("forward", build_depthwise, forward, images, filters, gradient),
        ("input gradient", build_depthwise_input_gradient, input_gradient, gradient, filters, images),
        ("filter gradient", build_depthwise_filter_gradient, filter_gradient, images, gradient, filters),
    ):
        result = guarded(like.shape, c.dtype.numpy, bool(seed % 2))
        built = build(c, machine, threads)
        run_sequence(built if isinstance(built, KernelSequence) else single(built, 3), [first, second, result], machine)
        expected, scale = reference(c, first, second), reference(c, abs(first), abs(second)) + 1
        error = np.max(abs(result.astype(np.float64) - expected) / scale)
        assert error < TOLERANCE[c.dtype], (what, c, error)
        outputs.append(result.copy())
    return outputs


def test_random_depthwise_convolutions_are_right():
    for seed in range(24):
        check(seed)


@pytest.mark.long
def test_many_random_depthwise_convolutions_are_right():
    for seed in range(1000, 1400):
        check(seed)


def test_bits_do_not_depend_on_threads():
    for seed in (2, 7, 12):
        first, *others = (check(seed, threads) for threads in (1, 2, 4))
        assert all(np.array_equal(a, b) for other in others for a, b in zip(first, other))
