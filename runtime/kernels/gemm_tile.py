"""The functions of a matrix product that compute one register tile, from its operands to its epilogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.dtypes import DType
from graphc.runtime.emit.function import I1, I64, PTR, Function, Module, Operand, Value, constant
from graphc.runtime.emit.vectors import memory_element, register_element
from graphc.runtime.kernels.arithmetic import PlainArithmetic, vector_of
from graphc.runtime.kernels.contraction import ContractionOptions
from graphc.runtime.kernels.gemm_packing import HELPER
from graphc.runtime.kernels.gemm_plan import Plan
from graphc.runtime.kernels.microkernel import (
    DepthLoop,
    LeftOperand,
    Packing,
    RightOperand,
    Rows,
    contract,
    lane_mask,
    transpose_vectors,
    zeros,
)
from graphc.runtime.kernels.tile import Epilogue, Tile

STRAIGHT_LINE = 160  # multiply-adds up to which a tile has no loop


@dataclass(frozen=True)
class TileShape:
    height: int
    last: bool  # of the last panel
    packing: bool  # reads the right side where it lies and packs it on the way


@dataclass(frozen=True)
class TileCall:
    """Arguments of one call of a tile function; those that its plan does not need are left out."""

    left: Value
    right: Value
    row: Operand
    column: Operand
    batch: Sequence[Operand]
    packed: Value | None
    partial: Value | None
    depth: Operand
    first: Value | bool
    final: Value | bool


class TileFunctions:
    """Emits tile functions as they are asked for, each once."""

    def __init__(
        self,
        module: Module,
        plan: Plan,
        arithmetic: PlainArithmetic,
        epilogue: Epilogue,
        options: ContractionOptions,
        result: DType,
        prefetched: tuple[int, ...] | None,
    ):
        """`prefetched`: strides (row, column, batch...) of an array of `result` to be fetched into the cache early."""
        self.module, self.plan, self.arithmetic = module, plan, arithmetic
        self.epilogue, self.options = epilogue, options
        self.result, self.prefetched = result, prefetched
        self._known: set[TileShape] = set()

    def call(self, function: Function, shape: TileShape, operands: Value, call: TileCall) -> None:
        if shape not in self._known:
            self._known.add(shape)
            _TileFunction(self, shape, len(call.batch)).emit()
        arguments = [call.left, call.right, operands, *(_i64(v) for v in (call.row, call.column, *call.batch))]
        if shape.packing:
            assert call.packed is not None
            arguments.append(call.packed)
        if self.plan.depth_blocks > 1:
            assert call.partial is not None
            arguments += [call.partial, _i64(call.depth), _i1(call.first), _i1(call.final)]
        function.call(f"@{_name(self.plan, shape)}", "void", arguments)


def _name(plan: Plan, shape: TileShape) -> str:
    vectors = plan.last_vectors if shape.last else plan.vectors
    return f"tile_{shape.height}x{vectors}{'_last' if shape.last else ''}{'_pack' if shape.packing else ''}"


def _i64(value: Operand) -> Value:
    return value if isinstance(value, Value) else constant(value, I64)


def _i1(value: Value | bool) -> Value:
    return value if isinstance(value, Value) else constant(value, I1)


class _TileFunction:
    def __init__(self, family: TileFunctions, shape: TileShape, batch_rank: int):
        self.family, self.plan, self.shape = family, family.plan, shape
        self.vectors = self.plan.last_vectors if shape.last else self.plan.vectors
        self.last_lanes = self.plan.last_lanes if shape.last else self.plan.lanes
        arguments = [("left", "ptr noalias"), ("right", "ptr noalias"), ("operands", PTR), ("row", I64), ("column", I64)]
        arguments += [(f"batch{i}", I64) for i in range(batch_rank)]
        if shape.packing:
            arguments.append(("packed", "ptr noalias"))
        if self.plan.depth_blocks > 1:
            arguments += [("partial", "ptr noalias"), ("depth", I64), ("first", I1), ("final", I1)]
        self.function = Function(family.module, _name(self.plan, shape), arguments, **HELPER)
        self.arguments = {name: value for (name, _), value in zip(arguments, self.function.arguments)}
        self.batch = [self.arguments[f"batch{i}"] for i in range(batch_rank)]

    def emit(self) -> None:
        if self.family.prefetched is not None:
            self._prefetch_result(self.family.prefetched)
        if self.plan.depth_blocks == 1:
            self._finish(self._products(zeros(self.family.arithmetic, self.shape.height, self.vectors)))
            self.function.return_void()
            return
        totals = self._products(self._starting_totals())
        final, partial = self.function.fresh_label("final"), self.function.fresh_label("partial")
        self.function.branch_if(self.arguments["final"], final, partial)
        self.function.place_label(final)
        self._finish(totals)
        self.function.return_void()
        self.function.place_label(partial)
        for place, value in zip(self._partial_places(), _flat(totals)):
            self.function.store(value, place)
        self.function.return_void()

    def _products(self, totals: Rows) -> Rows:
        plan, shape, family = self.plan, self.shape, self.family
        if plan.left_packing == "direct":
            left_row, left_step = plan.left.stride, plan.left.depth_stride
        else:
            rows_first = plan.left_packing == "rows"
            left_row, left_step = (plan.left_stride, 1) if rows_first else (1, plan.left_stride)
        in_place = plan.right_packing == "direct" or shape.packing
        right_step = plan.right.depth_stride if in_place else plan.panel
        arithmetic = family.arithmetic.packed(left=plan.left_packing != "direct", right=not in_place)
        depth: Operand = self.arguments["depth"] if plan.depth_blocks > 1 else plan.depth
        straight = isinstance(depth, int) and depth * shape.height * self.vectors <= STRAIGHT_LINE
        left = LeftOperand(self.arguments["left"], tuple(r * left_row for r in range(shape.height)))
        right = RightOperand(
            self.arguments["right"],
            tuple(j * plan.lanes for j in range(self.vectors)),
            lane_mask(self.last_lanes, plan.lanes) if in_place else None,
            None if in_place else arithmetic.total.size * plan.lanes,
            0 if straight else family.options.prefetch,
        )
        return contract(
            self.function,
            arithmetic,
            left,
            right,
            [DepthLoop(depth, left_step, right_step)],
            totals,
            depth if straight and isinstance(depth, int) else family.options.unroll,
            Packing(self.arguments["packed"], plan.panel) if shape.packing else None,
        )

    # -- sums kept between blocks of k

    def _partial_places(self) -> list[Value]:
        element, lanes = register_element(self.family.arithmetic.total), self.plan.lanes
        count = self.shape.height * self.vectors
        return [self.function.offset(self.arguments["partial"], i * lanes, element) for i in range(count)]

    def _starting_totals(self) -> Rows:
        """Zeros at the first block of k, then what the block before has left."""
        function, arithmetic = self.function, self.family.arithmetic
        type_ = vector_of(arithmetic.total, self.plan.lanes)
        before, load, start = function.block, function.fresh_label("load"), function.fresh_label("start")
        function.branch_if(self.arguments["first"], start, load)
        function.place_label(load)
        loaded = [function.load(place, type_) for place in self._partial_places()]
        function.branch(start)
        function.place_label(start)
        totals = [function.phi(type_, (0, before), (value, load)) for value in loaded]
        return [totals[i : i + self.vectors] for i in range(0, len(totals), self.vectors)]

    # -- the end

    def _finish(self, totals: Rows) -> None:
        function, plan, lanes = self.function, self.plan, self.plan.lanes
        row, column = self.arguments["row"], self.arguments["column"]
        base = self.arguments["operands"]
        operands = [
            function.load(function.offset(base, 2 + i, PTR), PTR) for i in range(self.family.epilogue.operand_count)
        ]

        def emit(values: Rows, row: Operand, column: Operand, last_lanes: int) -> None:
            machine, total = self.family.arithmetic.machine, self.family.arithmetic.total
            tile = Tile(function, machine, total, values, row, column, last_lanes, self.batch, operands)
            self.family.epilogue.emit(function, tile)

        if not plan.turned:
            emit(totals, row, column, self.last_lanes)
            return
        padding = [constant(0, totals[0][0].type)] * (lanes - self.shape.height)
        for j in range(self.vectors):
            valid = self.last_lanes if j == self.vectors - 1 else lanes
            square = transpose_vectors(function, [row_values[j] for row_values in totals] + padding)[:valid]
            first = function.add(column, j * lanes)
            emit([[value] for value in square], first, row, self.shape.height)

    def _prefetch_result(self, strides: tuple[int, ...]) -> None:
        function, plan = self.function, self.plan
        element = memory_element(self.family.result)
        row, column = self.arguments["row"], self.arguments["column"]
        rows = self.shape.height
        if plan.turned:
            row, column, rows = column, row, (self.vectors - 1) * plan.lanes + self.last_lanes
        at = function.add(function.mul(row, strides[0]), function.mul(column, strides[1]))
        for index, stride in zip(self.batch, strides[2:]):
            at = function.add(at, function.mul(index, stride))
        pointer = function.load(function.offset(self.arguments["operands"], 2, PTR), PTR)
        base = function.offset(pointer, at, element)
        for r in range(rows):
            function.prefetch(function.offset(base, r * strides[0], element))
            if not plan.turned and self.vectors > 1:
                last = (self.vectors - 1) * plan.lanes
                function.prefetch(function.offset(base, r * strides[0] + last, element))


def _flat(rows: Rows) -> list[Value]:
    return [value for row in rows for value in row]
