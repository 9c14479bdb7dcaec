"""Puts operations that keep their precision in the place of compositions that lose it."""

from __future__ import annotations

from typing import ClassVar

from graphc.operation import DEFINITIONS, Collector, Operation, Tensor, apply, building_into
from graphc.passes.base import Context
from graphc.passes.rebuild import Rebuild
from graphc.program import Program
from graphc.records import record


@record
class Stabilise:
    """Turns log(softmax(x)) into log_softmax(x), which is finite where the softmax underflows.

    Runs before composites are opened, and before gradients are expanded, so that those are precise as well. A tensor that a
    gradient is taken by stays on the way.
    """

    name: ClassVar[str] = "stabilise"

    def run(self, program: Program, context: Context) -> Program:
        if not any(operation.definition.name == "softmax" for operation in program.operations):
            return program
        gradients = [operation for operation in program.operations if operation.definition.name == "gradient"]
        fixed = {t for operation in gradients for t in operation.inputs}
        rebuild = Rebuild(program)
        for operation in program.operations:
            if _is_log_of_softmax(operation) and operation.inputs[0] not in fixed:
                rebuild.replace(operation, [_build_log_softmax(operation, rebuild)])
            else:
                rebuild.keep(operation)
        return rebuild.finish()


def _is_log_of_softmax(operation: Operation) -> bool:
    return operation.definition.name == "log" and operation.inputs[0].operation.definition.name == "softmax"


def _build_log_softmax(operation: Operation, rebuild: Rebuild) -> Tensor:
    softmax = operation.inputs[0].operation
    builder = Collector("", operation.locations + softmax.locations)
    with building_into(builder):
        result = apply(DEFINITIONS["log_softmax"], rebuild.inputs(softmax), operation.name, axis=softmax.attributes["axis"])
    rebuild.operations += builder.operations
    return result
