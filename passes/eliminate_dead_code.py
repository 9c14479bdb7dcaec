"""Drops what no result needs."""

from __future__ import annotations

from typing import ClassVar

from graphc.operation import Operation, Tensor
from graphc.passes.base import Context
from graphc.program import FEED, Program
from graphc.records import record


@record
class EliminateDeadCode:
    """Keeps the operations that fetches, updates or effects on the host depend on.

    Parameters that nothing uses are dropped too, but for fed ones.
    """

    name: ClassVar[str] = "eliminate_dead_code"

    def run(self, program: Program, context: Context) -> Program:
        used: set[Tensor] = set(program.results)
        kept: list[Operation] = []
        for operation in reversed(program.operations):
            if has_host_effect(operation) or any(t in used for t in operation.outputs):
                used.update(operation.inputs)
                kept.append(operation)
        parameters = tuple(p for p in program.parameters if p.kind == FEED or p.tensor in used)
        if len(kept) == len(program.operations) and len(parameters) == len(program.parameters):
            return program
        return program.replace(parameters=parameters, operations=tuple(reversed(kept)))


def has_host_effect(operation: Operation) -> bool:
    """Whether the operation does something that shows outside the program, such as printing."""
    return operation.definition.effect is not None
