"""Runs kernels on arrays that end (or begin) exactly at a page that must not be touched."""

from __future__ import annotations

import ctypes
import mmap
import weakref
from collections.abc import Sequence

import numpy as np

from graphc.runtime.jit.engine import load_kernels
from graphc.runtime.kernel import Kernel
from graphc.runtime.kernels.sequence import KernelSequence
from graphc.runtime.schedule.machine import AVX2, AVX512, SSE, Machine, host_machine

PAGE = mmap.PAGESIZE
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
_LIBC.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


def machines() -> list[Machine]:
    """The descriptions whose code this host can run."""
    host = host_machine()
    able = {AVX512: host.has_avx512, AVX2: host.has_avx2, SSE: host.has_fma and host.architecture == "x86_64"}
    return [machine for machine, runs in able.items() if runs] or [host]


def guarded(shape: Sequence[int] | int, dtype: np.dtype | type | str = np.float32, at_end: bool = True) -> np.ndarray:
    """A zeroed array between two forbidden pages, its end (or its start) exactly at one of them."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    dtype = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    inner = max(PAGE, (size + PAGE - 1) // PAGE * PAGE)
    base = _LIBC.mmap(None, inner + 2 * PAGE, 3, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    assert base and base != ctypes.c_void_p(-1).value
    for guard in (base, base + PAGE + inner):
        assert _LIBC.mprotect(guard, PAGE, 0) == 0
    start = base + PAGE + (inner - size if at_end else 0)
    buffer = (ctypes.c_char * max(size, 1)).from_address(start)
    weakref.finalize(buffer, _LIBC.munmap, base, inner + 2 * PAGE)
    return np.frombuffer(buffer, dtype, int(np.prod(shape, dtype=np.int64))).reshape(shape)


def guarded_copy(values: np.ndarray, at_end: bool = True) -> np.ndarray:
    copy = guarded(values.shape, values.dtype, at_end)
    copy[...] = values
    return copy


def aligned(size: int) -> np.ndarray:
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size]


def run_kernel(kernel: Kernel, arrays: Sequence[np.ndarray], machine: Machine, order: Sequence[int] | None = None) -> None:
    """Runs every chunk of the kernel on inputs and outputs, in the given order; the workspace starts as NaNs."""
    loaded = load_kernels([kernel], machine)
    entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(loaded[kernel.name])
    assert 1 <= kernel.chunks <= 64
    pointers = [array.ctypes.data for array in arrays]
    keep = []
    if kernel.workspace:
        workspace = guarded(kernel.workspace, np.uint8, at_end=kernel.workspace % 64 == 0)
        workspace[...] = 0xFF
        keep.append(workspace)
        pointers.append(workspace.ctypes.data)
    table = (ctypes.c_void_p * len(pointers))(*pointers)
    for chunk in order if order is not None else reversed(range(kernel.chunks)):
        entry(ctypes.addressof(table), chunk)


def run_sequence(sequence: KernelSequence, arrays: Sequence[np.ndarray], machine: Machine) -> None:
    """Runs all steps; temporaries start as NaNs and end at a forbidden page."""
    assert len(arrays) == sequence.operand_count
    temporaries = [guarded(max(size, 1), np.uint8, at_end=size % 64 == 0) for size in sequence.temporaries]
    for temporary in temporaries:
        temporary[...] = 0xFF
    everything = [*arrays, *temporaries]
    for step in sequence.steps:
        run_kernel(step.kernel, [everything[number] for number in step.operands], machine)
