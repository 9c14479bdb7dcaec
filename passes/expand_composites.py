"""Opens operations that are built from others, until only primitives are left.

What a composite consists of is named under it, so its name stays as a scope.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from graphc.evaluate import expand_composite
from graphc.operation import Literal, OpDef, Operation
from graphc.ops.constants import CONSTANT
from graphc.passes.base import Context
from graphc.passes.rebuild import Rebuild
from graphc.program import Program, clone_operation
from graphc.records import record


@record
class ExpandComposites:
    """Replaces every operation with an `OpDef.composite` by what that builds, and what types alone decide by constants."""

    name: ClassVar[str] = "expand_composites"

    def run(self, program: Program, context: Context) -> Program:
        if not any(_is_open(operation.definition) for operation in program.operations):
            return program
        rebuild = Rebuild(program)
        _expand_all(program.operations, rebuild)
        return rebuild.finish()


def _is_open(definition: OpDef) -> bool:
    return definition.composite is not None or definition.type_value is not None


def _expand_all(operations: Iterable[Operation], rebuild: Rebuild) -> None:
    for operation in operations:
        if not _is_open(operation.definition):
            rebuild.keep(operation)
            continue
        if operation.definition.type_value is not None:
            constant = _make_constant(operation)
            rebuild.operations.append(constant)
            rebuild.replace(operation, constant.outputs)
            continue
        inner, results = expand_composite(clone_operation(operation, rebuild.inputs(operation)))
        _expand_all(inner, rebuild)
        outputs = [rebuild.mapping.get(t, t) for t in results]
        for declared, found in zip(operation.outputs, outputs, strict=True):
            if declared.type != found.type:
                raise TypeError(f"{operation.definition.name} declares {declared.type} and is built to give {found.type}")
        rebuild.replace(operation, outputs)


def _make_constant(operation: Operation) -> Operation:
    """The value of an operation that depends on known types only, such as one that a derivative asks for a shape with."""
    assert operation.definition.type_value is not None
    type_ = operation.output.type
    value = operation.definition.type_value([t.type for t in operation.inputs], **operation.attributes)
    attributes = {"value": Literal(np.asarray(value, type_.dtype.numpy)), "dtype": type_.dtype}
    return Operation(CONSTANT, [], attributes, [type_], operation.name, operation.locations)
