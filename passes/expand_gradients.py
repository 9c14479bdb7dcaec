"""Replaces `gradient` operations by the operations of the reverse walk.

Gradients of gradients need no care of their own: a program is in the order of its data, so a gradient operation that
another one depends on has been expanded before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from graphc.evaluate import expand_composite
from graphc.gradients import GRADIENT, describe_missing_gradient
from graphc.operation import Collector, Operation, Tensor, building_into
from graphc.ops.elementwise import add
from graphc.ops.filling import zeros_like
from graphc.passes.base import Context
from graphc.passes.rebuild import Rebuild
from graphc.program import Program
from graphc.records import record


@record
class ExpandGradients:
    """Differentiates. Works on programs whose shapes are known; time is linear in the program for each gradient."""

    name: ClassVar[str] = "expand_gradients"

    def run(self, program: Program, context: Context) -> Program:
        if not any(operation.definition is GRADIENT for operation in program.operations):
            return program
        rebuild = Rebuild(program)
        for operation in program.operations:
            if operation.definition is not GRADIENT:
                rebuild.keep(operation)
                continue
            walk = _ReverseWalk(operation, rebuild.inputs(operation))
            results = walk.differentiate(rebuild.operations)
            rebuild.operations += walk.emitted
            rebuild.replace(operation, results)
        return rebuild.finish()


class _ReverseWalk:
    """The expansion of one gradient operation."""

    def __init__(self, operation: Operation, inputs: Sequence[Tensor]):
        self.operation = operation
        parts = iter(inputs)
        self.ys = [next(parts) for _ in range(operation.attributes["ys"])]
        self.groups = [[next(parts) for _ in range(size)] for size in operation.attributes["groups"]]
        self.weights = [next(parts) for _ in self.ys]
        self.stops = set(parts)
        self.active = {tensor for group in self.groups for tensor in group}  # what depends on xs
        self.gradients: dict[Tensor, Tensor] = {}  # the sum so far
        self.emitted: list[Operation] = []

    def differentiate(self, operations: Sequence[Operation]) -> list[Tensor]:
        """The derivatives by each group. `operations` are those before, in order; new ones join `emitted`."""
        self._find_active(operations)
        with self._building(self.operation.name, self.operation):
            for y, weight in zip(self.ys, self.weights):
                self._accumulate(y, weight)
        for operation in reversed(operations):
            self._visit(operation)
        with self._building(self.operation.name, self.operation):
            return [self._result(group) for group in self.groups]

    def _building(self, name: str, source: Operation) -> _Emission:
        return _Emission(self.emitted, name, source)

    def _find_active(self, operations: Iterable[Operation]) -> None:
        for operation in operations:
            if operation.definition.differentiable and not self.active.isdisjoint(operation.data_inputs):
                self.active.update(t for t in operation.outputs if _carries_gradient(t) and t not in self.stops)

    def _visit(self, operation: Operation) -> None:
        if self.active.isdisjoint(operation.data_inputs) or not operation.definition.differentiable:
            return
        arrived = [None if t in self.stops else self.gradients.get(t) for t in operation.outputs]
        if all(gradient is None for gradient in arrived):
            return
        if operation.definition.gradient is not None:
            self._apply_gradient(operation, arrived)
        elif operation.definition.composite is not None:
            self._visit_composite(operation, arrived)
        else:
            raise LookupError(describe_missing_gradient(operation))

    def _apply_gradient(self, operation: Operation, arrived: Sequence[Tensor | None]) -> None:
        assert operation.definition.gradient is not None
        with self._building(f"{self.operation.name}/{operation.name}_grad", operation):
            found = operation.definition.gradient(operation, *arrived)
            for tensor, gradient in zip(operation.data_inputs, found, strict=True):
                if gradient is not None:
                    self._accumulate(tensor, gradient)

    def _visit_composite(self, operation: Operation, arrived: Sequence[Tensor | None]) -> None:
        """Opens a composite that has no gradient of its own; what it computes again is found equal later."""
        inner, results = expand_composite(operation)
        self.emitted += inner
        self._find_active(inner)
        with self._building(f"{self.operation.name}/{operation.name}_grad", operation):
            for tensor, gradient in zip(results, arrived, strict=True):
                if gradient is not None:
                    self._accumulate(tensor, gradient)
        for part in reversed(inner):
            self._visit(part)

    def _accumulate(self, tensor: Tensor, gradient: Tensor) -> None:
        """Adds to a tensor's derivative as it comes, so that one sum is alive and each part may be added in place."""
        if tensor not in self.active:
            return
        if gradient.type != tensor.type:
            where = tensor.operation.name
            raise ValueError(f"{self.operation.name}: {where} is {tensor.type}, but its derivative is {gradient.type}")
        before = self.gradients.get(tensor)
        self.gradients[tensor] = gradient if before is None else add(before, gradient)

    def _result(self, group: Sequence[Tensor]) -> Tensor:
        found = [self.gradients[t] for t in dict.fromkeys(group) if t in self.gradients]
        if not found:
            return zeros_like(group[0])
        total = found[0]
        for part in found[1:]:
            total = add(total, part)
        return total


class _Emission:
    """A context that puts what is built into a list, named under `name` and with the locations of `source`."""

    def __init__(self, emitted: list[Operation], name: str, source: Operation):
        self.emitted = emitted
        self.collector = Collector(name, source.locations)
        self.context = building_into(self.collector)

    def __enter__(self) -> None:
        self.context.__enter__()

    def __exit__(self, *exception: object) -> None:
        self.context.__exit__(*exception)
        self.emitted += self.collector.operations


def _carries_gradient(tensor: Tensor) -> bool:
    return tensor.dtype.is_floating or tensor.dtype.is_complex
