"""Matrix products that compute an operand from what lies in memory, for every plan, against NumPy in double precision."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from kernel_running import guarded, guarded_copy, machines, run_kernel

from graphc.dtypes import DType, bool_, float16, float32, float64, int16, int64, uint8
from graphc.runtime.emit.expressions import VectorScalars
from graphc.runtime.emit.function import Function, Value
from graphc.runtime.emit.vectors import TypedValue
from graphc.runtime.kernels.contraction import Contraction, ContractionOptions, Prologue, dense_contraction
from graphc.runtime.kernels.gemm import build_contraction
from graphc.runtime.schedule.machine import Machine

MACHINES = machines()
SOURCES = (uint8, bool_, int16, float16, float32, float64, int64)
SHAPES = [(100, 10, 37), (33, 3, 200), (17, 20, 16), (5, 70, 131), (64, 33, 1)]


@dataclass(frozen=True, eq=False)
class Affine:
    """2 x + 3 as f32, which is not 0 where nothing was loaded."""

    dtype: DType
    machine: Machine

    def emit(self, function: Function, value: TypedValue) -> Value:
        scalars = VectorScalars(function, self.machine)
        return scalars.add(scalars.mul(scalars.cast(value, float32), 2.0), 3.0)


def random_source(rng: np.random.Generator, shape: tuple[int, ...], dtype: DType) -> np.ndarray:
    if dtype.is_floating:
        return rng.standard_normal(shape).astype(dtype.numpy)
    return rng.integers(0, 2 if dtype.is_bool else 100, shape).astype(dtype.numpy)


def run_product(
    contraction: Contraction, machine: Machine, options: ContractionOptions, operand: int, dtype: DType, seed: int = 0,
    threads: int = 1,
) -> np.ndarray:  # fmt: skip
    """The product with a prologue on one operand, compared with NumPy."""
    c, rng = contraction, np.random.default_rng(seed)
    a_shape = (c.rows, c.depth) if c.a_column == 1 else (c.depth, c.rows)
    b_shape = (c.depth, c.columns) if c.b_column == 1 else (c.columns, c.depth)
    arrays = [random_source(rng, (*c.batch, *shape), float32) for shape in (a_shape, b_shape)]
    arrays[operand] = random_source(rng, arrays[operand].shape, dtype)
    prologues: list[Prologue | None] = [None, None]
    prologues[operand] = Affine(dtype, machine)
    kernel = build_contraction(replace(c, prologues=tuple(prologues)), machine, threads, options=options)
    result = guarded((*c.batch, c.rows, c.columns))
    run_kernel(kernel, [*(guarded_copy(array, seed % 2 == 0) for array in arrays), result], machine)
    values = [array.astype(np.float64) for array in arrays]
    values[operand] = (2 * values[operand] + 3).astype(np.float32).astype(np.float64)
    a = values[0] if c.a_column == 1 else values[0].swapaxes(-1, -2)
    b = values[1] if c.b_column == 1 else values[1].swapaxes(-1, -2)
    worst = np.max(np.abs(result - a @ b) / (np.abs(a) @ np.abs(b) + 1))
    assert worst < 3e-6, (kernel.schedule, worst)
    return result.copy()


@pytest.mark.parametrize("machine", MACHINES, ids=str)
@pytest.mark.parametrize("dtype", SOURCES, ids=str)
@pytest.mark.parametrize("operand", [0, 1])
@pytest.mark.parametrize("layout", ["", "a", "b", "ab"])
def test_operands_of_any_type_are_computed(machine, dtype, operand, layout):
    for number, sizes in enumerate(SHAPES):
        contraction = dense_contraction(*sizes, transpose_a="a" in layout, transpose_b="b" in layout)
        run_product(contraction, machine, ContractionOptions(), operand, dtype, number)


@pytest.mark.parametrize("machine", MACHINES, ids=str)
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("left", ["rows", "interleaved"])
@pytest.mark.parametrize("right", ["direct", "fused", "packed"])
def test_every_packing_computes_the_same_bits(machine, swap, left, right):
    """A goes down the tiles and B along the vectors, or, with `swap`, the other way; both lie so that every packing can be."""
    contraction = dense_contraction(50, 37, 70, transpose_a=True)
    for operand in (0, 1):
        usual = run_product(contraction, machine, ContractionOptions(), operand, uint8)
        options = ContractionOptions(swap=swap, left_packing=left, right_packing=right)
        np.testing.assert_array_equal(run_product(contraction, machine, options, operand, uint8), usual)
        blocked = replace(options, depth_block=32, row_block=1, panel_block=1, grid=(1, 2, 2))
        np.testing.assert_array_equal(run_product(contraction, machine, blocked, operand, uint8), usual)


@pytest.mark.parametrize("machine", MACHINES, ids=str)
def test_threads_and_batches_leave_the_bits(machine):
    contraction = dense_contraction(150, 9, 130, batch=(3,))
    results = [
        run_product(contraction, machine, ContractionOptions(), 0, uint8, 1, threads) for threads in (1, 2, 4)
    ]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_both_operands_are_computed():
    machine = MACHINES[0]
    prologues = (Affine(uint8, machine), Affine(float16, machine))
    contraction = replace(dense_contraction(40, 12, 50), prologues=prologues)
    rng = np.random.default_rng(3)
    a, b = random_source(rng, (40, 50), uint8), random_source(rng, (50, 12), float16)
    result = guarded((40, 12))
    run_kernel(build_contraction(contraction, machine, 1), [guarded_copy(a), guarded_copy(b), result], machine)
    expected = (2.0 * a + 3) @ (2 * b.astype(np.float64) + 3)
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_what_is_broadcast_where_it_lies_has_no_prologue():
    machine = MACHINES[0]
    contraction = replace(dense_contraction(40, 32, 50), prologues=(Affine(uint8, machine), None))
    with pytest.raises(ValueError, match="no prologue"):
        build_contraction(contraction, machine, 1, options=ContractionOptions(swap=False, left_packing="direct"))
