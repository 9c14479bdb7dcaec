"""Aligned and guarded memory."""

import gc
import os
import signal
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

from graphc.runtime.memory import LARGE_PAGE, LARGE_PAGES_FROM, PAGE, allocate, guarded_side

SIZES = [0, 1, 63, 64, 65, PAGE - 1, PAGE, PAGE + 1, 100_000, LARGE_PAGE - 1, LARGE_PAGE, LARGE_PAGE + 100]


@pytest.mark.parametrize("nbytes", SIZES)
@pytest.mark.parametrize("guard", [None, "end", "start"])
def test_memory_is_zeroed_and_aligned(nbytes, guard):
    buffer = allocate(nbytes, guard)
    view = buffer.view()
    assert buffer.address % 64 == 0 and view.shape == (nbytes,) and not view.any()
    view[:] = 7
    assert view.sum() == 7 * nbytes and buffer.intact()


def test_large_memory_lies_on_large_pages():
    assert allocate(LARGE_PAGES_FROM + 3).address % LARGE_PAGE == 0


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.float64, ml_dtypes.bfloat16, np.bool_])
def test_views(dtype):
    buffer = allocate(240, "end")
    view = buffer.view(dtype, (3, 5, 2))
    view[...] = np.ones((3, 5, 2), dtype)
    assert view.dtype == dtype and (view == 1).all()
    assert buffer.view(dtype, (0, 4)).shape == (0, 4)
    with pytest.raises(ValueError, match="do not fit"):
        buffer.view(dtype, (1000,))


def test_an_array_keeps_its_memory():
    view = allocate(1 << 22).view(np.int32)
    view[:] = 3
    gc.collect()
    assert (view == 3).all()


def test_memory_is_returned():
    def mapped() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * PAGE

    before = mapped()
    for _ in range(50):
        allocate(8 << 20)
        allocate(1000, "end")
    gc.collect()
    assert mapped() < before + (16 << 20)


@pytest.mark.parametrize("guard, offset", [("end", 0), ("start", -1), ("end", PAGE // 2), ("start", -PAGE)])
def test_a_step_outside_is_a_crash(guard, offset):
    code = f"""
import ctypes
from graphc.runtime.memory import PAGE, allocate
buffer = allocate(4 * PAGE, {guard!r})
outside = buffer.address + ({offset} if {offset} < 0 else buffer.nbytes + {offset})
ctypes.c_char.from_address(outside).value
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.returncode == -signal.SIGSEGV


def test_the_bytes_before_the_guard_are_watched():
    buffer = allocate(100, "end")
    wide = np.frombuffer((np.ctypeslib.ctypes.c_uint8 * 128).from_address(buffer.address), np.uint8)
    assert buffer.intact()
    wide[100] = 1
    assert not buffer.intact()


@pytest.mark.parametrize("itemsize", [1, 2, 4, 8])
def test_element_alignment_leaves_no_gap(itemsize):
    buffer = allocate(13 * itemsize, "end", alignment=itemsize)
    assert (buffer.address + buffer.nbytes) % PAGE == 0


def test_an_unknown_side_is_refused():
    with pytest.raises(ValueError, match="'start' or 'end'"):
        allocate(10, "top")


def test_the_environment_asks_for_guards(monkeypatch):
    for asked, side in (("1", "end"), ("end", "end"), ("start", "start"), ("0", None), ("", None)):
        monkeypatch.setenv("GRAPHC_GUARD", asked)
        assert guarded_side() == side
    assert os.environ["GRAPHC_GUARD"] == ""
