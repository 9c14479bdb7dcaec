"""The functions of a matrix product that compute one register tile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from graphc.records import record
from graphc.runtime.emit.entry import begin_helper
from graphc.runtime.emit.function import I1, I64, PTR, Function, Module, Operand, Value
from graphc.runtime.emit.vectors import register_element
from graphc.runtime.kernels.arithmetic import PlainArithmetic, vector_of
from graphc.runtime.kernels.bf16 import PairArithmetic
from graphc.runtime.kernels.contraction import ContractionOptions
from graphc.runtime.kernels.fetching import Fetch, FetchPlan, stream_blocks
from graphc.runtime.kernels.finish import emit_in_registers
from graphc.runtime.kernels.gemm_plan import Plan
from graphc.runtime.kernels.microkernel import (
    DepthLoop,
    LeftOperand,
    Packing,
    RightOperand,
    Rows,
    contract,
    lane_mask,
    zeros,
)
from graphc.runtime.kernels.tile import Epilogue

STRAIGHT_LINE = 64  # multiply-adds up to which a tile has no loop


@record
class TileShape:
    height: int
    last: bool  # of the last panel
    packing: bool  # reads the right side where it lies and packs it on the way


@record
class TileCall:
    """Arguments of one call of a tile function; those that it does not need are left out."""

    left: Value
    right: Value
    row: Operand
    column: Operand
    packed: Value | None
    sums: Value | None
    depth: Operand
    first: Value | bool
    final: Value | bool
    next_row: Operand  # of the tile that comes next
    next_column: Operand
    following: Sequence[Value] = ()  # where the parts of operands begin that are fetched for later


class TileFunctions:
    """Emits tile functions as they are asked for, each once.

    With an `epilogue` a function ends with it, its sums in registers; without one it leaves them in memory. Where k comes
    in blocks, the sums are kept in memory from block to block in any case. What the epilogue will read, and part of the
    next batch's operands, is fetched while the products are summed.
    """

    def __init__(
        self,
        module: Module,
        plan: Plan,
        arithmetic: PlainArithmetic | PairArithmetic,
        epilogue: Epilogue | None,
        options: ContractionOptions,
        fetches: FetchPlan,
    ):
        self.module, self.plan, self.arithmetic = module, plan, arithmetic
        self.epilogue, self.options = epilogue, options
        self.fetches = fetches

    def begin(self, function: Function) -> None:
        """What a chunk does before its first tile: nothing here."""

    def end(self, function: Function) -> None:
        """What a chunk does after its last tile: nothing here."""

    @property
    def keeps_sums(self) -> bool:
        return self.epilogue is None or self.plan.depth_blocks > 1

    def call(
        self, function: Function, shape: TileShape, operands: Value, batch: Sequence[Operand], call: TileCall
    ) -> None:
        plan, vectors = self.plan, self.plan.last_vectors if shape.last else self.plan.vectors
        masked = shape.last and (self.epilogue is not None or self.in_place(shape)) and plan.last_lanes < plan.lanes
        name = f"tile_{shape.height}x{vectors}{'_last' if masked else ''}{'_pack' if shape.packing else ''}"
        given: list[tuple[str, str, Operand | None]] = [
            ("left", "ptr noalias", call.left),
            ("right", "ptr noalias", call.right),
        ]
        if shape.packing:
            given.append(("packed", "ptr noalias", call.packed))
        if self.keeps_sums:
            given.append(("sums", "ptr noalias", call.sums))
        if plan.depth_blocks > 1:
            given += [("depth", I64, call.depth), ("first", I1, call.first)]
        if self.epilogue is not None or self.fetches.streams:
            given += [("operands", PTR, operands), ("row", I64, call.row), ("column", I64, call.column)]
            given += [(f"batch{i}", I64, index) for i, index in enumerate(batch)]
        if self.epilogue is not None and plan.depth_blocks > 1:
            given.append(("final", I1, call.final))
        given += [(f"following{i}", PTR, place) for i, place in enumerate(call.following)]
        if self.fetches.streams:
            given += [("next_row", I64, call.next_row), ("next_column", I64, call.next_column)]
        if name not in self.module.functions:
            arguments = [(argument, type_) for argument, type_, _ in given]
            _TileFunction(self, shape, begin_helper(self.module, name, arguments), arguments, len(batch)).emit()
        values = [function.coerce(v, t) if not isinstance(v, Value) else v for _, t, v in given if v is not None]
        function.call(f"@{name}", "void", values)

    def in_place(self, shape: TileShape) -> bool:
        """The right side is read where it lies, not from a packed panel."""
        return self.plan.right_packing == "direct" or shape.packing


class _TileFunction:
    def __init__(
        self, family: TileFunctions, shape: TileShape, function: Function, names: Sequence[tuple[str, str]], batch_rank: int
    ):
        self.family, self.plan, self.shape, self.function = family, family.plan, shape, function
        self.vectors = self.plan.last_vectors if shape.last else self.plan.vectors
        self.last_lanes = self.plan.last_lanes if shape.last else self.plan.lanes
        self.arguments = {name: value for (name, _), value in zip(names, function.arguments)}
        self.batch = [self.arguments[f"batch{i}"] for i in range(batch_rank) if f"batch{i}" in self.arguments]
        self.blocked = self.plan.depth_blocks > 1

    def emit(self) -> None:
        fresh = zeros(self.family.arithmetic, self.shape.height, self.vectors)
        totals = self._products(self._earlier_sums() if self.blocked else fresh)
        if self.family.epilogue is None:
            self._keep(totals)
        elif self.blocked:
            self.function.if_else(self.arguments["final"], lambda: self._finish(totals), lambda: self._keep(totals))
        else:
            self._finish(totals)
        self.function.return_void()

    def _products(self, totals: Rows) -> Rows:
        plan, shape, family = self.plan, self.shape, self.family
        if plan.left_packing == "direct":
            left_row, left_step = plan.left.stride, plan.left.depth_stride
        else:
            left_row, left_step = (plan.left_stride, 1) if plan.left_packing == "rows" else (1, plan.left_stride)
        in_place = family.in_place(shape)
        right_step = plan.right.depth_stride if in_place else plan.panel
        arithmetic = family.arithmetic.packed(left=plan.left_packing != "direct", right=not in_place)
        depth: Operand = self.arguments["depth"] if self.blocked else plan.depth
        straight = isinstance(depth, int) and depth * shape.height * self.vectors <= STRAIGHT_LINE
        left = LeftOperand(self.arguments["left"], tuple(r * left_row for r in range(shape.height)))
        right = RightOperand(
            self.arguments["right"],
            tuple(j * plan.lanes for j in range(self.vectors)),
            lane_mask(self.last_lanes, plan.lanes) if in_place else None,
            None if in_place else arithmetic.total.size * plan.lanes,
            0 if straight else family.options.prefetch,
        )
        unroll = depth if straight and isinstance(depth, int) else family.options.unroll

        def sums(first: Operand, nest: list[DepthLoop], before: Rows, begin: Callable[[Operand], None] | None) -> Rows:
            start = [
                self.function.offset(pointer, self.function.mul(first, step), element)
                for pointer, step, element in (
                    (left.pointer, left_step, arithmetic.left_element),
                    (right.pointer, right_step, arithmetic.right_element),
                )
            ]
            sides = replace(left, pointer=start[0]), replace(right, pointer=start[1])
            packing = None
            if shape.packing:
                at = self.function.mul(first, plan.panel)
                place = self.function.offset(self.arguments["packed"], at, register_element(arithmetic.total))
                packing = Packing(place, plan.panel)
            return contract(self.function, arithmetic, *sides, nest, before, unroll, packing, begin)

        if not family.fetches.any:
            return sums(0, [DepthLoop(depth, left_step, right_step)], totals, None)
        fetch = self._find_fetch()
        steps = fetch.steps
        nest = [DepthLoop(fetch.rounds, steps * left_step, steps * right_step), DepthLoop(steps, left_step, right_step)]
        totals = sums(0, nest, totals, fetch.emit)
        rest = [DepthLoop(fetch.rest, left_step, right_step)]
        return sums(plan.depth - fetch.rest, rest, totals, None) if fetch.rest else totals

    def _find_fetch(self) -> Fetch:
        """What is fetched meanwhile."""
        plan, fetches, arguments = self.plan, self.family.fetches, self.arguments
        down, along = self.shape.height, (self.vectors - 1) * plan.lanes + self.last_lanes
        sizes = (along, down) if plan.turned else (down, along)
        blocks = [part.at(arguments[f"following{i}"]) for i, part in enumerate(fetches.following)]
        if fetches.streams:
            row, column = arguments["next_row"], arguments["next_column"]
            place = (column, row) if plan.turned else (row, column)
            blocks += stream_blocks(self.function, fetches.streams, arguments["operands"], place, sizes, self.batch)
        return Fetch(self.function, blocks, plan.depth)

    # -- sums in memory

    def _places(self) -> list[Value]:
        element, lanes = register_element(self.family.arithmetic.total), self.plan.lanes
        at = [r * self.plan.panel + j * lanes for r in range(self.shape.height) for j in range(self.vectors)]
        return [self.function.offset(self.arguments["sums"], offset, element) for offset in at]

    def _keep(self, totals: Rows) -> None:
        for place, value in zip(self._places(), [value for row in totals for value in row]):
            self.function.store(value, place)

    def _earlier_sums(self) -> Rows:
        """Zeros at the first block of k, then what the block before has left."""
        function, arithmetic = self.function, self.family.arithmetic
        type_ = vector_of(arithmetic.total, self.plan.lanes)
        before, load, start = function.block, function.fresh_label("load"), function.fresh_label("start")
        function.branch_if(self.arguments["first"], start, load)
        function.place_label(load)
        loaded = [function.load(place, type_) for place in self._places()]
        function.branch(start)
        function.place_label(start)
        totals = [function.phi(type_, (0, before), (value, load)) for value in loaded]
        return [totals[i : i + self.vectors] for i in range(0, len(totals), self.vectors)]

    # -- the end

    def _finish(self, totals: Rows) -> None:
        assert self.family.epilogue is not None
        row, column, operands = (self.arguments[name] for name in ("row", "column", "operands"))
        emit_in_registers(
            self.function,
            self.family.arithmetic,
            self.family.epilogue,
            totals,
            row,
            column,
            self.last_lanes,
            self.batch,
            operands,
        )
