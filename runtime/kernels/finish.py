"""Where finished sums meet the epilogue: in the registers of the tile function, or in a loop of its own over their rows.

An epilogue of many instructions that is emitted for every row of every tile shape would take longer to compile than the
whole product. Its sums go through a small buffer instead, and a loop of one row does the rest. Tiles that are transposed
go through the buffer too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.records import record
from graphc.runtime.emit.entry import begin_helper
from graphc.runtime.emit.function import I64, PTR, Function, Module, Operand, Value
from graphc.runtime.emit.vectors import register_element
from graphc.runtime.kernels.arithmetic import Arithmetic, vector_of
from graphc.runtime.kernels.microkernel import Rows, zeros
from graphc.runtime.kernels.tile import Epilogue, Tile
from graphc.runtime.kernels.transpose import GroupTranspose

FIRST_OPERAND = 2  # of the epilogue, among the operands of the kernel
INLINE_LINES = 400  # of text that epilogues in registers may add to a kernel
INLINE_LINES_SHALLOW = 500  # the same where k is so short that the buffer would cost time
SHALLOW = 64


EmitRow = Callable[[list[Value], Operand, Operand, int], None]  # one row of vectors, its row and column, valid lanes


def epilogue_lines(epilogue: Epilogue, arithmetic: Arithmetic, batch_rank: int) -> int:
    """Lines of text that the epilogue of one vector takes."""
    function = Function(Module(), "measure", [("operands", PTR), ("index", I64)])
    empty = str(function).count("\n")
    base, index = function.arguments
    pointers = load_operands(function, base, epilogue.operand_count)
    values = zeros(arithmetic, 1, 1)
    batch = [index] * batch_rank
    tile = Tile(function, arithmetic.machine, arithmetic.total, values, index, index, arithmetic.lanes, batch, pointers)
    epilogue.emit(function, tile)
    return str(function).count("\n") - empty


def load_operands(function: Function, base: Value, count: int) -> list[Value]:
    return [function.load(function.offset(base, FIRST_OPERAND + i, PTR), PTR) for i in range(count)]


@record
class Block:
    """One tile of sums in memory: rows by vectors, the last of which has `last_lanes` valid lanes.

    `pitch` (w, s, d) describes rows that are not neighbours in the result: w of them at a distance of s, then the next w,
    d after the first ones.
    """

    sums: Value
    row: Operand  # of the side that goes down the tile
    column: Operand
    rows: int
    vectors: int
    last_lanes: int
    pitch: tuple[int, int, int] | None = None


class Finish:
    """Functions that load sums row by row and hand them to the epilogue; each is emitted when first called.

    `stride` is the distance of the rows of sums. With `turned` the rows of the tile are the columns of the result.
    """

    def __init__(
        self,
        module: Module,
        arithmetic: Arithmetic,
        epilogue: Epilogue,
        stride: int,
        turned: bool = False,
    ):
        self._module, self._arithmetic, self._epilogue = module, arithmetic, epilogue
        self._stride, self._turned = stride, turned
        self._lanes, self._element = arithmetic.lanes, register_element(arithmetic.total)

    def call(self, function: Function, block: Block, operands: Value, batch: Sequence[Operand]) -> None:
        pitch = "".join(f"_{number}" for number in block.pitch or ())
        name = f"finish_{block.rows}x{block.vectors}x{block.last_lanes}{pitch}"
        if name not in self._module.functions:
            self._emit(name, block, len(batch))
        indices = [function.coerce(index, I64) for index in (block.row, block.column, *batch)]
        function.call(f"@{name}", "void", [block.sums, operands, *indices])

    def _emit(self, name: str, block: Block, batch_rank: int) -> None:
        arguments = [("sums", "ptr noalias"), ("operands", PTR), ("row", I64), ("column", I64)]
        arguments += [(f"batch{i}", I64) for i in range(batch_rank)]
        function = begin_helper(self._module, name, arguments)
        sums, base, row, column, *batch = function.arguments
        operands = load_operands(function, base, self._epilogue.operand_count)

        def emit(values: list[Value], row: Operand, column: Operand, last_lanes: int) -> None:
            machine, total = self._arithmetic.machine, self._arithmetic.total
            self._epilogue.emit(function, Tile(function, machine, total, [values], row, column, last_lanes, batch, operands))

        if self._turned:
            self._turned_rows(function, block, sums, row, column, emit)
        else:
            self._rows(function, block, sums, row, column, emit)
        function.return_void()

    def _load(self, function: Function, base: Value, at: Operand, vectors: int) -> list[Value]:
        start = function.offset(base, at, self._element)
        type_ = vector_of(self._arithmetic.total, self._lanes)
        return [function.load(function.offset(start, j * self._lanes, self._element), type_) for j in range(vectors)]

    def _rows(self, function: Function, block: Block, sums: Value, row: Value, column: Value, emit: EmitRow) -> None:
        width, step, jump = block.pitch or (block.rows, 1, 0)

        def line(y: Operand, _: list[Value]) -> list[Value]:
            def one(x: Operand, _: list[Value]) -> list[Value]:
                at = function.mul(function.add(function.mul(y, width), x), self._stride)
                values = self._load(function, sums, at, block.vectors)
                offset = function.add(function.mul(y, jump), function.mul(x, step))
                emit(values, function.add(row, offset), column, block.last_lanes)
                return []

            function.loop(0, width, 1, [], one)
            return []

        function.loop(0, block.rows // width, 1, [], line)

    def _turned_rows(self, function: Function, block: Block, sums: Value, row: Value, column: Value, emit: EmitRow) -> None:
        lanes, total = self._lanes, self._arithmetic.total
        groups = GroupTranspose(self._module, self._arithmetic.machine, total, self._stride, lanes, "turn_group")
        square = function.allocate(vector_of(total, lanes), lanes)

        def vector(j: Operand, _: list[Value], valid: int = lanes) -> list[Value]:
            start = function.offset(sums, function.mul(j, lanes), self._element)

            def turn(r: Operand, _: list[Value]) -> list[Value]:
                rows = function.offset(start, function.mul(r, self._stride), self._element)
                groups.call(function, rows, function.offset(square, r, self._element))
                return []

            def one(c: Operand, _: list[Value]) -> list[Value]:
                values = self._load(function, square, function.mul(c, lanes), 1)
                emit(values, function.add(column, function.add(function.mul(j, lanes), c)), row, block.rows)
                return []

            function.loop(0, block.rows, groups.rows, [], turn)
            function.loop(0, valid, 1, [], one)
            return []

        whole = block.vectors if block.last_lanes == lanes else block.vectors - 1
        function.loop(0, whole, 1, [], vector)
        if block.last_lanes < lanes:
            vector(whole, [], block.last_lanes)


def emit_in_registers(
    function: Function,
    arithmetic: Arithmetic,
    epilogue: Epilogue,
    values: Rows,
    row: Operand,
    column: Operand,
    last_lanes: int,
    batch: Sequence[Operand],
    operands: Value,
    row_offsets: Sequence[int] | None = None,
) -> None:
    """The epilogue of a tile whose sums are in registers."""
    pointers = load_operands(function, operands, epilogue.operand_count)
    machine, total = arithmetic.machine, arithmetic.total
    tile = Tile(function, machine, total, values, row, column, last_lanes, batch, pointers, row_offsets)
    epilogue.emit(function, tile)
