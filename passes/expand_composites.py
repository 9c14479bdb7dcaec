"""Opens operations that are built from others, until only primitives are left.

What a composite consists of is named under it, so its name stays as a scope.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from graphc.evaluate import expand_composite
from graphc.operation import Operation
from graphc.passes.base import Context
from graphc.passes.rebuild import Rebuild
from graphc.program import Program, clone_operation


@dataclass(frozen=True)
class ExpandComposites:
    """Replaces every operation with an `OpDef.composite` by what that builds."""

    name: ClassVar[str] = "expand_composites"

    def run(self, program: Program, context: Context) -> Program:
        if not any(operation.definition.composite is not None for operation in program.operations):
            return program
        rebuild = Rebuild(program)
        _expand_all(program.operations, rebuild)
        return rebuild.finish()


def _expand_all(operations: Iterable[Operation], rebuild: Rebuild) -> None:
    for operation in operations:
        if operation.definition.composite is None:
            rebuild.keep(operation)
            continue
        inner, results = expand_composite(clone_operation(operation, rebuild.inputs(operation)))
        _expand_all(inner, rebuild)
        outputs = [rebuild.mapping.get(t, t) for t in results]
        for declared, found in zip(operation.outputs, outputs, strict=True):
            if declared.type != found.type:
                raise TypeError(f"{operation.type} declares {declared.type} and is built to give {found.type}")
        rebuild.replace(operation, outputs)
