"""What a matrix product asks memory for while it sums: the epilogue's matrices, and the operands of the next batch.

A processor finds rows that it has just walked by itself, but neither the rows of the tile that the epilogue reads next nor
the beginnings of another matrix. They are asked for a few lines at a time between steps of k: all at once they would be
more than a core can wait for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphc.dtypes import DType
from graphc.records import record
from graphc.runtime.emit.function import PTR, Function, Operand, Value
from graphc.runtime.emit.vectors import memory_element
from graphc.runtime.kernels.contraction import Contraction, Side
from graphc.runtime.kernels.finish import FIRST_OPERAND
from graphc.runtime.kernels.gemm_plan import LINE, Plan
from graphc.runtime.kernels.tile import Stream
from graphc.runtime.schedule.machine import Machine

FETCH_DEPTH = 64  # steps of k from which on they hide the way of what is fetched
FETCH_STEPS = 8  # of k, at least, between two rounds of asking
MOST_ROUNDS = 20  # so many that what is asked for at once can be on its way together


@record
class MemoryBlock:
    """Lines in memory: those at `offsets` from a pointer, and again `stride` further on, `rows` times; in elements."""

    pointer: Value
    dtype: DType
    rows: int
    stride: int
    offsets: tuple[int, ...]


@record
class FollowingPart:
    """What a tile fetches of an operand of the next batch, or of the next tile: a block without its pointer.

    `step` is how far the part of the next tile lies behind this one's.
    """

    side: Side
    rows: int
    stride: int
    offsets: tuple[int, ...]
    step: int

    def at(self, pointer: Value) -> MemoryBlock:
        return MemoryBlock(pointer, self.side.dtype, self.rows, self.stride, self.offsets)


@record
class FetchPlan:
    """`streams` are what the epilogue reads, `batch_parts` belong to the next batch's operands; `tile_part` to the left
    side's next tile."""

    streams: tuple[Stream, ...] = ()
    batch_parts: tuple[FollowingPart, ...] = ()
    tile_part: FollowingPart | None = None

    @property
    def following(self) -> tuple[FollowingPart, ...]:
        return (*self.batch_parts, *([self.tile_part] if self.tile_part else []))

    @property
    def any(self) -> bool:
        return bool(self.streams or self.following)


def plan_fetches(contraction: Contraction, plan: Plan, machine: Machine, streams: Sequence[Stream]) -> FetchPlan:
    """Nothing where k is short or comes in blocks; of the next batch, what leaves the cache room for this one's."""
    if plan.depth < FETCH_DEPTH or plan.depth_blocks > 1:
        return FetchPlan()
    if contraction.batches <= plan.grid[0] or plan.grid[1] * plan.grid[2] > 1:
        return FetchPlan(tuple(streams), tile_part=_next_tile(plan, machine))
    tiles, found = plan.tiles.count * plan.panels, []
    for side in (plan.left, plan.right) if plan.right_packing != "prepacked" else (plan.left,):
        is_small = side.extent * plan.depth * side.dtype.size <= machine.l2_bytes // 4
        if 1 in (side.stride, side.depth_stride) and is_small and any(side.batch):
            found.append(_part_of_batch(side, plan.depth, tiles))
    return FetchPlan(tuple(streams), tuple(found))


def _part_of_batch(side: Side, depth: int, tiles: int) -> FollowingPart:
    """The rows in memory of an operand, shared evenly by the tiles of a batch."""
    outer, stride, inner = depth, side.depth_stride, side.extent
    if side.stride != 1:
        outer, stride, inner = side.extent, side.stride, depth
    rows = math.ceil(outer / tiles)
    return FollowingPart(side, rows, stride, tuple(range(0, inner, LINE // side.dtype.size)), rows * stride)


def _next_tile(plan: Plan, machine: Machine) -> FollowingPart | None:
    """The left side's rows of the next tile, where they are read along k from where they lie, for the first time."""
    side = plan.left
    is_large = side.extent * plan.depth * side.dtype.size > machine.l2_bytes // 2
    if plan.left_packing != "direct" or side.depth_stride != 1 or not is_large:
        return None
    line, rows = LINE // side.dtype.size, range(plan.tiles.highest)
    offsets = tuple(r * side.stride for r in rows)
    return FollowingPart(side, math.ceil(plan.depth / line), line, offsets, 0)


def stream_blocks(
    function: Function,
    streams: Sequence[Stream],
    operands: Value,
    place: tuple[Operand, Operand],
    sizes: tuple[int, int],
    batch: Sequence[Value],
) -> list[MemoryBlock]:
    """Where a tile of the result at `place` (row, column) lies in what the epilogue reads."""
    blocks = []
    for stream in streams:
        pointer = function.load(function.offset(operands, FIRST_OPERAND + stream.pointer, PTR), PTR)
        at = function.add(function.mul(place[0], stream.row), place[1])
        for index, stride in zip(batch, stream.batch):
            at = function.add(at, function.mul(index, stride))
        start = function.offset(pointer, at, memory_element(stream.dtype))
        lines = tuple(range(0, sizes[1], LINE // stream.dtype.size))
        blocks.append(MemoryBlock(start, stream.dtype, sizes[0], stream.row, lines))
    return blocks


class Fetch:
    """Asks for all blocks in `rounds` rounds, `steps` of k apart, which leave `rest` steps."""

    def __init__(self, function: Function, blocks: Sequence[MemoryBlock], depth: int):
        self.function, self.blocks = function, blocks
        most = min(MOST_ROUNDS, depth // FETCH_STEPS, max(block.rows for block in blocks))
        self.rounds = next((n for n in range(most, most // 2, -1) if depth % n == 0), most)
        self.steps, self.rest = divmod(depth, self.rounds)

    def emit(self, number: Operand) -> None:
        """One round; those behind the last row of a block ask for that again, which is there by then."""
        function = self.function
        for block in self.blocks:
            rows, element = math.ceil(block.rows / self.rounds), memory_element(block.dtype)
            number = number if block.rows >= self.rounds else function.minimum(number, block.rows - 1)
            first = function.offset(block.pointer, function.mul(number, rows * block.stride), element)
            for at in (row * block.stride + offset for row in range(rows) for offset in block.offsets):
                function.prefetch(function.offset(first, at, element), locality=2)
