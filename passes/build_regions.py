"""Regions made into fused operations, in an order that respects the data between them."""

from __future__ import annotations

from graphc.operation import Operation, Tensor
from graphc.ops.fused import FUSED
from graphc.passes.regions import (
    CONTRACTIONS,
    Region,
    is_inline,
    is_scalar_constant,
    needs_memory,
    read_through,
)  # fmt: skip
from graphc.program import FEED, Parameter, Program, clone_operation, substitute_results


class RegionBuilder:
    """Builds the program in which every region is one operation.

    What a region reads through inline operations it gets as copies of these; an inline tensor that is needed as it is, as a
    result or by an operation that is not fused, gets a region of its own.
    """

    def __init__(self, program: Program, region_of: dict[Operation, Region]):
        self.program, self.region_of = program, region_of
        self.position = {op: i for i, op in enumerate(program.operations)}

    def _is_inline(self, tensor: Tensor) -> bool:
        """Whether a tensor is computed here by an operation that regions read through."""
        return is_inline(tensor.operation) and tensor.operation in self.position

    def build(self) -> Program:
        """The program with every region as one operation, placed by an order that respects the data between them."""
        wanted = self._tensors_in_memory()
        replaced: dict[Tensor, Tensor] = {}
        operations: list[Operation] = []
        for region in self._sort(self._regions(wanted)):
            if any(t in wanted for op in region.operations for t in op.outputs):
                operations.append(self._build_operation(region, wanted, replaced))
        return substitute_results(self.program.replace(operations=tuple(operations)), replaced)

    def _tensors_in_memory(self) -> set[Tensor]:
        """Results, and what a region reads of another; of inline tensors, those that are needed as they are. A transpose
        among these joins the product that can store it."""
        wanted: set[Tensor] = set()
        pending = list(self.program.results)
        for operation, region in self.region_of.items():
            if region.opaque:
                pending += operation.inputs
            else:
                pending += self._read_from_outside(operation, region)
        for region in set(self.region_of.values()):
            for operation in region.copies:
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
            elif (writer := self._find_writer(tensor)) is not None:
                writer.operations.append(tensor.operation)
                self.region_of[tensor.operation] = writer
            else:
                pending += self._read_from_outside(tensor.operation, None)
        return wanted

    def _find_writer(self, tensor: Tensor) -> Region | None:
        """The matrix product that can store its result transposed: rows stay rows in memory."""
        operation = tensor.operation
        if operation.definition.name != "transpose":
            return None
        region = self.region_of.get(operation.inputs[0].operation)
        if region is None or region.anchor is None or CONTRACTIONS[region.anchor.definition.name] != "contraction":
            return None
        perm = operation.attributes["perm"]
        return region if perm[-1] == len(perm) - 1 else None

    def _read_from_outside(self, operation: Operation, region: Region | None) -> list[Tensor]:
        """What a region that has this operation must find in memory for it."""
        found: list[Tensor] = []
        pending = list(operation.inputs)
        while pending:
            tensor = pending.pop()
            if region is not None and self._must_be_placed(tensor, region):
                found.append(tensor)
            elif not self._is_inline(tensor):
                if not is_scalar_constant(tensor) and (region is None or not _computes(region, self.region_of, tensor)):
                    found.append(tensor)
            elif needs_memory(tensor):
                found += read_through(tensor)
            else:
                pending += tensor.operation.inputs
        return found

    def _must_be_placed(self, tensor: Tensor, region: Region) -> bool:
        """Whether a contraction reads a tensor that must lie in memory: what movements make of a constant or of nothing, and
        for a convolution what any movement makes."""
        if region.anchor is None or tensor not in region.anchor.inputs:
            return False
        if CONTRACTIONS[region.anchor.definition.name] == "convolution":
            return True
        while self._is_inline(tensor) and tensor.operation.inputs:
            if any(stride < 0 for stride in tensor.operation.attributes.get("strides", ())):
                return True
            tensor = tensor.operation.inputs[0]
        return is_scalar_constant(tensor) or self._is_inline(tensor)

    def _regions(self, wanted: set[Tensor]) -> dict[Operation, Region]:
        """The region of every operation, with one of their own for the inline tensors that are needed in memory."""
        regions = dict(self.region_of)
        for operation in self.program.operations:
            if is_inline(operation) and operation.output in wanted and operation not in regions:
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
        inside = dict.fromkeys((*region.operations, *region.copies))
        inputs: dict[Tensor, None] = {}
        pending = [t for op in reversed(list(inside)) for t in reversed(op.inputs)]
        while pending:
            tensor = pending.pop()
            operation = tensor.operation
            if operation in inside:
                continue
            if self._must_be_placed(tensor, region):
                inputs[tensor] = None
            elif is_scalar_constant(tensor):
                inside[operation] = None
            elif self._is_inline(tensor) and needs_memory(tensor):
                inside.update(dict.fromkeys(_reshapes_to_memory(tensor)))
                inputs[read_through(tensor)[0]] = None
            elif self._is_inline(tensor):
                inside[operation] = None
                pending += reversed(operation.inputs)
            else:
                inputs[tensor] = None
        # what one way needs in memory, every other way finds there
        order = sorted((op for op in inside if op.outputs[0] not in inputs), key=lambda op: self.position.get(op, -1))
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
        body = _drop_unused(Program(name, parameters, tuple(inside), tuple(outputs)))
        locations = tuple(dict.fromkeys(place for op in region.operations for place in op.locations))
        types = [t.type for t in outputs]
        actual = [replaced.get(t, t) for t in inputs]
        fused = Operation(FUSED, actual, {"body": body, "region": kind}, types, name, locations)
        replaced.update(zip(outputs, fused.outputs))
        return fused


def _computes(region: Region, region_of: dict[Operation, Region], tensor: Tensor) -> bool:
    return region_of.get(tensor.operation) is region or tensor.operation in region.copies


def _reshapes_to_memory(tensor: Tensor) -> list[Operation]:
    """The chain of reshapes from a tensor to the first operand that is none."""
    chain = []
    while tensor.operation.definition.name == "reshape":
        chain.append(tensor.operation)
        tensor = tensor.operation.inputs[0]
    return chain


def _drop_unused(body: Program) -> Program:
    """The body without what its results do not need: readers may carry out an operation for themselves."""
    needed = set(body.fetches)
    kept: list[Operation] = []
    for operation in reversed(body.operations):
        if any(t in needed for t in operation.outputs):
            kept.append(operation)
            needed.update(operation.inputs)
    return body.replace(operations=tuple(reversed(kept)))
