"""Matrix products of static shape: any strides, transposes and batches, with an epilogue on the finished sums.

    kernel = build_contraction(contraction, machine, threads, epilogue)

takes the operands [A, B, what the epilogue asks for...]; without an epilogue [A, B, C]. C is cut into register tiles; K
runs to its end, or in blocks with partial sums kept in the workspace, so an epilogue sees finished sums and the order of
summation is that of k, whatever the plan and the number of threads.
"""

from __future__ import annotations

from dataclasses import replace

from graphc.runtime.emit.function import I64, PTR, Function, Module, Operand, Value, constant
from graphc.runtime.emit.vectors import memory_element, register_element
from graphc.runtime.kernel import ENTRY, MAXIMUM_CHUNKS, Kernel, make_kernel
from graphc.runtime.kernels.amx import MatrixTiles
from graphc.runtime.kernels.arithmetic import Arithmetic, PlainArithmetic
from graphc.runtime.kernels.bf16 import PairArithmetic, PairPanelPacking, PairTilePacking, plan_pairs, uses_pairs
from graphc.runtime.kernels.contraction import Contraction, ContractionOptions
from graphc.runtime.kernels.fetching import plan_fetches
from graphc.runtime.kernels.finish import (
    INLINE_LINES,
    INLINE_LINES_SHALLOW,
    SHALLOW,
    epilogue_lines,
    load_operands,
)
from graphc.runtime.kernels.gemm_entry import GemmEntry
from graphc.runtime.kernels.gemm_packing import PanelPacking, TilePacking
from graphc.runtime.kernels.gemm_plan import SERIAL_FLOPS, Plan, plan_contraction
from graphc.runtime.kernels.gemm_tile import TileFunctions
from graphc.runtime.kernels.indexing import part_of, split_index
from graphc.runtime.kernels.matrix_vector import SERIAL_BYTES, MatrixVector, is_matrix_vector
from graphc.runtime.kernels.microkernel import zeros
from graphc.runtime.kernels.tile import Epilogue, StoreEpilogue, Tile
from graphc.runtime.schedule.machine import Machine
from graphc.runtime.schedule.reasons import explain_serial, join_notes


def build_contraction(
    contraction: Contraction,
    machine: Machine,
    threads: int,
    epilogue: Epilogue | None = None,
    options: ContractionOptions | None = None,
) -> Kernel:
    """The kernel of a contraction; `threads` only decides how it is cut into chunks."""
    c, options, module = contraction, options or ContractionOptions(), Module()
    moved = _bytes_moved(c)
    lanes_along_rows = epilogue is None and c.c_row == 1 and (c.c_column != 1 or c.columns == 1)
    row_stride, column_stride = (c.c_column, c.c_row) if lanes_along_rows else (c.c_row, c.c_column)
    ending = epilogue or StoreEpilogue(c.result_dtype, row_stride, column_stride, c.c_batch, c.accumulate)
    if c.batches * c.rows * c.columns == 0:
        Function(module, ENTRY, [("operands", PTR), ("chunk", I64)]).return_void()
        return make_kernel("contraction", str(module), schedule="empty")
    if c.depth == 0:
        sizes = (c.columns, c.rows) if lanes_along_rows else (c.rows, c.columns)
        _emit_without_products(module, c, sizes, machine, ending)
        return make_kernel("contraction", str(module), schedule="no products", bytes_moved=moved)
    if is_matrix_vector(c, machine) and options == ContractionOptions():
        emitter = MatrixVector(module, c, PlainArithmetic(machine, c.dtype, c.dtype), ending, threads, lanes_along_rows)
        emitter.emit()
        serial = explain_serial(emitter.chunks, threads, emitter.moved, SERIAL_BYTES, "bytes")
        schedule = join_notes(f"{emitter.blocks} blocks of {emitter.lanes} dot products", serial)
        return make_kernel(
            "contraction", str(module), chunks=emitter.chunks, schedule=schedule, flops=c.flops, bytes_moved=moved
        )
    if uses_pairs(c, machine):
        plan = plan_pairs(c, machine, threads, options, lanes_along_rows)
    else:
        plan = plan_contraction(c, machine, threads, options, lanes_along_rows, ending.operand_count)
    _emit_packing(module, c, plan, machine)
    tiles = _tile_functions(module, c, plan, machine, ending, options)
    GemmEntry(module, c, plan, tiles, ending).emit()
    chunks = plan.grid[0] * plan.grid[1] * plan.grid[2]
    return make_kernel(
        "contraction",
        str(module),
        chunks=chunks,
        workspace=plan.workspace * chunks,
        schedule=join_notes(
            "bf16 pairs" if uses_pairs(c, machine) else "", plan, explain_serial(chunks, threads, c.flops, SERIAL_FLOPS, "FLOP")
        ),
        flops=c.flops,
        bytes_moved=moved,
    )


def _plain_arithmetic(contraction: Contraction, machine: Machine) -> PlainArithmetic:
    rounds = contraction.precision == "bf16"
    return PlainArithmetic(machine, contraction.dtype, contraction.dtype, rounds, rounds)


