"""GFLOP/s of generated matrix products, convolutions and pooling, with what compiling them cost.

    python benchmarks/contractions.py [gemm|conv|bf16] [--select TEXT] [--text]

Kernels run serially (all chunks in turn, in a native loop) on one core: pin it with taskset for steady figures.
"""

from __future__ import annotations

import argparse
import ctypes
import mmap
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from graphc.runtime.emit.function import F32, I64, PTR, Function, Module, vector_type
from graphc.runtime.jit.engine import load_kernels
from graphc.runtime.jit.routines import load_routines
from graphc.runtime.jit.target import compile_object
from graphc.runtime.kernel import ENTRY, Kernel, make_kernel
from graphc.runtime.kernels.contraction import ContractionOptions, dense_contraction
from graphc.runtime.kernels.convolution import Convolution
from graphc.runtime.kernels.convolution_kernels import (
    build_convolution,
    build_convolution_filter_gradient,
    build_convolution_input_gradient,
)
from graphc.runtime.kernels.gemm import build_contraction
from graphc.runtime.kernels.sequence import KernelSequence
from graphc.runtime.schedule.machine import host_machine

REPEAT = """
define void @benchmark_repeat(ptr %kernel, ptr %operands, i64 %chunks, i64 %times) {
entry:
  br label %round
round:
  %n = phi i64 [ 0, %entry ], [ %n1, %next ]
  br label %work
work:
  %c = phi i64 [ 0, %round ], [ %c1, %work ]
  call void %kernel(ptr %operands, i64 %c)
  %c1 = add i64 %c, 1
  %more = icmp slt i64 %c1, %chunks
  br i1 %more, label %work, label %next
next:
  %n1 = add i64 %n, 1
  %again = icmp slt i64 %n1, %times
  br i1 %again, label %round, label %end
end:
  ret void
}
"""

HUGE_PAGE = 2 << 20

SQUARES = [(n, n, n, "", 1) for n in (32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048)]
NETWORKS = [
    (128, 512, 784, "", 1),
    (128, 256, 512, "", 1),
    (128, 10, 256, "", 1),
    (784, 512, 128, "ta", 1),
    (128, 784, 512, "tb", 1),
    (1024, 768, 256, "", 1),
    (1024, 1024, 256, "", 1),
    (1024, 256, 1024, "", 1),
    (256, 1024, 1024, "ta", 1),
    (32, 200, 50, "", 1),
    (50, 200, 32, "ta", 1),
    (32, 50, 200, "tb", 1),
    (128, 10, 256, "tb", 1),
    (256, 10, 128, "ta", 1),
    (128, 256, 10, "tb", 1),
    (1, 1024, 1024, "", 1),
    (1, 1024, 1024, "tb", 1),
    (1024, 1, 1024, "", 1),
    (64, 64, 25088, "ta", 1),
    (128, 128, 64, "", 32),
    (128, 128, 64, "tb", 32),
    (128, 64, 128, "", 32),
    (128, 64, 128, "ta", 32),
]


