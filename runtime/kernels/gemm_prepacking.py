"""Operands of matrix products that are packed beforehand: what their panels depend on, the kernel that makes them, and what
a product gains that reads them.

Either operand can lie along the vectors: for the left one, the plan computes C^T = B^T A^T.
"""

from __future__ import annotations

import functools
import math
from dataclasses import replace

from graphc.dtypes import DType
from graphc.records import record
from graphc.runtime.emit.entry import begin_driver
from graphc.runtime.emit.function import I64, PTR, Module, Operand, Value, constant
from graphc.runtime.emit.vectors import memory_element, register_element
from graphc.runtime.kernel import MAXIMUM_CHUNKS, Kernel, make_kernel
from graphc.runtime.kernels.arithmetic import PlainArithmetic
from graphc.runtime.kernels.bf16 import PairPanelPacking, plan_pairs, uses_pairs
from graphc.runtime.kernels.contraction import Contraction, ContractionOptions
from graphc.runtime.kernels.gemm_packing import PanelPacking
from graphc.runtime.kernels.gemm_plan import FAR_STEP, Pieces, Plan, plan_contraction
from graphc.runtime.kernels.indexing import part_of, split_index
from graphc.runtime.kernels.matrix_vector import is_matrix_vector
from graphc.runtime.preparation import Offer
from graphc.runtime.schedule.machine import Machine
from graphc.runtime.schedule.reasons import explain_serial, join_notes

SERIAL_BYTES = 1 << 17  # panels of this size are packed before another thread has begun
PACKING_CYCLES = 0.5  # of one element: most of it is memory
STEP_CYCLES = 50.0  # what one more step costs
LEAST_GAIN = 0.02  # share of a product's cycles that makes other memory worth while
FAR_VISIT = 4.0  # cycles that a step of k costs in a panel whose rows lie on pages of their own
CONFLICT_STEP = 4096  # bytes between rows from which on all of them fall into one set of the first cache
CONFLICT_VISIT = 8.0
PLANS_KEPT = 1024  # of contractions that were planned
FAR_BYTES = 24.0  # a cycle, of a right side that the second cache does not hold: few rows wait for it in any form


@record
class PanelPreparation:
    """All that the packed panels of an operand depend on. `plan` has nothing else in it; `batch` is (count, stride) of every
    dimension along which the operand moves."""

    plan: Plan
    dtype: DType
    precision: str
    pairs: bool
    odd: bool
    batch: tuple[tuple[int, int], ...]

    @property
    def matrices(self) -> int:
        return math.prod(count for count, _ in self.batch)

    @property
    def nbytes(self) -> int:
        return self.matrices * packed_elements(self.plan) * self.dtype.compute.size

    @property
    def cycles(self) -> float:
        return STEP_CYCLES + PACKING_CYCLES * self.matrices * self.plan.right.extent * self.plan.depth

    def build(self, machine: Machine, threads: int) -> Kernel:
        """The kernel [operand, panels]."""
        module, plan = Module(), self.plan
        emit_panel_packing(module, plan, machine, self)
        function = begin_driver(module)
        source, packed = (function.load(function.offset(function.arguments[0], i, PTR), PTR) for i in range(2))
        count = self.matrices * plan.panels
        chunks = min(count, MAXIMUM_CHUNKS, 4 * threads) if threads > 1 and self.nbytes > SERIAL_BYTES else 1
        sizes = [size for size, _ in self.batch]

        def panel(number: Operand, _carried: list[Value]) -> list[Value]:
            *indices, j = split_index(function, number, [*sizes, plan.panels])
            at: Operand = function.mul(function.mul(j, plan.panel), plan.right.stride)
            for index, (_, stride) in zip(indices, self.batch):
                at = function.add(at, function.mul(index, stride))
            place = function.offset(packed, function.mul(number, plan.panel_slot), register_element(self.dtype.compute))
            last = function.icmp("eq", j, plan.panels - 1)
            origin = function.offset(source, at, memory_element(plan.right.dtype))
            function.call(f"@{PanelPacking.name}", "void", [origin, place, constant(plan.depth, I64), last])
            return []

        function.loop(*part_of(function, function.arguments[1], count, chunks), 1, [], panel)
        function.return_void()
        schedule = f"{count} panels of {plan.vectors} vectors of {plan.lanes}, {plan.depth} deep"
        serial = explain_serial(chunks, threads, self.nbytes, SERIAL_BYTES, "bytes")
        return make_kernel("panel_packing", str(module), chunks=chunks, schedule=join_notes(schedule, serial))


