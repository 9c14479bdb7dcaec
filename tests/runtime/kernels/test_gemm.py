"""Matrix products of every shape, layout, type and plan against NumPy in double precision."""

from __future__ import annotations

import random

import numpy as np
import pytest
from kernel_running import guarded, guarded_copy, machines, run_kernel

from graphc import dtypes
from graphc.dtypes import DType
from graphc.runtime.emit.function import I64
from graphc.runtime.kernels.contraction import Contraction, ContractionOptions, dense_contraction
from graphc.runtime.kernels.gemm import build_contraction, build_panel_packing
from graphc.runtime.kernels.gemm_plan import register_tiles
from graphc.runtime.kernels.tile import Stream
from graphc.runtime.schedule.machine import Machine

TOLERANCE = {
    dtypes.float32: 3e-6,
    dtypes.float64: 1e-14,
    dtypes.float16: 2e-3,
    dtypes.bfloat16: 1.5e-2,
}
SIZES = (1, 2, 3, 5, 7, 10, 13, 15, 16, 17, 31, 32, 33, 48, 50, 63, 64, 65, 100, 128, 130, 200)
MACHINES = machines()
F32 = dtypes.float32
FUZZED = (F32, F32, dtypes.float64, F32, dtypes.float16, F32, dtypes.bfloat16, F32, dtypes.int32, dtypes.int64)


def random_array(rng: np.random.Generator, shape: tuple[int, ...], dtype: DType) -> np.ndarray:
    if dtype.is_integer:
        return rng.integers(-1000, 1000, shape).astype(dtype.numpy)
    return rng.standard_normal(shape).astype(dtype.numpy)


