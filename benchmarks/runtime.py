"""What the runtime itself costs: a call, a parallel region, a step, compiling and loading. Run: python benchmarks/runtime.py

Each figure is the median of many short measurements.
"""

from __future__ import annotations

import ctypes
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from graphc.runtime.call_path import Call, CallChain, Feed, Result, Shape, make_callable, make_run
from graphc.runtime.emit.function import F32, I64, PTR, Module, vector_type
from graphc.runtime.executor import Executable, Operand, Step
from graphc.runtime.jit.engine import load_kernels
from graphc.runtime.jit.image import link
from graphc.runtime.jit.llvm import is_loaded
from graphc.runtime.jit.routine import Routine
from graphc.runtime.jit.target import compile_object
from graphc.runtime.kernel import Kernel, make_kernel
from graphc.runtime.memory import allocate
from graphc.runtime.schedule.machine import host_machine
from graphc.runtime.threads.pool import Pool, default_threads, shared_pool

FLOAT = np.dtype(np.float32)
KERNELS = 30


def main() -> None:
    if sys.argv[1:] == ["--load"]:
        measure_loading()
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GRAPHC_CACHE_DIR"] = folder
        machine = host_machine()
        print(f"{machine.name} ({machine.cpu}), {machine.cores} cores, {default_threads()} threads")
        measure_calls()
        measure_steps()
        measure_regions()
        measure_compiling()
        load_kernels(sample_kernels())
        for _ in range(2):
            subprocess.run([sys.executable, __file__, "--load"], check=True)


# -- kernels to measure with


def scaling_kernel(number: int, operations: int) -> Kernel:
    """third = polynomial(first) * second on 16 floats."""
    module = Module()
    f = Routine(module, "kernel_entry", [("operands", PTR), ("chunk", I64)])
    operands = f.arguments[0]
    first, second, third = (f.item(operands, index) for index in range(3))
    type_ = vector_type(F32, 16)
    x, value = f.load(first, type_, align=4), f.load(second, type_, align=4)
    for step in range(operations):
        value = f.fma(value, x, 1.0 / (step + number + 1))
    f.store(value, third, align=4)
    f.return_void()
    return make_kernel("scaling", str(module))


def sample_kernels() -> list[Kernel]:
    return [scaling_kernel(number, operations=150) for number in range(KERNELS)]


def median(action: Callable[[], object], times: int = 200, calls: int = 1000) -> float:
    """Nanoseconds a call."""
    samples = []
    for _ in range(times):
        start = time.perf_counter_ns()
        for _ in range(calls):
            action()
        samples.append((time.perf_counter_ns() - start) / calls)
    return statistics.median(samples)


def report(name: str, value: float, unit: str) -> None:
    print(f"  {name:<62}{value:>10.1f} {unit}")


# -- measurements


def measure_calls() -> None:
    print("a call of 16 floats in, 16 out, with its share of an empty loop")
    kernel = scaling_kernel(0, operations=1)
    executable = Executable([Step(kernel.name, tuple(map(Operand, range(3))))], load_kernels([kernel]), 3)
    weight, x = np.ones(16, FLOAT), np.ones(16, FLOAT)
    fetch, key = object(), object()

    def refuse(*_: object) -> None:
        raise AssertionError("the native call path was not taken")

    def make(shape: Shape, release: bool) -> Call:
        return Call(
            executable, [0, weight.ctypes.data, 0], [Feed(FLOAT, (16,), 0)], [Result(FLOAT, (16,), 2)], [0], refuse,
            shape, release=release, fetches=[fetch], keys=[key],
        )  # fmt: skip

    for release in (False, True):
        chain = CallChain()
        for shape in (Shape.LIST, Shape.SINGLE):
            chain.add(make(shape, release))
        function, run = make_callable(chain.calls[0], refuse), make_run(chain, refuse)
        measure_call(function, run, fetch, key, x, "interpreter released" if release else "interpreter kept")


