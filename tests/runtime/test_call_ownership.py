"""The native call path under load: reference counts, threads, signals, forks, recycled results, guard pages."""

import ctypes
import gc
import os
import signal
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
    make_executable,
    multiply_add_call,
    refuse,
    show,
)
from sample_kernels import overrun, store_and_wait

from graphc.runtime.call_path import (
    RECYCLED_FROM,
    Call,
    CallChain,
    Feed,
    Result,
    RunLock,
    Shape,
    make_callable,
    make_run,
)
from graphc.runtime.calls.native_path import native_path
from graphc.runtime.calls.recycler_code import MOST_BLOCKS
from graphc.runtime.executor import Operand

pytestmark = pytest.mark.skipif(native_path() is None, reason="the native call path is not in use")

A = np.arange(8, dtype=F32)
B = np.full(8, 2, F32)
EXPECTED = A * 2 + 1
I64 = np.dtype(np.int64)


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


def in_threads(count: int, work) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


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


# -- locks


ROUNDS = 200_000_000  # a fraction of a second, for runs that wait for one another in vain


def meeting_calls(lock: RunLock | None, writes: tuple[bool, bool], rounds: int) -> tuple[Call, Call]:
    """Two calls that say whether the other one was running at the same time."""
    cells = np.zeros(2, np.int64)
    addresses = [cells.ctypes.data, cells.ctypes.data + 8]
    executable = make_executable(store_and_wait(rounds), map(Operand, range(3)), 3)

    def call(slots, write) -> Call:
        results = [Result(I64, (), 2)]
        return Call(
            executable, [*slots, 0], [], results, [0], refuse, Shape.SINGLE, lock=lock, writes=write, keep=[cells]
        )

    return call(addresses, writes[0]), call(addresses[::-1], writes[1])


def run_together(calls) -> list[int]:
    met = [0] * len(calls)

    def work(number: int) -> None:
        met[number] = int(calls[number].run([]))

    in_threads(len(calls), work)
    return met


def test_readers_run_together():
    assert run_together(meeting_calls(RunLock(), (False, False), ROUNDS * 10)) == [1, 1]


@pytest.mark.parametrize("writes", [(True, True), (True, False), (False, True)])
def test_a_writer_runs_alone(writes):
    """The first to run waits in vain; the second one finds the mark that the first one left."""
    assert sorted(run_together(meeting_calls(RunLock(), writes, ROUNDS // 4))) == [0, 1]


def test_calls_without_a_lock_run_together():
    assert run_together(meeting_calls(None, (True, True), ROUNDS * 10)) == [1, 1]


@pytest.mark.parametrize("writes", [False, True])
def test_python_may_hold_the_lock(writes):
    lock = RunLock()
    call = multiply_add_call(lock=lock, writes=writes)
    finished = threading.Event()

    def work(_: int = 0) -> None:
        assert np.array_equal(call.run([A, B]), EXPECTED)
        finished.set()

    with lock.holding():
        thread = threading.Thread(target=work)
        thread.start()
        assert not finished.wait(0.05)
        assert np.array_equal(call.run([A, B]), EXPECTED)  # this thread holds it already
        with lock.holding():
            call.run([A, B])
    thread.join()
    assert finished.is_set()
    work()


def test_a_call_that_becomes_stale_while_it_waits():
    lock = RunLock()
    call = multiply_add_call(lock=lock, writes=True)
    function, answers = make_callable(call, show), []
    thread = threading.Thread(target=lambda: answers.append(function(A, B)))
    with lock.holding():
        thread.start()
        time.sleep(0.02)
        call.invalidate()
    thread.join()
    assert answers[0][0] == "slow" and answers[0][1][0] is A


@pytest.mark.parametrize("writes", [False, True])
def test_waiting_can_be_interrupted(writes):
    lock, entered, done = RunLock(), threading.Event(), threading.Event()
    call = multiply_add_call(lock=lock, writes=writes)

    def hold() -> None:
        with lock.holding():
            entered.set()
            done.wait(10)

    def interrupt(*_) -> None:
        raise KeyboardInterrupt

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait()
    before = signal.signal(signal.SIGALRM, interrupt)
    counted = counts([A, B, call])
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            call.run([A, B])
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            with lock.holding():
                pass
    finally:
        signal.signal(signal.SIGALRM, before)
        done.set()
    holder.join()
    assert counts([A, B, call]) == counted
    assert np.array_equal(call.run([A, B]), EXPECTED)
    with lock.holding():
        pass


def test_a_forked_child_finds_locks_free():
    lock = RunLock()
    call = multiply_add_call(lock=lock, writes=True)
    entered, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock.holding():
            entered.set()
            done.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait()
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(call.run([A, B]), EXPECTED) else 1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    done.set()
    holder.join()
    assert code == 0


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
from test_call_ownership import overrunning_call
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
