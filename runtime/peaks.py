"""What the machine can do at most, measured: fused multiply-adds and memory traffic, on one core and on all threads.

Kernels are compared with these rates. Measuring takes about two seconds, so the figures are kept on disk for each machine,
description of it and number of threads. Other load on the machine while measuring makes them too low.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from graphc.records import record
from graphc.runtime.emit.entry import begin_entry
from graphc.runtime.emit.function import F32, PTR, Function, Module, Value, vector_type
from graphc.runtime.executor import Executable, Operand, Step
from graphc.runtime.jit.cache import shared_cache
from graphc.runtime.jit.engine import load_kernels
from graphc.runtime.kernel import Kernel, make_kernel
from graphc.runtime.memory import allocate
from graphc.runtime.schedule.machine import host_machine
from graphc.runtime.schedule.topology import cpu_identity
from graphc.runtime.threads.pool import shared_pool

CHAINS = 12  # independent sums, enough for every latency and few enough for sixteen registers
SUM_STEPS = 400_000
STREAM_BYTES = 256 << 20  # more than caches hold
SECTIONS = 8  # of it, one for each run: the shorter a run, the sooner one is undisturbed
ROUNDS = 10
ROUND_SECONDS = 0.03  # for each kernel
LEAST_SCALING = 0.6  # of threads times one core; lower clocks with all cores at work cost less than that


@record
class Rates:
    """Peaks of some threads together: float32 fused multiply-adds in GFLOP/s (two operations each), memory in GB/s.

    `copy` counts what is read and what is written.
    """

    gflops: float
    read: float
    copy: float

    @property
    def memory(self) -> float:
        """GB/s, the better one of reading and copying."""
        return max(self.read, self.copy)


@record
class Peaks:
    """Rates of one core, and of `threads` threads together."""

    threads: int
    one: Rates
    all: Rates

    @property
    def disturbed(self) -> bool:
        """Whether the threads cannot have had a core each while this was measured, so that it is too low."""
        return self.all.gflops < LEAST_SCALING * self.threads * self.one.gflops

    def __str__(self) -> str:
        parts = [f"{_describe(self.all)} on {self.threads} threads"] if self.threads > 1 else []
        parts.append(f"{_describe(self.one)} on one")
        parts += ["too low, as others used the cores"] if self.disturbed else []
        return "; ".join(parts)


def _describe(rates: Rates) -> str:
    return f"{rates.gflops:.0f} GFLOP/s, {rates.read:.1f} GB/s reading, {rates.copy:.1f} GB/s copying"


def machine_peaks(threads: int | None = None, measure: bool = False) -> Peaks:
    """The peaks of this machine for runs on `threads` threads (default: those of the shared pool).

    Measured the first time on this machine, or anew where `measure` asks for it; else as remembered by this process or
    on disk. Disturbed ones are not kept on disk.
    """
    threads = shared_pool(threads).threads
    key = f"peaks {threads} {SUM_STEPS} {STREAM_BYTES} {SECTIONS} {host_machine()!r} {cpu_identity()}"
    if measure or key not in _KNOWN:
        stored = None if measure else shared_cache().get(key)
        _KNOWN[key] = measure_peaks(threads) if stored is None else _from_json(stored)
        if stored is None and not _KNOWN[key].disturbed:
            shared_cache().put(key, json.dumps(asdict(_KNOWN[key])).encode())
    return _KNOWN[key]


_KNOWN: dict[str, Peaks] = {}


def _from_json(data: bytes) -> Peaks:
    values = json.loads(data)
    return Peaks(values["threads"], Rates(**values["one"]), Rates(**values["all"]))


def measure_peaks(threads: int | None = None) -> Peaks:
    """Measures now. Takes twice 256 MiB of memory and, on two cores, about two seconds."""
    threads = shared_pool(threads).threads
    buffers = [allocate(STREAM_BYTES), allocate(STREAM_BYTES), allocate(4 * _block() * threads)]
    for buffer in buffers:
        buffer.view()[...] = 0  # so that every page is there
    first, second, few = (buffer.address for buffer in buffers)
    probes = {count: _make_probes(count, first, second, few) for count in {1, threads}}
    for _ in range(ROUNDS):  # each probe now and then, because others may use the cores for a while
        for probe in itertools.chain.from_iterable(probes.values()):
            probe.run()
    one, together = (Rates(*(probe.best for probe in probes[count])) for count in (1, threads))
    best = (max(getattr(one, name), getattr(together, name)) for name in ("gflops", "read", "copy"))
    return Peaks(threads, one, Rates(*best))  # one of many threads is a way of running on them too


class _Probe:
    """Runs a kernel, one thread for each chunk, on `operands` in turn, which are lists of addresses.

    `best` is the highest rate so far, in 1e9 of `amount` a second.
    """

    def __init__(self, kernel: Kernel, operands: Sequence[Sequence[int]], amount: int):
        count = len(operands[0])
        step = Step(kernel.name, tuple(map(Operand, range(count))), kernel.chunks, kernel.chunks > 1)
        self.executable = Executable([step], load_kernels([kernel]), count, pool=shared_pool(kernel.chunks))
        self.operands, self.amount, self.best = itertools.cycle(operands), amount, 0.0

    def run(self) -> None:
        begin = start = time.perf_counter()
        while start - begin < ROUND_SECONDS:
            self.executable.run(next(self.operands))
            end = time.perf_counter()
            self.best = max(self.best, self.amount / (end - start) / 1e9)
            start = end


def _make_probes(threads: int, first: int, second: int, few: int) -> tuple[_Probe, _Probe, _Probe]:
    """In the order of the fields of `Rates`, on two large buffers and a small one at these addresses."""
    block = _block()
    elements = STREAM_BYTES // SECTIONS // 4 // threads // block * block
    moved = 4 * elements * threads
    sections = [moved * section for section in range(SECTIONS)]
    return (
        _Probe(fma_kernel(threads), [[few]], 2 * SUM_STEPS * block * threads),
        _Probe(read_kernel(threads, elements), [[first + begin, few] for begin in sections], moved),
        _Probe(copy_kernel(threads, elements), [[first + begin, second + begin] for begin in sections], 2 * moved),
    )


def _block() -> int:
    """Elements that one turn of a loop works on."""
    return CHAINS * host_machine().lanes(32)


def fma_kernel(chunks: int) -> Kernel:
    """Fused multiply-adds on registers alone; one operand, CHAINS vectors for each chunk."""
    lanes = host_machine().lanes(32)
    type_ = vector_type(F32, lanes)

    def build(f: Function, arrays: list[Value], chunk: Value) -> None:
        place = f.offset(arrays[0], f.mul(chunk, CHAINS * lanes), F32)
        values = [f.load(f.offset(place, i * lanes, F32), type_, align=4) for i in range(CHAINS)]
        totals = f.loop(0, SUM_STEPS, 1, values, lambda _, v: [f.fma(values[0], x, x) for x in v])
        _store_all(f, totals, place, lanes)

    return _make_kernel("fma_peak", build, chunks, operands=1)


def read_kernel(chunks: int, elements: int) -> Kernel:
    """Sums of an array, `elements` for each chunk, into a second one of CHAINS vectors for each chunk."""
    lanes = host_machine().lanes(32)
    type_ = vector_type(F32, lanes)

    def build(f: Function, arrays: list[Value], chunk: Value) -> None:
        place = f.offset(arrays[0], f.mul(chunk, elements), F32)
        target = f.offset(arrays[1], f.mul(chunk, CHAINS * lanes), F32)
        zeros = [f.load(target, type_, align=4)] * CHAINS

        def add(index: Any, totals: list[Value]) -> list[Value]:
            places = (f.offset(place, f.add(index, i * lanes), F32) for i in range(CHAINS))
            return [f.fadd(total, f.load(where, type_, align=4)) for total, where in zip(totals, places)]

        _store_all(f, f.loop(0, elements, CHAINS * lanes, zeros, add), target, lanes)

    return _make_kernel("read_peak", build, chunks, operands=2)


def copy_kernel(chunks: int, elements: int) -> Kernel:
    """A copy of an array, `elements` for each chunk."""
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

    return _make_kernel("copy_peak", build, chunks, operands=2)


def _store_all(f: Function, values: Sequence[Value], place: Value, lanes: int) -> None:
    for i, value in enumerate(values):
        f.store(value, f.offset(place, i * lanes, F32), align=4)


def _make_kernel(name: str, build: Callable[[Function, list[Value], Value], None], chunks: int, operands: int) -> Kernel:
    module = Module()
    function = begin_entry(module)
    pointers, chunk = function.arguments
    arrays = [function.load(function.offset(pointers, index, PTR), PTR) for index in range(operands)]
    build(function, arrays, chunk)
    function.return_void()
    return make_kernel(name, str(module), chunks=chunks)
