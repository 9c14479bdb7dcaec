"""Pooling and its gradients, for every shape of window, against loops over taps."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from kernel_running import guarded, guarded_copy, machines, run_kernel

from graphc import dtypes
from graphc.runtime.kernels.pooling import (
    Pooling,
    build_average_pool,
    build_average_pool_gradient,
    build_max_pool,
    build_max_pool_gradient,
)

MACHINES = machines()
FLOATS = (dtypes.float32, dtypes.float32, dtypes.float64, dtypes.float16, dtypes.bfloat16)
NUMBERS = (*FLOATS, dtypes.int32, dtypes.int64, dtypes.uint8, dtypes.int8)
TOLERANCE = {dtypes.float32: 1e-6, dtypes.float64: 1e-14, dtypes.float16: 5e-3, dtypes.bfloat16: 4e-2}


def seen(p: Pooling, padded: np.ndarray):
    """What the windows see at each position inside them, row by row."""
    for i, j in itertools.product(range(p.kernel[0]), range(p.kernel[1])):
        rows = slice(i, i + (p.result_height - 1) * p.strides[0] + 1, p.strides[0])
        columns = slice(j, j + (p.result_width - 1) * p.strides[1] + 1, p.strides[1])
        yield padded[:, rows, columns]


def pad(p: Pooling, images: np.ndarray, value: float) -> np.ndarray:
    top, bottom, left, right = p.padding
    return np.pad(images, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=value)


def crop(p: Pooling, padded: np.ndarray) -> np.ndarray:
    return padded[:, p.padding[0] : p.padding[0] + p.height, p.padding[2] : p.padding[2] + p.width]


def expected_max(p: Pooling, images: np.ndarray) -> np.ndarray:
    lowest = -np.inf if p.dtype.is_floating else p.dtype.min
    wide = images.astype(np.float64) if p.dtype.is_floating else images
    return np.maximum.reduce(list(seen(p, pad(p, wide, lowest))))


def expected_max_gradient(p: Pooling, images: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    largest = expected_max(p, images)
    lowest = -np.inf if p.dtype.is_floating else p.dtype.min
    wide = images.astype(np.float64) if p.dtype.is_floating else images
    result, pending = pad(p, np.zeros(images.shape), 0), np.ones(largest.shape, bool)
    inside = pad(p, np.ones(images.shape, bool), False)
    for here, target, valid in zip(seen(p, pad(p, wide, lowest)), seen(p, result), seen(p, inside)):
        equal = pending & valid & (here == largest)
        target += np.where(equal, gradient.astype(np.float64), 0)
        pending &= ~equal
    return crop(p, result)


def counts(p: Pooling) -> np.ndarray:
    return sum(seen(p, pad(p, np.ones((1, p.height, p.width, 1)), 0)))


def random_pooling(seed: int, kinds: tuple) -> Pooling:
    pick = random.Random(seed)
    while True:
        kernel = (pick.choice([1, 2, 2, 3, 4]), pick.choice([1, 2, 2, 3, 5]))
        p = Pooling(
            images=pick.choice([1, 2, 3, 5]),
            height=pick.randint(1, 13),
            width=pick.randint(1, 13),
            channels=pick.choice([1, 2, 3, 8, 15, 16, 17, 32, 40, 64, 65, 96]),
            kernel=kernel,
            strides=pick.choice([kernel, (1, 1), (2, 2), (2, 1), (3, 3)]),
            padding=pick.choice([(0, 0, 0, 0), (0, 1, 0, 1), (1, 1, 1, 1), (1, 0, 2, 1)]),
            dtype=kinds[seed % len(kinds)],
        )
        fits = all(before < k for before, k in zip(p.padding, (*kernel[:1] * 2, *kernel[1:] * 2)))
        if fits and p.result_height > 0 and p.result_width > 0:
            return p


def random_images(p: Pooling, seed: int) -> np.ndarray:
    """With many equal elements, so that the first maximum matters."""
    values = np.random.default_rng(seed).integers(0, 6, (p.images, p.height, p.width, p.channels))
    return guarded_copy(values.astype(p.dtype.numpy), bool(seed % 2))


def random_gradient(p: Pooling, seed: int) -> np.ndarray:
    shape = (p.images, p.result_height, p.result_width, p.channels)
    return guarded_copy(np.random.default_rng(seed + 1).integers(-4, 5, shape).astype(p.dtype.numpy), seed % 3 > 0)


def check_max(seed: int) -> None:
    machine, p = MACHINES[seed % len(MACHINES)], random_pooling(seed, NUMBERS)
    threads = random.Random(seed).choice([1, 2, 4])
    images, gradient = random_images(p, seed), random_gradient(p, seed)
    result, back = guarded(gradient.shape, p.dtype.numpy), guarded(images.shape, p.dtype.numpy, bool(seed % 2))
    run_kernel(build_max_pool(p, machine, threads), [images, result], machine)
    np.testing.assert_array_equal(result, expected_max(p, images).astype(p.dtype.numpy), err_msg=str(p))
    back[...] = 7
    run_kernel(build_max_pool_gradient(p, machine, threads), [images, result, gradient, back], machine)
    expected = expected_max_gradient(p, images, gradient)
    np.testing.assert_array_equal(back, expected.astype(p.dtype.numpy), err_msg=str(p))


def check_average(seed: int) -> None:
    machine, p = MACHINES[seed % len(MACHINES)], random_pooling(seed, FLOATS)
    threads = random.Random(seed).choice([1, 2, 4])
    images, gradient = random_images(p, seed), random_gradient(p, seed)
    result, back = guarded(gradient.shape, p.dtype.numpy), guarded(images.shape, p.dtype.numpy, bool(seed % 2))
    run_kernel(build_average_pool(p, machine, threads), [images, result], machine)
    expected = sum(seen(p, pad(p, images.astype(np.float64), 0))) / counts(p)
    tolerance = TOLERANCE[p.dtype]
    np.testing.assert_allclose(result.astype(np.float64), expected, rtol=tolerance, atol=tolerance, err_msg=str(p))
    back[...] = 7
    run_kernel(build_average_pool_gradient(p, machine, threads), [gradient, back], machine)
    wide = pad(p, np.zeros(images.shape), 0)
    for target in seen(p, wide):
        target += gradient.astype(np.float64) / counts(p)
    np.testing.assert_allclose(
        back.astype(np.float64), crop(p, wide), rtol=4 * tolerance, atol=4 * tolerance, err_msg=str(p)
    )


CHECKS = {"max": check_max, "average": check_average}


@pytest.mark.parametrize("kind", CHECKS)
def test_random_pooling_is_right(kind):
    for seed in range(30):
        CHECKS[kind](seed)


@pytest.mark.long
@pytest.mark.parametrize("kind", CHECKS)
def test_much_random_pooling_is_right(kind):
    for seed in range(1000, 1500):
        CHECKS[kind](seed)


def test_nan_goes_through_the_maximum_and_its_gradient_nowhere():
    p, machine = Pooling(1, 4, 4, 16, (2, 2), (2, 2)), MACHINES[0]
    images = guarded((1, 4, 4, 16))
    images[0, 1, 2, 3] = np.nan
    result, back = guarded((1, 2, 2, 16)), guarded(images.shape)
    run_kernel(build_max_pool(p, machine, 1), [images, result], machine)
    assert np.isnan(result[0, 0, 1, 3]) and np.isnan(result).sum() == 1
    gradient = guarded_copy(np.ones_like(result))
    run_kernel(build_max_pool_gradient(p, machine, 1), [images, result, gradient, back], machine)
    assert back[0, :2, 2:, 3].sum() == 0 and back.sum() == gradient.size - 1


@pytest.mark.parametrize("kernel", [(2, 2), (3, 3)])
def test_bits_do_not_depend_on_threads(kernel):
    p, machine = Pooling(3, 27, 31, 40, kernel, (2, 2)), MACHINES[0]
    rng = np.random.default_rng(1)
    shape = (3, p.result_height, p.result_width, 40)
    images = guarded_copy(rng.standard_normal((3, 27, 31, 40)).astype(np.float32))
    gradient = guarded_copy(rng.standard_normal(shape).astype(np.float32))
    results = []
    for threads in (1, 2, 4):
        outputs = [guarded(shape), guarded(images.shape), guarded(shape), guarded(images.shape)]
        run_kernel(build_max_pool(p, machine, threads), [images, outputs[0]], machine)
        run_kernel(build_max_pool_gradient(p, machine, threads), [images, outputs[0], gradient, outputs[1]], machine)
        run_kernel(build_average_pool(p, machine, threads), [images, outputs[2]], machine)
        run_kernel(build_average_pool_gradient(p, machine, threads), [gradient, outputs[3]], machine)
        results.append([output.copy() for output in outputs])
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other))
