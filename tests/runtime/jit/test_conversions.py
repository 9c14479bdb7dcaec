"""Narrow floats on machines without an instruction for them, against ml_dtypes and NumPy."""

import ctypes

import ml_dtypes
import numpy as np
import pytest

from graphc.runtime.emit.function import Function, Module
from graphc.runtime.jit.conversions import NAMES
from graphc.runtime.jit.engine import load_kernels
from graphc.runtime.jit.image import link
from graphc.runtime.jit.target import compile_object
from graphc.runtime.kernel import make_kernel
from graphc.runtime.schedule.machine import AVX2, SSE

COUNT = 4096


def conversion_kernel(source: str, target: str):
    module = Module()
    f = Function(module, "kernel_entry", [("operands", "ptr"), ("chunk", "i64")])
    operands, _ = f.arguments
    start = f.load(operands, "ptr")
    end = f.load(f.instruction(f"getelementptr ptr, ptr {operands.ref}, i64 1", "ptr"), "ptr")

    def body(index, _):
        value = f.load(f.instruction(f"getelementptr {source}, ptr {start.ref}, {index}", "ptr"), source)
        place = f.instruction(f"getelementptr {target}, ptr {end.ref}, {index}", "ptr")
        f.store(f.cast("fptrunc", value, target), place)
        return []

    f.loop(0, COUNT, 1, [], body)
    f.return_void()
    return make_kernel("convert", str(module))


def sample(dtype) -> np.ndarray:
    generator = np.random.default_rng(5)
    bits = generator.integers(0, 2 ** (8 * np.dtype(dtype).itemsize), COUNT, dtype=f"u{np.dtype(dtype).itemsize}")
    values = bits.view(dtype)
    near = generator.standard_normal(COUNT) * 10.0 ** generator.integers(-9, 6, COUNT)
    values[::2] = near[::2].astype(dtype)
    halfway = [1 + 2.0**-8, 1 + 3 * 2.0**-8, 1 + 2.0**-11, 1 + 3 * 2.0**-11, 2.0**-25, 2.0**-24 * 1.5, 65520.0, 65519.9]
    values[: len(halfway)] = halfway
    values[8:12] = [np.inf, -np.inf, np.nan, 0.0]
    if dtype is np.float64:
        values[12:16] = [1 + 2.0**-8 + 2.0**-40, 1 + 2.0**-11 + 2.0**-50, 1e300, 3.4028235677973366e38]
    return values


@pytest.mark.parametrize("machine", [SSE, AVX2], ids=lambda m: m.name)
@pytest.mark.parametrize("source, target, dtype, narrow", [
    ("float", "bfloat", np.float32, ml_dtypes.bfloat16),
    ("double", "bfloat", np.float64, ml_dtypes.bfloat16),
    ("double", "half", np.float64, np.float16),
])  # fmt: skip
def test_narrowing_rounds_to_even(machine, source, target, dtype, narrow):
    kernel = conversion_kernel(source, target)
    image = link(compile_object(kernel.text, machine))
    assert image is not None and {name for _, name in image.imports} & NAMES, "the processor would do it itself"
    loaded = load_kernels([kernel], machine)
    values, out = sample(dtype), np.zeros(COUNT, np.uint16)
    operands = (ctypes.c_void_p * 2)(values.ctypes.data, out.ctypes.data)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(loaded[kernel.name])(operands, 0)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = exact_narrowing(values, narrow)
    nan = np.isnan(values)
    assert np.isnan(out.view(narrow)[nan].astype(np.float32)).all()
    assert np.array_equal(out[~nan], expected.view(np.uint16)[~nan])


def exact_narrowing(values: np.ndarray, narrow) -> np.ndarray:
    """ml_dtypes goes from double to bfloat16 by way of float, rounding twice: those are rounded here by neighbours."""
    if narrow is not ml_dtypes.bfloat16 or values.dtype != np.float64:
        return values.astype(narrow)
    near = values.astype(narrow)
    bits = near.view(np.uint16)
    best = near.copy()
    for change in (-1, 1):
        other = (bits.astype(np.int32) + change).astype(np.uint16).view(narrow)
        here, there = (np.abs(candidate.astype(np.float64) - values) for candidate in (best, other))
        tie = (there == here) & ((other.view(np.uint16) & 1) == 0)
        best = np.where(((there < here) | tie) & (np.abs(values) < 3.3e38), other, best)
    return best
