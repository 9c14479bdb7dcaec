"""Transposing in groups: as many rows as a 128-bit lane has elements become columns, one function call a group.

A whole square transposed in registers takes fewer stores but so many shuffles that compiling them costs more than most
products. Here the rows of a group are interleaved within lanes of 128 bits, which are then stored one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.dtypes import DType
from graphc.runtime.emit.entry import begin_helper
from graphc.runtime.emit.function import Function, Module, Value, constant
from graphc.runtime.emit.vectors import load, memory_element, register_element
from graphc.runtime.kernels.microkernel import lane_mask
from graphc.runtime.schedule.machine import Machine

LANE_BITS = 128

Loader = Callable[[Function, Value, int], Value]


def group_size(dtype: DType) -> int:
    """Rows that one call turns."""
    return LANE_BITS // dtype.compute.bits


class GroupTranspose:
    """Functions that turn one group: destination[c * destination_stride + r] = source[r * source_stride + c].

    A call covers `group_size` rows and one vector of columns. The elements become those of the type that `dtype`
    computes in. Rows that are not valid are not read and become zeros (a masked load would cost a fault in the
    processor wherever its page is not there); columns that are not valid are neither read nor written.
    """

    def __init__(
        self,
        module: Module,
        machine: Machine,
        dtype: DType,
        source_stride: int,
        destination_stride: int,
        name: str,
        loader: Loader | None = None,
        total: DType | None = None,
    ):
        """`loader(function, pointer, valid)` loads the first `valid` elements of a row, where that is not a plain load, as
        elements of the type `total`."""
        self._module, self._machine, self._dtype, self._name = module, machine, dtype, name
        self._strides, self._loader = (source_stride, destination_stride), loader
        self._total = total or dtype.compute
        self.rows, self.lanes = group_size(self._total), machine.lanes(self._total.bits)

    def call(
        self, function: Function, source: Value, destination: Value, rows: int | None = None, columns: int | None = None
    ) -> None:
        """`rows` and `columns` are how many of this group are valid: all where None."""
        rows, columns = rows or self.rows, columns or self.lanes
        name = f"{self._name}_{rows}x{columns}"
        if name not in self._module.functions:
            self._emit(name, rows, columns)
        function.call(f"@{name}", "void", [source, destination])

    def _emit(self, name: str, valid_rows: int, valid_columns: int) -> None:
        arguments = [("source", "ptr noalias"), ("destination", "ptr noalias")]
        function = begin_helper(self._module, name, arguments)
        source, destination = function.arguments
        element, result = memory_element(self._dtype), register_element(self._total)
        mask = lane_mask(valid_columns, self.lanes)
        rows: list[Value] = []
        for r in range(valid_rows):
            place = function.offset(source, r * self._strides[0], element)
            if self._loader is not None:
                rows.append(self._loader(function, place, valid_columns))
            else:
                rows.append(load(function, self._machine, place, self._dtype, self.lanes, mask))
        rows += [constant(0, rows[0].type)] * (self.rows - valid_rows)
        for q, value in enumerate(turn_within_lanes(function, rows)):
            for g in range(self.lanes // self.rows):
                column = g * self.rows + q
                if column >= valid_columns:
                    continue
                lane = function.shuffle(value, value, range(g * self.rows, (g + 1) * self.rows))
                function.store(lane, function.offset(destination, column * self._strides[1], result))
        function.return_void()


def turn_within_lanes(function: Function, rows: Sequence[Value]) -> list[Value]:
    """Result q holds, in every 128-bit lane g, element g * len(rows) + q of each row: log2 rounds of interleaving."""
    size, lanes, values = len(rows), rows[0].lanes, list(rows)
    starts = range(0, lanes, size)
    low = [lane for g in starts for i in range(size // 2) for lane in (g + i, lanes + g + i)]
    high = [lane + size // 2 for lane in low]
    for _ in range(size.bit_length() - 1):
        half = size // 2
        pairs = [(values[i], values[i + half]) for i in range(half)]
        values = [function.shuffle(a, b, order) for a, b in pairs for order in (low, high)]
    return values
