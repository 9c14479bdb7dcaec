"""Loads, stores, conversions, lanes combined, moved and indexed, run natively on arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from graphc.dtypes import NATIVE, DType, bfloat16, bool_, float16, float32, float64, int32, int64
from graphc.runtime.emit import vectors
from graphc.runtime.emit.function import I32, I64, PTR, Function, Module, Value
from graphc.runtime.emit.vectors import TypedValue, typed
from graphc.runtime.jit.engine import load_kernels
from graphc.runtime.kernel import ENTRY, make_kernel
from graphc.runtime.schedule.machine import host_machine

HOST = host_machine()
LANES = [1, 2, 8, 16]


def run(build: Callable[[Function, list[Value]], None], *arrays: np.ndarray) -> None:
    """Runs the code that `build` emits; it gets the addresses of the arrays."""
    f = Function(Module(), ENTRY, [("operands", PTR), ("chunk", I64)])
    build(f, [f.load(f.offset(f.arguments[0], k, PTR), PTR) for k in range(len(arrays))])
    f.return_void()
    kernel = make_kernel("vectors", str(f.module))
    loaded = load_kernels([kernel], HOST)
    pointers = (ctypes.c_void_p * len(arrays))(*[a.ctypes.data for a in arrays])
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(loaded[kernel.name])(pointers, 0)


def name_of(dtype: DType) -> str:
    return dtype.name


@pytest.mark.parametrize("native_conversion", [True, False])
@pytest.mark.parametrize("dtype", [float16, bfloat16], ids=name_of)
def test_every_16_bit_float_widens_and_its_neighbourhood_rounds(dtype, native_conversion):
    machine = replace(HOST, has_f16_conversion=HOST.has_f16_conversion and native_conversion)
    lanes = 8
    bits = np.arange(2**16, dtype=np.uint16)
    wide = np.zeros(2**16, np.float32)

    def widen(f: Function, pointers: list[Value]) -> None:
        def body(i, _):
            value = vectors.load(f, machine, f.offset(pointers[0], i, "i16"), dtype, lanes)
            vectors.store(f, machine, value, f.offset(pointers[1], i, "float"), float32)
            return []

        f.loop(0, bits.size, lanes, [], body)

    run(widen, bits, wide)
    with np.errstate(all="ignore"):
        want = bits.view(dtype.numpy).astype(np.float32)
    assert ((wide == want) | (np.isnan(wide) & np.isnan(want))).all()

    finite = wide[np.isfinite(wide)]
    with np.errstate(all="ignore"):
        halfway = finite + np.spacing(finite.astype(dtype.numpy)).astype(np.float32) / 2
        around = [finite, halfway, np.nextafter(halfway, np.float32(np.inf)), np.nextafter(halfway, np.float32(0))]
        special = np.array([np.inf, -np.inf, np.nan, 1e38, -1e38, 1e-45, 65519.99, 65520.0, 3.4e38], np.float32)
        values = np.concatenate([*around, special])
        values = np.resize(values, -(-values.size // lanes) * lanes)
        want = values.astype(dtype.numpy)
    out = np.zeros(values.size, dtype.numpy)

    def narrow(f: Function, pointers: list[Value]) -> None:
        def body(i, _):
            value = vectors.load(f, machine, f.offset(pointers[0], i, "float"), float32, lanes)
            vectors.store(f, machine, value, f.offset(pointers[1], i, "i16"), dtype)
            return []

        f.loop(0, values.size, lanes, [], body)

    run(narrow, values, out)
    equal = out.view(np.uint16) == want.view(np.uint16)
    both_nan = np.isnan(out.astype(np.float32)) & np.isnan(want.astype(np.float32))
    assert (equal | both_nan).all(), (values[~(equal | both_nan)][:5], out[~(equal | both_nan)][:5])


@pytest.mark.parametrize("dtype", NATIVE, ids=name_of)
@pytest.mark.parametrize("lanes", [2, 8, 16])
@pytest.mark.parametrize("off", [0, 1, -1])
def test_a_mask_known_in_advance_leaves_the_rest_alone(dtype, lanes, off):
    remaining = off % (lanes + 1)
    out = np.full(lanes * dtype.size, 0xAB, np.uint8)
    source = float32 if dtype == bfloat16 else dtype

    def build(f: Function, pointers: list[Value]) -> None:
        value = vectors.load(f, HOST, pointers[0], source, lanes)
        vectors.store(f, HOST, value, pointers[1], dtype, vectors.tail_mask(f, remaining, lanes))

    run(build, np.zeros(lanes, source.numpy), out)
    assert not out[: remaining * dtype.size].any()
    assert (out[remaining * dtype.size :] == 0xAB).all()


@pytest.mark.parametrize("dtype", NATIVE, ids=name_of)
@pytest.mark.parametrize("lanes", [2, 8, 16])
def test_masked_loads_and_stores_leave_the_rest_alone(dtype, lanes):
    source = (np.arange(lanes) % 2 == 0) if dtype.is_bool else (np.arange(lanes) + 1).astype(dtype.numpy)
    for remaining in (0, 1, lanes - 1, lanes):
        out = np.zeros(lanes, dtype.numpy)
        size = np.array([remaining], np.int64)

        def build(f: Function, pointers: list[Value]) -> None:
            mask = vectors.tail_mask(f, f.load(pointers[2], I64), lanes)
            value = vectors.load(f, HOST, pointers[0], dtype, lanes, mask)
            vectors.store(f, HOST, value, pointers[1], dtype, mask)

        run(build, source, out, size)
        np.testing.assert_array_equal(out[:remaining], source[:remaining])
        assert not out[remaining:].any()


@pytest.mark.parametrize("dtype", NATIVE, ids=name_of)
@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("masked", [False, True])
def test_gather_and_scatter(dtype, lanes, masked):
    random = np.random.default_rng(0)
    table = random.integers(0, 2 if dtype.is_bool else 100, 64).astype(dtype.numpy)
    index = random.permutation(64)[:lanes].astype(np.int32)
    on = np.arange(lanes) % 3 != 1 if masked else np.ones(lanes, bool)
    gathered, scattered = np.zeros(lanes, dtype.numpy), np.zeros(64, dtype.numpy)

    def build(f: Function, pointers: list[Value]) -> None:
        base, places, mask, out, back = pointers
        where = vectors.load(f, HOST, places, int32, lanes)
        chosen = vectors.load(f, HOST, mask, bool_, lanes) if masked else None
        value = vectors.gather(f, HOST, base, where, dtype, chosen)
        vectors.store(f, HOST, value, out, dtype)
        vectors.scatter(f, HOST, value, back, where, dtype, chosen)

    run(build, table, index, on, gathered, scattered)
    want = np.where(on, table[index], np.zeros_like(table[index]))
    np.testing.assert_array_equal(gathered, want)
    whole = np.zeros_like(scattered)
    whole[index[on]] = table[index[on]]
    np.testing.assert_array_equal(scattered, whole)


REDUCED = {"sum": np.sum, "prod": np.prod, "min": np.min, "max": np.max, "any": np.any, "all": np.all}


@pytest.mark.parametrize("kind", vectors.REDUCTIONS)
@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("chains", [1, 3])
def test_reductions_over_lanes_and_chains(kind, lanes, chains):
    random = np.random.default_rng(lanes)
    types = [bool_] if kind in ("any", "all") else [float32, float64, int32, int64]
    for dtype in types:
        high = 2 if dtype.is_bool else 5
        for trial in range(3):
            x = random.integers(trial == 2, high, lanes * chains).astype(dtype.numpy)
            out = np.zeros(1, dtype.numpy)
            run(_reduction(kind, dtype, lanes, chains), x, out)
            assert out[0] == REDUCED[kind](x).astype(dtype.numpy)


def _reduction(kind: str, dtype: DType, lanes: int, chains: int) -> Callable[[Function, list[Value]], None]:
    def build(f: Function, pointers: list[Value]) -> None:
        element = vectors.memory_element(dtype)
        with f.interleaved(chains):
            starts = [f.offset(pointers[0], lanes * k, element) for k in range(chains)]
            parts = [vectors.load(f, HOST, start, dtype, lanes) for start in starts]
            joined = typed(f.join_chains(parts), dtype)
            total = vectors.reduce_lanes(f, kind, vectors.reduce_chains(f, kind, joined))
        vectors.store(f, HOST, total, pointers[1], dtype)

    return build


@pytest.mark.parametrize("kind", ["min", "max"])
def test_nan_in_any_lane_reaches_the_extreme(kind):
    for lane in range(8):
        x = np.arange(8, dtype=np.float32)
        x[lane] = np.nan
        out = np.zeros(1, np.float32)
        run(_reduction(kind, float32, 8, 1), x, out)
        assert np.isnan(out[0])


def test_identities_change_nothing():
    for dtype in NATIVE:
        for kind in ("any", "all") if dtype.is_bool else ("sum", "prod", "min", "max"):
            first = vectors.identity(kind, dtype)
            x = np.array([first, 1, 0, 1], dtype.numpy)
            assert REDUCED[kind](x) == REDUCED[kind](x[1:])


@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
def test_transpose(lanes):
    x = np.arange(lanes * lanes, dtype=np.float32)
    out = np.zeros_like(x)

    def build(f: Function, pointers: list[Value]) -> None:
        rows = [vectors.load(f, HOST, f.offset(pointers[0], lanes * k, "float"), float32, lanes) for k in range(lanes)]
        for k, column in enumerate(vectors.transpose(f, rows)):
            f.store(column, f.offset(pointers[1], lanes * k, "float"))

    run(build, x, out)
    np.testing.assert_array_equal(out.reshape(lanes, lanes), x.reshape(lanes, lanes).T)


@pytest.mark.parametrize("lanes", LANES)
def test_iota_and_splat(lanes):
    for dtype in (int32, int64):
        start, out = np.array([7], np.int64), np.zeros((3, lanes), dtype.numpy)

        def build(f: Function, pointers: list[Value], dtype: DType = dtype) -> None:
            scalar = f.load(pointers[0], I64)
            element = I32 if dtype is int32 else I64
            one = TypedValue(scalar.ref, scalar.type, int64)
            rows = [vectors.iota(f, scalar, dtype, lanes), vectors.iota(f, 3, dtype, lanes)]
            for k, row in enumerate(rows):
                f.store(row, f.offset(pointers[1], lanes * k, element))
            if dtype is int64:
                f.store(vectors.splat(f, one, lanes), f.offset(pointers[1], lanes * 2, element))

        run(build, start, out)
        np.testing.assert_array_equal(out[0], 7 + np.arange(lanes))
        np.testing.assert_array_equal(out[1], 3 + np.arange(lanes))
        if dtype is int64:
            np.testing.assert_array_equal(out[2], 7)
