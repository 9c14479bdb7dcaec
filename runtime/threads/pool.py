"""The worker pool of the process: started at first use, started anew in a forked child."""

from __future__ import annotations

import ctypes
import functools
import os
import time
from collections.abc import Callable

from graphc.runtime.core_routines import core_routines, has_native_pool
from graphc.runtime.kernel import MAXIMUM_CHUNKS
from graphc.runtime.memory import keep_for_ever
from graphc.runtime.schedule.topology import available_cores
from graphc.runtime.threads.pool_code import MAXIMUM_THREADS, PoolState

AWAKE_NANOSECONDS = 100_000  # how long an idle thread waits before it sleeps; waking it costs about ten microseconds
OVERSUBSCRIBED_SPINS = 50  # where other threads need the core


def default_threads() -> int:
    """Threads for one run where nothing else is asked for: GRAPHC_THREADS, or the cores that the process may use."""
    asked = os.environ.get("GRAPHC_THREADS", "")
    if asked:
        return _checked(int(asked))
    return min(available_cores(), MAXIMUM_THREADS)


def shared_pool(threads: int | None = None) -> Pool:
    """The pool of this process with that many threads, the caller among them. One thread, or a system without a native
    pool, gives a pool that runs everything in the caller.

    Raises ValueError for a number of threads outside 1..64.
    """
    wanted = default_threads() if threads is None else _checked(threads)
    return _pool_of(wanted if has_native_pool() else 1)


class Pool:
    """`threads` workers including the caller. Its state lives as long as the process: threads may be in it at any time.

    `address` is that of the state and `run_address` that of `pool_run(pool, function, argument, chunks)`, for native
    callers. The threads start at the first parallel region.
    """

    def __init__(self, threads: int):
        self.threads = threads
        self._spins = 0
        self._state = _aligned_state()
        keep_for_ever(self._state)
        self._reset()
        self.address = ctypes.addressof(self._state)
        _POOLS.append(self)

    @functools.cached_property
    def run_address(self) -> int:
        self._spins = _patience() if self.threads <= available_cores() else OVERSUBSCRIBED_SPINS
        self._state.spins = self._spins
        return core_routines()["pool_run"]

    def run(self, function: int, argument: int | None, chunks: int) -> None:
        """Calls the native function at address `function` with (argument, chunk) for every chunk below `chunks`.

        The interpreter lock is released meanwhile. Raises ValueError for more than 64 chunks.
        """
        if chunks > MAXIMUM_CHUNKS:
            raise ValueError(f"{chunks} chunks are more than the {MAXIMUM_CHUNKS} of one region")
        _run_function(self.run_address)(self.address, function, argument, chunks)

    def _reset(self) -> None:
        state = self._state
        ctypes.memset(ctypes.addressof(state), 0, ctypes.sizeof(state))
        state.threads = self.threads
        state.spins = self._spins
        for number in range(self.threads):
            state.workers[number].pool = ctypes.addressof(state)
            state.workers[number].own[:] = _own_chunks(number, self.threads)

    @staticmethod
    def reset_all() -> None:
        """In a forked child: no thread of any pool exists here."""
        for pool in _POOLS:
            pool._reset()


_POOLS: list[Pool] = []
_pool_of = functools.cache(Pool)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Pool.reset_all)


def _own_chunks(number: int, threads: int) -> list[int]:
    """For each number of chunks, the bits of those whose middle lies in the thread's share of all."""

    def first(thread: int, count: int) -> int:
        return (2 * count * thread + threads - 1) // (2 * threads)

    return [(1 << first(number + 1, count)) - (1 << first(number, count)) for count in range(MAXIMUM_CHUNKS + 1)]


def _checked(threads: int) -> int:
    if not 1 <= threads <= MAXIMUM_THREADS:
        raise ValueError(f"the number of threads must be 1 to {MAXIMUM_THREADS}, not {threads}")
    return threads


def _aligned_state() -> PoolState:
    room = ctypes.create_string_buffer(ctypes.sizeof(PoolState) + 128)
    state = PoolState.from_buffer(room, -ctypes.addressof(room) % 128)
    return state


@functools.cache
def _run_function(address: int) -> Callable[..., None]:
    pointer = ctypes.c_void_p
    return ctypes.CFUNCTYPE(None, pointer, pointer, pointer, ctypes.c_int64)(address)


@functools.cache
def _patience() -> int:
    """Pauses in `AWAKE_NANOSECONDS`: processors differ by ten times in what they make of that instruction."""
    pause = ctypes.CFUNCTYPE(None, ctypes.c_int64)(core_routines()["pool_pause"])
    sample, times = 500, []
    for _ in range(3):
        start = time.perf_counter_ns()
        pause(sample)
        times.append(time.perf_counter_ns() - start)
    return max(OVERSUBSCRIBED_SPINS, AWAKE_NANOSECONDS * sample // max(1, min(times)))