def laid_out(rng: np.random.Generator, rows: int, columns: int, batch: tuple[int, ...], dtype: DType, layout: str):
    """An array ending at a forbidden page, its view as [batch..., rows, columns], and the strides in elements."""
    kept = tuple(1 if layout.endswith("broadcast") else size for size in batch)
    base = layout.split("-")[0]
    if base == "rows":
        array = guarded_copy(random_array(rng, (*kept, rows, columns), dtype), rng.random() < 0.7)
        view = array
    elif base == "columns":
        array = guarded_copy(random_array(rng, (*kept, columns, rows), dtype), rng.random() < 0.7)
        view = np.swapaxes(array, -1, -2)
    elif base == "wide":
        array = guarded_copy(random_array(rng, (*kept, rows, columns + 5), dtype))
        view = array[..., 5:]
    else:  # neither axis is contiguous
        array = guarded_copy(random_array(rng, (*kept, rows, columns, 2), dtype))
        view = array[..., 1]
    view = np.broadcast_to(view, (*batch, rows, columns))
    strides = tuple(stride // array.itemsize for stride in view.strides)
    return view, strides


def check(
    contraction: Contraction,
    views: tuple[np.ndarray, np.ndarray],
    machine: Machine,
    threads: int,
    options: ContractionOptions,
    rng: np.random.Generator,
) -> np.ndarray:
    """Runs the contraction and compares with NumPy; gives the result back."""
    c, dtype = contraction, contraction.result_dtype
    order = rng.random() < 0.7
    result = guarded((*c.batch, c.rows, c.columns) if c.c_column == 1 else (*c.batch, c.columns, c.rows), dtype.numpy, order)
    result[...] = random_array(rng, result.shape, dtype)
    before = (result if c.c_column == 1 else np.swapaxes(result, -1, -2)).astype(np.float64)
    kernel = build_contraction(c, machine, threads, options=options)
    run_kernel(kernel, [*views, result], machine)
    got = result if c.c_column == 1 else np.swapaxes(result, -1, -2)
    if dtype.is_integer:
        expected = np.matmul(*views) + (before.astype(dtype.numpy) if c.accumulate else 0)
        np.testing.assert_array_equal(got, expected, err_msg=kernel.schedule)
        return got.copy()
    expected = np.matmul(*(view.astype(np.float64) for view in views)) + (before if c.accumulate else 0)
    scale = np.matmul(*(abs(view.astype(np.float64)) for view in views)) + 1
    worst = np.max(abs(got.astype(np.float64) - expected) / scale, initial=0)
    assert worst < TOLERANCE[dtype], (c, kernel.schedule, worst)
    return got.copy()


def random_contraction(seed: int, largest: int, dtype: DType):
    rng, pick = np.random.default_rng(seed), random.Random(seed)
    sizes = [size for size in SIZES if size <= largest]
    rows, columns, depth = pick.choice(sizes), pick.choice(sizes), pick.choice([*sizes, 300] if largest > 100 else sizes)
    batch = pick.choice([(), (), (3,), (2, 1, 3)])
    layouts = ["rows", "columns", "wide", "strided", "rows-broadcast", "columns-broadcast"]
    a, a_strides = laid_out(rng, rows, depth, batch, dtype, pick.choice(layouts))
    b, b_strides = laid_out(rng, depth, columns, batch, dtype, pick.choice(layouts))
    size = rows * columns
    rank = len(batch)
    c_batch = tuple(size * int(np.prod(batch[i + 1 :])) for i in range(rank))
    turned = pick.random() < 0.25
    contraction = Contraction(
        rows,
        columns,
        depth,
        *a_strides[rank:],
        *b_strides[rank:],
        *((1, rows) if turned else (columns, 1)),
        batch=batch,
        a_batch=a_strides[:rank],
        b_batch=b_strides[:rank],
        c_batch=c_batch,
        dtype=dtype,
        accumulate=pick.random() < 0.3,
    )
    return contraction, (a, b), rng, pick


def random_options(pick: random.Random, contraction: Contraction, machine: Machine) -> ContractionOptions:
    if pick.random() < 0.4:
        return ContractionOptions()
    c = contraction
    swap = pick.choice([None, False, True])
    rights = [None, "packed"]
    lefts = [None, "direct", "rows"]
    if swap is not None:
        left_stride, right_stride = (c.b_column, c.a_row) if swap else (c.a_row, c.b_column)
        rights += ["direct", "fused"] if right_stride == 1 else []
        lefts += ["interleaved"] if left_stride == 1 else []
    return ContractionOptions(
        tile=pick.choice([None, *register_tiles(machine)]),
        swap=swap,
        left_packing=pick.choice(lefts),
        right_packing=pick.choice(rights),
        depth_block=pick.choice([None, 16, 64]),
        row_block=pick.choice([None, 1, 2]),
        panel_block=pick.choice([None, 1, 2]),
        grid=pick.choice([None, (1, 2, 2), (2, 3, 1), (3, 1, 5)]),
        unroll=pick.choice([1, 3]),
        prefetch=pick.choice([0, 8]),
    )


def fuzz(first: int, count: int, largest: int) -> None:
    for seed in range(first, first + count):
        machine = MACHINES[seed % len(MACHINES)]
        dtype = FUZZED[seed % len(FUZZED)]
        contraction, views, rng, pick = random_contraction(seed, largest, dtype)
        check(contraction, views, machine, pick.choice([1, 2, 4]), random_options(pick, contraction, machine), rng)


def test_random_products_are_right():
    fuzz(0, 40, 65)


@pytest.mark.long
@pytest.mark.parametrize("part", range(40))
def test_many_random_products_are_right(part):
    fuzz(1000 + 100 * part, 100, 200)


def fuzz_matrix_vector(first: int, count: int) -> None:
    for seed in range(first, first + count):
        rng, pick = np.random.default_rng(seed), random.Random(seed)
        dtype, batch = FUZZED[seed % len(FUZZED)], pick.choice([(), (3,), (2, 2)])
        size, depth = pick.choice([1, 2, 7, 8, 9, 15, 16, 17, 33, 40]), pick.choice([1, 16, 17, 33, 64, 127, 300])
        rows, columns = (1, size) if pick.random() < 0.5 else (size, 1)
        a, a_strides = laid_out(rng, rows, depth, batch, dtype, pick.choice(["rows", "wide", "rows-broadcast"]))
        b, b_strides = laid_out(rng, depth, columns, batch, dtype, pick.choice(["columns", "columns-broadcast"]))
        rank = len(batch)
        contraction = Contraction(
            rows,
            columns,
            depth,
            a_row=a_strides[rank],
            a_column=1,
            b_row=1,
            b_column=b_strides[rank + 1],
            c_row=columns,
            batch=batch,
            a_batch=a_strides[:rank],
            b_batch=b_strides[:rank],
            c_batch=tuple(size * int(np.prod(batch[i + 1 :])) for i in range(rank)),
            dtype=dtype,
            accumulate=pick.random() < 0.4,
        )
        check(contraction, (a, b), MACHINES[seed % len(MACHINES)], pick.choice([1, 2, 4]), ContractionOptions(), rng)


def test_random_matrix_vector_products_are_right():
    fuzz_matrix_vector(0, 30)


@pytest.mark.long
def test_many_random_matrix_vector_products_are_right():
    fuzz_matrix_vector(100, 500)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda m: m.name)
