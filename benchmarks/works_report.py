"""What was measured as tables for people and as data for programs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness import Measured

AIMS = {
    "dispatch": 10, "dispatch-run": 4, "linreg": 5, "mlp": 1.35, "cnn": 3, "lstm": 3.5, "vae": 1.35, "transformer": 1.8,
    "blackscholes": 2, "rownorm": 1.8, "gemm": 1.1,
}  # fmt: skip
THE_SAME_WORK_AGAIN = {"dispatch-run"}
OURS = "graphc"
NOTHING = "-"

Results = Mapping[str, Mapping[str, Measured]]  # by work, then by framework
Time = Callable[[Measured], float | None]  # microseconds


def format_results(results: Results, frameworks: Sequence[str], facts: Mapping[str, Any] | None) -> str:
    """All tables, with notes on what is missing."""
    parts = [
        "One step, microseconds, the median over rounds",
        step_table(results, frameworks, typical),
        *_means(results, typical),
        *_notes(results),
        "\nOne step, microseconds, the 5th percentile of the best round",
        step_table(results, frameworks, undisturbed),
        *_means(results, undisturbed),
        "\nFirst run, nothing compiled before, seconds",
        _table_of(results, frameworks, lambda m: m.first_cold, 3),
    ]
    if any(m.first_warm is not None for row in results.values() for m in row.values()):
        parts += [
            "\nFirst run in a new process, code on disk, seconds",
            _table_of(results, frameworks, lambda m: m.first_warm, 3),
        ]
    parts += [
        "\nImport of the framework, seconds",
        _table_of(results, frameworks, lambda m: m.importing, 3),
        "\nMost memory held, MB",
        _table_of(results, frameworks, lambda m: m.memory, 0),
    ]
    if facts:
        parts += ["\nPrograms of graphc", facts_table(results, facts)]
    return "\n".join(parts)


def typical(measured: Measured) -> float | None:
    return measured.microseconds


def undisturbed(measured: Measured) -> float | None:
    return measured.undisturbed


def step_table(results: Results, frameworks: Sequence[str], time: Time) -> str:
    """Times of all frameworks, then how many times faster than each peer and than the best one graphc is."""
    peers = [name for name in frameworks if name != OURS]
    head = ["work", *frameworks, *(f"x {name}" for name in peers), "best peer", "x best", "aim"]
    rows = [head]
    for work, row in results.items():
        times = {name: time(row[name]) if name in row else None for name in frameworks}
        best = best_peer(row, time)
        rows.append([
            work, *(_number(times[name]) for name in frameworks), *(_ratio(times[name], times.get(OURS)) for name in peers),
            best.framework if best else NOTHING, _ratio(time(best) if best else None, times.get(OURS)),
            _number(AIMS.get(work)),
        ])  # fmt: skip
    return format_table(rows)


def facts_table(results: Results, facts: Mapping[str, Any]) -> str:
    """Memory of the programs, and how near their steps come to the peaks of the machine."""
    peaks = facts["peaks"]
    rows = [["work", "kernels", "arena kB", "intermediates kB", "GFLOP/s", "% of peak", "GB/s", "% of memory"]]
    for work, found in facts["works"].items():
        time = results[work][OURS].undisturbed if work in results and OURS in results[work] else None
        if not time:
            continue
        operations, moved = found["flops"] / time / 1e3, found["unavoidable"] / time / 1e3
        rows.append([
            work, str(found["kernels"]), _number(found["arena"] / 1e3), _number(found["intermediates"] / 1e3),
            _number(operations) if operations else NOTHING, _share(operations, peaks["gflops"]),
            _number(moved), _share(moved, peaks["gbytes"]),
        ])  # fmt: skip
    explanation = (
        f"peaks: {peaks['gflops']:.0f} GFLOP/s of fused multiply-adds, {peaks['gbytes']:.1f} GB/s of memory\n"
        "GFLOP/s counts matrix products and convolutions; GB/s what comes in, goes out and changes, which may lie in caches;\n"
        "both of undisturbed steps"
    )
    return f"{format_table(rows)}\n{explanation}"


def best_peer(row: Mapping[str, Measured], time: Time = typical) -> Measured | None:
    """The fastest framework that is not graphc, of one work."""
    measured = [m for name, m in row.items() if name != OURS and time(m)]
    return min(measured, key=lambda m: time(m) or math.inf, default=None)


def geometric_mean(results: Results, time: Time = typical) -> tuple[float, int] | None:
    """How many times faster than the best peer graphc is over the works, and over how many of them."""
    ratios = []
    for work, row in results.items():
        best, ours = best_peer(row, time), row.get(OURS)
        theirs, our_time = time(best) if best else None, time(ours) if ours else None
        if theirs and our_time and work not in THE_SAME_WORK_AGAIN:
            ratios.append(theirs / our_time)
    return (math.exp(sum(map(math.log, ratios)) / len(ratios)), len(ratios)) if ratios else None


def as_data(results: Results) -> dict[str, dict[str, Any]]:
    """Everything that was measured, for a file."""
    return {
        work: {name: dataclasses.asdict(measured) | {"microseconds": measured.microseconds} for name, measured in row.items()}
        for work, row in results.items()
    }


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns as Markdown reads them, numbers to the right; the first row is the head."""
    widths = [max(3, *(len(row[i]) for row in rows)) for i in range(len(rows[0]))]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths)
        return "| " + " | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]) + " |"

    rule = "| " + " | ".join(["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]) + " |"
    return "\n".join([line(rows[0]), rule, *map(line, rows[1:])])


def _means(results: Results, time: Time) -> list[str]:
    found = geometric_mean(results, time)
    if found is None:
        return []
    mean, count = found
    return [f"geometric mean over {count} works (dispatch through make_callable): {mean:.2f} times the best peer"]


def _notes(results: Results) -> list[str]:
    return [f"  {work} on {name}: {m.note}" for work, row in results.items() for name, m in row.items() if m.note]


def _table_of(
    results: Results, frameworks: Sequence[str], value: Callable[[Measured], float | None], decimals: int
) -> str:
    def cell(row: Mapping[str, Measured], name: str) -> str:
        found = value(row[name]) if name in row and not row[name].note else None
        return NOTHING if found is None else f"{found:.{decimals}f}"

    rows = [[work, *(cell(row, name) for name in frameworks)] for work, row in results.items()]
    return format_table([["work", *frameworks], *rows])


def _number(value: float | None) -> str:
    """Three digits that count."""
    if value is None:
        return NOTHING
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def _ratio(theirs: float | None, ours: float | None) -> str:
    return f"{theirs / ours:.2f}" if theirs and ours else NOTHING


def _share(value: float, whole: float) -> str:
    return f"{100 * value / whole:.0f}" if value else NOTHING
