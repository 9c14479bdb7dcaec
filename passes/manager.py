"""Runs passes one after another: leaves out, times, verifies, dumps, and names the pass in a failure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from graphc.passes.base import Context, Pass, PassRecord
from graphc.printer import print_program
from graphc.program import Program
from graphc.verifier import VerificationError, verify_program


def run_passes(passes: Sequence[Pass], program: Program, context: Context) -> Program:
    """The program after all passes that are not disabled.

    Exceptions of a pass carry a note with its name. Raises VerificationError, where the context wants verification, if a
    pass leaves a malformed program behind or makes a new one without a change, or if the text of the last program does not
    say it all.
    """
    for item in passes:
        if item.name not in context.disabled:
            program = run_pass(item, program, context)
    if context.verify:
        _verify_text(program)
    return program


def run_pass(item: Pass, program: Program, context: Context) -> Program:
    """The program after one pass."""
    start = time.perf_counter()
    try:
        result = item.run(program, context)
    except Exception as error:
        error.add_note(f"in the pass {item.name}")
        raise
    changed = result is not program
    seconds = time.perf_counter() - start
    context.records.append(PassRecord(item.name, seconds, changed, len(program.operations), len(result.operations)))
    if changed and context.verify:
        _verify_change(item, program, result)
    if changed:
        dump_stage(item.name, result, context)
    return result


def _verify_change(item: Pass, before: Program, after: Program) -> None:
    if before == after:
        raise VerificationError(f"the pass {item.name} made a new program that is the same as before")
    try:
        verify_program(after)
    except VerificationError as error:
        raise VerificationError(f"after the pass {item.name}: {error}") from error


def _verify_text(program: Program) -> None:
    from graphc.parser import parse_program  # late: nobody else needs it to compile

    literals: dict[str, Any] = {}
    text = print_program(program, literals)
    if print_program(parse_program(text, literals)) != text:
        raise VerificationError(f"the text of the program does not parse to the same program\n{text}")


def dump_stage(name: str, program: Program, context: Context) -> None:
    """Hands a program to the dump under the next number."""
    context.stage += 1
    if context.dump is not None:
        context.dump(f"{context.stage:02d}-{name}", program)


def format_records(records: Sequence[PassRecord]) -> str:
    """A table of what the passes did."""
    rows = [("pass", "ms", "operations", "")]
    rows += [(r.name, f"{r.seconds * 1e3:.2f}", f"{r.operations_before} -> {r.operations_after}",
              "" if r.changed else "unchanged") for r in records]  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return "\n".join(f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip() for a, b, c, d in rows)
