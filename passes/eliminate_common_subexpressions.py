"""Merges operations that compute the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from graphc.operation import Operation, Tensor
from graphc.passes.base import Context
from graphc.passes.eliminate_dead_code import has_host_effect
from graphc.passes.patterns import COMMUTATIVE
from graphc.passes.rebuild import Rebuild
from graphc.program import Program
from graphc.records import record


@record
class EliminateCommonSubexpressions:
    """Keeps the first of several operations with the same definition, inputs and attributes.

    The order of the inputs does not count where the operation is commutative. Operations with effects stay apart.
    """

    name: ClassVar[str] = "eliminate_common_subexpressions"

    def run(self, program: Program, context: Context) -> Program:
        rebuild = Rebuild(program)
        first: dict[Any, int] = {}
        numbers = {p.tensor: i for i, p in enumerate(program.parameters)}
        for operation in program.operations:
            key = _key(operation, rebuild.inputs(operation), numbers)
            index = None if has_host_effect(operation) else first.setdefault(key, len(rebuild.operations))
            if index is not None and index < len(rebuild.operations):
                rebuild.replace(operation, rebuild.operations[index].outputs)
                continue
            for tensor in rebuild.keep(operation).outputs:
                numbers[tensor] = len(numbers)
        return rebuild.finish()


def _key(operation: Operation, inputs: tuple[Tensor, ...], numbers: Mapping[Tensor, int]) -> Any:
    """What two operations have in common exactly if they compute the same."""
    sources: Any = [numbers[t] for t in inputs]
    if operation.definition.name in COMMUTATIVE:
        sources.sort()
    attributes = tuple([(name, attribute_key(value)) for name, value in operation.attributes.items()])
    return operation.definition.name, tuple(sources), attributes


def attribute_key(value: Any) -> Any:
    """A hashable value that is equal for equal attributes only; 0, 0.0, -0.0 and False differ."""
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, (tuple, list)):
        return tuple([attribute_key(item) for item in value])
    if isinstance(value, bool):
        return "true" if value else "false"
    return value
