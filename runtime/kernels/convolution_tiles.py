"""The functions of a direct convolution that compute one register tile."""

from __future__ import annotations

from graphc.records import record
from graphc.runtime.emit.entry import begin_helper
from graphc.runtime.emit.function import I64, PTR, Function, Module, Operand, Value
from graphc.runtime.emit.vectors import register_element
from graphc.runtime.kernels.arithmetic import PlainArithmetic
from graphc.runtime.kernels.finish import emit_in_registers
from graphc.runtime.kernels.microkernel import (
    DepthLoop,
    LeftOperand,
    RightOperand,
    Rows,
    contract,
    lane_mask,
    zeros,
)
from graphc.runtime.kernels.tile import Epilogue

UNROLLED = 16  # steps of a short innermost loop that are written out


@record
class FilterLayout:
    """Distances in elements between taps, channels and panels; a packed filter has whole, aligned panels."""

    tap_row: int
    tap_column: int
    channel: int
    panel: int
    packed: bool


@record
class PixelBlock:
    """The rows of a tile: `lines` of `width`, with their distances in the image (elements) and in the result (pixels)."""

    lines: int
    width: int
    left_step: int
    left_jump: int
    result_step: int
    result_jump: int

    @property
    def rows(self) -> int:
        return self.lines * self.width

    @property
    def left_offsets(self) -> tuple[int, ...]:
        return tuple(y * self.left_jump + x * self.left_step for y in range(self.lines) for x in range(self.width))

    @property
    def result_offsets(self) -> tuple[int, ...]:
        return tuple(y * self.result_jump + x * self.result_step for y in range(self.lines) for x in range(self.width))


@record
class TapNest:
    """The loops of a tile: rows of taps, columns of taps, channels, with the steps of the image in elements.

    Numbers are counts that are the same for all tiles; None is given at run time.
    """

    rows: int | None
    columns: int | None
    channels: int
    left_row: int
    left_column: int
    layout: FilterLayout

    @property
    def merged(self) -> bool:
        """Columns and channels lie one after the other."""
        return self.left_column == self.channels and self.layout.tap_column == self.channels * self.layout.channel


@record
class TileRequest:
    block: PixelBlock
    nest: TapNest
    vectors: int
    last_lanes: int
    empty: bool = False  # no tap is valid: the sums are zero


class ConvolutionTiles:
    """Emits tile functions as they are asked for. With an `epilogue` they end with it, else they leave sums in memory."""

    def __init__(
        self,
        module: Module,
        arithmetic: PlainArithmetic,
        epilogue: Epilogue | None,
        sums_stride: int,
        prefetch: int = 8,
    ):
        self.module, self.arithmetic, self.epilogue = module, arithmetic, epilogue
        self.sums_stride, self.prefetch = sums_stride, prefetch
        self._names: dict[TileRequest, str] = {}

    def call(
        self,
        function: Function,
        request: TileRequest,
        left: Value,
        right: Value,
        taps: tuple[Operand, Operand],
        sums: Value,
        operands: Value,
        row: Operand,
        column: Operand,
    ) -> None:
        if request not in self._names:
            block = request.block
            shape = f"{block.lines}x{block.width}x{request.vectors}"
            self._names[request] = f"tile_{len(self._names)}_{shape}{'_empty' if request.empty else ''}"
            self._emit(request)
        given: list[Operand] = [left, right]
        given += [count for count, static in zip(taps, (request.nest.rows, request.nest.columns)) if static is None]
        given += [sums] if self.epilogue is None else [operands, row, column]
        values = [function.coerce(value, I64) for value in given]
        function.call(f"@{self._names[request]}", "void", values)

    def _emit(self, request: TileRequest) -> None:
        nest = request.nest
        names = [("left", "ptr noalias"), ("right", "ptr noalias")]
        names += [(name, I64) for name, count in (("rows", nest.rows), ("columns", nest.columns)) if count is None]
        names += [("sums", "ptr noalias")] if self.epilogue is None else [("operands", PTR), ("row", I64), ("column", I64)]
        function = begin_helper(self.module, self._names[request], names)
        arguments = {name: value for (name, _), value in zip(names, function.arguments)}
        totals = zeros(self.arithmetic, request.block.rows, request.vectors)
        if not request.empty:
            totals = self._products(function, request, arguments, totals)
        if self.epilogue is None:
            self._keep(function, totals, arguments["sums"])
        else:
            emit_in_registers(
                function,
                self.arithmetic,
                self.epilogue,
                totals,
                arguments["row"],
                arguments["column"],
                request.last_lanes,
                (),
                arguments["operands"],
                request.block.result_offsets,
            )
        function.return_void()

    def _products(self, function: Function, request: TileRequest, arguments: dict[str, Value], totals: Rows) -> Rows:
        nest, layout, lanes = request.nest, request.nest.layout, self.arithmetic.lanes
        rows: Operand = arguments["rows"] if nest.rows is None else nest.rows
        columns: Operand = arguments["columns"] if nest.columns is None else nest.columns
        loops = [DepthLoop(rows, nest.left_row, layout.tap_row)]
        if nest.merged:
            inner = function.mul(columns, nest.channels)
            loops.append(DepthLoop(inner, 1, layout.channel))
        else:
            inner = nest.channels
            loops.append(DepthLoop(columns, nest.left_column, layout.tap_column))
            loops.append(DepthLoop(inner, 1, layout.channel))
        right = RightOperand(
            arguments["right"],
            tuple(j * lanes for j in range(request.vectors)),
            None if layout.packed else lane_mask(request.last_lanes, lanes),
            self.arithmetic.total.size * lanes if layout.packed else None,
            self.prefetch,
        )
        left = LeftOperand(arguments["left"], request.block.left_offsets)
        unroll = inner if isinstance(inner, int) and inner <= UNROLLED else 1
        return contract(function, self.arithmetic, left, right, loops, totals, unroll)

    def _keep(self, function: Function, totals: Rows, sums: Value) -> None:
        element = register_element(self.arithmetic.total)
        for r, row in enumerate(totals):
            for j, value in enumerate(row):
                function.store(value, function.offset(sums, r * self.sums_stride + j * self.arithmetic.lanes, element))
