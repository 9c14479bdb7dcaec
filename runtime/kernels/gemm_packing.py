"""Copies of a contraction's operands in the order in which tiles read them, in the type of the sums, prologues done.

The right side is packed by panels: for every step of k the vectors of the panel, padded with zeros. The left side is
packed by tiles, either row after row ("rows") or, for every step of k, one element of each row ("interleaved").
"""

from __future__ import annotations

import math
from collections.abc import Callable

from graphc.runtime.emit.entry import begin_helper
from graphc.runtime.emit.function import I1, I64, Function, Module, Operand, Value, constant
from graphc.runtime.emit.vectors import memory_element, register_element
from graphc.runtime.kernels.arithmetic import PlainArithmetic, load_computed, rounded, vector_of
from graphc.runtime.kernels.contraction import Side
from graphc.runtime.kernels.gemm_plan import Plan, packed_tile
from graphc.runtime.kernels.microkernel import lane_mask
from graphc.runtime.kernels.transpose import GroupTranspose

AHEAD = 32  # vectors that are on their way from memory while packing
FAR_BYTES = 8 << 20  # of an operand with a prologue, which no kernel before has brought into a cache


class _Packing:
    """What both sides share: one function from (source, packed) and two numbers."""

    def __init__(
        self, module: Module, plan: Plan, side: Side, arithmetic: PlainArithmetic, name: str, extra: list[tuple[str, str]]
    ):
        self.module, self.plan, self.side, self.arithmetic = module, plan, side, arithmetic
        self.total, self.machine, self.lanes = arithmetic.total, arithmetic.machine, arithmetic.lanes
        self.rounds = arithmetic.round_left or arithmetic.round_right
        self.source_element, self.element = memory_element(side.dtype), register_element(self.total)
        arguments = [("source", "ptr noalias"), ("packed", "ptr noalias"), ("depth", I64), *extra]
        self.function = begin_helper(module, name, arguments, as_written=True)
        self.source, self.packed, self.depth = self.function.arguments[:3]

    def load(self, function: Function, source: Value, valid: int, lanes: int = 0) -> Value:
        """A vector, of all lanes that the machine has unless told otherwise."""
        side, lanes = self.side, lanes or self.lanes
        value = load_computed(function, self.machine, source, side.dtype, lanes, lane_mask(valid, lanes), side.prologue)
        return rounded(function, value) if self.rounds else value

    def fetch(self, place: Value, steps: int) -> None:
        """Asks for what that many steps of k ahead will be read: each step lies on another page for long rows."""
        if steps:
            ahead = self.function.offset(place, steps * self.side.depth_stride, self.source_element)
            self.function.prefetch(ahead)

    def load_one(self, source: Value) -> Value:
        return self.load(self.function, source, 1, 1)

    def copy_vector(self, source: Value, place: Value, valid: int, whole: bool) -> None:
        """One vector with `valid` lanes; `whole` also writes zeros into the others."""
        narrow = not whole and self.lanes % valid == 0  # touches no second line, as a masked one may
        lanes = valid if narrow else self.lanes
        function, mask = self.function, lane_mask(valid, lanes)
        value = self.load(function, source, valid, lanes)
        if whole or mask is None:
            function.store(value, place)
        else:
            function.masked_store(value, place, mask)

    def gather(self, source: Value, stride: int, place: Value, count: Operand) -> None:
        """`count` elements (at least one) that lie apart, one by one."""
        function = self.function

        def body(i: Operand, _: list[Value]) -> list[Value]:
            at = function.offset(source, function.mul(i, stride), self.source_element)
            function.store(self.load_one(at), function.offset(place, i, self.element))
            return []

        function.loop(0, count, 1, [], body)


