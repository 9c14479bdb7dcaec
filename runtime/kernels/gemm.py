"""Matrix products of static shape: any strides, transposes and batches, with an epilogue on the finished sums.

    kernel = build_contraction(contraction, machine, threads, epilogue)

takes the operands [A, B, what the epilogue asks for..., A and B of further terms...]; without an epilogue C is what it asks
for. C is cut into register tiles; K
runs to its end, or in blocks with partial sums kept in the workspace, so an epilogue sees finished sums and the order of
summation is that of k, whatever the plan and the number of threads.
"""

from __future__ import annotations

from dataclasses import replace

from graphc.runtime.emit.entry import begin_entry
from graphc.runtime.emit.function import Module, Operand, Value
from graphc.runtime.kernel import Kernel, make_kernel
from graphc.runtime.kernels.amx import MatrixTiles
from graphc.runtime.kernels.arithmetic import Arithmetic, PlainArithmetic
from graphc.runtime.kernels.bf16 import PairArithmetic, PairTilePacking, uses_pairs
from graphc.runtime.kernels.contraction import Contraction, ContractionOptions, sides
from graphc.runtime.kernels.fetching import plan_fetches
from graphc.runtime.kernels.finish import (
    INLINE_LINES,
    INLINE_LINES_SHALLOW,
    SHALLOW,
    epilogue_lines,
    load_operands,
)
from graphc.runtime.kernels.gemm_entry import GemmEntry
from graphc.runtime.kernels.gemm_packing import TilePacking
from graphc.runtime.kernels.gemm_plan import SERIAL_FLOPS, Plan
from graphc.runtime.kernels.gemm_prepacking import choose_plan, emit_panel_packing, plain_arithmetic, prepare_panels
from graphc.runtime.kernels.gemm_tile import TileFunctions
from graphc.runtime.kernels.indexing import split_index
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
    along_rows = lanes_along_rows(c, epilogue)
    row_stride, column_stride = (c.c_column, c.c_row) if along_rows else (c.c_row, c.c_column)
    ending = epilogue or StoreEpilogue(c.result_dtype, row_stride, column_stride, c.c_batch, c.accumulate)
    if c.batches * c.rows * c.columns == 0:
        begin_entry(module).return_void()
        return make_kernel("contraction", str(module), schedule="empty")
    if c.depth == 0:
        sizes = (c.columns, c.rows) if along_rows else (c.rows, c.columns)
        _emit_without_products(module, c, sizes, machine, ending)
        return make_kernel("contraction", str(module), schedule="no products", bytes_moved=moved)
    usual = options == ContractionOptions() and c.terms == 1 and not any(c.prologues)
    if is_matrix_vector(c, machine) and usual:
        emitter = MatrixVector(module, c, PlainArithmetic(machine, c.dtype, c.dtype), ending, threads, along_rows)
        emitter.emit()
        serial = explain_serial(emitter.chunks, threads, emitter.moved, SERIAL_BYTES, "bytes")
        schedule = join_notes(f"{emitter.blocks} blocks of {emitter.lanes} dot products", serial)
        return make_kernel(
            "contraction", str(module), chunks=emitter.chunks, schedule=schedule, flops=c.flops, bytes_moved=moved
        )
    plan = choose_plan(c, machine, threads, options, along_rows, ending.operand_count)
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


def _tile_functions(
    module: Module,
    contraction: Contraction,
    plan: Plan,
    machine: Machine,
    epilogue: Epilogue,
    options: ContractionOptions,
) -> TileFunctions | MatrixTiles:
    plain = plain_arithmetic(machine, contraction.dtype, contraction.precision)
    arithmetic: PlainArithmetic | PairArithmetic = replace(plain, right=plan.right.dtype, prologue=plan.right.prologue)
    if uses_pairs(contraction, machine):
        arithmetic = PairArithmetic(machine)
        if machine.has_amx_bf16:
            return MatrixTiles(module, plan, arithmetic)
    fetches = plan_fetches(contraction, plan, machine, epilogue.streams)
    in_registers = _fits_in_registers(plan, epilogue, arithmetic, len(contraction.batch))
    return TileFunctions(module, plan, arithmetic, epilogue if in_registers else None, options, fetches)


def _emit_packing(module: Module, contraction: Contraction, plan: Plan, machine: Machine) -> None:
    """The functions that bring operands into the order that the tiles read."""
    if plan.right_packing == "packed":
        emit_panel_packing(module, plan, machine, prepare_panels(contraction, plan, machine))
    if plan.left_packing == "direct":
        return
    if uses_pairs(contraction, machine):
        PairTilePacking(module, plan, machine, contraction.depth % 2 == 1)
    else:
        TilePacking(module, plan, plain_arithmetic(machine, contraction.dtype, contraction.precision))


def build_panel_packing(
    contraction: Contraction, machine: Machine, threads: int, options: ContractionOptions | None = None
) -> tuple[Kernel, int]:
    """The kernel [operand, panels] that brings an operand into the order that "prepacked" reads, and the packed bytes.

    Called with what the contraction is built with; the operand is B, or A with the option `swap`.
    """
    options = replace(options or ContractionOptions(), right_packing="prepacked")
    plan = choose_plan(contraction, machine, threads, options, lanes_along_rows(contraction))
    preparation = prepare_panels(contraction, plan, machine)
    return preparation.build(machine, threads), preparation.nbytes


def lanes_along_rows(contraction: Contraction, epilogue: Epilogue | None = None) -> bool:
    """Whether results are stored with the lanes of a vector down a column of C."""
    c = contraction
    return epilogue is None and c.c_row == 1 and (c.c_column != 1 or c.columns == 1)


def _fits_in_registers(plan: Plan, epilogue: Epilogue, arithmetic: Arithmetic, batch_rank: int) -> bool:
    """The epilogue is short enough to be repeated for every vector of every tile function."""
    if plan.turned:
        return False
    functions = len(plan.tiles.sizes) * (2 if plan.uneven else 1) + (1 if plan.right_packing == "fused" else 0)
    lines = epilogue_lines(epilogue, arithmetic, batch_rank) * plan.tiles.highest * plan.vectors * functions
    return lines <= (INLINE_LINES_SHALLOW if plan.depth <= SHALLOW else INLINE_LINES)


def _bytes_moved(contraction: Contraction) -> int:
    c = contraction
    a, b = (side.extent * c.depth * side.dtype.size for side in sides(c))
    result = c.rows * c.columns * c.result_dtype.size * (2 if c.accumulate else 1)
    return c.batches * (a + b + result)


def _emit_without_products(
    module: Module, contraction: Contraction, sizes: tuple[int, int], machine: Machine, epilogue: Epilogue
) -> None:
    """The entry for K = 0: the epilogue of zeros, one vector at a time."""
    function = begin_entry(module)
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
