"""Winograd's convolution and gradients: against sums in double precision, at every border, machine and number of threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from convolution_reference import KINDS, arrays, filter_gradient, forward, input_gradient
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_running import machines, run_sequence

from graphc import dtypes
from graphc.runtime.emit.function import Function, Module
from graphc.runtime.kernels.convolution import Convolution, forward_axis
from graphc.runtime.kernels.convolution_kernels import (
    build_convolution,
    build_convolution_filter_gradient,
    build_convolution_input_gradient,
)
from graphc.runtime.kernels.sequence import KernelSequence
from graphc.runtime.kernels.winograd import WinogradProblem, result_spans
from graphc.runtime.kernels.winograd_regions import split_regions
from graphc.runtime.kernels.winograd_tiles import tiles_inside
from graphc.runtime.kernels.winograd_transforms import TRANSFORMS
from graphc.runtime.schedule.machine import Machine

MACHINES = machines()
TILED = ("forward", "input", "filter")


@st.composite
def tiled_convolutions(draw, largest: int = 13) -> Convolution:
    """Whatever tiles can do, with all borders."""
    number = st.integers
    padding = draw(st.sampled_from([(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 0, 1), (2, 1, 0, 2), (4, 4, 4, 4)]))
    height = draw(number(max(1, 3 - padding[0] - padding[1]), largest))
    width = draw(number(max(1, 3 - padding[2] - padding[3]), largest))
    channels, filters = (draw(st.sampled_from([1, 2, 3, 5, 8, 15, 16, 17, 32, 40])) for _ in range(2))
    images = draw(st.sampled_from([1, 2, 3, 5, 8, 9]))
    method = draw(st.sampled_from(["winograd", "winograd", "winograd3", "winograd4", "fast"]))
    return Convolution(images, height, width, channels, 3, 3, filters, (1, 1), padding, method=method)


def schedule(build: Callable[..., KernelSequence], c: Convolution, machine: Machine = MACHINES[0], **changes: Any) -> str:
    """Of the kernel that takes the products; `changes` are made to the convolution."""
    steps = build(replace(c, **changes), machine, 2).steps
    return max((step.kernel for step in steps), key=lambda kernel: kernel.flops).schedule


@pytest.mark.parametrize("kind", TILED)
@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_shapes_of_every_border(kind, machine):
    @settings(max_examples=12, deadline=None, derandomize=True)
    @given(tiled_convolutions(), st.sampled_from([1, 2, 4]), st.integers(0, 99))
    def run(c, threads, seed):
        KINDS[kind](c, seed, machine, threads)

    run()


@pytest.mark.long
@pytest.mark.parametrize("kind", TILED)
@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_many_shapes_of_every_border(kind, machine):
    @settings(max_examples=150, deadline=None)
    @given(tiled_convolutions(largest=30), st.sampled_from([1, 2, 4]), st.integers(0, 99))
    def run(c, threads, seed):
        KINDS[kind](c, seed, machine, threads)

    run()


@pytest.mark.parametrize("kind", TILED)
@pytest.mark.parametrize(
    "shape", [(32, 13, 13, 32, 64, 0), (9, 13, 13, 32, 64, 1), (1, 40, 31, 24, 40, 1), (3, 9, 8, 200, 17, 1)]
)
def test_bits_do_not_depend_on_threads(kind, shape):
    images, height, width, channels, filters, around = shape
    c = Convolution(images, height, width, channels, 3, 3, filters, padding=(around,) * 4, method="winograd")
    results = [KINDS[kind](c, 3, MACHINES[0], threads) for threads in (1, 2, 4)]
    assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2])


@pytest.mark.parametrize("around", [0, 1])
def test_small_integers_are_exact(around):
    c = Convolution(9, 11, 10, 20, 3, 3, 18, padding=(around,) * 4, method="winograd")
    rng, machine = np.random.default_rng(0), MACHINES[0]
    images, filters, gradient = (rng.integers(-8, 9, a.shape).astype(np.float32) for a in arrays(c, 0))
    for build, operands, expected in (
        (build_convolution, [images, filters], forward(c, images, filters)),
        (build_convolution_input_gradient, [gradient, filters], input_gradient(c, gradient, filters)),
        (build_convolution_filter_gradient, [images, gradient], filter_gradient(c, images, gradient)),
    ):
        result = np.empty(expected.shape, np.float32)
        run_sequence(build(c, machine, 2), [*operands, result], machine)
        assert np.array_equal(result, expected)


def test_results_depend_on_what_the_direct_sum_reads_alone():
    c = Convolution(1, 12, 12, 16, 3, 3, 16, method="winograd")
    images, filters, _ = arrays(c, 0)
    images[0, 8:] = 0
    images[0, 5, 5, 3] = np.inf
    result = np.empty((1, 10, 10, 16), np.float32)
    run_sequence(build_convolution(c, MACHINES[0], 1), [images, filters, result], MACHINES[0])
    finite = np.isfinite(result).all(axis=(0, 3))
    assert not finite[3:6, 3:6].any() and finite.sum() == 100 - 9
    assert not result[0, 8:].any()


@pytest.mark.parametrize("terms", [1, 40])
@pytest.mark.parametrize("shape", [(2, 7, 8, 5, 19), (1, 3, 3, 16, 32), (4, 6, 5, 33, 70)])
def test_epilogues_in_registers_and_after(terms, shape):
    images, height, width, channels, filters = shape
    c = Convolution(images, height, width, channels, 3, 3, filters, padding=(1, 1, 0, 0), method="winograd")
    for machine in MACHINES:
        KINDS["forward"].check_epilogue(c, machine, terms)


@pytest.mark.parametrize("terms", [1, 40])
@pytest.mark.parametrize("shape", [(8, 7, 8, 19, 5), (9, 3, 3, 32, 16), (11, 6, 9, 70, 33)])
def test_epilogues_of_scattered_gradients(terms, shape):
    images, height, width, channels, filters = shape
    c = Convolution(images, height, width, channels, 3, 3, filters, method="winograd")
    for machine in MACHINES:
        KINDS["input"].check_epilogue(c, machine, terms)


@pytest.mark.parametrize("terms", [1, 40])
@pytest.mark.parametrize("shape", [(2, 7, 8, 5, 19), (1, 3, 3, 16, 32), (40, 6, 9, 33, 70)])
def test_epilogues_of_the_filters_gradient(terms, shape):
    images, height, width, channels, filters = shape
    c = Convolution(images, height, width, channels, 3, 3, filters, padding=(1, 1, 0, 0), method="winograd")
    for machine in MACHINES:
        KINDS["filter"].check_epilogue(c, machine, terms)


def test_what_is_chosen():
    deep = Convolution(16, 28, 28, 64, 3, 3, 64, padding=(1, 1, 1, 1))
    for build in (build_convolution, build_convolution_input_gradient, build_convolution_filter_gradient):
        assert all(schedule(build, deep, machine).startswith("winograd tiles of 2x2") for machine in MACHINES)
        assert schedule(build, deep, method="fast").startswith("winograd tiles of 4x4")
        assert schedule(build, deep, channels=1, filters=1, method="fast").startswith("tile")
        for other in ({"strides": (2, 2)}, {"dilations": (1, 2)}, {"kernel_width": 1}, {"dtype": dtypes.float64}):
            assert "winograd" not in schedule(build, deep, method="winograd", **other), other
        assert "winograd" not in schedule(build, deep, method="direct")
        assert "winograd" not in schedule(build, deep, images=1, height=4, width=4)
    assert "winograd" not in schedule(build_convolution, deep, channels=3)


def test_gradients_of_images_without_padding_are_scattered():
    c = Convolution(32, 13, 13, 32, 3, 3, 64)
    assert "scattered" in schedule(build_convolution_input_gradient, c)
    assert "scattered" not in schedule(build_convolution_input_gradient, c, images=1)
    assert "scattered" not in schedule(build_convolution_input_gradient, c, padding=(1, 1, 1, 1))
    assert "scattered" not in schedule(build_convolution_input_gradient, c, height=200, width=200, method="winograd")


def test_the_choice_does_not_depend_on_threads():
    c = Convolution(8, 14, 14, 32, 3, 3, 32, padding=(1, 1, 1, 1))
    texts = {len(build_convolution(c, MACHINES[0], threads).steps) for threads in (1, 2, 3, 8, 64)}
    assert texts == {2}


def test_flops_are_those_of_the_direct_sum():
    c = Convolution(2, 9, 9, 32, 3, 3, 32)
    flops = [build_convolution(replace(c, method=m), MACHINES[0], 1).steps[-1].kernel.flops for m in ("direct", "winograd")]
    assert flops[0] == flops[1] == c.flops


def test_unknown_methods():
    with pytest.raises(ValueError, match="method is direct, fast, winograd"):
        Convolution(1, 3, 3, 1, 3, 3, 1, method="fft")


@pytest.mark.parametrize("outputs", TRANSFORMS)
def test_transforms_make_convolutions_and_their_gradients(outputs):
    """outputs = A^T [(G taps) * (B^T inputs)]; the same matrices turned about give both gradients."""
    t, rng = TRANSFORMS[outputs], np.random.default_rng(1)
    b, g, a = (np.array(matrix) for matrix in (t.inputs, t.taps, t.results))
    assert (len(b), g.shape, a.shape) == (outputs + 2, (outputs + 2, 3), (outputs, outputs + 2))
    for _ in range(20):
        inputs, taps, results = rng.integers(-9, 10, t.width), rng.integers(-9, 10, 3), rng.integers(-9, 10, outputs)
        assert np.allclose(a @ ((g @ taps) * (b @ inputs)), np.correlate(inputs, taps, "valid"))
        assert np.allclose(b.T @ ((g @ taps) * (a.T @ results)), np.convolve(results, taps))
        assert np.allclose(g.T @ ((b @ inputs) * (a.T @ results)), np.correlate(inputs, results, "valid"))


@pytest.mark.parametrize("shape", [(9, 11, 11), (8, 7, 8), (8, 8, 9), (8, 8, 8), (20, 3, 5), (8, 1, 7), (2, 7, 7)])
def test_regions_hold_every_tile_once(shape):
    images, height, width = shape
    axes = forward_axis(height, 3, 1, 1, (1, 1)), forward_axis(width, 3, 1, 1, (1, 1))
    problem = WinogradProblem(images, *axes, 16, 16, TRANSFORMS[2])
    regions, function = split_regions(problem), Function(Module(), "none", [])
    places = [(r, r.walk().place(function, tile)) for r in regions for tile in range(r.tiles)]
    assert sorted(place for _, place in places) == list(np.ndindex(*problem.tile_grid))
    for region, (_, i, j) in places:
        lacks = [2 * (tile + 1) > size for tile, size in ((i, height), (j, width))]
        assert all(points == 4 or lack for points, lack in zip(region.points, lacks))
    assert regions[0].points == (4, 4) and (len(regions) == 1) == (images < 8 or all(n % 2 == 0 or n == 1 for n in shape[1:]))


def test_borders_of_small_odd_images_are_taken_apart():
    c = Convolution(32, 5, 5, 64, 3, 3, 64)
    assert "borders apart" in schedule(build_convolution, c) and "2x2" in schedule(build_convolution_filter_gradient, c)
    assert "borders apart" not in schedule(build_convolution, c, images=4, method="winograd")
    for kind in TILED:
        results = [KINDS[kind](replace(c, images=9, method="winograd"), 1, MACHINES[0], threads) for threads in (1, 3)]
        assert np.array_equal(*results)


def test_gradients_of_taps_that_meet_padding_alone_are_zero():
    c = Convolution(16, 1, 40, 32, 3, 3, 32, padding=(1, 1, 1, 1), method="winograd")
    assert "winograd" not in schedule(build_convolution_filter_gradient, c)
    result = KINDS["filter"](c, 2, MACHINES[0], 2)
    assert not result[0].any() and not result[2].any() and result[1].any()


def test_spans_cover_what_lies_inside():
    for size, before, after in [(1, 1, 1), (5, 0, 0), (6, 1, 1), (7, 4, 4), (2, 2, 9)]:
        axis = forward_axis(size, 3, 1, 1, (before, after))
        tiles = -(-axis.outputs // 2)
        (first, end, count), ends = tiles_inside(axis, 2, 4), result_spans(axis, 2)
        assert count == ends[-1][0] == tiles
        for tile in range(tiles):
            inside = [p for p in range(4) if 0 <= tile * 2 - before + p < size]
            assert (first <= tile < end) == (len(inside) == 4)
            assert next(count for end, count in ends if tile < end) == min(2, axis.outputs - 2 * tile)
