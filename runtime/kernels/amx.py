"""Register tiles on AMX: four matrix tiles of 16 x 16 sums, fed by pairs of bf16.

A tile of up to 32 rows by two vectors of columns takes two matrix tiles from each side for every 16 pairs of k. Both
sides come packed: rows of pairs on the left, [pair][column] on the right, k in whole blocks of 16 pairs with zeros at the
end. The sums go through memory to the epilogue. Rows beyond those of a tile hold whatever the packed memory holds, and
nobody reads their sums.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.runtime.emit.entry import begin_helper
from graphc.runtime.emit.function import I1, I8, I32, I64, PTR, Function, Module, Operand, Value
from graphc.runtime.emit.vectors import register_element
from graphc.runtime.kernels.bf16 import PAIR_BLOCK, PairArithmetic
from graphc.runtime.kernels.fetching import FetchPlan
from graphc.runtime.kernels.gemm_plan import Plan
from graphc.runtime.kernels.gemm_tile import TileCall, TileShape

SIDE = 16  # rows and columns of a matrix tile
ROW_BYTES = 64
SUMS, LEFT, RIGHT = 0, 4, 6  # first matrix tiles of each kind


class MatrixTiles:
    """Emits tile functions that leave their sums in memory; the counterpart of `TileFunctions`."""

    epilogue = None
    keeps_sums = True
    fetches = FetchPlan()

    def __init__(self, module: Module, plan: Plan, arithmetic: PairArithmetic):
        self.module, self.plan, self.arithmetic = module, plan, arithmetic

    def begin(self, function: Function) -> None:
        """All eight matrix tiles have 16 rows of 64 bytes."""
        sizes = [ROW_BYTES, 0] * 8 + [0] * 16 + [SIDE] * 8 + [0] * 8
        table = self.module.define_table("matrix_tile_sizes", I8, [1, 0] + [0] * 14 + sizes)
        self._run(function, "ldtilecfg", table)

    def end(self, function: Function) -> None:
        self._run(function, "tilerelease")

    def call(
        self, function: Function, shape: TileShape, operands: Value, batch: Sequence[Operand], call: TileCall
    ) -> None:
        vectors = self.plan.last_vectors if shape.last else self.plan.vectors
        halves = -(-shape.height // SIDE)
        name = f"matrix_tile_{halves}x{vectors}"
        if name not in self.module.functions:
            self._emit(name, halves, vectors)
        assert call.sums is not None
        numbers = [function.coerce(call.depth, I64), function.coerce(call.first, I1)]
        function.call(f"@{name}", "void", [call.left, call.right, call.sums, *numbers])

    def _emit(self, name: str, halves: int, vectors: int) -> None:
        arguments = [(key, "ptr noalias") for key in ("left", "right", "sums")] + [("pairs", I64), ("first", I1)]
        function = begin_helper(self.module, name, arguments)
        left, right, sums, pairs, first = function.arguments
        panel, element = self.plan.panel, register_element(self.arithmetic.total)
        tiles = [(i, j) for i in range(halves) for j in range(vectors)]

        def place(i: int, j: int) -> Value:
            return function.offset(sums, i * SIDE * panel + j * SIDE, element)

        def clear() -> None:
            for i, j in tiles:
                self._run(function, "tilezero", SUMS + 2 * i + j)

        def load() -> None:
            for i, j in tiles:
                self._run(function, "tileloadd64", SUMS + 2 * i + j, place(i, j), panel * 4)

        def block(_: Operand, pointers: list[Value]) -> list[Value]:
            for j in range(vectors):
                at = function.offset(pointers[1], j * SIDE, I32)
                self._run(function, "tileloadd64", RIGHT + j, at, panel * 4)
            for i in range(halves):
                at = function.offset(pointers[0], i * SIDE * self.plan.left_stride, I32)
                self._run(function, "tileloadd64", LEFT + i, at, self.plan.left_stride * 4)
                for j in range(vectors):
                    self._run(function, "tdpbf16ps", SUMS + 2 * i + j, LEFT + i, RIGHT + j)
            ahead = function.offset(pointers[1], PAIR_BLOCK * panel, I32)
            return [function.offset(pointers[0], PAIR_BLOCK, I32), ahead]

        if self.plan.depth_blocks > 1:
            function.if_else(first, clear, load)
        else:
            clear()
        blocks = function.udiv(function.add(pairs, PAIR_BLOCK - 1), PAIR_BLOCK)
        function.loop(0, blocks, 1, [left, right], block)
        for i, j in tiles:
            self._run(function, "tilestored64", SUMS + 2 * i + j, place(i, j), panel * 4)
        function.return_void()

    def _run(self, function: Function, name: str, *operands: int | Value) -> None:
        """An instruction on matrix tiles, whose numbers are constants; a distance in bytes follows a pointer."""
        types, texts = [], []
        for at, operand in enumerate(operands):
            after_pointer = at > 0 and isinstance(operands[at - 1], Value)
            type_ = PTR if isinstance(operand, Value) else I64 if after_pointer else I8
            types.append(f"{type_} immarg" if type_ == I8 else type_)
            texts.append(f"{type_} {operand.ref if isinstance(operand, Value) else operand}")
        function.module.declare(f"llvm.x86.{name}", "void", types)
        function.emit(f"call void @llvm.x86.{name}({', '.join(texts)})")