def test_bits_do_not_depend_on_the_plan(machine):
    rng = np.random.default_rng(3)
    a, b = guarded_copy(random_array(rng, (70, 150), F32)), guarded_copy(random_array(rng, (150, 90), F32))
    results = []
    for threads, options in (
        (1, {}),
        (2, {}),
        (4, {}),
        (1, {"depth_block": 32, "row_block": 1, "panel_block": 1}),
        (1, {"swap": True, "left_packing": "rows"}),
        (1, {"tile": (6, 2), "right_packing": "packed"}),
        (1, {"tile": (3, 1), "grid": (1, 5, 3), "unroll": 4}),
    ):
        result = guarded((70, 90))
        kernel = build_contraction(dense_contraction(70, 90, 150), machine, threads, options=ContractionOptions(**options))
        run_kernel(kernel, [a, b, result], machine)
        results.append(result.copy())
    assert all(np.array_equal(result, results[0]) for result in results)


class BiasReluPair:
    """relu(sum + bias) in one array and the sum itself, transposed, in another; then a residual is added in place."""

    operand_count = 4

    def __init__(self, rows: int, columns: int):
        self.rows, self.columns = rows, columns
        self.streams = [Stream(3, F32, columns, (rows * columns,))]

    def emit(self, function, tile):
        bias, activated, transposed, residual = tile.operands
        size, batch_size = self.columns, self.rows * self.columns
        for r, row in enumerate(tile.values):
            for j, value in enumerate(row):
                total = function.fadd(value, tile.load(bias, F32, r, j, 0))
                tile.store(function.max_keep_nan(total, 0.0), activated, F32, r, j, size, (batch_size,))
                place = tile.address(transposed, F32, r, j, 1, self.rows, (batch_size,))
                for lane in range(tile.valid_lanes(j)):
                    function.store(function.extract(value, lane), function.offset(place, lane * self.rows, "float"))
                old = tile.load(residual, F32, r, j, size, (batch_size,))
                tile.store(function.fadd(old, total), residual, F32, r, j, size, (batch_size,))


@pytest.mark.parametrize("machine", MACHINES, ids=lambda m: m.name)
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("depth", [0, 9, 40, 203])
def test_epilogue_sees_finished_sums(machine, swap, depth):
    rng = np.random.default_rng(depth)
    for rows, columns in ((1, 1), (20, 37), (33, 16)):
        a, b = random_array(rng, (2, rows, depth), F32), random_array(rng, (2, depth, columns), F32)
        bias, residual = random_array(rng, (columns,), F32), random_array(rng, (2, rows, columns), F32)
        outputs = [guarded((2, rows, columns)), guarded((2, columns, rows)), guarded_copy(residual)]
        options = ContractionOptions(swap=swap, depth_block=16 if depth == 40 else None)
        contraction = dense_contraction(rows, columns, depth, batch=(2,))
        kernel = build_contraction(contraction, machine, 2, BiasReluPair(rows, columns), options)
        run_kernel(kernel, [guarded_copy(a), guarded_copy(b), guarded_copy(bias), *outputs], machine)
        product = a.astype(np.float64) @ b.astype(np.float64)
        np.testing.assert_allclose(outputs[0], np.maximum(product + bias, 0), atol=5e-5)
        np.testing.assert_allclose(outputs[1], np.swapaxes(product, 1, 2), atol=5e-5)
        np.testing.assert_allclose(outputs[2], residual + product + bias, atol=5e-5)


