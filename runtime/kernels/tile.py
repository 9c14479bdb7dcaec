"""What a contraction hands to its epilogue: a register tile of finished sums, and where in the result it lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from graphc.dtypes import DType
from graphc.records import record
from graphc.runtime.emit.function import Function, Operand, Value
from graphc.runtime.emit.vectors import TypedValue, combine, load, memory_element, store, typed
from graphc.runtime.kernels.microkernel import Rows, lane_mask
from graphc.runtime.schedule.machine import Machine


@record
class Stream:
    """An array that an epilogue reads where the tile lies, its columns side by side; `pointer` is its place among those
    that follow A and B, strides are in elements."""

    pointer: int
    dtype: DType
    row: int
    batch: tuple[int, ...] = ()


class Epilogue(Protocol):
    """Turns finished sums into what is stored; it does all the stores of its kernel.

    `operand_count` pointers follow A and B in the kernel's operands. `emit` may be called several times in one kernel,
    each time for another shape of tile; lanes always run along the columns of the result. A pointer may only be written
    where the tile lies. `streams` are the matrices among what it reads: they can be fetched ahead.
    """

    operand_count: int

    @property
    def streams(self) -> Sequence[Stream]: ...

    def emit(self, function: Function, tile: Tile) -> None: ...


class Tile:
    """A block of rows by vectors of sums in registers.

    values     values[r][j]: the vector of row r that starts at column j * lanes of the tile
    lanes      elements of one vector
    batch      index in every batch dimension of the contraction
    operands   the pointers that follow A and B
    """

    def __init__(
        self,
        function: Function,
        machine: Machine,
        total: DType,
        values: Rows,
        row: Operand,
        column: Operand,
        last_lanes: int,
        batch: Sequence[Operand] = (),
        operands: Sequence[Value] = (),
        row_offsets: Sequence[int] | None = None,
    ):
        self.machine, self.batch, self.operands = machine, list(batch), list(operands)
        self.values = [[typed(value, total) for value in row_values] for row_values in values]
        self.lanes = values[0][0].lanes
        self.row_offsets = tuple(row_offsets) if row_offsets is not None else tuple(range(len(values)))
        self._function, self._row, self._column, self._last_lanes = function, row, column, last_lanes
        self._bases: dict[tuple, Value] = {}

    @property
    def row_count(self) -> int:
        return len(self.values)

    @property
    def vector_count(self) -> int:
        return len(self.values[0])

    def row(self, r: int) -> Operand:
        """The row of the result that values[r] belongs to."""
        return self._function.add(self._row, self.row_offsets[r])

    def column(self, j: int) -> Operand:
        """The column of the result that the first lane of vector j belongs to."""
        return self._function.add(self._column, j * self.lanes)

    def mask(self, j: int) -> Value | None:
        """Which lanes of vector j are valid; None for all."""
        return lane_mask(self.valid_lanes(j), self.lanes)

    def valid_lanes(self, j: int) -> int:
        """How many lanes of vector j are valid: the first ones."""
        return self._last_lanes if j == self.vector_count - 1 else self.lanes

    def address(
        self,
        pointer: Value,
        dtype: DType,
        r: int,
        j: int,
        row_stride: int,
        column_stride: int = 1,
        batch_strides: Sequence[int] = (),
    ) -> Value:
        """Where (batch, row(r), column(j)) lies in an array of these strides, in elements.

        The part that differs between tiles is computed once, each row and vector is a constant displacement.
        """
        function, element = self._function, memory_element(dtype)
        key = (pointer.ref, element, row_stride, column_stride, tuple(batch_strides))
        if key not in self._bases:
            at = function.add(function.mul(self._row, row_stride), function.mul(self._column, column_stride))
            for index, stride in zip(self.batch, batch_strides):
                at = function.add(at, function.mul(index, stride))
            self._bases[key] = function.offset(pointer, at, element)
        displacement = self.row_offsets[r] * row_stride + j * self.lanes * column_stride
        return function.offset(self._bases[key], displacement, element)

    def load(
        self, pointer: Value, dtype: DType, r: int, j: int, row_stride: int, batch_strides: Sequence[int] = ()
    ) -> TypedValue:
        """The vector at (row(r), column(j)) of an array whose columns are contiguous; invalid lanes are zero."""
        place = self.address(pointer, dtype, r, j, row_stride, 1, batch_strides)
        return load(self._function, self.machine, place, dtype, self.lanes, self.mask(j))

    def store(
        self,
        value: Value,
        pointer: Value,
        dtype: DType,
        r: int,
        j: int,
        row_stride: int,
        batch_strides: Sequence[int] = (),
    ) -> None:
        """Stores a vector at (row(r), column(j)) of an array whose columns are contiguous."""
        place = self.address(pointer, dtype, r, j, row_stride, 1, batch_strides)
        store(self._function, self.machine, typed(value, dtype), place, dtype, self.mask(j))


class StoreEpilogue:
    """Stores the sums in one array of any strides, or adds them to what stands there."""

    operand_count = 1

    def __init__(
        self,
        dtype: DType,
        row_stride: int,
        column_stride: int = 1,
        batch_strides: Sequence[int] = (),
        accumulate: bool = False,
    ):
        self._dtype, self._row_stride, self._column_stride = dtype, row_stride, column_stride
        self._batch_strides, self._accumulate = tuple(batch_strides), accumulate
        is_read = accumulate and column_stride == 1
        self.streams: list[Stream] = [Stream(0, dtype, row_stride, self._batch_strides)] if is_read else []

    def emit(self, function: Function, tile: Tile) -> None:
        store_one = self._store_vector if self._column_stride == 1 else self._store_lanes
        for r, row in enumerate(tile.values):
            for j, value in enumerate(row):
                store_one(function, tile, r, j, value)

    def _store_vector(self, function: Function, tile: Tile, r: int, j: int, value: Value) -> None:
        pointer, where = tile.operands[0], (r, j, self._row_stride, self._batch_strides)
        if self._accumulate:
            value = combine(function, "sum", tile.load(pointer, self._dtype, *where), value, self._dtype.compute)
        tile.store(value, pointer, self._dtype, *where)

    def _store_lanes(self, function: Function, tile: Tile, r: int, j: int, value: Value) -> None:
        dtype, machine, element = self._dtype, tile.machine, memory_element(self._dtype)
        strides = (self._row_stride, self._column_stride, self._batch_strides)
        base = tile.address(tile.operands[0], dtype, r, j, *strides)
        for lane in range(tile.valid_lanes(j)):
            place = function.offset(base, lane * self._column_stride, element)
            scalar = typed(function.extract(value, lane), dtype)
            if self._accumulate:
                scalar = combine(function, "sum", load(function, machine, place, dtype, 1), scalar, dtype.compute)
            store(function, machine, scalar, place, dtype)
