"""Fusion: operations that should run as one kernel become one `fused` operation.

Regions grow along the flow of data. An operation joins the region of what it reads where both walk the same elements:

    map          elementwise operations over one shape, with movements and broadcasts of what they read
    reduction    a domain reduced over some axes: what is computed for its elements before, for the kept elements after, and
                 for the elements again where they are rows (a softmax is one region that keeps its row in cache)
    contraction  a matrix product or convolution and the elementwise operations on its result, and for a product of few columns
                 those that make an operand

Movements cost nothing in a region: each region has its own copy of those it reads through. Two regions are merged only where
no path leads out of one and back into it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.operation import Operation, Tensor
from graphc.passes.build_regions import RegionBuilder
from graphc.passes.prologues import share_prologues
from graphc.passes.regions import (
    CHEAP,
    CHECKED,
    CONTRACTIONS,
    SHIFTING,
    Region,
    cost_of,
    dimensions_of,
    drop_units,
    follow_movements,
    is_inline,
    is_scalar_constant,
    needs_memory,
    read_through,
    start_region,
)  # fmt: skip
from graphc.passes.rematerialise import share_recomputation
from graphc.program import Program
from graphc.records import record
from graphc.shapes import count_elements

VIEWS = frozenset(("slice", "reshape", "broadcast_to"))
LARGE_COLUMNS = 1 << 17  # elements from which on joining arrays while their columns are summed costs more than it saves


@record
class Fuse:
    """Replaces regions by fused operations. `largest` bounds the operations of a region."""

    name: str = "fuse"
    largest: int = 96

    def run(self, program: Program, context: Any) -> Program:
        fused = _Fusion(program, self.largest).run()
        return program if fused == program else fused


class _Fusion:
    def __init__(self, program: Program, largest: int):
        self.program, self.largest = program, largest
        self.position = {op: i for i, op in enumerate(program.operations)}
        self.region_of: dict[Operation, Region] = {}
        self.results = set(program.results)
        self.consumers = program.consumers()

    def run(self) -> Program:
        for operation in self.program.operations:
            if not is_inline(operation):
                self._place(operation)
        share_recomputation(self.program, self.region_of)
        share_prologues(self.program, self.region_of)
        return RegionBuilder(self.program, self.region_of).build()

    def _is_inline(self, tensor: Tensor) -> bool:
        """Whether a tensor is computed here by an operation that regions read through."""
        return is_inline(tensor.operation) and tensor.operation in self.position

    # -- growth

    def _place(self, operation: Operation) -> None:
        """Gives an operation a region of its own, and merges that with those of what it reads."""
        region = self.region_of[operation] = start_region(operation)
        sources = self._sources(operation)
        for source, _ in sources:
            producer = self.region_of.get(source.operation)
            if producer is not None and source.operation in self.position:
                producer.readers.add(region)
                region.reads.add(producer)
        for source, moved in sources:
            producer, current = self.region_of.get(source.operation), self.region_of[operation]
            if producer is not None and producer is not current:
                self._try_merge(producer, current, source, moved)

    def _sources(self, operation: Operation) -> list[tuple[Tensor, bool]]:
        """The tensors that an operation reads, seen through inline operations, and whether it does so through one."""
        found: dict[tuple[Tensor, bool], None] = {}
        pending = [(t, False) for t in reversed(operation.inputs)]
        while pending:
            tensor, moved = pending.pop()
            if not self._is_inline(tensor):
                found[tensor, moved] = None
            elif tensor.operation.inputs:
                pending += [(t, True) for t in read_through(tensor)]
        return list(found)

    def _try_merge(self, producer: Region, consumer: Region, source: Tensor, moved: bool) -> None:
        if producer.opaque or consumer.opaque or len(producer.operations) + len(consumer.operations) > self.largest:
            return
        merged = self._combine(producer, consumer, source, moved)
        if merged is None or not self._asks_in_place(producer, consumer) or self._would_cycle(producer, consumer):
            return
        producer.domain, producer.axes, producer.anchor = merged
        producer.operations = sorted({*producer.operations, *consumer.operations}, key=self.position.__getitem__)
        for other in consumer.reads:
            other.readers.discard(consumer)
            other.readers.add(producer)
        for other in consumer.readers:
            other.reads.discard(consumer)
            other.reads.add(producer)
        producer.readers = (producer.readers | consumer.readers) - {producer, consumer}
        producer.reads = (producer.reads | consumer.reads) - {producer, consumer}
        for moved_operation in consumer.operations:
            self.region_of[moved_operation] = producer

    def _combine(
        self, producer: Region, consumer: Region, source: Tensor, moved: bool
    ) -> tuple[tuple[int, ...], tuple[int, ...] | None, Operation | None] | None:
        """Domain, axes and anchor of the two regions as one, or None where they must stay apart."""
        if consumer.anchor is not None:
            return None
        if producer.anchor is not None:
            if consumer.axes is not None or moved or not self._suits_epilogue(producer, consumer):
                return None
            return producer.domain, None, producer.anchor
        if producer.axes is None and consumer.axes is None:
            return self._combine_maps(producer, consumer, source)
        if producer.axes is None:
            if source.type.sizes != consumer.domain or producer.domain != consumer.domain:
                return None
            joins = any(op.definition.name == "concat" for op in producer.operations)
            if joins and not consumer.is_row and count_elements(consumer.domain) >= LARGE_COLUMNS:
                return None
            return consumer.domain, consumer.axes, None
        return self._combine_after_reduction(producer, consumer)

    def _combine_maps(self, producer: Region, consumer: Region, source: Tensor) -> Any:
        shifts = any(op.definition.name in SHIFTING for op in consumer.operations if source in op.inputs)
        if producer.domain == consumer.domain and not shifts:
            return consumer.domain, None, None
        small = len(drop_units(producer.domain)) == 0 or sum(map(cost_of, producer.operations)) <= CHEAP
        return (consumer.domain, None, None) if small and self._is_private(producer, consumer) else None

    def _combine_after_reduction(self, producer: Region, consumer: Region) -> Any:
        """What follows a reduction: kept elements always, the domain's elements again where they are rows."""
        together = (producer.domain, producer.axes, None)
        if consumer.axes is not None:
            same = (consumer.domain, consumer.axes) == (producer.domain, producer.axes)
            return together if same and producer.is_row else None
        if consumer.domain == producer.domain and drop_units(producer.kept) != drop_units(producer.domain):
            return together if producer.is_row else None
        if drop_units(consumer.domain) != drop_units(producer.kept):
            return None
        return together if self._has_kept_shape(producer, consumer) else None

    def _has_kept_shape(self, producer: Region, consumer: Region) -> bool:
        axes = producer.axes or ()
        long = tuple(1 if d in axes else s for d, s in enumerate(producer.domain))
        shapes = {t.type.sizes for op in consumer.operations for t in op.outputs}
        return shapes <= {producer.kept, long}

    def _asks_in_place(self, producer: Region, consumer: Region) -> bool:
        """Whether the consumer asks for elements of the producer where the producer's own loops are.

        A region without reductions could compute an element anywhere, but elsewhere than in its own place that is waste.
        """
        for operation in consumer.operations:
            for source in dict.fromkeys(s for s, _ in self._sources(operation)):
                if self.region_of.get(source.operation) is producer and not self._is_in_place(operation, source, producer):
                    return False
        return True

    def _is_in_place(self, operation: Operation, source: Tensor, producer: Region) -> bool:
        """Whether every way from an operation to a tensor of a region arrives at the loops' own dimensions."""
        shape = operation.output.type.sizes if operation.definition.reduce is None else operation.inputs[0].type.sizes
        ways = [t for t in operation.inputs if self._reads(t, source)]
        if operation.definition.name in SHIFTING:
            return producer.axes is None and producer.anchor is None and all(t is source for t in ways)
        if producer.axes is None:
            everything = tuple(range(len(shape)))
            return all(t is source or follow_movements(t, everything, source) is not None for t in ways)
        start, wanted = dimensions_of(shape, producer), dimensions_of(source.type.sizes, producer)
        return start is not None and all(follow_movements(t, start, source) == wanted for t in ways)

    def _reads(self, tensor: Tensor, source: Tensor) -> bool:
        """Whether a tensor is another one, or is read through inline operations from it."""
        pending = [tensor]
        while pending:
            current = pending.pop()
            if current is source:
                return True
            if self._is_inline(current) and current.operation.inputs:
                pending += read_through(current)
        return False

    def _suits_epilogue(self, producer: Region, consumer: Region) -> bool:
        """Elementwise operations on the result of a contraction, whose other operands have its shape or spread to it."""
        if consumer.domain != producer.domain or producer.anchor is None:
            return False
        inside = {t for region in (producer, consumer) for op in region.operations for t in op.outputs}
        for operation in consumer.operations:
            if operation.definition.scalar is None or operation.output.type.sizes != producer.domain:
                return False
            for tensor in operation.inputs:
                if self._is_inline(tensor):
                    if not self._is_view_for_tiles(tensor, producer, inside):
                        return False
                elif tensor not in inside and not _suits_tiles(tensor, producer):
                    return False
            if operation.definition.name in CHECKED and operation.output.dtype.is_integer:
                return False
        return True

    def _is_view_for_tiles(self, tensor: Tensor, region: Region, inside: set[Tensor]) -> bool:
        """Whether the epilogue of a matrix product can read an operand through movements: a part of an array, its rows
        where they lie."""
        anchor = region.anchor
        if anchor is None or anchor.definition.name != "dot_general" or len(drop_units(region.domain)) > 2:
            return False
        while self._is_inline(tensor):
            operation = tensor.operation
            if operation.definition.name not in VIEWS or needs_memory(tensor):
                return False
            if any(stride != 1 for stride in operation.attributes.get("strides", ())):
                return False
            tensor = operation.inputs[0]
        return tensor not in inside and not is_scalar_constant(tensor)

    def _is_private(self, producer: Region, consumer: Region) -> bool:
        """Whether only the consumer needs what the producer computes."""
        together = {*producer.operations, *consumer.operations}
        pending = [t for op in producer.operations for t in op.outputs]
        while pending:
            tensor = pending.pop()
            if tensor in self.results:
                return False
            for operation in self.consumers[tensor]:
                if is_inline(operation):
                    pending += operation.outputs
                elif operation not in together:
                    return False
        return True

    def _would_cycle(self, producer: Region, consumer: Region) -> bool:
        """Whether a path leads from the producer through other regions into the consumer."""
        after, before = producer.readers - {consumer}, consumer.reads - {producer}
        later, earlier = list(after), list(before)
        # From both sides, a region at a time: often there is little behind the one or in front of the other.
        while later and earlier:
            if _advance(later, after, before, lambda r: r.readers) or _advance(earlier, before, after, lambda r: r.reads):
                return True
        return False


def _advance(
    pending: list[Region], seen: set[Region], goal: set[Region], neighbours: Callable[[Region], set[Region]]
) -> bool:
    """One step of a search: whether the next region is one that the search from the other side has seen."""
    region = pending.pop()
    if region in goal:
        return True
    fresh = neighbours(region) - seen
    seen |= fresh
    pending += fresh
    return False


def _suits_tiles(tensor: Tensor, region: Region) -> bool:
    """Whether a tile can load an operand: any that spreads to a matrix product; for a convolution, whose pixels are counted
    as one, those of the result's shape, one value a channel, or one value."""
    if CONTRACTIONS[region.anchor.definition.name] == "contraction":  # type: ignore[union-attr]
        return True
    shape = tensor.type.sizes
    if region.anchor.definition.name == "depthwise_conv2d_filter_gradient":  # type: ignore[union-attr]
        return shape == region.domain or not drop_units(shape)
    return shape == region.domain or drop_units(shape) in ((), (region.domain[-1],)) and (not shape or shape[-1] != 1)