def aligned(shape: Sequence[int], dtype: type = np.float32) -> np.ndarray:
    """Zeros at the start of a page, a large one where the array is large, as programs' memory is."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    page = HUGE_PAGE if size >= HUGE_PAGE // 2 else 4096
    memory = mmap.mmap(-1, size + 2 * page)
    if page == HUGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    raw = np.frombuffer(memory, np.uint8)
    start = -raw.ctypes.data % page
    raw[start : start + size] = 0
    return raw[start : start + size].view(dtype).reshape(shape)


def sequence_seconds(sequence: KernelSequence, arrays: Sequence[np.ndarray]) -> float:
    everything = [*arrays, *(aligned((size,), np.uint8) for size in sequence.temporaries)]
    return sum(seconds(step.kernel, [everything[i] for i in step.operands]) for step in sequence.steps)


def seconds(kernel: Kernel, arrays: Sequence[np.ndarray], rounds: int = 15, block: float = 0.003) -> float:
    """The least time of one run of all chunks, over several blocks of runs."""
    repeat = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(
        load_routines(REPEAT)["benchmark_repeat"]
    )
    address = load_kernels([kernel])[kernel.name]
    keep = [*arrays, aligned((max(kernel.workspace, 1),), np.uint8)]
    table = (ctypes.c_void_p * len(keep))(*(array.ctypes.data for array in keep))
    times, elapsed = 1, 0.0
    while True:
        start = time.perf_counter()
        repeat(address, ctypes.addressof(table), kernel.chunks, times)
        elapsed = time.perf_counter() - start
        if elapsed > block or times > 1 << 20:
            break
        times *= 2
    samples = []
    for _ in range(rounds):
        start = time.perf_counter()
        repeat(address, ctypes.addressof(table), kernel.chunks, times)
        samples.append((time.perf_counter() - start) / times)
    return min(samples)


def measured_peak() -> float:
    """GFLOP/s of fused multiply-adds on registers alone, now: clocks change with what else the machine does."""
    machine, chains, steps = host_machine(), 16, 1000
    module = Module()
    function = Function(module, ENTRY, [("operands", PTR), ("chunk", I64)])
    type_ = vector_type(F32, machine.lanes(32))
    place = function.load(function.arguments[0], PTR)
    values = [function.load(function.offset(place, i * machine.lanes(32), F32), type_) for i in range(chains)]
    factor = values[0]
    totals = function.loop(0, steps, 1, values, lambda _, v: [function.fma(factor, x, x) for x in v])
    for i, total in enumerate(totals):
        function.store(total, function.offset(place, i * machine.lanes(32), F32))
    function.return_void()
    kernel = make_kernel("peak", str(module), flops=2 * chains * steps * machine.lanes(32))
    return kernel.flops / seconds(kernel, [aligned((chains * machine.lanes(32),))]) / 1e9


def report(name: str, kernel: Kernel, took: float, build: float, schedule: bool) -> None:
    start = time.perf_counter()
    compile_object(kernel.text, host_machine())
    compiled = time.perf_counter() - start
    rate, peak = kernel.flops / took / 1e9, measured_peak()
    print(
        f"{name:42} {rate:7.1f} GFLOP/s of {peak:5.1f} ({rate / peak:4.0%}) {took * 1e6:10.2f} us   "
        f"text {len(kernel.text) / 1000:6.1f} kB, "
        f"built {build * 1e3:5.1f} ms, compiled {compiled * 1e3:6.1f} ms"
    )
    if schedule:
        print("    " + kernel.schedule)


def products(
    cases: Iterable[tuple[int, int, int, str, int]], select: str, schedule: bool, precision: str = "", **options
) -> None:
    machine = host_machine()
    for rows, columns, depth, layout, batch in cases:
        name = f"{f'{batch} x ' if batch > 1 else ''}{rows}x{columns}x{depth} {layout}".strip()
        if select not in name:
            continue
        contraction = dense_contraction(
            rows, columns, depth, "ta" in layout, "tb" in layout, (batch,) if batch > 1 else (), precision=precision
        )
        start = time.perf_counter()
        kernel = build_contraction(contraction, machine, 1, options=ContractionOptions(**options))
        build = time.perf_counter() - start
        rng = np.random.default_rng(0)
        a, b = (aligned((batch, size)) for size in (rows * depth, depth * columns))
        a[...], b[...] = rng.standard_normal(a.shape), rng.standard_normal(b.shape)
        report(name, kernel, seconds(kernel, [a, b, aligned((batch, rows * columns))]), build, schedule)


CONVOLUTIONS = {
    "32x28x28x1->32 3x3": Convolution(32, 28, 28, 1, 3, 3, 32),
    "32x13x13x32->64 3x3": Convolution(32, 13, 13, 32, 3, 3, 64),
    "32x5x5x64->64 3x3": Convolution(32, 5, 5, 64, 3, 3, 64),
    "1x56x56x64->64 3x3 same": Convolution(1, 56, 56, 64, 3, 3, 64, padding=(1, 1, 1, 1)),
    "1x28x28x128->128 3x3 same": Convolution(1, 28, 28, 128, 3, 3, 128, padding=(1, 1, 1, 1)),
    "1x14x14x256->256 3x3 same": Convolution(1, 14, 14, 256, 3, 3, 256, padding=(1, 1, 1, 1)),
    "1x56x56x64->128 3x3 /2": Convolution(1, 56, 56, 64, 3, 3, 128, (2, 2), (1, 1, 1, 1)),
    "1x56x56x64->256 1x1": Convolution(1, 56, 56, 64, 1, 1, 256),
    "1x28x28x256->128 1x1": Convolution(1, 28, 28, 256, 1, 1, 128),
    "8x56x56x64->64 3x3 same": Convolution(8, 56, 56, 64, 3, 3, 64, padding=(1, 1, 1, 1)),
    "32x7x7x128->128 3x3 same": Convolution(32, 7, 7, 128, 3, 3, 128, padding=(1, 1, 1, 1)),
    "1x224x224x3->64 7x7 /2": Convolution(1, 224, 224, 3, 7, 7, 64, (2, 2), (2, 3, 2, 3)),
}


def convolutions(select: str, schedule: bool) -> None:
    machine = host_machine()
    for name, c in CONVOLUTIONS.items():
        if select not in name:
            continue
        rng = np.random.default_rng(0)
        shapes = {
            "images": (c.images, c.height, c.width, c.channels),
            "filter": (c.kernel_height, c.kernel_width, c.channels, c.filters),
            "result": (c.images, c.result_height, c.result_width, c.filters),
        }
        arrays = {key: aligned(shape) for key, shape in shapes.items()}
        for array in arrays.values():
            array[...] = rng.standard_normal(array.shape)
        for what, build, (first, second, result) in (
            ("forward", build_convolution, ("images", "filter", "result")),
            ("input gradient", build_convolution_input_gradient, ("result", "filter", "images")),
            ("filter gradient", build_convolution_filter_gradient, ("images", "result", "filter")),
        ):
            start = time.perf_counter()
            sequence = build(c, machine, 1)
            built = time.perf_counter() - start
            took = sequence_seconds(sequence, [arrays[first], arrays[second], aligned(shapes[result])])
            main_kernel = replace(sequence.steps[-1].kernel, flops=c.flops)
            report(f"{name} {what}", main_kernel, took, built, schedule)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default="all", choices=["all", "gemm", "conv", "bf16"])
    parser.add_argument("--select", default="", help="only cases whose name contains this")
    parser.add_argument("--schedule", action="store_true", help="print how each kernel was cut")
    arguments = parser.parse_args()
    if arguments.what in ("all", "gemm"):
        products(SQUARES + NETWORKS, arguments.select, arguments.schedule)
    if arguments.what in ("all", "bf16"):
        products(SQUARES[3:] + NETWORKS[:10], arguments.select, arguments.schedule, "bf16")
    if arguments.what in ("all", "conv"):
        convolutions(arguments.select, arguments.schedule)


if __name__ == "__main__":
    main()
