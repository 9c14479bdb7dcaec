"""Products of a matrix and a vector that are both contiguous along k: lanes run along k, several results at a time.

The order of summation is fixed by the shape and the vector width of the machine: lane by lane, then the lanes by halves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphc.runtime.emit.entry import begin_driver, begin_helper
from graphc.runtime.emit.function import PTR, Function, Module, Operand, Value, constant
from graphc.runtime.emit.vectors import load, memory_element, reduce_lanes, register_element, typed
from graphc.runtime.kernel import MAXIMUM_CHUNKS
from graphc.runtime.kernels.arithmetic import PlainArithmetic, vector_of
from graphc.runtime.kernels.contraction import Contraction, Side, sides
from graphc.runtime.kernels.finish import Block, Finish
from graphc.runtime.kernels.indexing import part_of, split_index
from graphc.runtime.kernels.microkernel import lane_mask
from graphc.runtime.kernels.tile import Epilogue
from graphc.runtime.schedule.machine import Machine

ACCUMULATORS = 8
SERIAL_BYTES = 1 << 18


def is_matrix_vector(contraction: Contraction, machine: Machine) -> bool:
    c = contraction
    along_k = c.a_column == 1 and c.b_row == 1 and not c.precision
    return along_k and 1 in (c.rows, c.columns) and c.depth >= machine.lanes(c.dtype.compute.bits)


class MatrixVector:
    """Emits the entry; `chunks`, and `moved`, the bytes of the matrix, are known after construction."""

    def __init__(
        self,
        module: Module,
        contraction: Contraction,
        arithmetic: PlainArithmetic,
        epilogue: Epilogue,
        threads: int,
        lanes_along_rows: bool,
    ):
        a, b = sides(contraction)
        self.contraction, self.module, self.arithmetic = contraction, module, arithmetic
        self.matrix, self.vector = (a, b) if contraction.columns == 1 else (b, a)
        # Results lie along the lanes of the epilogue, or one below the other with one lane each.
        self.along_lanes = contraction.rows == 1 or lanes_along_rows
        self.lanes, self.element = arithmetic.lanes, register_element(arithmetic.total)
        self.finish = Finish(module, arithmetic, epilogue, 1)
        self.blocks = math.ceil(self.matrix.extent / self.lanes)
        self.moved = contraction.batches * self.matrix.extent * contraction.depth * contraction.dtype.size
        parallel = threads > 1 and self.moved > SERIAL_BYTES
        self.chunks = min(contraction.batches * self.blocks, MAXIMUM_CHUNKS, 4 * threads) if parallel else 1

    def emit(self) -> None:
        function = begin_driver(self.module)
        operands, chunk = function.arguments
        bases = [function.load(function.offset(operands, i, PTR), PTR) for i in range(2)]
        sums = function.allocate(vector_of(self.arithmetic.total, self.lanes), 2)
        sizes = (*self.contraction.batch, self.blocks)
        total = self.contraction.batches * self.blocks

        def block(number: Operand, _: list[Value]) -> list[Value]:
            *batch, at = split_index(function, number, sizes)
            matrix = self._moved(function, bases[self.matrix.operand], self.matrix, batch)
            vector = self._moved(function, bases[self.vector.operand], self.vector, batch)
            first = function.mul(at, self.lanes)
            row = function.offset(matrix, function.mul(first, self.matrix.stride), memory_element(self.matrix.dtype))
            rest = self.matrix.extent % self.lanes
            is_last = function.icmp("eq", at, self.blocks - 1) if rest and self.blocks > 1 else rest > 0
            function.if_else(
                is_last,
                lambda: self._block(function, row, vector, sums, first, rest, operands, batch),
                lambda: self._block(function, row, vector, sums, first, self.lanes, operands, batch),
            )
            return []

        function.loop(*part_of(function, chunk, total, self.chunks), 1, [], block)
        function.return_void()

    def _moved(self, function: Function, base: Value, side: Side, batch: Sequence[Operand]) -> Value:
        at: Operand = 0
        for index, stride in zip(batch, side.batch):
            at = function.add(at, function.mul(index, stride))
        return function.offset(base, at, memory_element(side.dtype))

    def _block(
        self,
        function: Function,
        row: Value,
        vector: Value,
        sums: Value,
        first: Operand,
        results: int,
        operands: Value,
        batch: Sequence[Operand],
    ) -> None:
        for start in range(0, results, ACCUMULATORS):
            count = min(ACCUMULATORS, results - start)
            place = function.offset(row, start * self.matrix.stride, memory_element(self.matrix.dtype))
            target = function.offset(sums, start, self.element)
            function.call(f"@{self._dots(count)}", "void", [place, vector, target])
        if self.along_lanes:
            self.finish.call(function, Block(sums, 0, first, 1, 1, results), operands, batch)
        else:
            self.finish.call(function, Block(sums, first, 0, results, 1, 1), operands, batch)

    def _dots(self, count: int) -> str:
        """A function (matrix, vector, sums) of that many results; few results sum along k in several chains each."""
        name = f"dots_{count}"
        if name in self.module.functions:
            return name
        arguments = [(name_, "ptr noalias") for name_ in ("matrix", "vector", "sums")]
        function = begin_helper(self.module, name, arguments)
        matrix, vector, sums = function.arguments
        arithmetic, lanes, depth = self.arithmetic, self.lanes, self.contraction.depth
        chains = max(1, ACCUMULATORS // count)
        zero = constant(0, vector_of(arithmetic.total, lanes))

        def step(k: Operand, totals: list[Value], chain: int, valid: int) -> list[Value]:
            mask = lane_mask(valid, lanes)

            def vector_at(base: Value, side: Side, row: int) -> Value:
                place = function.offset(base, k, memory_element(side.dtype))
                place = function.offset(place, row * side.stride + chain * lanes, memory_element(side.dtype))
                return load(function, arithmetic.machine, place, side.dtype, lanes, mask)

            factor, result = vector_at(vector, self.vector, 0), list(totals)
            for r in range(count):
                at = chain * count + r
                result[at] = arithmetic.multiply_add(function, vector_at(matrix, self.matrix, r), factor, totals[at])
            return result

        def body(k: Operand, totals: list[Value]) -> list[Value]:
            for chain in range(chains):
                totals = step(k, totals, chain, lanes)
            return totals

        whole = depth - depth % (chains * lanes)
        totals = function.loop(0, whole, chains * lanes, [zero] * (chains * count), body)
        for k in range(whole, depth, lanes):
            totals = step(k, list(totals), 0, min(lanes, depth - k))
        for r in range(count):
            total = totals[r]
            for chain in range(1, chains):
                total = self._add(function, total, totals[chain * count + r])
            reduced = reduce_lanes(function, "sum", typed(total, arithmetic.total))
            function.store(reduced, function.offset(sums, r, self.element))
        function.return_void()
        return name

    def _add(self, function: Function, a: Value, b: Value) -> Value:
        return function.binary("fadd" if self.arithmetic.total.is_floating else "add", a, b)
