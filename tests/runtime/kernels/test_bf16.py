"""Products in bf16: by pairs, on matrix tiles (emulated where the host has none) and in plain code."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from kernel_running import guarded, machines, run_kernel
from matrix_tile_emulation import emulate_matrix_tiles
from test_gemm import SIZES, laid_out

from graphc import dtypes
from graphc.runtime.jit.target import compile_object
from graphc.runtime.kernels.contraction import Contraction, ContractionOptions, dense_contraction
from graphc.runtime.kernels.gemm import build_contraction, build_panel_packing
from graphc.runtime.schedule.machine import AVX512, Machine, host_machine

HOST = host_machine()
MACHINES = machines()
needs_pairs = pytest.mark.skipif(not HOST.has_avx512_bf16, reason="the host has no bf16 dot products")
needs_avx512 = pytest.mark.skipif(not HOST.has_avx512, reason="the host has no AVX-512")
MATRIX_TILES = replace(AVX512, name="amx", features=AVX512.features + ",+amx-tile,+amx-bf16", has_amx_bf16=True)


def rounded(values: np.ndarray) -> np.ndarray:
    return values.astype(dtypes.bfloat16.numpy).astype(np.float64)


def random_case(seed: int, largest: int):
    rng, pick = np.random.default_rng(seed), random.Random(seed)
    sizes = [size for size in SIZES if size <= largest]
    rows, columns, depth = pick.choice(sizes), pick.choice(sizes), pick.choice(sizes)
    dtype = pick.choice([dtypes.float32, dtypes.bfloat16])
    batch = pick.choice([(), (), (2,)])
    layouts = ["rows", "columns", "wide", "strided", "rows-broadcast"]
    a, a_strides = laid_out(rng, rows, depth, batch, dtype, pick.choice(layouts))
    b, b_strides = laid_out(rng, depth, columns, batch, dtype, pick.choice(layouts))
    rank = len(batch)
    contraction = Contraction(
        rows,
        columns,
        depth,
        *a_strides[rank:],
        *b_strides[rank:],
        columns,
        batch=batch,
        a_batch=a_strides[:rank],
        b_batch=b_strides[:rank],
        c_batch=(rows * columns,) * rank,
        dtype=dtype,
        result=dtypes.float32,
        precision="bf16" if dtype == dtypes.float32 else "",
    )
    options = ContractionOptions(
        swap=pick.choice([None, None, False, True]),
        depth_block=pick.choice([None, None, 16, 32]),
        row_block=pick.choice([None, 1]),
        panel_block=pick.choice([None, 1]),
        grid=pick.choice([None, (1, 2, 2)]),
    )
    return contraction, a, b, options, pick.choice([1, 2, 4])


def check(seed: int, machine: Machine, largest: int) -> None:
    contraction, a, b, options, threads = random_case(seed, largest)
    c = contraction
    if c.precision == "" and not machine.has_avx512_bf16 and not machine.has_amx_bf16:
        options = ContractionOptions()
    result = guarded((*c.batch, c.rows, c.columns), np.float32, bool(seed % 2))
    result[...] = 3
    kernel = build_contraction(c, machine, threads, options=options)
    running = machine
    if machine.has_amx_bf16 and not HOST.has_amx_bf16:
        kernel, running = replace(kernel, text=emulate_matrix_tiles(kernel.text)), AVX512
    run_kernel(kernel, [a, b, result], running)
    expected, scale = np.matmul(rounded(a), rounded(b)), np.matmul(abs(rounded(a)), abs(rounded(b))) + 1
    worst = np.max(abs(result - expected) / scale)
    assert worst < 3e-6, (c, kernel.schedule, worst)


@needs_pairs
def test_pairs_are_right():
    for seed in range(30):
        check(seed, HOST, 65)


@needs_pairs
@pytest.mark.long
def test_many_pairs_are_right():
    for seed in range(1000, 1600):
        check(seed, HOST, 200)


@needs_avx512
def test_matrix_tiles_are_right():
    for seed in range(20):
        check(seed, MATRIX_TILES, 65)


@needs_avx512
@pytest.mark.long
def test_many_matrix_tiles_are_right():
    for seed in range(1000, 1300):
        check(seed, MATRIX_TILES, 130)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda m: m.name)
def test_plain_code_rounds_operands(machine):
    for seed in range(8):
        check(seed, machine, 50)


def test_matrix_tiles_compile_for_their_own_processor():
    if HOST.architecture != "x86_64":
        pytest.skip("the target is not built in")
    contraction = dense_contraction(70, 50, 90, precision="bf16")
    processor = replace(MATRIX_TILES, cpu="sapphirerapids", features="-prefer-256-bit,+amx-tile,+amx-bf16")
    assert len(compile_object(build_contraction(contraction, processor, 2).text, processor)) > 1000


@needs_pairs
@pytest.mark.parametrize("transpose_b", [False, True])
def test_prepacked_pairs(transpose_b):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((20, 51)).astype(np.float32), rng.standard_normal((51, 40)).astype(np.float32)
    contraction = dense_contraction(20, 40, 51, transpose_b=transpose_b, precision="bf16")
    packing, size = build_panel_packing(contraction, HOST, 1)
    packed, result = guarded(size // 4, np.int32), guarded((20, 40))
    run_kernel(packing, [np.ascontiguousarray(b.T if transpose_b else b), packed], HOST)
    options = ContractionOptions(right_packing="prepacked")
    run_kernel(build_contraction(contraction, HOST, 1, options=options), [a, packed, result], HOST)
    np.testing.assert_allclose(result, rounded(a) @ rounded(b), atol=1e-4)