def measure_call(
    function: Callable[..., object], run: Callable[..., object], fetch: object, key: object, x: np.ndarray, kind: str
) -> None:
    feeds = {key: x}
    report(f"function(x), {kind}", median(lambda: function(x)), "ns")
    report(f"run(fetch, feed_dict), {kind}", median(lambda: run(fetch, feeds)), "ns")
    report(f"run(fetch, feed_dict={{x: ...}}), {kind}", median(lambda: run(fetch, feed_dict={key: x})), "ns")
    report(f"run([fetch], {{x: ...}}), {kind}", median(lambda: run([fetch], {key: x})), "ns")


def measure_steps() -> None:
    print("the walk over 1000 steps of 3 operands on 16 floats")
    kernel, count = scaling_kernel(0, operations=1), 1000
    steps = [Step(kernel.name, (Operand(0, 64 * i), Operand(1), Operand(0, 64 * i + 64))) for i in range(count)]
    executable = Executable(steps, load_kernels([kernel]), 2)
    arena, weight = allocate(64 * (count + 1)), np.ones(16, FLOAT)
    slots = [arena.address, weight.ctypes.data]
    report("a step, kernel included", median(lambda: executable.run(slots), calls=10) / count, "ns")
    spans = [times[-1] - times[0] for times, _ in (executable.run_timed(slots) for _ in range(200))]
    report("a step with the clock read", statistics.median(spans) / count, "ns")


def measure_regions() -> None:
    print("a parallel region that does nothing")
    empty = make_kernel("empty", "define void @kernel_entry(ptr %o, i64 %c) nounwind {\n  ret void\n}")
    loaded = load_kernels([empty])
    for threads in dict.fromkeys((1, 2, default_threads())):
        pool = shared_pool(threads)
        steps = [Step(empty.name, (), max(2, threads), parallel=True)] * 1000
        run = partial(Executable(steps, loaded, 0, pool=pool).run, [])
        report(f"{threads} threads, workers awake", median(run, 50, 1) / 1000, "ns")
        if threads > 1:
            report(f"{threads} threads, workers asleep", sleeping_region(pool, loaded[empty.name]) / 1000, "us")


def sleeping_region(pool: Pool, function: int) -> float:
    samples = []
    for _ in range(100):
        time.sleep(0.003)
        start = time.perf_counter_ns()
        pool.run(function, None, pool.threads)
        samples.append(time.perf_counter_ns() - start)
    return statistics.median(samples)


def measure_compiling() -> None:
    print(f"{KERNELS} kernels of 150 operations")
    machine, kernels = host_machine(), sample_kernels()
    compile_object(kernels[0].text, machine)
    start = time.perf_counter()
    objects = [compile_object(kernel.text, machine) for kernel in kernels]
    report("compiled one after another", 1e3 * (time.perf_counter() - start), "ms")
    start = time.perf_counter()
    load_kernels(kernels)
    report(f"compiled on {machine.cores} cores, stored and loaded", 1e3 * (time.perf_counter() - start), "ms")
    start = time.perf_counter()
    for data in objects:
        link(data)
    report("of that, linking", 1e3 * (time.perf_counter() - start), "ms")
    start = time.perf_counter()
    load_kernels(kernels)
    report("found in memory", 1e3 * (time.perf_counter() - start), "ms")


def measure_loading() -> None:
    """In a new process."""
    kernels = sample_kernels()
    start = time.perf_counter()
    machine = host_machine()
    found = time.perf_counter()
    loaded = load_kernels(kernels, machine)
    done = time.perf_counter()
    one, out = np.ones(16, FLOAT), np.zeros(16, FLOAT)
    operands = (ctypes.c_void_p * 3)(one.ctypes.data, one.ctypes.data, out.ctypes.data)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(loaded[kernels[0].name])(operands, 0)
    assert out[0] > 0
    print(f"a new process (LLVM {'loaded' if is_loaded() else 'not needed'})")
    report("the machine found", 1e3 * (found - start), "ms")
    report(f"{KERNELS} kernels loaded from disk", 1e3 * (done - found), "ms")


if __name__ == "__main__":
    main()