class PanelPacking(_Packing):
    """`@pack_panel(source at the first k and column, destination, steps of k, is it the last panel)`."""

    name = "pack_panel"

    def __init__(self, module: Module, plan: Plan, arithmetic: PlainArithmetic):
        super().__init__(module, plan, plan.right, arithmetic, self.name, [("last", I1)])
        if not plan.uneven:
            self._panel(plan.vectors, plan.lanes)
        elif plan.panels == 1:
            self._panel(plan.last_vectors, plan.last_lanes)
        else:
            self.function.if_else(
                self.function.arguments[3],
                lambda: self._panel(plan.last_vectors, plan.last_lanes),
                lambda: self._panel(plan.vectors, plan.lanes),
            )
        self.function.return_void()

    def _panel(self, vectors: int, last_lanes: int) -> None:
        if self.side.stride != 1 and self.side.depth_stride == 1:
            self._transpose(vectors, last_lanes)
            return
        function = self.function

        def step(k: Operand, _: list[Value]) -> list[Value]:
            source = function.offset(self.source, function.mul(k, self.side.depth_stride), self.source_element)
            if self.side.stride == 1:
                for j in range(vectors):
                    valid = last_lanes if j == vectors - 1 else self.lanes
                    at = function.offset(source, j * self.lanes, self.source_element)
                    self.fetch(at, AHEAD // vectors)
                    self.copy_vector(at, self._place(k, j * self.lanes), valid, True)
                return []
            if last_lanes < self.lanes:
                zero = constant(0, vector_of(self.total, self.lanes))
                function.store(zero, self._place(k, (vectors - 1) * self.lanes))
            self.gather(source, self.side.stride, self._place(k, 0), (vectors - 1) * self.lanes + last_lanes)
            return []

        function.loop(0, self.depth, 1, [], step)

    @property
    def comes_from_far(self) -> bool:
        """Whether the rows that are turned come from memory: more streams than a processor follows by itself."""
        side = self.side
        return side.prologue is not None and side.extent * side.stride * side.dtype.size >= FAR_BYTES

    def _fetch_rows(self, source: Value, rows: int) -> None:
        """Asks for what the next panel will read here."""
        for r in range(rows):
            ahead = (self.plan.panel + r) * self.side.stride
            self.function.prefetch(self.function.offset(source, ahead, self.source_element))

    def _place(self, k: Operand, column: Operand) -> Value:
        function = self.function
        at = function.offset(self.packed, function.mul(k, self.plan.panel), self.element)
        return function.offset(at, column, self.element)

    def _transpose(self, vectors: int, last_lanes: int) -> None:
        """Columns are contiguous along k, so groups of columns are turned, a vector of k at a time."""
        function, lanes, plan = self.function, self.lanes, self.plan
        groups = GroupTranspose(
            self.module, self.machine, self.side.dtype, self.side.stride, plan.panel, "pack_group", self.load, self.total
        )
        columns = (vectors - 1) * lanes + last_lanes
        whole_columns = columns - columns % groups.rows

        def pad(k: Operand) -> list[Value]:
            zero = constant(0, vector_of(self.total, lanes))
            function.store(zero, self._place(k, (vectors - 1) * lanes))
            return []

        def steps(k: Operand, valid: int) -> None:
            def group(n: Operand, _: list[Value], rows: int = groups.rows) -> list[Value]:
                at = function.add(k, function.mul(n, self.side.stride))
                source = function.offset(self.source, at, self.source_element)
                if self.comes_from_far:
                    self._fetch_rows(source, rows)
                groups.call(function, source, self._place(k, n), rows, valid)
                return []

            if last_lanes < lanes:
                function.loop(0, lanes, 1, [], lambda i, _: pad(function.add(k, i)))
            function.loop(0, whole_columns, groups.rows, [], group)
            if columns > whole_columns:
                group(whole_columns, [], columns - whole_columns)

        def body(k: Operand, _: list[Value]) -> list[Value]:
            steps(k, lanes)
            return []

        whole = function.mul(function.udiv(self.depth, lanes), lanes)
        if plan.term_depth >= lanes:
            with function.when(function.icmp("sgt", whole, 0)):
                function.loop(0, whole, lanes, [], body)
        if plan.term_depth % lanes:  # blocks of k but the last are whole vectors
            with function.when(function.icmp("slt", whole, self.depth)):
                steps(whole, plan.term_depth % lanes)


def over_tiles(
    function: Function, plan: Plan, tall: Value, low: Value, body: Callable[[Operand, Operand, int], None]
) -> None:
    """Calls body(tile, first row, rows) for `tall` tiles of the greater height and the `low` ones that follow."""
    tiles = plan.tiles

    def some(count: Value, before: Operand, height: int) -> None:
        start = function.mul(before, tiles.low + 1)

        def tile(t: Operand, _: list[Value]) -> list[Value]:
            body(function.add(before, t), function.add(start, function.mul(t, height)), height)
            return []

        with function.when(function.icmp("sgt", count, 0)):
            function.loop(0, count, 1, [], tile)

    if tiles.taller:
        some(tall, 0, tiles.low + 1)
    some(low, tall if tiles.taller else 0, tiles.low)


TILE_COUNTS = [("tall", I64), ("low", I64)]


class TilePacking(_Packing):
    """`@pack_tiles(source at the first row and k, destination, steps of k, tall tiles, low tiles)`."""

    name = "pack_tiles"

    def __init__(self, module: Module, plan: Plan, arithmetic: PlainArithmetic):
        super().__init__(module, plan, plan.left, arithmetic, self.name, TILE_COUNTS)
        self.slot = packed_tile(plan.left_packing, plan.left_stride, plan.tiles, plan.depth_block)
        self.ahead = AHEAD // (math.ceil(plan.tiles.highest / self.lanes) * plan.row_block)
        self.counts = (self.function.arguments[3], self.function.arguments[4])
        if plan.left_packing == "rows":
            over_tiles(self.function, plan, *self.counts, self._rows)
        elif self.side.stride == 1:
            self.function.loop(0, self.depth, 1, [], self._interleaved)
        else:
            raise ValueError("an interleaved left side needs rows that are neighbours in memory")
        self.function.return_void()

    def _interleaved(self, k: Operand, _: list[Value]) -> list[Value]:
        """One step of k for all tiles, so that the source is read in the order of memory."""
        function = self.function
        source = function.offset(self.source, function.mul(k, self.side.depth_stride), self.source_element)
        place = function.offset(self.packed, function.mul(k, self.plan.left_stride), self.element)

        def tile(number: Operand, row: Operand, height: int) -> None:
            here = function.offset(source, row, self.source_element)
            slot = function.offset(place, function.mul(number, self.slot), self.element)
            for j in range(math.ceil(height / self.lanes)):
                at = function.offset(here, j * self.lanes, self.source_element)
                self.fetch(at, self.ahead)
                to = function.offset(slot, j * self.lanes, self.element)
                self.copy_vector(at, to, min(self.lanes, height - j * self.lanes), False)

        over_tiles(function, self.plan, *self.counts, tile)
        return []

    def _rows(self, number: Operand, first: Operand, height: int) -> None:
        function, side = self.function, self.side
        slot = function.offset(self.packed, function.mul(number, self.slot), self.element)

        def row(r: Operand, _: list[Value]) -> list[Value]:
            at = function.mul(function.add(first, r), side.stride)
            source = function.offset(self.source, at, self.source_element)
            place = function.offset(slot, function.mul(r, self.plan.left_stride), self.element)
            if side.depth_stride == 1:
                self._copy_row(source, place)
            else:
                self.gather(source, side.depth_stride, place, self.depth)
            return []

        function.loop(0, height, 1, [], row)

    def _copy_row(self, source: Value, place: Value) -> None:
        function = self.function
        whole = function.mul(function.udiv(self.depth, self.lanes), self.lanes)

        def vector(k: Operand, _: list[Value]) -> list[Value]:
            at = function.offset(source, k, self.source_element)
            self.copy_vector(at, function.offset(place, k, self.element), self.lanes, True)
            return []

        def scalar(k: Operand, _: list[Value]) -> list[Value]:
            at = function.offset(source, k, self.source_element)
            function.store(self.load_one(at), function.offset(place, k, self.element))
            return []

        with function.when(function.icmp("sgt", whole, 0)):
            function.loop(0, whole, self.lanes, [], vector)
        with function.when(function.icmp("slt", whole, self.depth)):
            function.loop(whole, self.depth, 1, [], scalar)
