"""Programs as tables of steps, walked natively."""

import ctypes

import numpy as np
import pytest
from sample_kernels import check_bound, copy_number, count_chunks, gather_operands, multiply_add

from graphc.runtime.executor import Executable, Failure, Operand, Step
from graphc.runtime.jit.engine import load_kernels
from graphc.runtime.memory import allocate
from graphc.runtime.threads.pool import shared_pool


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("chunks", [1, 8, 64])
def test_a_chain_of_steps(threads, chunks):
    count, length = 64, 50
    kernel = multiply_add(count, chunks)
    steps = [
        Step(kernel.name, (Operand(0, 256 * i), Operand(1), Operand(0, 256 * (i + 1))), chunks, parallel=True)
        for i in range(length)
    ]
    executable = Executable(steps, load_kernels([kernel]), slot_count=2, pool=shared_pool(threads))
    arena, factor = allocate(256 * (length + 1)), np.full(count, 0.5, np.float32)
    values = arena.view(np.float32, (length + 1, count))
    values[0] = expected = np.arange(count, dtype=np.float32)
    assert executable.run([arena.address, factor.ctypes.data]) is None
    for step in range(1, length + 1):
        expected = expected * np.float32(0.5) + np.float32(1)
        assert np.array_equal(values[step], expected)


def test_a_program_without_steps():
    executable = Executable([], load_kernels([]), slot_count=0)
    assert executable.run([]) is None
    assert len(executable.run_timed([])[0]) == 1


def test_any_number_of_operands():
    numbers = np.arange(1000, dtype=np.int64)
    kernel, total = gather_operands(1000), np.zeros(1, np.int64)
    operands = tuple(Operand(0, 8 * i) for i in range(1000)) + (Operand(1),)
    executable = Executable([Step(kernel.name, operands)], load_kernels([kernel]), slot_count=2)
    executable.run([numbers.ctypes.data, total.ctypes.data])
    assert total[0] == numbers.sum()


def test_a_failed_check_stops_the_run():
    kernels = [check_bound(10), copy_number()]
    check, copy = (kernel.name for kernel in kernels)
    steps = [
        Step(copy, (Operand(0), Operand(1))),
        Step(check, (Operand(1), Operand(1, 8), Operand(2))),
        Step(copy, (Operand(1, 8), Operand(1, 16))),
    ]
    executable = Executable(steps, load_kernels(kernels), slot_count=3, status_slot=2)
    source, cells, status = np.zeros(1, np.int64), np.zeros(3, np.int64), np.zeros(4, np.int64)
    slots = [array.ctypes.data for array in (source, cells, status)]
    source[0] = 7
    assert executable.run(slots) is None
    assert cells.tolist() == [7, 7, 7]
    source[0] = 12
    assert executable.run(slots) == Failure(check=0, value=12, bound=10, step=1)
    assert cells.tolist() == [12, 7, 7]
    times, failure = executable.run_timed(slots)
    assert failure == Failure(0, 12, 10, 1)
    assert times[0] > 0 and times[1] > 0 and times[2] == 0 and times[3] >= times[1]
    source[0] = 9
    assert executable.run(slots) is None  # the status of the last run is forgotten


def test_times_grow_from_step_to_step():
    kernel = count_chunks(4, work=1000)
    steps = [Step(kernel.name, (Operand(0),), 4, parallel=bool(i % 2)) for i in range(6)]
    executable = Executable(steps, load_kernels([kernel]), slot_count=1, pool=shared_pool(2))
    cells = np.zeros(4, np.int64)
    times, failure = executable.run_timed([cells.ctypes.data])
    assert failure is None and cells.tolist() == [6000] * 4
    assert len(times) == 7 and all(later > earlier for earlier, later in zip(times, times[1:]))


def test_mistakes_are_refused():
    kernel = copy_number()
    loaded = load_kernels([kernel])
    good = Step(kernel.name, (Operand(0), Operand(1)))
    with pytest.raises(ValueError, match="names slot 2 of 2"):
        Executable([Step(kernel.name, (Operand(0), Operand(2)), label="copy")], loaded, slot_count=2)
    with pytest.raises(ValueError, match="copy has 65 chunks"):
        Executable([Step(kernel.name, (), chunks=65, label="copy")], loaded, slot_count=2)
    with pytest.raises(KeyError):
        Executable([Step("unknown", ())], loaded, slot_count=2)
    with pytest.raises(ValueError, match="2 slots, not 1"):
        Executable([good], loaded, slot_count=2).run([0])


def test_an_executable_keeps_its_code():
    kernel = multiply_add(4)
    executable = Executable([Step(kernel.name, tuple(map(Operand, range(3))))], load_kernels([kernel]), slot_count=3)
    a, b, c = (np.full(4, 3, np.float32) for _ in range(3))
    executable.run([array.ctypes.data for array in (a, b, c)])
    assert c.tolist() == [10] * 4
    assert ctypes.c_void_p.from_address(executable.address).value
