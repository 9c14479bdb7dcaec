"""The elementwise operations that follow a contraction, on its register tiles."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from graphc.operation import Operation, Tensor
from graphc.program import Program
from graphc.records import record
from graphc.runtime.emit import vectors
from graphc.runtime.emit.expressions import VectorScalars
from graphc.runtime.emit.function import I64, Function, Value, vector_constant
from graphc.runtime.emit.vectors import TypedValue
from graphc.runtime.kernels.tile import Stream, Tile
from graphc.runtime.schedule.machine import Machine
from graphc.scalars import count_operations


@record
class TileAccess:
    """Strides, in elements, of an array along rows, columns and batch dimensions of the result of a contraction."""

    row: int
    column: int
    batch: tuple[int, ...] = ()


def count_elementwise(body: Program) -> int:
    """The floating-point operations of a region that its elementwise operations are."""
    return sum(
        op.output.type.elements * count_operations(op.definition.scalar, [t.dtype for t in op.inputs], op.attributes)
        for op in body.operations
        if op.definition.scalar is not None
    )


def emit_elementwise(
    operation: Operation, scalars: VectorScalars, numbers: Collection[Tensor], value_of: Callable[[Tensor], TypedValue]
) -> TypedValue:
    """The result of an elementwise operation; `numbers` are constants, which it takes as such where another operand has
    their type."""
    operands: list = []
    others = [t for t in operation.inputs if t not in numbers]
    for source in operation.inputs:
        if source in numbers and any(t.dtype == source.dtype for t in others):
            operands.append(source.operation.attributes["value"].array.item())
        else:
            operands.append(value_of(source))
    lanes = max((v.lanes for v in operands if isinstance(v, Value)), default=1)
    operands = [
        vectors.splat(scalars.function, v, lanes) if isinstance(v, TypedValue) and v.lanes < lanes else v for v in operands
    ]
    assert operation.definition.scalar is not None
    return operation.definition.scalar(scalars, *operands, **operation.attributes)


class RegionEpilogue:
    """Computes a region's operations on a tile and stores its results.

    The pointers that follow A and B are `inputs`, then `outputs`, both with their strides. `anchor` is the contraction.
    """

    def __init__(
        self,
        body: Program,
        anchor: Operation,
        inputs: Mapping[Tensor, TileAccess],
        outputs: Sequence[tuple[Tensor, TileAccess]],
        machine: Machine,
    ):
        self.body, self.anchor, self.machine = body, anchor, machine
        self.inputs, self.outputs = dict(inputs), list(outputs)
        self.pointers = {tensor: i for i, tensor in enumerate(self.inputs)}
        self.operand_count = len(self.inputs) + len(self.outputs)
        self.streams = [
            Stream(self.pointers[t], t.dtype, a.row, a.batch) for t, a in self.inputs.items() if a.row and a.column == 1
        ]
        self.by_row, self.by_column = self._find_dependences()

    def _find_dependences(self) -> tuple[set[Tensor], set[Tensor]]:
        """The tensors whose elements differ between rows (or batches), and between columns."""
        rows, columns = {self.anchor.output}, {self.anchor.output}
        rows.update(t for t, a in self.inputs.items() if a.row)
        columns.update(t for t, a in self.inputs.items() if a.column)
        for operation in self.body.operations:
            for found in (rows, columns):
                if any(t in found for t in operation.inputs):
                    found.update(operation.outputs)
        return rows, columns

    def emit(self, function: Function, tile: Tile) -> None:
        scalars = VectorScalars(function, self.machine, contract=True)
        found: dict[tuple[Tensor, int | None, int | None], TypedValue] = {}
        first_output = len(self.inputs)
        for r in range(tile.row_count):
            values = []
            for tensor, _ in self.outputs:
                values.append([self._value(tensor, r, j, function, tile, scalars, found) for j in range(tile.vector_count)])
            for number, ((tensor, access), row) in enumerate(zip(self.outputs, values)):
                pointer = tile.operands[first_output + number]
                for j, value in enumerate(row):
                    whole = vectors.splat(function, value, tile.lanes) if value.lanes < tile.lanes else value
                    tile.store(whole, pointer, tensor.dtype, r, j, access.row, access.batch)

    def _value(
        self, tensor: Tensor, r: int, j: int, function: Function, tile: Tile, scalars: VectorScalars, found: dict
    ) -> TypedValue:
        key = (tensor, r if tensor in self.by_row else None, j if tensor in self.by_column else None)
        if key not in found:
            found[key] = self._compute(tensor, r, j, function, tile, scalars, found)
        return found[key]

    def _compute(
        self, tensor: Tensor, r: int, j: int, function: Function, tile: Tile, scalars: VectorScalars, found: dict
    ) -> TypedValue:
        if tensor is self.anchor.output:
            return tile.values[r][j]
        if tensor in self.inputs:
            return self._load(tensor, r, j, function, tile)
        operation = tensor.operation
        if operation.definition.name == "constant":
            return vectors.typed_constant(operation.attributes["value"].array.item(), tensor.dtype, 1)
        numbers = {t for t in operation.inputs if t not in self.inputs and t.operation.definition.name == "constant"}
        return emit_elementwise(
            operation, scalars, numbers, lambda source: self._value(source, r, j, function, tile, scalars, found)
        )

    def _load(self, tensor: Tensor, r: int, j: int, function: Function, tile: Tile) -> TypedValue:
        access, pointer = self.inputs[tensor], tile.operands[self.pointers[tensor]]
        if access.column == 1:
            return tile.load(pointer, tensor.dtype, r, j, access.row, access.batch)
        place = tile.address(pointer, tensor.dtype, r, j, access.row, access.column, access.batch)
        if access.column == 0:
            return vectors.load(function, self.machine, place, tensor.dtype, 1)
        offsets: Value = vector_constant([k * access.column for k in range(tile.lanes)], I64)
        return vectors.gather(function, self.machine, place, offsets, tensor.dtype, tile.mask(j))
