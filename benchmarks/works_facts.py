"""What graphc made of the works, and what the machine can do: python works_facts.py REQUEST, the request as JSON.

Prints one JSON object: peaks of the machine, and for each work the bytes and operations of its program and the time of its
kernels. A process of its own, so that the measured workers do no more than users' scripts.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from works_data import make_data
from works_session import SessionWork

import graphc as tf
from graphc.operation import TensorType
from graphc.runtime.emit.function import F32, I64, PTR, Function, Module, Value, vector_type
from graphc.runtime.executor import Executable, Operand, Step
from graphc.runtime.jit.engine import load_kernels
from graphc.runtime.kernel import ENTRY, Kernel, make_kernel
from graphc.runtime.memory import allocate
from graphc.runtime.profile import format_times, profile_session_run
from graphc.runtime.schedule.machine import host_machine
from graphc.runtime.threads.pool import shared_pool

CHAINS = 12  # independent sums, enough for every latency and few enough for sixteen registers
SUM_STEPS = 400_000
STREAM_BYTES = 256 << 20
REPETITIONS = 9
KERNELS_SHOWN = 12


def fma_kernel(chunks: int) -> Kernel:
    """Fused multiply-adds on registers alone."""
    lanes = host_machine().lanes(32)
    type_ = vector_type(F32, lanes)

    def build(f: Function, arrays: list[Value], chunk: Value) -> None:
        place = f.offset(arrays[0], f.mul(chunk, CHAINS * lanes), F32)
        values = [f.load(f.offset(place, i * lanes, F32), type_, align=4) for i in range(CHAINS)]
        totals = f.loop(0, SUM_STEPS, 1, values, lambda _, v: [f.fma(values[0], x, x) for x in v])
        for i, total in enumerate(totals):
            f.store(total, f.offset(place, i * lanes, F32), align=4)

    return _kernel("fma_peak", build, chunks, operands=1)


def read_kernel(chunks: int, elements: int) -> Kernel:
    """Sums of an array."""
    lanes = host_machine().lanes(32)
    type_ = vector_type(F32, lanes)

    def build(f: Function, arrays: list[Value], chunk: Value) -> None:
        place = f.offset(arrays[0], f.mul(chunk, elements), F32)
        zeros = [f.load(f.offset(arrays[1], 0, F32), type_, align=4)] * CHAINS

        def add(index: Any, totals: list[Value]) -> list[Value]:
            places = (f.offset(place, f.add(index, i * lanes), F32) for i in range(CHAINS))
            return [f.fadd(total, f.load(where, type_, align=4)) for total, where in zip(totals, places)]

        totals = f.loop(0, elements, CHAINS * lanes, zeros, add)
        for i, total in enumerate(totals):
            f.store(total, f.offset(arrays[2], f.add(f.mul(chunk, CHAINS * lanes), i * lanes), F32), align=4)

    return _kernel("read_peak", build, chunks, operands=3)


def copy_kernel(chunks: int, elements: int) -> Kernel:
    """A copy of an array."""
    lanes = host_machine().lanes(32)
    type_ = vector_type(F32, lanes)

    def build(f: Function, arrays: list[Value], chunk: Value) -> None:
        source, target = (f.offset(array, f.mul(chunk, elements), F32) for array in arrays)

        def copy(index: Any, carried: list[Value]) -> list[Value]:
            for i in range(CHAINS):
                at = f.add(index, i * lanes)
                f.store(f.load(f.offset(source, at, F32), type_, align=4), f.offset(target, at, F32), align=4)
            return carried

        f.loop(0, elements, CHAINS * lanes, [], copy)

    return _kernel("copy_peak", build, chunks, operands=2)


def _kernel(name: str, build: Callable[[Function, list[Value], Value], None], chunks: int, operands: int) -> Kernel:
    module = Module()
    function = Function(module, ENTRY, [("operands", PTR), ("chunk", I64)])
    pointers, chunk = function.arguments
    arrays = [function.load(function.offset(pointers, index, PTR), PTR) for index in range(operands)]
    build(function, arrays, chunk)
    function.return_void()
    return make_kernel(name, str(module), chunks=chunks)


def _seconds(kernel: Kernel, addresses: list[int]) -> float:
    step = Step(kernel.name, tuple(map(Operand, range(len(addresses)))), kernel.chunks, kernel.chunks > 1)
    executable = Executable([step], load_kernels([kernel]), len(addresses), pool=shared_pool())
    samples = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        executable.run(addresses)
        samples.append(time.perf_counter() - start)
    return min(samples)


def measure_peaks() -> dict[str, float]:
    """GFLOP/s of all threads together, and GB/s of memory, the better one of reading and copying."""
    threads, lanes = shared_pool().threads, host_machine().lanes(32)
    block = CHAINS * lanes
    elements = STREAM_BYTES // 4 // threads // block * block
    first, second, few = allocate(STREAM_BYTES), allocate(STREAM_BYTES), allocate(4 * block * threads)
    for buffer in (first, second):
        buffer.view()[...] = 0
    operations = 2 * SUM_STEPS * block * threads
    read = _seconds(read_kernel(threads, elements), [first.address, few.address, few.address])
    copied = _seconds(copy_kernel(threads, elements), [first.address, second.address])
    moved = 4 * elements * threads / 1e9
    return {
        "gflops": operations / _seconds(fma_kernel(threads), [few.address]) / 1e9,
        "gbytes": max(moved / read, 2 * moved / copied),
    }


def describe_work(work: str, shape: dict[str, int]) -> dict[str, Any]:
    """Bytes and operations of a work's program, with a table of its kernels."""
    built = SessionWork(tf, work, make_data(work, shape))
    session = built.open(shared_pool().threads)
    times = profile_session_run(session, built.fetches, built.feed_dict)
    found = session.find_compiled(built.fetches, built.feed_dict)
    assert found is not None
    program = found[0]
    variables = {p.key: p.tensor.type for p in program.program.parameters if p.kind == "variable"}
    moved = [*program.feeds, *program.results, *variables.values(), *program.updates.values()]
    return {
        "arena": program.arena_bytes,
        "intermediates": program.plan.intermediate_bytes,
        "kernels": len(program.compilation.steps),
        "flops": sum(step.flops for step in times),
        "unavoidable": sum(map(_bytes, moved)),
        "compile": program.compilation.seconds,
        "profile": format_times(times, KERNELS_SHOWN),
    }


def _bytes(type_: TensorType) -> int:
    return int(np.prod(type_.sizes, dtype=np.int64)) * type_.dtype.numpy.itemsize


def main() -> None:
    request = json.loads(sys.argv[1])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, request["cores"])
    machine = host_machine()
    facts = {"machine": f"{machine.name} ({machine.cpu})", "peaks": measure_peaks()}
    facts["works"] = {work: describe_work(work, shape) for work, shape in request["works"].items()}
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