def emit_panel_packing(module: Module, plan: Plan, machine: Machine, what: PanelPreparation) -> None:
    """The function that packs one panel."""
    if what.pairs:
        PairPanelPacking(module, plan, machine, what.odd)
    else:
        PanelPacking(module, plan, plain_arithmetic(machine, what.dtype, what.precision))


def plain_arithmetic(machine: Machine, dtype: DType, precision: str) -> PlainArithmetic:
    rounds = precision == "bf16"
    return PlainArithmetic(machine, dtype, dtype, rounds, rounds)


def packed_elements(plan: Plan) -> int:
    """Elements of all panels of one matrix that is packed beforehand: every panel whole along k."""
    return plan.panels * replace(plan, depth_block=plan.depth).panel_slot


def prepare_panels(contraction: Contraction, plan: Plan, machine: Machine) -> PanelPreparation:
    """What a plan that reads its right side prepacked needs."""
    right = plan.right
    batch = tuple((size, stride) for size, stride in zip(contraction.batch, right.batch) if stride and size > 1)
    side = replace(right, operand=0, batch=())
    bare = Plan(
        turned=False, left=side, right=side, depth=plan.depth, lanes=plan.lanes, vectors=plan.vectors, tiles=Pieces(1, 1, 0),
        left_packing="direct", right_packing="packed", depth_block=plan.depth, row_block=1, panel_block=1, grid=(1, 1, 1),
        left_stride=0, left_workspace=0, right_workspace=0, partial_workspace=0, cycles=0.0,
    )  # fmt: skip
    pairs = uses_pairs(contraction, machine)
    odd = pairs and contraction.depth % 2 == 1
    return PanelPreparation(bare, contraction.dtype, contraction.precision, pairs, odd, batch)


@functools.lru_cache(maxsize=PLANS_KEPT)
def choose_plan(
    contraction: Contraction,
    machine: Machine,
    threads: int,
    options: ContractionOptions,
    lanes_along_rows: bool,
    arrays: int = 1,
) -> Plan:
    """The plan of a product, over pairs where it is done in those; `arrays` is how many the epilogue walks."""
    if uses_pairs(contraction, machine):
        return plan_pairs(contraction, machine, threads, options, lanes_along_rows)
    return plan_contraction(contraction, machine, threads, options, lanes_along_rows, arrays)


def read_prepared(operand: int) -> ContractionOptions:
    """The options of a product that reads an operand prepared: 1 is the right one, 0 the left one."""
    return ContractionOptions(right_packing="prepacked", swap=operand == 0)


def offer_preparations(
    contraction: Contraction, machine: Machine, threads: int, lanes_along_rows: bool, arrays: int = 1
) -> tuple[Offer, ...]:
    """What a product would gain with one of its operands packed beforehand, where it would gain something."""
    c = contraction
    if c.flops == 0 or c.terms > 1 or is_matrix_vector(c, machine) or any(c.prologues):
        return ()
    usual = _cycles(choose_plan(c, machine, threads, ContractionOptions(), lanes_along_rows, arrays), c, machine)
    offers = []
    for operand in (1, 0):
        plan = choose_plan(c, machine, threads, read_prepared(operand), lanes_along_rows, arrays)
        saves = usual - _cycles(plan, c, machine) - STEP_CYCLES
        if saves > LEAST_GAIN * usual:
            offers.append(Offer(operand, prepare_panels(c, plan, machine), saves))
    return tuple(offers)


def _cycles(plan: Plan, contraction: Contraction, machine: Machine) -> float:
    """The cycles of a plan with those that it waits for the right side: for rows that lie far apart, or for all of it."""
    nbytes = contraction.batches * plan.right.extent * plan.depth * plan.right.dtype.size
    least = nbytes / FAR_BYTES if nbytes > machine.l2_bytes else 0.0
    step = plan.right.depth_stride * plan.right.dtype.size
    if plan.right_packing == "prepacked" or plan.right.stride != 1 or step <= FAR_STEP:
        return max(plan.cycles, least)
    visit = CONFLICT_VISIT if step % CONFLICT_STEP == 0 else FAR_VISIT
    times = plan.tiles.count * plan.panels if plan.right_packing == "direct" else plan.panels * plan.vectors
    return max(plan.cycles + contraction.batches * plan.depth * times * visit, least)
