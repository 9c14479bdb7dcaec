"""Fusion: operations that should run as one kernel become one `fused` operation.

Regions grow along the flow of data. An operation joins the region of what it reads where both walk the same elements:

    map          elementwise operations over one shape, with movements and broadcasts of what they read
    reduction    a domain reduced over some axes: what is computed for its elements before, for the kept elements after, and
                 for the elements again where they are rows (a softmax is one region that keeps its row in cache)
    contraction  a matrix product or convolution and the elementwise operations on its result

Movements cost nothing in a region: each region has its own copy of those it reads through. Two regions are merged only where
no path leads out of one and back into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from graphc.operation import Operation, Tensor
from graphc.ops.fused import FUSED
from graphc.program import FEED, Parameter, Program, clone_operation, substitute_results
from graphc.scalars import issue_cost
from graphc.shapes import count_elements, is_affine_reshape

CONTRACTIONS = {
    "dot_general": "contraction", "conv2d": "convolution",
}  # fmt: skip
LONGEST_ROW = 1 << 14  # elements that may be walked several times
CHEAP = 6.0  # vector instructions; a smaller producer that costs no more is computed again for every element
INLINE = frozenset(("transpose", "slice", "broadcast_to", "reshape", "iota"))


@dataclass(frozen=True)
class Fuse:
    """Replaces regions by fused operations. `largest` bounds the operations of a region."""

    name: str = "fuse"
    largest: int = 96

    def run(self, program: Program, context: Any) -> Program:
        return _Fusion(program, self.largest).run()


@dataclass(eq=False)
class Region:
    """Operations that run as one kernel. `domain` is the shape that it walks, `axes` those that it reduces.

    An operation that is not fused is an `opaque` region of its own.
    """

    operations: list[Operation]
    domain: tuple[int, ...] = ()
    axes: tuple[int, ...] | None = None
    anchor: Operation | None = None
    opaque: bool = False
    reads: set[Region] = field(default_factory=set)
    readers: set[Region] = field(default_factory=set)

    @property
    def kept(self) -> tuple[int, ...]:
        axes = self.axes or ()
        return tuple(s for d, s in enumerate(self.domain) if d not in axes)

    @property
    def is_row(self) -> bool:
        """Whether the innermost dimensions are reduced and few, so that a row may be walked several times in cache."""
        if self.axes is None or self.axes != tuple(range(len(self.domain) - len(self.axes), len(self.domain))):
            return False
        return count_elements([self.domain[d] for d in self.axes]) <= LONGEST_ROW


def is_inline(operation: Operation) -> bool:
    """Whether an operation is only arithmetic on indices."""
    return operation.definition.name in INLINE


def read_through(tensor: Tensor) -> tuple[Tensor, ...]:
    """What a region reads in the place of an inline tensor.

    A reshape that is not affine needs its operand in memory, where the flat offset tells the element; of such reshapes the
    first operand that is none is read.
    """
    operation = tensor.operation
    if operation.definition.name != "reshape":
        return operation.inputs
    source = operation.inputs[0]
    if is_affine_reshape(source.type.sizes, tensor.type.sizes):
        return (source,)
    while source.operation.definition.name == "reshape":
        source = source.operation.inputs[0]
    return (source,)


def needs_memory(tensor: Tensor) -> bool:
    """Whether a region that reads through an inline tensor must find its operand in memory."""
    operation = tensor.operation
    if operation.definition.name != "reshape":
        return False
    return not is_affine_reshape(operation.inputs[0].type.sizes, tensor.type.sizes)


def is_scalar_constant(tensor: Tensor) -> bool:
    return tensor.operation.definition.name == "constant" and tensor.type.elements == 1


def drop_units(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(s for s in shape if s != 1)


class _Fusion:
    def __init__(self, program: Program, largest: int):
        self.program, self.largest = program, largest
        self.position = {op: i for i, op in enumerate(program.operations)}
        self.region_of: dict[Operation, Region] = {}
        self.results = set(program.results)

    def run(self) -> Program:
        for operation in self.program.operations:
            if not is_inline(operation):
                self._place(operation)
        return self._build()

    def _is_inline(self, tensor: Tensor) -> bool:
        """Whether a tensor is computed here by an operation that regions read through."""
        return is_inline(tensor.operation) and tensor.operation in self.position

    # -- growth

    def _place(self, operation: Operation) -> None:
        """Gives an operation a region of its own, and merges that with those of what it reads."""
        region = self.region_of[operation] = _start_region(operation)
        sources = self._sources(operation)
        for source, _ in sources:
            producer = self.region_of.get(source.operation)
            if producer is not None and source.operation in self.position:
                producer.readers.add(region)
                region.reads.add(producer)
        for source, moved in sources:
            producer, current = self.region_of.get(source.operation), self.region_of[operation]
            if producer is not None and producer is not current:
                self._try_merge(producer, current, operation, source, moved)

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

    def _try_merge(self, producer: Region, consumer: Region, operation: Operation, source: Tensor, moved: bool) -> None:
        if producer.opaque or consumer.opaque or len(producer.operations) + len(consumer.operations) > self.largest:
            return
        merged = self._combine(producer, consumer, operation, source, moved)
        if merged is None or self._would_cycle(producer, consumer):
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
        self, producer: Region, consumer: Region, operation: Operation, source: Tensor, moved: bool
    ) -> tuple[tuple[int, ...], tuple[int, ...] | None, Operation | None] | None:
        """Domain, axes and anchor of the two regions as one, or None where they must stay apart."""
        if consumer.anchor is not None:
            return None
        if moved and not self._is_harmless_movement(producer, operation, source):
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
            return consumer.domain, consumer.axes, None
        return self._combine_after_reduction(producer, consumer)

    def _combine_maps(self, producer: Region, consumer: Region, source: Tensor) -> Any:
        if producer.domain == consumer.domain:
            return consumer.domain, None, None
        only = all(reader is consumer for reader in producer.readers) and not self._is_result(producer)
        small = len(drop_units(producer.domain)) == 0 or sum(map(_cost, producer.operations)) <= CHEAP
        return (consumer.domain, None, None) if only and small else None

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

    def _is_harmless_movement(self, producer: Region, operation: Operation, source: Tensor) -> bool:
        """Whether a movement inside a region stays affine: it adds or drops dimensions of size 1, or spreads those."""
        for tensor in operation.inputs:
            if not self._reaches(tensor, source):
                continue
            while tensor is not source:
                step = tensor.operation
                name = step.definition.name
                inner = step.inputs[0] if step.inputs else tensor
                if name == "reshape" and drop_units(inner.type.sizes) != drop_units(tensor.type.sizes):
                    return False
                if name not in ("reshape", "broadcast_to"):
                    return False
                tensor = inner
        return True

    def _reaches(self, tensor: Tensor, source: Tensor) -> bool:
        while tensor is not source:
            if not is_inline(tensor.operation) or not tensor.operation.inputs:
                return False
            tensor = tensor.operation.inputs[0]
        return True

    def _suits_epilogue(self, producer: Region, consumer: Region) -> bool:
        """Elementwise operations on the result of a contraction, whose other operands have its shape or spread to it."""
        if consumer.domain != producer.domain:
            return False
        for operation in consumer.operations:
            if operation.definition.scalar is None or operation.output.type.sizes != producer.domain:
                return False
            for tensor in operation.inputs:
                if is_inline(tensor.operation) and tensor.operation in self.position:
                    return False
        return True

    def _is_result(self, region: Region) -> bool:
        return any(t in self.results for op in region.operations for t in op.outputs)

    def _would_cycle(self, producer: Region, consumer: Region) -> bool:
        """Whether a path leads from the producer through other regions into the consumer."""
        last = max(self.position[op] for op in consumer.operations)
        pending = [r for r in producer.readers if r is not consumer]
        seen = set(pending)
        while pending:
            region = pending.pop()
            for reader in region.readers:
                if reader is consumer:
                    return True
                if reader not in seen and self.position[reader.operations[0]] <= last:
                    seen.add(reader)
                    pending.append(reader)
        return False

    # -- construction

    def _build(self) -> Program:
        """The program with every region as one operation, placed by an order that respects the data between them."""
        wanted = self._tensors_in_memory()
        replaced: dict[Tensor, Tensor] = {}
        operations: list[Operation] = []
        for region in self._sort(self._regions(wanted)):
            operations.append(self._build_operation(region, wanted, replaced))
        return substitute_results(self.program.replace(operations=tuple(operations)), replaced)

    def _tensors_in_memory(self) -> set[Tensor]:
        """Results, and what a region reads of another; of inline tensors, those that are needed as they are."""
        wanted: set[Tensor] = set()
        pending = list(self.program.results)
        for operation, region in self.region_of.items():
            if region.opaque:
                pending += operation.inputs
            else:
                pending += self._read_from_outside(operation, region)
        while pending:
            tensor = pending.pop()
            if tensor in wanted:
                continue
            wanted.add(tensor)
            if not self._is_inline(tensor):
                continue
            if tensor.operation.definition.name == "reshape":
                pending.append(tensor.operation.inputs[0])  # a view of its operand
            else:
                pending += self._read_from_outside(tensor.operation, None)
        return wanted

    def _read_from_outside(self, operation: Operation, region: Region | None) -> list[Tensor]:
        """What a region that has this operation must find in memory for it."""
        found: list[Tensor] = []
        pending = list(operation.inputs)
        while pending:
            tensor = pending.pop()
            if not self._is_inline(tensor):
                if region is None or self.region_of.get(tensor.operation) is not region:
                    found.append(tensor)
            elif needs_memory(tensor):
                found += read_through(tensor)
            else:
                pending += tensor.operation.inputs
        return found

    def _regions(self, wanted: set[Tensor]) -> dict[Operation, Region]:
        """The region of every operation, with one of their own for the inline tensors that are needed in memory."""
        regions = dict(self.region_of)
        for operation in self.program.operations:
            if is_inline(operation) and operation.output in wanted:
                is_view = operation.definition.name == "reshape"
                regions[operation] = Region([operation], operation.output.type.sizes, opaque=is_view)
        self.region_of = regions
        return regions

    def _sort(self, regions: dict[Operation, Region]) -> list[Region]:
        """Depth first along the data, in the order of the program where that leaves a choice."""
        result: list[Region] = []
        entered: set[Region] = set()
        for start in self.program.operations:
            pending = [(regions[start], False)] if start in regions else []
            while pending:
                region, complete = pending.pop()
                if complete:
                    result.append(region)
                elif region not in entered:
                    entered.add(region)
                    pending.append((region, True))
                    before = [regions[t.operation] for t in self._expand(region)[1] if t.operation in regions]
                    pending += [(other, False) for other in reversed(before)]
        return result

    def _expand(self, region: Region) -> tuple[list[Operation], list[Tensor]]:
        """The operations of a region with the inline ones that it reads through, and what it reads from outside."""
        if region.opaque:
            return region.operations, list(region.operations[0].inputs)
        inside = dict.fromkeys(region.operations)
        inputs: dict[Tensor, None] = {}
        pending = [t for op in reversed(region.operations) for t in reversed(op.inputs)]
        while pending:
            tensor = pending.pop()
            operation = tensor.operation
            if operation in inside:
                continue
            if is_scalar_constant(tensor):
                inside[operation] = None
            elif self._is_inline(tensor) and needs_memory(tensor):
                inside.update(dict.fromkeys(_reshapes_to_memory(tensor)))
                inputs[read_through(tensor)[0]] = None
            elif self._is_inline(tensor):
                inside[operation] = None
                pending += reversed(operation.inputs)
            else:
                inputs[tensor] = None
        order = sorted(inside, key=lambda op: self.position.get(op, -1))
        return order, list(inputs)

    def _build_operation(self, region: Region, wanted: set[Tensor], replaced: dict[Tensor, Tensor]) -> Operation:
        if not region.opaque:
            return self._fuse_region(region, wanted, replaced)
        (operation,) = region.operations
        inputs = tuple(replaced.get(t, t) for t in operation.inputs)
        if inputs == operation.inputs:
            return operation
        kept = clone_operation(operation, inputs)
        replaced.update(zip(operation.outputs, kept.outputs))
        return kept

    def _fuse_region(self, region: Region, wanted: set[Tensor], replaced: dict[Tensor, Tensor]) -> Operation:
        inside, inputs = self._expand(region)
        outputs = [t for op in region.operations for t in op.outputs if t in wanted]
        parameters = tuple(Parameter(t, FEED, t.name) for t in inputs)
        kind = CONTRACTIONS[region.anchor.definition.name] if region.anchor is not None else "loops"
        name = outputs[-1].operation.name
        body = Program(name, parameters, tuple(inside), tuple(outputs))
        locations = tuple(dict.fromkeys(place for op in region.operations for place in op.locations))
        types = [t.type for t in outputs]
        actual = [replaced.get(t, t) for t in inputs]
        fused = Operation(FUSED, actual, {"body": body, "region": kind}, types, name, locations)
        replaced.update(zip(outputs, fused.outputs))
        return fused


def _reshapes_to_memory(tensor: Tensor) -> list[Operation]:
    """The chain of reshapes from a tensor to the first operand that is none."""
    chain = []
    while tensor.operation.definition.name == "reshape":
        chain.append(tensor.operation)
        tensor = tensor.operation.inputs[0]
    return chain


def _start_region(operation: Operation) -> Region:
    """The region of an operation by itself."""
    definition = operation.definition
    if definition.name in CONTRACTIONS:
        return Region([operation], operation.output.type.sizes, anchor=operation)
    if definition.reduce is not None:
        source = operation.inputs[0].type.sizes
        return Region([operation], source, tuple(operation.attributes["axes"]))
    if definition.scalar is not None or definition.name in ("pad", "concat", "gather", "gather_nd"):
        return Region([operation], operation.output.type.sizes)
    return Region([operation], opaque=True)


def _cost(operation: Operation) -> float:
    if operation.definition.scalar is None:
        return 1.0
    return issue_cost(operation.definition.scalar, [t.dtype for t in operation.inputs], operation.attributes)