def _tile_functions(
    module: Module,
    contraction: Contraction,
    plan: Plan,
    machine: Machine,
    epilogue: Epilogue,
    options: ContractionOptions,
) -> TileFunctions | MatrixTiles:
    arithmetic: PlainArithmetic | PairArithmetic = _plain_arithmetic(contraction, machine)
    if uses_pairs(contraction, machine):
        arithmetic = PairArithmetic(machine)
        if machine.has_amx_bf16:
            return MatrixTiles(module, plan, arithmetic)
    fetches = plan_fetches(contraction, plan, machine, epilogue.streams)
    in_registers = _fits_in_registers(plan, epilogue, arithmetic, len(contraction.batch))
    return TileFunctions(module, plan, arithmetic, epilogue if in_registers else None, options, fetches)


def _emit_packing(module: Module, contraction: Contraction, plan: Plan, machine: Machine) -> None:
    """The functions that bring operands into the order that the tiles read."""
    panels = plan.right_packing == "packed"
    if uses_pairs(contraction, machine):
        odd = contraction.depth % 2 == 1
        if panels:
            PairPanelPacking(module, plan, machine, odd)
        if plan.left_packing != "direct":
            PairTilePacking(module, plan, machine, odd)
        return
    arithmetic = _plain_arithmetic(contraction, machine)
    if panels:
        PanelPacking(module, plan, arithmetic)
    if plan.left_packing != "direct":
        TilePacking(module, plan, arithmetic)


def build_panel_packing(
    contraction: Contraction, machine: Machine, threads: int, options: ContractionOptions | None = None
) -> tuple[Kernel, int]:
    """The kernel [B, packed B] that brings a constant B into the order that "prepacked" reads, and the packed bytes.

    Called with what the contraction is built with. B must be the same for all batches.
    """
    options = replace(options or ContractionOptions(), right_packing="prepacked")
    planned = (plan_pairs if uses_pairs(contraction, machine) else plan_contraction)(
        contraction, machine, threads, options, False
    )
    module, plan = Module(), replace(planned, depth_block=planned.depth, right_packing="packed", left_packing="direct")
    _emit_packing(module, contraction, plan, machine)
    total = contraction.dtype.compute
    function = Function(module, ENTRY, [("operands", PTR), ("chunk", I64)])
    source, packed = (function.load(function.offset(function.arguments[0], i, PTR), PTR) for i in range(2))
    chunks = min(plan.panels, MAXIMUM_CHUNKS)

    def panel(j: Operand, _: list[Value]) -> list[Value]:
        column = function.mul(function.mul(j, plan.panel), plan.right.stride)
        last = function.icmp("eq", j, plan.panels - 1)
        place = function.offset(packed, function.mul(j, plan.panel_slot), register_element(total))
        arguments = [function.offset(source, column, memory_element(plan.right.dtype)), place, constant(plan.depth, I64), last]
        function.call(f"@{PanelPacking.name}", "void", arguments)
        return []

    function.loop(*part_of(function, function.arguments[1], plan.panels, chunks), 1, [], panel)
    function.return_void()
    packed_bytes = plan.panels * plan.panel_slot * total.size
    return make_kernel("panel_packing", str(module), chunks=chunks, schedule=str(plan)), packed_bytes


def _fits_in_registers(plan: Plan, epilogue: Epilogue, arithmetic: Arithmetic, batch_rank: int) -> bool:
    """The epilogue is short enough to be repeated for every vector of every tile function."""
    if plan.turned:
        return False
    functions = len(plan.tiles.sizes) * (2 if plan.uneven else 1) + (1 if plan.right_packing == "fused" else 0)
    lines = epilogue_lines(epilogue, arithmetic, batch_rank) * plan.tiles.highest * plan.vectors * functions
    return lines <= (INLINE_LINES_SHALLOW if plan.depth <= SHALLOW else INLINE_LINES)


def _bytes_moved(contraction: Contraction) -> int:
    c = contraction
    size = c.dtype.size
    result = c.rows * c.columns * c.result_dtype.size * (2 if c.accumulate else 1)
    return c.batches * (c.rows * c.depth * size + c.depth * c.columns * size + result)


def _emit_without_products(
    module: Module, contraction: Contraction, sizes: tuple[int, int], machine: Machine, epilogue: Epilogue
) -> None:
    """The entry for K = 0: the epilogue of zeros, one vector at a time."""
    function = Function(module, ENTRY, [("operands", PTR), ("chunk", I64)])
    arithmetic = PlainArithmetic(machine, contraction.dtype, contraction.dtype)
    lanes = arithmetic.lanes
    base = function.arguments[0]
    operands = load_operands(function, base, epilogue.operand_count)
    rows, columns = sizes

    def batch(number: Operand, _: list[Value]) -> list[Value]:
        indices = split_index(function, number, contraction.batch)

        def row(r: Operand, _: list[Value]) -> list[Value]:
            def vectors(c: Operand, _: list[Value], valid: int = lanes) -> list[Value]:
                values = zeros(arithmetic, 1, 1)
                tile = Tile(function, machine, arithmetic.total, values, r, c, valid, indices, operands)
                epilogue.emit(function, tile)
                return []

            whole = columns - columns % lanes
            function.loop(0, whole, lanes, [], vectors)
            if columns % lanes:
                vectors(whole, [], columns % lanes)
            return []

        function.loop(0, rows, 1, [], row)
        return []

    function.loop(0, contraction.batches, 1, [], batch)
    function.return_void()
