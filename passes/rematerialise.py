"""Values computed again instead of kept: what is cheap for a reader to compute from what it reads anyway is not stored.

A stored element costs a write and a read for each reader; for large tensors that is worth a few dozen vector instructions.
The gradient of an activation so computes the activation again from its argument.
"""

from __future__ import annotations

from collections.abc import Iterable

from graphc.operation import Operation, Tensor
from graphc.passes.regions import Region, cost_of, is_inline, is_scalar_constant
from graphc.program import Program

BUDGETS = ((512 << 10, 40.0), (64 << 10, 10.0), (0, 3.0))
"""From how many bytes on how many vector instructions an element may cost."""


def share_recomputation(program: Program, region_of: dict[Operation, Region]) -> None:
    """Gives regions copies of operations whose results they then need not read from others."""
    _Sharing(program, region_of).run()


class _Sharing:
    def __init__(self, program: Program, region_of: dict[Operation, Region]):
        self.program, self.region_of = program, region_of
        self.inside = set(program.operations)
        self.results = set(program.results)
        self.consumers = program.consumers()
        self.dropped: set[Tensor] = set()

    def run(self) -> None:
        for operation in self.program.operations:
            region = self.region_of.get(operation)
            if region is None or region.opaque or operation.definition.scalar is None:
                continue
            self._consider(operation.output, region)

    def _consider(self, tensor: Tensor, region: Region) -> None:
        """Drops a tensor that every reader can compute within its budget."""
        readers = self._readers(tensor, region)
        if not readers:
            return
        cone = self._find_cone(tensor, region)
        if cone is None:
            return
        operations, leaves = cone
        budget = next(cost for size, cost in BUDGETS if tensor.type.nbytes >= size)
        if sum(map(cost_of, operations)) > budget:
            return
        large = {t for t in leaves if t.type.nbytes * 2 > tensor.type.nbytes}
        if any(len(large - self._read_by(reader)) > 1 for reader in readers):
            return
        if any(not self._fits(reader, tensor, leaves) for reader in readers):
            return
        self.dropped.add(tensor)
        for reader in readers:
            reader.copies.update(dict.fromkeys(operations))

    def _readers(self, tensor: Tensor, region: Region) -> set[Region]:
        """The other regions that read a tensor; none where something needs it in memory."""
        if tensor in self.results:
            return set()
        readers: set[Region] = set()
        for consumer in self.consumers[tensor]:
            reader = self.region_of.get(consumer)
            if is_inline(consumer) or reader is None or reader.opaque or consumer is reader.anchor:
                return set()
            if consumer.definition.scalar is None and consumer.definition.reduce is None:
                return set()
            if reader is not region:
                readers.add(reader)
        return readers

    def _find_cone(self, tensor: Tensor, region: Region) -> tuple[list[Operation], set[Tensor]] | None:
        """The elementwise operations that compute a tensor from what lies in memory, and those leaves."""
        operations: dict[Operation, None] = {}
        leaves: set[Tensor] = set()
        pending = [tensor]
        while pending:
            current = pending.pop()
            operation = current.operation
            if operation in operations or is_scalar_constant(current):
                continue
            if current is not tensor and self._is_in_memory(current, region):
                leaves.add(current)
                continue
            if self.region_of.get(operation) is not region or operation.definition.scalar is None:
                return None
            if operation.output.type.sizes != tensor.type.sizes:
                return None
            operations[operation] = None
            pending += operation.inputs
        return list(operations), leaves

    def _is_in_memory(self, tensor: Tensor, region: Region) -> bool:
        """Whether a tensor lies in memory whatever is decided here."""
        operation = tensor.operation
        if operation not in self.inside:
            return True
        if is_inline(operation):
            return False
        if self.region_of[operation] is not region:
            return tensor not in self.dropped
        if tensor in self.dropped:
            return False
        return tensor in self.results or bool(self._readers_or_needs(tensor, region))

    def _readers_or_needs(self, tensor: Tensor, region: Region) -> bool:
        return any(self.region_of.get(consumer) is not region for consumer in self.consumers[tensor])

    def _read_by(self, region: Region) -> set[Tensor]:
        return {t for operation in (*region.operations, *region.copies) for t in operation.inputs}

    def _fits(self, reader: Region, tensor: Tensor, leaves: Iterable[Tensor]) -> bool:
        """Whether the reader walks the tensor's elements, and can load the leaves where it does."""
        if reader.domain != tensor.type.sizes:
            return False
        return reader.anchor is None or all(t.type.sizes == tensor.type.sizes for t in leaves)
