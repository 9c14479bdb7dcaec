"""What may run together and what waits: readers, writers, Python, signals and forks."""

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
from call_samples import (
    F32,
    in_threads,
    make_executable,
    multiply_add_call,
    refuse,
    show,
)
from sample_kernels import store_and_wait

from graphc.runtime.call_path import (
    Call,
    Result,
    RunLock,
    Shape,
    make_callable,
)
from graphc.runtime.calls.native_path import native_path
from graphc.runtime.executor import Operand

pytestmark = pytest.mark.skipif(native_path() is None, reason="the native call path is not in use")

A = np.arange(8, dtype=F32)
B = np.full(8, 2, F32)
EXPECTED = A * 2 + 1
I64 = np.dtype(np.int64)


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
    counted = [sys.getrefcount(thing) for thing in (A, B, call)]
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
    assert [sys.getrefcount(thing) for thing in (A, B, call)] == counted
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
