"""The worker pool: every chunk once, whoever runs it, however many threads and callers there are."""

import ctypes
import os
import subprocess
import sys
import threading

import pytest

from graphc.runtime.jit.engine import load_kernels
from graphc.runtime.kernel import make_kernel
from graphc.runtime.threads.pool import Pool, default_threads, shared_pool

THREADS = [1, 2, 3, 4, 8]


def counting_kernel(rounds: int):
    """Adds 1 to cell `chunk`, `rounds` times."""
    return make_kernel("counting", f"""
define void @kernel_entry(ptr %cells, i64 %chunk) nounwind {{
entry:
  %cell = getelementptr i64, ptr %cells, i64 %chunk
  br label %next
next:
  %i = phi i64 [ 0, %entry ], [ %j, %next ]
  %x = load volatile i64, ptr %cell
  %y = add i64 %x, 1
  store volatile i64 %y, ptr %cell
  %j = add i64 %i, 1
  %more = icmp ult i64 %j, {rounds}
  br i1 %more, label %next, label %done
done:
  ret void
}}""")


@pytest.fixture(scope="module")
def count_once():
    kernel = counting_kernel(1)
    loaded = load_kernels([kernel])
    yield loaded[kernel.name]
    del loaded


@pytest.fixture(scope="module")
def count_long():
    kernel = counting_kernel(3000)
    loaded = load_kernels([kernel])
    yield loaded[kernel.name]
    del loaded


def run_regions(pool: Pool, function: int, chunks: int, regions: int) -> list[int]:
    cells = (ctypes.c_int64 * 64)()
    for _ in range(regions):
        pool.run(function, ctypes.addressof(cells), chunks)
    return list(cells)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("chunks", [0, 1, 2, 5, 63, 64])
def test_every_chunk_runs_once(threads, chunks, count_once):
    cells = run_regions(shared_pool(threads), count_once, chunks, regions=50)
    assert cells == [50] * chunks + [0] * (64 - chunks)


@pytest.mark.parametrize("threads", [2, 4, 16])
def test_long_chunks_on_more_threads_than_cores(threads, count_long):
    assert run_regions(shared_pool(threads), count_long, 64, regions=20) == [60_000] * 64


def test_regions_after_the_workers_went_to_sleep(count_once):
    pool = shared_pool(2)
    for _ in range(10):
        threading.Event().wait(0.005)
        assert run_regions(pool, count_once, 7, regions=3)[:8] == [3] * 7 + [0]


@pytest.mark.parametrize("threads", [2, 4])
def test_several_callers_at_once(threads, count_long):
    pool = shared_pool(threads)
    results: list[list[int]] = []
    callers = [
        threading.Thread(target=lambda: results.append(run_regions(pool, count_long, 16, regions=30))) for _ in range(5)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert results == [[90_000] * 16 + [0] * 48] * 5


def test_a_region_inside_a_region_runs_in_its_caller(count_once):
    pool = shared_pool(2)
    inner = (ctypes.c_int64 * 64)()
    pointers = (ctypes.c_void_p * 4)(pool.address, pool.run_address, count_once, ctypes.addressof(inner))
    kernel = make_kernel("nesting", """
define void @kernel_entry(ptr %operands, i64 %chunk) nounwind {
  %pool = load ptr, ptr %operands
  %p1 = getelementptr ptr, ptr %operands, i64 1
  %run = load ptr, ptr %p1
  %p2 = getelementptr ptr, ptr %operands, i64 2
  %function = load ptr, ptr %p2
  %p3 = getelementptr ptr, ptr %operands, i64 3
  %cells = load ptr, ptr %p3
  %offset = mul i64 %chunk, 8
  %part = getelementptr i64, ptr %cells, i64 %offset
  call void %run(ptr %pool, ptr %function, ptr %part, i64 8)
  ret void
}""")
    loaded = load_kernels([kernel])
    for _ in range(20):
        pool.run(loaded[kernel.name], ctypes.addressof(pointers), 8)
    assert list(inner) == [20] * 64


def test_a_forked_child_starts_threads_of_its_own(count_long):
    pool = shared_pool(3)
    run_regions(pool, count_long, 8, regions=2)
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            good = run_regions(pool, count_long, 8, regions=5)[:8] == [15_000] * 8
            os._exit(0 if good and len(os.listdir("/proc/self/task")) >= 3 else 1)
        children.append(child)
    assert run_regions(pool, count_long, 8, regions=5)[:8] == [15_000] * 8
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]


def test_a_fork_while_another_thread_is_in_the_pool(count_long):
    pool = shared_pool(2)
    stop = threading.Event()

    def keep_busy() -> None:
        while not stop.is_set():
            run_regions(pool, count_long, 16, regions=1)

    busy = threading.Thread(target=keep_busy)
    busy.start()
    codes = []
    for _ in range(5):
        child = os.fork()
        if child == 0:
            os._exit(0 if run_regions(pool, count_long, 4, regions=3)[:4] == [9000] * 4 else 1)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    stop.set()
    busy.join()
    assert codes == [0] * 5


def test_pools_are_shared_by_their_size():
    assert shared_pool(2) is shared_pool(2) is not shared_pool(3)


@pytest.mark.parametrize("threads", [0, -1, 65])
def test_impossible_numbers_of_threads(threads):
    with pytest.raises(ValueError, match="1 to 64"):
        shared_pool(threads)


def test_too_many_chunks(count_once):
    with pytest.raises(ValueError, match="65 chunks"):
        shared_pool(2).run(count_once, None, 65)


def test_the_number_of_threads_can_be_asked_for(monkeypatch):
    monkeypatch.setenv("GRAPHC_THREADS", "3")
    assert (default_threads(), shared_pool().threads) == (3, 3)


def test_workers_leave_signals_to_python():
    code = """
import ctypes, os, signal, threading
from graphc.runtime.threads.pool import shared_pool
from graphc.runtime.jit.engine import load_kernels
from graphc.runtime.kernel import make_kernel
kernel = make_kernel("nothing", "define void @kernel_entry(ptr %o, i64 %c) {\\n ret void\\n}")
loaded = load_kernels([kernel])
shared_pool(3).run(loaded[kernel.name], None, 8)
blocked = []
for task in os.listdir("/proc/self/task"):
    for line in open(f"/proc/self/task/{task}/status"):
        if line.startswith("SigBlk"):
            blocked.append(bool(int(line.split()[1], 16) >> (signal.SIGINT - 1) & 1))
print(sum(blocked))
"""
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "2"  # the workers; other threads take signals


@pytest.mark.long
def test_many_regions_of_many_sizes(count_once):
    for threads in (2, 4):
        pool = shared_pool(threads)
        for turn in range(60_000):
            chunks = turn % 65
            cells = (ctypes.c_int64 * 65)()
            pool.run(count_once, ctypes.addressof(cells), chunks)
            assert sum(cells) == chunks
