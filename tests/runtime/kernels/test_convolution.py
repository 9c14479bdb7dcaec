"""Convolutions and their gradients against sums over taps in double precision."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
from convolution_reference import F32, KINDS
from kernel_running import machines

from graphc import dtypes
from graphc.runtime.kernels.convolution import Convolution, forward_axis, gradient_axes
from graphc.runtime.kernels.convolution_kernels import (
    build_convolution,
    build_convolution_filter_gradient,
    build_convolution_input_gradient,
)
from graphc.runtime.schedule.machine import AVX512

MACHINES = machines()
DTYPES = (F32, F32, F32, dtypes.float64, F32, dtypes.float16, F32, dtypes.bfloat16)


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


def few_channels(seed: int) -> Convolution:
    """Images of few channels, whose gradients are scattered."""
    pick = random.Random(seed)
    c = random_convolution(seed, 24)
    wide = max(c.width, (c.kernel_width - 1) * c.dilations[1] + 1 + 10 * c.strides[1])
    return replace(c, images=pick.choice([1, 2, 3]), width=wide, channels=pick.choice([1, 1, 2, 3, 4, 7]))


def is_scattered(c: Convolution, machine, threads: int) -> bool:
    return "scattered; " in build_convolution_input_gradient(c, machine, threads).steps[-1].kernel.schedule


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_gradients_of_few_channels_are_right(threads):
    scattered = 0
    for seed in range(16):
        machine, c = MACHINES[seed % len(MACHINES)], few_channels(seed)
        scattered += is_scattered(c, machine, threads)
        KINDS["input"](c, seed, machine, threads)
    assert scattered >= 4


@pytest.mark.long
def test_many_gradients_of_few_channels_are_right():
    for seed in range(100, 500):
        KINDS["input"](few_channels(seed), seed, MACHINES[seed % len(MACHINES)], random.Random(seed).choice([1, 2, 4]))


@pytest.mark.parametrize("images", [1, 3])
def test_bits_of_scattered_gradients_do_not_depend_on_threads(images):
    c = Convolution(images, 37, 41, 3, 5, 5, 32, (2, 1), (2, 1, 1, 2))
    assert is_scattered(c, AVX512, 2)
    results = [KINDS["input"](c, 3, MACHINES[0], threads) for threads in (1, 2, 3, 4)]
    assert all(np.array_equal(results[0], result) for result in results[1:])


def test_gradients_of_images_that_no_window_sees_are_zero():
    c = Convolution(2, 1, 1, 5, 1, 1, 7, (3, 2), (1, 1, 1, 1))
    assert not KINDS["input"](c, 0, MACHINES[0], 1).any()


def test_gradients_with_taps_that_only_see_padding_are_right():
    for machine in MACHINES:
        KINDS["input"](Convolution(9, 1, 2, 33, 3, 5, 40, padding=(1, 1, 2, 2)), 0, machine, 2)


def few_filters(seed: int) -> Convolution:
    """Convolutions of stride 1 whose filters do not fill a vector: they are computed by way of their mirror images."""
    pick = random.Random(seed)
    c = replace(random_convolution(seed, 24), strides=(1, 1), channels=pick.choice([5, 16, 17, 32]))
    reach = ((c.kernel_height - 1) * c.dilations[0], (c.kernel_width - 1) * c.dilations[1])
    padding = tuple(pick.randint(0, end) for end in reach for _ in range(2))
    height, width = c.height + reach[0], c.width + reach[1] + 10
    images, filters = pick.choice([1, 2, 3]), pick.choice([1, 1, 2, 3, 4, 7])
    return replace(c, images=images, height=height, width=width, filters=filters, padding=padding)


def is_mirrored(build, c: Convolution, machine, threads: int) -> bool:
    return any(step.kernel.family == "filter_mirroring" for step in build(c, machine, threads).steps)


@pytest.mark.parametrize("kind, build", [("forward", build_convolution), ("filter", build_convolution_filter_gradient)])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_convolutions_of_few_filters_are_right(kind, build, threads):
    mirrored = 0
    for seed in range(16):
        machine, c = MACHINES[seed % len(MACHINES)], few_filters(seed)
        mirrored += is_mirrored(build, c, machine, threads)
        KINDS[kind](c, seed, machine, threads)
    assert mirrored >= 4


@pytest.mark.long
@pytest.mark.parametrize("kind", ["forward", "filter"])
def test_many_convolutions_of_few_filters_are_right(kind):
    for seed in range(100, 400):
        KINDS[kind](few_filters(seed), seed, MACHINES[seed % len(MACHINES)], random.Random(seed).choice([1, 2, 4]))


@pytest.mark.parametrize("kind, build", [("forward", build_convolution), ("filter", build_convolution_filter_gradient)])
def test_bits_of_mirrored_convolutions_do_not_depend_on_threads(kind, build):
    c = Convolution(1, 37, 41, 40, 5, 5, 3, padding=(2, 1, 1, 2))
    assert is_mirrored(build, c, AVX512, 2)
    results = [KINDS[kind](c, 3, MACHINES[0], threads) for threads in (1, 2, 3, 4)]
    assert all(np.array_equal(results[0], result) for result in results[1:])


@pytest.mark.parametrize("terms", [1, 40])
def test_epilogues_of_mirrored_convolutions(terms):
    c = Convolution(2, 18, 23, 32, 3, 5, 3, padding=(1, 1, 2, 0))
    for kind in (KINDS["forward"], KINDS["filter"]):
        assert is_mirrored(kind.build, c, AVX512, 2)
        for machine in MACHINES:
            kind.check_epilogue(c, machine, terms)


@pytest.mark.parametrize("terms", [1, 40])
@pytest.mark.parametrize("shape", [(2, 9, 23, 1, 16), (1, 8, 24, 3, 9), (3, 7, 40, 6, 32)])
def test_epilogues_of_gradients_of_few_channels(terms, shape):
    images, height, width, channels, filters = shape
    c = Convolution(images, height, width, channels, 5, 5, filters, padding=(2, 2, 2, 2))
    assert is_scattered(c, AVX512, 2)
    for machine in MACHINES:
        KINDS["input"].check_epilogue(c, machine, terms)
