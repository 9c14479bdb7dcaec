"""Products in bf16 with sums in f32: k is taken in pairs, as the dot-product instructions of the processor do.

A packed operand holds pairs as i32, the element of the even k in the lower half; where k is odd, the last pair ends with a
zero. f32 operands are rounded to nearest even when they are packed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from graphc import dtypes
from graphc.dtypes import DType
from graphc.records import record
from graphc.runtime.emit.entry import begin_helper
from graphc.runtime.emit.function import (
    BF16,
    I1,
    I16,
    I32,
    I64,
    Function,
    Module,
    Operand,
    Value,
    constant,
    vector_type,
)
from graphc.runtime.emit.vectors import float_to_bfloat, memory_element
from graphc.runtime.kernels.contraction import Contraction, ContractionOptions, Side, sides
from graphc.runtime.kernels.gemm_packing import TILE_COUNTS, TilePacking, over_tiles
from graphc.runtime.kernels.gemm_plan import Plan, packed_tile, plan_contraction
from graphc.runtime.kernels.microkernel import lane_mask
from graphc.runtime.kernels.transpose import GroupTranspose
from graphc.runtime.schedule.machine import Machine

PAIR_BLOCK = 16  # pairs of one row of a matrix tile
AMX_ROWS = 32
AMX_VECTORS = 2


@record
class PairArithmetic:
    """Pairs of bf16 from both sides; each instruction adds both products of a pair to an f32 sum."""

    machine: Machine
    left_element: str = I32  # or I16 where the left side is read where it lies
    right_element: str = I32

    @property
    def total(self) -> DType:
        return dtypes.float32

    @property
    def lanes(self) -> int:
        return self.machine.lanes(32)

    def packed(self, left: bool, right: bool) -> PairArithmetic:
        return replace(self, left_element=I32 if left else I16)

    def load_left(self, function: Function, pointer: Value) -> Value:
        pair = function.load(pointer, I32, 2)
        return self._pairs(function, function.splat(pair, self.lanes))

    def load_right(self, function: Function, pointer: Value, mask: Value | None, align: int | None) -> Value:
        return self._pairs(function, function.load(pointer, vector_type(I32, self.lanes), align or 2))

    def _pairs(self, function: Function, value: Value) -> Value:
        return function.cast("bitcast", value, vector_type(BF16, 2 * self.lanes))

    def multiply_add(self, function: Function, left: Value, right: Value, total: Value) -> Value:
        name = f"llvm.x86.avx512bf16.dpbf16ps.{self.machine.vector_bits}"
        return function.intrinsic(name, total.type, [total, left, right])


def uses_pairs(contraction: Contraction, machine: Machine) -> bool:
    """The product is to be done in bf16 and the machine has instructions for it."""
    wanted = contraction.precision == "bf16" or contraction.dtype == dtypes.bfloat16
    return wanted and not any(contraction.prologues) and (machine.has_avx512_bf16 or machine.has_amx_bf16)


def plan_pairs(
    contraction: Contraction, machine: Machine, threads: int, options: ContractionOptions, lanes_along_rows: bool
) -> Plan:
    """The plan of the product over pairs: depths count pairs, depth strides are those from pair to pair."""
    c = contraction
    pairs = replace(
        c, depth=math.ceil(c.depth / 2), a_column=2 * c.a_column, b_row=2 * c.b_row, precision="", result=dtypes.float32
    )
    plans = []
    prepacked = options.right_packing == "prepacked"
    for swap in (False, True) if options.swap is None and not prepacked else (bool(options.swap),):
        left = sides(c)[1 if swap else 0]
        chosen = replace(
            options,
            swap=swap,
            left_packing=_left_packing(c, left, machine),
            right_packing="prepacked" if prepacked else "packed",
            tile=(AMX_ROWS, AMX_VECTORS) if machine.has_amx_bf16 else options.tile,
            depth_block=pairs.depth if c.depth % 2 else options.depth_block,
        )
        plans.append(plan_contraction(pairs, machine, threads, chosen, lanes_along_rows))
    return min(plans, key=lambda plan: plan.cycles)


def _left_packing(contraction: Contraction, left: Side, machine: Machine) -> str:
    if machine.has_amx_bf16:
        return "rows"
    if left.depth_stride == 1 and contraction.dtype == dtypes.bfloat16 and contraction.depth % 2 == 0:
        return "direct"
    return "interleaved" if left.stride == 1 else "rows"


class _PairPacking:
    """What both sides share: a function from (source, packed), counts, and ways to load vectors of pairs."""

    def __init__(
        self, module: Module, plan: Plan, side: Side, machine: Machine, odd: bool, name: str, extra: list[tuple[str, str]]
    ):
        self.module, self.plan, self.side, self.machine, self.odd = module, plan, side, machine, odd
        self.lanes, self.element = machine.lanes(32), memory_element(side.dtype)
        self.step = side.depth_stride // 2  # from one k to the next
        arguments = [("source", "ptr noalias"), ("packed", "ptr noalias"), ("pairs", I64), *extra]
        self.function = begin_helper(module, name, arguments)
        self.source, self.packed, self.pairs = self.function.arguments[:3]

    def along_depth(self, function: Function, place: Value, elements: int) -> Value:
        """A vector of pairs that are contiguous, from the first `elements` of them."""
        lanes = self.lanes
        if self.side.dtype == dtypes.bfloat16:
            mask, type_ = lane_mask(elements, 2 * lanes), vector_type(I16, 2 * lanes)
            halves = function.load(place, type_) if mask is None else function.masked_load(place, mask, type_)
        else:
            low = self._bits(function, place, min(elements, lanes))
            high = constant(0, low.type)
            if elements > lanes:
                high = self._bits(function, function.offset(place, lanes, self.element), elements - lanes)
            halves = function.shuffle(low, high, range(2 * lanes))
        return function.cast("bitcast", halves, vector_type(I32, lanes))

    def across(self, function: Function, place: Value, valid: int, single: bool = False) -> Value:
        """A vector of pairs from two vectors, one for each k of the pair; the second is zero for a `single` k."""
        low = self._bits(function, place, valid)
        high = constant(0, low.type)
        if not single:
            high = self._bits(function, function.offset(place, self.step, self.element), valid)
        mixed = [lane for i in range(self.lanes) for lane in (i, self.lanes + i)]
        return function.cast("bitcast", function.shuffle(low, high, mixed), vector_type(I32, self.lanes))

    def _bits(self, function: Function, place: Value, valid: int) -> Value:
        """The bf16 bits of contiguous elements."""
        mask, type_ = lane_mask(valid, self.lanes), vector_type(self.element, self.lanes)
        raw = function.load(place, type_) if mask is None else function.masked_load(place, mask, type_)
        return raw if self.side.dtype == dtypes.bfloat16 else float_to_bfloat(function, raw)

    def one_pair(self, place: Value, single: bool) -> Value:
        """A pair of elements that lie anywhere."""
        function = self.function

        def half(at: Value) -> Value:
            raw = function.load(at, self.element)
            bits = raw if self.side.dtype == dtypes.bfloat16 else float_to_bfloat(function, raw)
            return function.cast("zext", bits, I32)

        low = half(place)
        if single:
            return low
        return function.bit_or(low, function.shl(half(function.offset(place, self.step, self.element)), 16))

    def over_pairs(self, body: Callable[[Operand, bool], None]) -> None:
        """Calls body(pair, is its second k missing) for all pairs."""
        function = self.function

        def pair(p: Operand, _: list[Value]) -> list[Value]:
            body(p, False)
            return []

        if not self.odd:
            function.loop(0, self.pairs, 1, [], pair)
            return
        whole = function.sub(self.pairs, 1)
        with function.when(function.icmp("sgt", whole, 0)):
            function.loop(0, whole, 1, [], pair)
        body(whole, True)

    def over_vectors(self, body: Callable[[Operand, int], None]) -> None:
        """Calls body(first pair, valid elements) for vectors of pairs; only the last one may be short."""
        function, lanes = self.function, self.lanes

        def vector(p: Operand, _: list[Value]) -> list[Value]:
            body(p, 2 * lanes)
            return []

        odd = int(self.odd)
        whole = function.mul(function.udiv(function.sub(self.pairs, odd), lanes), lanes)
        with function.when(function.icmp("sgt", whole, 0)):
            function.loop(0, whole, lanes, [], vector)
        rest = (self.plan.depth - odd) % lanes + odd
        if rest:
            with function.when(function.icmp("slt", whole, self.pairs)):
                body(whole, 2 * rest - odd)

    def at(self, pair: Operand, other: Operand) -> Value:
        """Where the first k of a pair lies, for a row or column."""
        function = self.function
        offset = function.add(function.mul(pair, 2 * self.step), function.mul(other, self.side.stride))
        return function.offset(self.source, offset, self.element)

    def slot(self, major: Operand, stride: int, minor: Operand) -> Value:
        place = self.function.offset(self.packed, self.function.mul(major, stride), I32)
        return self.function.offset(place, minor, I32)


class PairPanelPacking(_PairPacking):
    """`@pack_panel(source at the first k and column, destination, pairs, is it the last panel)`: [pair][column]."""

    name = "pack_panel"

    def __init__(self, module: Module, plan: Plan, machine: Machine, odd: bool):
        super().__init__(module, plan, plan.right, machine, odd, self.name, [("last", I1)])
        last = ((plan.last_vectors - 1) * plan.lanes + plan.last_lanes, plan.last_vectors)
        if plan.uneven and plan.panels > 1:
            self.function.if_else(
                self.function.arguments[3], lambda: self._panel(*last), lambda: self._panel(plan.panel, plan.vectors)
            )
        else:
            self._panel(*last)
        self._clear_end()
        self.function.return_void()

    def _panel(self, columns: int, vectors: int) -> None:
        function, panel = self.function, self.plan.panel
        if self.side.stride != 1 and self.step != 1:

            def gather(p: Operand, single: bool) -> None:
                def column(n: Operand, _: list[Value]) -> list[Value]:
                    function.store(self.one_pair(self.at(p, n), single), self.slot(p, panel, n))
                    return []

                self._pad(p, columns, vectors)
                function.loop(0, columns, 1, [], column)

            self.over_pairs(gather)
        elif self.side.stride == 1:

            def copy(p: Operand, single: bool) -> None:
                for j in range(vectors):
                    valid = min(self.lanes, columns - j * self.lanes)
                    value = self.across(function, self.at(p, j * self.lanes), valid, single)
                    function.store(value, self.slot(p, panel, j * self.lanes))

            self.over_pairs(copy)
        else:
            self.over_vectors(lambda p, elements: self._turn(p, elements, columns, vectors))

    def _turn(self, p: Operand, elements: int, columns: int, vectors: int) -> None:
        function, valid = self.function, math.ceil(elements / 2)
        groups = GroupTranspose(
            self.module,
            self.machine,
            self.side.dtype,
            self.side.stride,
            self.plan.panel,
            f"pack_group_{elements}",
            lambda inner, place, _: self.along_depth(inner, place, elements),
        )

        def group(n: Operand, _: list[Value], rows: int | None = None) -> list[Value]:
            groups.call(function, self.at(p, n), self.slot(p, self.plan.panel, n), rows, valid)
            return []

        def pad(i: Operand, _: list[Value]) -> list[Value]:
            self._pad(function.add(p, i), columns, vectors)
            return []

        function.loop(0, valid, 1, [], pad)
        whole = columns - columns % groups.rows
        function.loop(0, whole, groups.rows, [], group)
        if columns > whole:
            group(whole, [], columns - whole)

    def _pad(self, p: Operand, columns: int, vectors: int) -> None:
        """Zeros in the last vector of a pair where the columns do not fill it."""
        if columns < vectors * self.lanes:
            zero = constant(0, vector_type(I32, self.lanes))
            self.function.store(zero, self.slot(p, self.plan.panel, (vectors - 1) * self.lanes))

    def _clear_end(self) -> None:
        """Zeros up to a whole number of blocks of pairs, which matrix tiles read."""
        function, vectors = self.function, self.plan.vectors
        zero = constant(0, vector_type(I32, self.lanes))
        end = function.mul(function.udiv(function.add(self.pairs, PAIR_BLOCK - 1), PAIR_BLOCK), PAIR_BLOCK)

        def clear(p: Operand, _: list[Value]) -> list[Value]:
            for j in range(vectors):
                function.store(zero, self.slot(p, self.plan.panel, j * self.lanes))
            return []

        if self.lanes == PAIR_BLOCK:
            with function.when(function.icmp("slt", self.pairs, end)):
                function.loop(self.pairs, end, 1, [], clear)


class PairTilePacking(_PairPacking):
    """`@pack_tile(source at the first row and k, destination, pairs, rows)`: [row][pair], or [pair][row] interleaved.

    `@pack_tiles` with the numbers of tall and low tiles packs several.
    """

    name = "pack_tile"

    def __init__(self, module: Module, plan: Plan, machine: Machine, odd: bool):
        super().__init__(module, plan, plan.left, machine, odd, self.name, [("rows", I64)])
        self._emit_several()
        if plan.left_packing == "interleaved" or self.side.stride == 1 != self.step:
            self._by_height(self._interleaved if plan.left_packing == "interleaved" else self._turned)
        else:
            self._rows()
        self.function.return_void()

    def _emit_several(self) -> None:
        arguments = [("source", "ptr noalias"), ("packed", "ptr noalias"), ("pairs", I64), *TILE_COUNTS]
        function = begin_helper(self.module, TilePacking.name, arguments)
        source, packed, pairs, tall, low = function.arguments
        plan = self.plan
        size = packed_tile(plan.left_packing, plan.left_stride, plan.tiles, plan.depth_block)

        def tile(number: Operand, row: Operand, height: int) -> None:
            at = function.offset(source, function.mul(row, self.side.stride), self.element)
            slot = function.offset(packed, function.mul(number, size), I32)
            function.call(f"@{self.name}", "void", [at, slot, pairs, constant(height, I64)])

        over_tiles(function, plan, tall, low, tile)
        function.return_void()

    def _by_height(self, body: Callable[[int], None]) -> None:
        tiles = self.plan.tiles
        if not tiles.taller:
            body(tiles.low)
            return
        is_low = self.function.icmp("eq", self.function.arguments[3], tiles.low)
        self.function.if_else(is_low, lambda: body(tiles.low), lambda: body(tiles.low + 1))

    def _interleaved(self, rows: int) -> None:
        function, stride = self.function, self.plan.left_stride

        def copy(p: Operand, single: bool) -> None:
            for start in range(0, rows, self.lanes):
                valid = min(self.lanes, rows - start)
                value, place = self.across(function, self.at(p, start), valid, single), self.slot(p, stride, start)
                mask = lane_mask(valid, self.lanes)
                if mask is None:
                    function.store(value, place)
                else:
                    function.masked_store(value, place, mask)

        self.over_pairs(copy)

    def _turned(self, rows: int) -> None:
        """Rows are neighbours in memory but each is to be contiguous: groups of pairs are turned."""
        for r in range(rows):
            self._clear_row_end(r)
        for start in range(0, rows, self.lanes):
            self._turned_rows(start, min(self.lanes, rows - start))

    def _turned_rows(self, start: int, valid: int) -> None:
        function, stride = self.function, self.plan.left_stride

        def transpose(name: str, single: bool) -> GroupTranspose:
            return GroupTranspose(
                self.module,
                self.machine,
                self.side.dtype,
                2 * self.step,
                stride,
                name,
                lambda inner, place, columns: self.across(inner, place, columns, single),
            )

        groups = transpose("pack_pairs", False)

        def some(p: Operand, _: list[Value]) -> list[Value]:
            groups.call(function, self.at(p, start), self.slot(start, stride, p), None, valid)
            return []

        pairs = function.sub(self.pairs, int(self.odd))
        whole = function.mul(function.udiv(pairs, groups.rows), groups.rows)
        with function.when(function.icmp("sgt", whole, 0)):
            function.loop(0, whole, groups.rows, [], some)
        rest = (self.plan.depth - int(self.odd)) % groups.rows
        if rest:
            with function.when(function.icmp("slt", whole, pairs)):
                groups.call(function, self.at(whole, start), self.slot(start, stride, whole), rest, valid)
        if self.odd:
            last = function.sub(self.pairs, 1)
            transpose("pack_single", True).call(function, self.at(last, start), self.slot(start, stride, last), 1, valid)

    def _rows(self) -> None:
        function, stride = self.function, self.plan.left_stride

        def row(r: Operand, _: list[Value]) -> list[Value]:
            if self.step == 1:
                self.over_vectors(
                    lambda p, elements: function.store(
                        self.along_depth(function, self.at(p, r), elements), self.slot(r, stride, p)
                    )
                )
            else:
                self.over_pairs(
                    lambda p, single: function.store(self.one_pair(self.at(p, r), single), self.slot(r, stride, p))
                )
                self._clear_row_end(r)
            return []

        function.loop(0, function.arguments[3], 1, [], row)

    def _clear_row_end(self, r: Operand) -> None:
        """Zeros up to a whole number of blocks of pairs, which matrix tiles read."""
        zero = constant(0, vector_type(I32, self.lanes))
        self.function.store(zero, self.slot(r, self.plan.left_stride, self.pairs))
