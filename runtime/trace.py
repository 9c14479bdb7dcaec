"""Timed runs as a trace that Perfetto (ui.perfetto.dev) and chrome://tracing open.

The format is the JSON object of Chrome's Trace Event Format: complete events ("X") with `ts` and `dur` in microseconds,
and metadata events ("M") that name process and lanes.
"""

from __future__ import annotations

import json
import os
from typing import Any

from graphc.runtime.peaks import Peaks
from graphc.runtime.profile import Profile, StepTime, share_of_peak
from graphc.visualize import write_aside

PROCESS = 1
RUNS, SERIAL, PARALLEL = 1, 2, 3  # lanes, which the format calls threads


def write_trace(path: str | os.PathLike[str], profile: Profile, peaks: Peaks | None = None) -> str:
    """Writes the trace of a profile's runs, whole or not at all, and returns the path. Raises OSError."""
    return write_aside(path, json.dumps(make_trace(profile, peaks), separators=(",", ":")).encode() + b"\n")


def make_trace(profile: Profile, peaks: Peaks | None = None) -> dict[str, Any]:
    """The runs of a profile as the object of a trace: a lane of runs, one of kernels on one thread, one of those on all.

    Kernels have what the table of `format_profile` says of them, with `peaks` their share of what bounds them too.
    Time begins with the first run; `otherData` has its moment in nanoseconds of the monotonic clock.
    """
    lanes = {RUNS: "runs", SERIAL: "kernels on one thread"}
    if profile.threads > 1:
        lanes[PARALLEL] = f"kernels on {profile.threads} threads"
    start = int(profile.moments[0, 0])
    events = [_metadata("process_name", RUNS, name=f"graphc {profile.name}")]
    for lane, name in lanes.items():
        events += [_metadata("thread_name", lane, name=name), _metadata("thread_sort_index", lane, sort_index=lane)]
    details = [_details(step, peaks) for step in profile.steps]
    for number, run in enumerate((profile.moments - start).tolist()):
        events.append(_event(f"run {number}", "run", RUNS, run[0], run[-1], {"kernels": len(profile.steps)}))
        for step, args, begin, end in zip(profile.steps, details, run, run[1:]):
            lane = PARALLEL if step.parallel else SERIAL
            events.append(_event(step.label, step.family, lane, begin, end, args))
    return {
        "displayTimeUnit": "ns",
        "otherData": {"clock": "monotonic", "start_ns": start, "threads": profile.threads},
        "traceEvents": events,
    }


def _metadata(what: str, lane: int, **args: Any) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": PROCESS, "tid": lane, "args": args}


def _event(name: str, category: str, lane: int, begin: int, end: int, args: dict[str, Any]) -> dict[str, Any]:
    """A complete event from and to a moment in nanoseconds."""
    times = {"ts": begin / 1e3, "dur": (end - begin) / 1e3}
    return {"ph": "X", "name": name, "cat": category, "pid": PROCESS, "tid": lane, **times, "args": args}


def _details(step: StepTime, peaks: Peaks | None) -> dict[str, Any]:
    details: dict[str, Any] = {
        "step": step.number,
        "operation": step.operation.name,
        "type": step.operation.definition.name,
        "line": step.line,
        "kernel": step.family,
        "best_us": step.best,
        "flops": step.flops,
        "other_operations": step.operations,
        "bytes": step.bytes_moved,
        "chunks": step.chunks,
        "schedule": step.schedule,
    }
    if step.best:
        details |= {"GFLOP/s": round(step.work / step.best / 1e3, 3), "GB/s": round(step.bytes_moved / step.best / 1e3, 3)}
    if peaks is not None:
        details["of peak"] = share_of_peak(step, peaks)
    return details
