"""The native call path under load: reference counts, threads, and the end of the process."""

import gc
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from call_samples import (
    F32,
    CheckError,
    Key,
    checking_call,
    copying_call,
    in_threads,
    multiply_add_call,
    refuse,
    show,
)

from graphc.runtime.call_path import (
    CallChain,
    RunLock,
    Shape,
    make_callable,
    make_run,
)
from graphc.runtime.calls.native_path import native_path

pytestmark = pytest.mark.skipif(native_path() is None, reason="the native call path is not in use")

A = np.arange(8, dtype=F32)
B = np.full(8, 2, F32)
EXPECTED = A * 2 + 1


# -- reference counts


def counts(things) -> list[int]:
    return [sys.getrefcount(thing) for thing in things]


@pytest.mark.parametrize("release", [False, True])
def test_no_reference_is_lost_or_kept(release):
    fetch, x, y = Key(), Key(), Key()
    chain, checks = CallChain(), checking_call(release=release)
    options = {"release": release, "fetches": [fetch], "keys": [x, y]}
    single = multiply_add_call(**options)
    chain.add(single)
    chain.add(multiply_add_call(shape=Shape.LIST, **options))
    chain.add(multiply_add_call(shape=Shape.TUPLE, **{**options, "fetches": [fetch, fetch]}, items=[0, None]))
    scalars = make_callable(copying_call(np.float32, release=release), show)
    run, function, check = make_run(chain, show), make_callable(single, show), make_callable(checks, show)
    feeds, unfit, number, fetches = {x: A, y: B}, [A], np.float32(3), [fetch]
    dtype, signed = A.dtype, np.dtype(np.int64)
    watched = [fetch, x, y, A, B, feeds, unfit, number, fetches, dtype, signed, show, chain, single, checks, function, run]

    def use_everything() -> None:
        for _ in range(100):
            function(A, B)
            function(A)
            function(A, unfit)
            run(fetch, feeds)
            run(fetches, feed_dict=feeds)
            run((fetch, fetch), feeds)
            run(fetch, {x: A, y: unfit})
            run(fetch, {x: A, fetch: B})
            scalars(0.5)
            scalars(number)
            check(3)
            single.run([A, B])
            for action in (lambda: check(11), lambda: single.run([A, unfit])):
                try:
                    action()
                except (CheckError, TypeError):
                    pass

    use_everything()
    gc.collect()
    before = counts([*watched, None])
    use_everything()
    gc.collect()
    after = counts([*watched, None])
    assert after[:-1] == before[:-1]
    assert abs(after[-1] - before[-1]) < 50  # others use None as well


def test_results_are_freed():
    function = make_callable(multiply_add_call(1 << 15), refuse)  # 128 KiB each
    a = np.ones(1 << 15, F32)
    held = [function(a, a) for _ in range(3)]
    before = resident_bytes()
    for _ in range(2000):
        function(a, a)
    assert resident_bytes() < before + (16 << 20)
    assert all((result == 2).all() for result in held)


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_destructor_may_call_again():
    """Making the list of results may start the collector, which may run anything."""
    function = make_callable(multiply_add_call(shape=Shape.LIST), refuse)
    seen = []

    class Cycle:
        def __init__(self):
            self.own = self

        def __del__(self):
            seen.append(function(A, B)[0][3])

    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(50):
            Cycle()
            assert np.array_equal(function(A, B)[0], EXPECTED)
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert seen == [7] * 50


# -- threads


@pytest.mark.parametrize("release", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_many_threads_use_the_same_calls(release, shared):
    fetch, x, y = Key(), Key(), Key()
    chain, lock = CallChain(), RunLock() if shared else None
    calls = [multiply_add_call(n, release=release, lock=lock, fetches=[fetch], keys=[x, y]) for n in (8, 500)]
    for call in calls:
        chain.add(call)
    run = make_run(chain, refuse)
    function = make_callable(calls[0], refuse)
    wrong: list[object] = []

    def work(seed: int) -> None:
        generator = np.random.default_rng(seed)
        for turn in range(400):
            n = 8 if turn % 2 else 500
            a, b = generator.standard_normal((2, n)).astype(F32)
            result = function(a, b) if n == 8 and turn % 3 else run(fetch, {x: a, y: b})
            if not np.allclose(result, a * b + 1):
                wrong.append((a, b, result))

    in_threads(6, work)
    assert not wrong


def test_calls_come_and_go_while_they_are_used():
    fetch, x, y = Key(), Key(), Key()
    chain = CallChain()
    taken, left = [0], [0]
    ones = np.ones(3000, F32)

    def slow(*_) -> None:
        left[0] += 1

    run = make_run(chain, slow)
    stop = threading.Event()

    def change(_: int) -> None:
        while not stop.is_set():
            call = multiply_add_call(3000, release=True, fetches=[fetch], keys=[x, y])
            chain.add(call)
            time.sleep(0.001)
            call.invalidate()
            chain.remove(call)
            del call

    changer = threading.Thread(target=change, args=(0,))
    changer.start()

    def work(_: int) -> None:
        for _ in range(300):
            result = run(fetch, {x: ones, y: ones})
            if result is not None:
                taken[0] += 1
                assert result[0] == 2 and result[-1] == 2
            time.sleep(0)

    in_threads(3, work)
    stop.set()
    changer.join()
    assert taken[0] + left[0] > 0


# -- the end of the process


ENDING = """
import sys, threading
import numpy as np
from call_samples import copying_call, multiply_add_call, refuse
from graphc.runtime.call_path import make_callable
from graphc.runtime.jit.engine import load_kernels
from graphc.runtime.threads.pool import shared_pool
from sample_kernels import count_chunks

kernel = count_chunks(8, work=100)
loaded, cells = load_kernels([kernel]), np.zeros(64, np.int64)
pointers = np.array([cells.ctypes.data])
function = make_callable(copying_call(np.uint8, (1 << 20,), release=True), refuse)
sys.kept = [function(np.ones(1 << 20, np.uint8)) for _ in range(3)]
sys.function = function

def keep_running():
    while True:
        function(sys.kept[0])

threading.Thread(target=keep_running, daemon=True).start()
shared_pool(3).run(loaded[kernel.name], pointers.ctypes.data, 8)
"""


def test_a_process_ends_in_good_order():
    code = f"import sys\nsys.path.insert(0, {os.path.dirname(__file__)!r})\n" + ENDING
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