class Coordinates:
    """Stores row * 1000 + column + 100000 * batch, without looking at the sums."""

    operand_count = 1
    streams = ()

    def __init__(self, rows: int, columns: int):
        self.rows, self.columns = rows, columns

    def emit(self, function, tile):
        for r in range(tile.row_count):
            for j in range(tile.vector_count):
                code = function.add(function.mul(tile.row(r), 1000), tile.column(j))
                code = function.coerce(function.add(code, function.mul(tile.batch[0], 100000)), I64)
                lanes = function.binary("add", function.splat(code, tile.lanes), function.iota(tile.lanes))
                tile.store(lanes, tile.operands[0], dtypes.int64, r, j, self.columns, (self.rows * self.columns,))


@pytest.mark.parametrize("swap", [False, True])
def test_tile_knows_where_it_lies(swap):
    machine, rows, columns = MACHINES[0], 45, 70
    a, b, out = guarded((3, rows, 8)), guarded((3, 8, columns)), guarded((3, rows, columns), np.int64)
    kernel = build_contraction(
        dense_contraction(rows, columns, 8, batch=(3,)), machine, 2, Coordinates(rows, columns), ContractionOptions(swap=swap)
    )
    run_kernel(kernel, [a, b, out], machine)
    batch, row, column = np.indices(out.shape)
    np.testing.assert_array_equal(out, row * 1000 + column + 100000 * batch)


@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("machine", MACHINES, ids=lambda m: m.name)
def test_prepacked_operand(machine, transpose_b):
    rng = np.random.default_rng(5)
    rows, columns, depth = 37, 75, 50
    a, b = random_array(rng, (rows, depth), F32), random_array(rng, (depth, columns), F32)
    contraction = dense_contraction(rows, columns, depth, transpose_b=transpose_b)
    for options in (ContractionOptions(), ContractionOptions(depth_block=16)):
        packing, size = build_panel_packing(contraction, machine, 2, options)
        packed = guarded(size // 4)
        run_kernel(packing, [guarded_copy(b.T.copy() if transpose_b else b), packed], machine)
        options = ContractionOptions(right_packing="prepacked", depth_block=options.depth_block)
        result = guarded((rows, columns))
        run_kernel(build_contraction(contraction, machine, 2, options=options), [guarded_copy(a), packed, result], machine)
        np.testing.assert_allclose(result, a.astype(np.float64) @ b, atol=2e-5)


@pytest.mark.parametrize("shape", [(0, 3, 4), (3, 0, 4), (0, 0, 0)])
def test_empty_results_need_no_work(shape):
    kernel = build_contraction(dense_contraction(*shape), MACHINES[0], 2)
    run_kernel(kernel, [guarded(1), guarded(1), guarded(1)], MACHINES[0])


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("turned", [False, True])
def test_no_products_give_zeros(accumulate, turned):
    result = guarded((5, 37))
    result[...] = 2
    contraction = dense_contraction(5, 37, 0, accumulate=accumulate)
    if turned:
        contraction = Contraction(37, 5, 0, 1, 1, 1, 1, c_row=1, c_column=37, accumulate=accumulate)
    run_kernel(build_contraction(contraction, MACHINES[0], 1), [guarded(1), guarded(1), result], MACHINES[0])
    assert (result == (2 if accumulate else 0)).all()


def test_wrong_strides_are_refused():
    with pytest.raises(ValueError, match="a_batch has 0 strides for 1 batch sizes"):
        Contraction(2, 2, 2, 2, 1, 2, 1, 2, batch=(3,))
    with pytest.raises(ValueError, match="precision"):
        dense_contraction(2, 2, 2, precision="f8")
