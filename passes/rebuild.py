"""Builds a program anew from an old one, operation by operation, with some replaced."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.operation import Operation, Tensor
from graphc.program import Program, clone_operation, substitute_results


class Rebuild:
    """The new operations so far, and which tensor stands for each one of the old program."""

    def __init__(self, program: Program):
        self.program = program
        self.operations: list[Operation] = []
        self.mapping: dict[Tensor, Tensor] = {}
        self._replaced = False

    def inputs(self, operation: Operation) -> tuple[Tensor, ...]:
        """The inputs of an old operation in the new program."""
        mapping = self.mapping
        return tuple([mapping.get(t, t) for t in operation.inputs])

    def keep(self, operation: Operation) -> Operation:
        """Takes an old operation over, on its new inputs."""
        inputs = self.inputs(operation)
        kept = operation if inputs == operation.inputs else clone_operation(operation, inputs)
        self.operations.append(kept)
        self._map(operation, kept.outputs)
        return kept

    def replace(self, operation: Operation, outputs: Sequence[Tensor]) -> None:
        """Leaves an old operation out: `outputs` take the place of its outputs."""
        self._replaced = True
        self._map(operation, outputs)

    def _map(self, operation: Operation, outputs: Sequence[Tensor]) -> None:
        for old, new in zip(operation.outputs, outputs, strict=True):
            if old is not new:
                self.mapping[old] = new

    def finish(self) -> Program:
        """The new program; the old one where nothing was replaced."""
        if not self._replaced:
            return self.program
        return substitute_results(self.program.replace(operations=tuple(self.operations)), self.mapping)
