"""The memory of results: recycled where large, between guard pages where asked for."""

import ctypes
import gc
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from call_samples import (
    F32,
    copying_call,
    in_threads,
    make_executable,
    refuse,
)
from sample_kernels import overrun, store_and_wait

from graphc.runtime.call_path import (
    RECYCLED_FROM,
    Call,
    Feed,
    Result,
    Shape,
    make_callable,
)
from graphc.runtime.calls.native_path import native_path
from graphc.runtime.calls.recycler_code import MOST_BLOCKS
from graphc.runtime.executor import Operand

pytestmark = pytest.mark.skipif(native_path() is None, reason="the native call path is not in use")

I64 = np.dtype(np.int64)


# -- recycled results


def recycling_call(nbytes: int) -> Call:
    return copying_call(np.uint8, (nbytes,))


@pytest.mark.parametrize("nbytes", [RECYCLED_FROM, RECYCLED_FROM + 1, (2 << 20) - 5, 2 << 20, (5 << 20) + 12345])
def test_the_memory_of_dead_results_is_used_again(nbytes):
    function = make_callable(recycling_call(nbytes), refuse)
    array = np.arange(nbytes, dtype=np.uint32).astype(np.uint8)
    first = function(array)
    second = function(array)
    address = first.ctypes.data
    assert address != second.ctypes.data and address % (64 if nbytes < 2 << 20 else 2 << 20) == 0
    view = first[10:20]
    del first
    third = function(array)
    assert third.ctypes.data != address, "a view still shows the first result"
    view[:] = 0
    del view
    fourth = function(array)
    assert fourth.ctypes.data == address
    for result in (second, third, fourth):
        assert result.flags.writeable and result.flags.c_contiguous and np.array_equal(result, array)


def test_results_outlive_what_made_them():
    function = make_callable(recycling_call(1 << 20), refuse)
    result = function(np.full(1 << 20, 5, np.uint8))
    del function
    gc.collect()
    assert (result == 5).all()


def test_what_is_retained_is_bounded():
    recycler = native_path().recycler
    sizes = [RECYCLED_FROM + 4096 * step for step in range(MOST_BLOCKS + 20)]
    for nbytes in sizes:
        make_callable(recycling_call(nbytes), refuse)(np.zeros(nbytes, np.uint8))
    assert recycler.blocks <= MOST_BLOCKS and recycler.bytes <= recycler.limit
    limit = recycler.limit
    recycler.limit = 4 << 20
    try:
        function = make_callable(recycling_call(1 << 20), refuse)
        held = [function(np.zeros(1 << 20, np.uint8)) for _ in range(8)]
        del held
        assert recycler.bytes <= 4 << 20
        function(np.zeros(1 << 20, np.uint8))
    finally:
        recycler.limit = limit


def test_threads_share_the_recycler():
    function = make_callable(copying_call(np.uint8, (1 << 20,), release=True), refuse)
    wrong = []

    def work(seed: int) -> None:
        for turn in range(40):
            value = (seed * 40 + turn) % 251
            result = function(np.full(1 << 20, value, np.uint8))
            if result.min() != value or result.max() != value:
                wrong.append(value)

    in_threads(4, work)
    assert not wrong


# -- guard pages


def guarded_program(body: str, side: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys\nsys.path.insert(0, {os.path.dirname(__file__)!r})\n" + body
    environment = {**os.environ, "GRAPHC_GUARD": side}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)


SOUND = """
import numpy as np
from call_samples import multiply_add_call, refuse
from graphc.runtime.call_path import make_callable
for count in (1, 7, 8, 1000):
    a = np.arange(count, dtype=np.float32)
    assert np.array_equal(make_callable(multiply_add_call(count), refuse)(a, a), a * a + 1)
print("good")
"""
UNSOUND = """
from test_call_results import overrunning_call
overrunning_call(1024).run([])
"""


def overrunning_call(count: int) -> Call:
    executable = make_executable(overrun(count), [Operand(0)], 1)
    return Call(executable, [0], [], [Result(F32, (count,), 0)], [0], refuse, Shape.SINGLE)


@pytest.mark.parametrize("side", ["1", "end", "start"])
def test_sound_kernels_run_between_guards(side):
    assert guarded_program(SOUND, side).stdout.strip() == "good"


def test_a_kernel_that_writes_outside_crashes_between_guards():
    assert guarded_program(UNSOUND, "end").returncode == -signal.SIGSEGV


def test_feed_records_and_results_need_no_dimensions():
    call = Call(
        make_executable(store_and_wait(0), map(Operand, range(3)), 3),
        [0, 0, 0],
        [Feed(I64, (), 0), Feed(I64, (), 1)],
        [Result(I64, (), 2)],
        [0],
        refuse,
        Shape.SINGLE,
    )
    assert call.run([0, 5]) == 1
    assert ctypes.sizeof(call.record) > 0
