"""Where the time of a run goes: a clock read around every step of the native walk, and tables of what it says.

    profile = profile_session_run(session, [train, loss], feed_dict)
    print(format_profile(profile, machine_peaks(profile.threads), schedules=True))
    write_trace("trace.json", profile)

`machine_peaks` is in graphc.runtime.peaks, `write_trace` in graphc.runtime.trace; docs/profiling.md explains the columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.operation import Operation
from graphc.program import FEED, VARIABLE, Program
from graphc.records import record
from graphc.runtime.dump import fill_shapes, format_table
from graphc.runtime.native_program import NativeProgram
from graphc.runtime.peaks import Peaks
from graphc.runtime.session import Session
from graphc.runtime.variable_store import VariableStore

REPETITIONS = 20


@record
class StepTime:
    """One step of a program: what it computes, how, and the median and the best of its times, in microseconds.

    `flops` are the products and sums of contractions and convolutions, `operations` all other floating-point operations, a
    function such as exp counted as one. `bytes_moved` counts every operand once. `schedule` is what was chosen for the kernel
    and why.
    """

    number: int
    operation: Operation
    label: str
    family: str
    chunks: int
    parallel: bool
    flops: int
    bytes_moved: int
    schedule: str
    microseconds: float
    best: float
    operations: int = 0

    @property
    def work(self) -> int:
        """What rates and shares are of: products alone in kernels that have them, else all floating-point operations."""
        return self.flops or self.operations

    @property
    def line(self) -> str:
        """Where the user declared it, "" where nobody knows."""
        return str(self.operation.location) if self.operation.location is not None else ""


@record
class Profile:
    """Timed runs of a compiled program, one after another.

    `moments` are int64 nanoseconds of a monotonic clock, runs by steps + 1: before each step, and at the end of the run.
    """

    name: str
    steps: tuple[StepTime, ...]
    moments: np.ndarray
    threads: int
    arena_bytes: int
    intermediate_bytes: int

    @property
    def microseconds(self) -> float:
        """The medians of all steps together."""
        return math.fsum(step.microseconds for step in self.steps)

    @property
    def best(self) -> float:
        """Microseconds of all steps together, each in its best run."""
        return math.fsum(step.best for step in self.steps)


@record
class Limit:
    """What the peaks of a machine allow for a kernel: its least time in microseconds, and what bounds it.

    `bound` is FMA (floating-point work), MEMORY, or CACHES with no time where a kernel of no known floating-point work is
    faster than memory allows; "" where nothing is known.
    """

    microseconds: float
    bound: str


FMA, MEMORY, CACHES = "FMA", "memory", "caches"


def profile_session_run(session: Session, fetches: Any, feed_dict: Any = None, repeat: int = REPETITIONS) -> Profile:
    """Times what a session runs for these fetches, which writes the variables as often as it is run.

    Raises ValueError for a run that is not one compiled program (host operations, shapes that depend on data).
    """
    session.run(fetches, feed_dict)
    found = session.find_compiled(fetches, feed_dict)
    if found is None:
        raise ValueError("this run is not one compiled program: parts of it run in Python, or its shapes depend on data")
    program, feeds = found
    return profile_program(program, feeds, session.variables, session.next_run_key(), repeat)


def profile_program(
    program: NativeProgram, feeds: Sequence[np.ndarray], store: VariableStore, run_key: np.ndarray, repeat: int = REPETITIONS
) -> Profile:
    """The steps of a compiled program with their times over `repeat` runs, after one that is not counted."""
    program.profile(feeds, store, run_key)
    moments = np.array([program.profile(feeds, store, run_key) for _ in range(max(1, repeat))], np.int64)
    times = np.diff(moments) / 1e3
    threads = program.executable.pool.threads
    steps = []
    for number, ((operation, step), taken) in enumerate(zip(program.compilation.steps, times.T, strict=True)):
        kernel = step.kernel
        steps.append(StepTime(
            number, operation, step.label or operation.name, kernel.family, kernel.chunks, kernel.chunks > 1 and threads > 1,
            kernel.flops, kernel.bytes_moved, kernel.schedule, float(np.median(taken)), float(taken.min()),
            kernel.operations,
        ))  # fmt: skip
    plan = program.plan
    return Profile(plan.program.name, tuple(steps), moments, threads, program.arena_bytes, plan.intermediate_bytes)


def limit_of(step: StepTime, peaks: Peaks) -> Limit:
    """The roofline: a kernel takes at least the time of its floating-point work, and that of its bytes.

    Both at the peaks of all threads together, which are those of the best runs too; float64 at half the rate of float32.
    The peak of floating-point work is that of fused multiply-adds, which only products and sums come near. Products in bfloat16
    may be faster. A kernel that took less than the time of its bytes found them in caches: memory is no limit to it.
    """
    is_double = any(tensor.dtype.name == "float64" for tensor in step.operation.outputs)
    working = step.work / peaks.all.gflops / 1e3 * (2 if is_double else 1)
    moving = step.bytes_moved / peaks.all.memory / 1e3
    if working < moving <= step.best:
        return Limit(moving, MEMORY)
    if working:
        return Limit(working, FMA)
    return Limit(0.0, CACHES if moving else "")


def format_profile(profile: Profile, peaks: Peaks | None = None, most: int | None = None, schedules: bool = False) -> str:
    """A table of the steps, the longest first, with the user's lines, and totals below.

    Percentages are those of the medians; rates and shares those of each kernel's best run, which nothing disturbed.
    `peaks` adds the share of what bounds each kernel, `most` cuts the table after so many rows, `schedules` puts what was
    chosen for each kernel under its row.
    """
    chosen = sorted(profile.steps, key=lambda step: -step.microseconds)[:most]
    share = ["of peak"] if peaks is not None else []
    rows: list[tuple[str, ...]] = [("%", "us", "best", "GFLOP/s", "GB/s", *share, "chunks", "kernel", "operation", "line")]
    rows += [_row(step, profile.microseconds, peaks) for step in chosen]
    head, *lines = format_table(rows, right=set(range(len(share) + 6))).split("\n")
    text = [f"{len(profile.steps)} kernels, {profile.microseconds:.1f} us, each at its best {profile.best:.1f} us", head]
    for step, line in zip(chosen, lines):
        text.append(line)
        if schedules:
            text += [f"{INDENT}{part}" for part in step.schedule.split("\n") if part]
    if len(chosen) < len(profile.steps):
        text.append(f"... and {len(profile.steps) - len(chosen)} more")
    return "\n".join([*text, "", *_totals(profile, peaks)])


INDENT = 14 * " "


def _row(step: StepTime, total: float, peaks: Peaks | None) -> tuple[str, ...]:
    return (
        f"{100 * step.microseconds / total:.1f}" if total else "0.0", f"{step.microseconds:.2f}", f"{step.best:.2f}",
        _rate(step.work, step.best), _rate(step.bytes_moved, step.best),
        *([share_of_peak(step, peaks)] if peaks is not None else []), str(step.chunks), step.family, step.label, step.line,
    )  # fmt: skip


def _rate(amount: float, microseconds: float) -> str:
    return f"{amount / microseconds / 1e3:.1f}" if amount and microseconds else ""


def share_of_peak(step: StepTime, peaks: Peaks) -> str:
    """The share of what bounds a kernel in its best run, and which that is, as "72% FMA"; "" where nothing is known."""
    limit = limit_of(step, peaks)
    share = 100 * limit.microseconds / step.best if step.best else 0
    return f"{share:.0f}% {limit.bound}" if limit.bound in (FMA, MEMORY) else limit.bound


def _totals(profile: Profile, peaks: Peaks | None) -> list[str]:
    time = profile.best
    names = ("flops", "operations", "bytes_moved")
    flops, others, moved = (sum(getattr(step, name) for step in profile.steps) for name in names)
    lines = [
        f"work:  {flops / 1e6:,.2f} MFLOP in products, {others / 1e6:,.2f} in others "
        f"({_rate(flops + others, time) or 0} GFLOP/s), "
        f"{moved / 1e6:,.2f} MB through kernels ({_rate(moved, time) or 0} GB/s)",
        f"arena: {profile.arena_bytes:,} bytes for {profile.intermediate_bytes:,} bytes of intermediates",
    ]
    if peaks is None:
        return lines
    least = math.fsum(limit_of(step, peaks).microseconds for step in profile.steps)
    share = f"{100 * least / time:.0f}%" if time else "0%"
    lines.append(f"share: {share} overall; at the peaks the counted work takes {least:.1f} us")
    return [*lines, f"peaks: {peaks}"]


def make_inputs(program: Program, shapes: dict[Any, Any] | None = None) -> tuple[list[np.ndarray], VariableStore]:
    """Values for a program that nobody gave any: small random numbers for feeds and variables, zeros for integers."""
    random = np.random.default_rng(0)
    store, feeds = VariableStore(), []
    for parameter in program.parameters:
        shape, dtype = fill_shapes(program, shapes or {})[parameter.tensor], parameter.tensor.dtype
        value = random.random(shape).astype(dtype.numpy) if dtype.is_floating else np.zeros(shape, dtype.numpy)
        if parameter.kind == FEED:
            feeds.append(value)
        elif parameter.kind == VARIABLE:
            store.assign(parameter.key, value)
    return feeds, store
