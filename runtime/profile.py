"""How long each kernel of a program takes: a clock read around every step of the native walk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.operation import Operation
from graphc.program import FEED, VARIABLE, Program
from graphc.runtime.dump import fill_shapes, format_table
from graphc.runtime.native_program import NativeProgram
from graphc.runtime.session import Session
from graphc.runtime.variable_store import VariableStore

REPETITIONS = 20


@dataclass(frozen=True)
class StepTime:
    """One step of a program: what it computes and the median of its times, in microseconds."""

    number: int
    operation: Operation
    label: str
    family: str
    chunks: int
    flops: int
    bytes_moved: int
    microseconds: float


def profile_session_run(session: Session, fetches: Any, feed_dict: Any = None, repeat: int = REPETITIONS) -> list[StepTime]:
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
) -> list[StepTime]:
    """The steps of a compiled program with the medians of their times over `repeat` runs, after one that is not counted."""
    program.profile(feeds, store, run_key)
    times = np.array([program.profile(feeds, store, run_key) for _ in range(max(1, repeat))], np.float64)
    medians = np.median(times, axis=0) / 1e3
    steps = zip(program.compilation.steps, medians)
    return [
        StepTime(
            number, operation, step.label or operation.name, step.kernel.family, step.kernel.chunks, step.kernel.flops,
            step.kernel.bytes_moved, float(median),
        )
        for number, ((operation, step), median) in enumerate(steps)
    ]  # fmt: skip


def format_times(steps: Sequence[StepTime], most: int | None = None) -> str:
    """A table of the steps, the longest first, with the user's lines; `most` rows of them."""
    total = sum(step.microseconds for step in steps)
    rows = [("%", "us", "GFLOP/s", "GB/s", "chunks", "kernel", "operation", "line")]
    chosen = sorted(steps, key=lambda step: -step.microseconds)
    for step in chosen[:most]:
        location = step.operation.location
        rows.append((
            f"{100 * step.microseconds / total:.1f}" if total else "0.0", f"{step.microseconds:.2f}",
            _rate(step.flops, step.microseconds), _rate(step.bytes_moved, step.microseconds), str(step.chunks), step.family,
            step.label, str(location) if location is not None else "",
        ))  # fmt: skip
    more = f"\n... and {len(chosen) - most} more" if most is not None and len(chosen) > most else ""
    return f"{len(steps)} kernels, {total:.1f} us\n{format_table(rows, right={0, 1, 2, 3, 4})}{more}"


def _rate(amount: int, microseconds: float) -> str:
    return f"{amount / microseconds / 1e3:.1f}" if amount and microseconds else ""


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
