"""How a loop nest should run: all heuristics in one place. What is chosen is data, a `Schedule`, that can be printed.

    vectorize   the loop whose neighbours in memory are neighbours: the innermost reduced loop of rows, else the innermost
                kept one
    chains      several independent vectors at once, so that long dependent chains overlap
    parallelize the outermost loop, where the work is worth a fork
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from graphc.records import record
from graphc.runtime.loops.nodes import (
    INPUT,
    LOCAL,
    Accumulate,
    Buffer,
    Compute,
    Index,
    Let,
    Load,
    Local,
    Loop,
    LoopNest,
    Result,
    Start,
    Statement,
    Store,
    indices_of,
    walk,
)  # fmt: skip
from graphc.runtime.schedule.machine import Machine
from graphc.runtime.schedule.reasons import explain_serial, join_notes
from graphc.scalars import issue_cost

FORK_COST = 10_000.0  # vector instructions that must be there before a second thread pays
CHUNK_COST = 5_000.0  # vector instructions of a chunk
LOAD_COST, STORE_COST = 1.0, 1.5
GATHER_COST = 12.0
LONGEST_INTERLEAVED = 160  # statements; longer bodies have enough to overlap by themselves


@record
class Vectorize:
    variable: str
    lanes: int
    chains: int


@record
class Parallelize:
    variable: str
    chunks: int


@record
class PrefetchRows:
    """In the loop `inside`, the next step of the loop `rows` is asked for from memory."""

    rows: str
    inside: str


Directive = Vectorize | Parallelize | PrefetchRows


@record
class Schedule:
    """The directives of a nest, in the order of their application, the estimate behind them, and why one thread runs it."""

    directives: tuple[Directive, ...]
    cost: float  # vector instructions of the whole nest
    serial: str = ""

    def __str__(self) -> str:
        return join_notes(*map(_describe, self.directives), f"cost {self.cost:.3g}", self.serial)


def _describe(directive: Directive) -> str:
    if isinstance(directive, Vectorize):
        return f"vectorize {directive.variable} by {directive.lanes} x {directive.chains}"
    if isinstance(directive, Parallelize):
        return f"parallelize {directive.variable} in {directive.chunks}"
    return f"prefetch the next {directive.rows} in {directive.inside}"


def choose_schedule(nest: LoopNest, machine: Machine, threads: int) -> Schedule:
    """The schedule of a simplified nest on a machine.

    GRAPHC_SCHEDULE=serial or parallel forces one thread or as many chunks as there can be, and =scalar no vectors.
    """
    forced = os.environ.get("GRAPHC_SCHEDULE", "")
    lanes = 1 if forced == "scalar" else _count_lanes(nest, machine)
    directives: list[Directive] = []
    total = 0.0
    for statement in nest.body:
        if not isinstance(statement, Loop):
            continue
        vectors = _choose_vectors(statement, lanes, machine)
        directives += vectors
        directives += _choose_prefetch(statement, vectors, machine)
        total += _cost_of((statement,), {d.variable: d.lanes for d in vectors})
    loops = [s for s in nest.body if isinstance(s, Loop)]
    problem, chunks = _find_obstacle(nest.body, loops), 1
    if not problem:
        chunks = _choose_chunks(loops[0], total, threads, directives, forced)
    if chunks > 1:
        directives.append(Parallelize(loops[0].variable, chunks))
    serial = explain_serial(chunks, threads, total, FORK_COST, "instructions", problem)
    return Schedule(tuple(directives), total, "serial: forced" if forced in ("serial", "scalar") else serial)


def _find_obstacle(body: Sequence[Statement], loops: Sequence[Loop]) -> str:
    """What keeps threads from sharing the outermost loop, "" if nothing does."""
    if not loops:
        return "no loop"
    if len(loops) > 1 or len(body) > 1:
        return "more than one loop over independent elements"
    return "iterations depend on one another" if _carries(loops[0]) else ""


def _count_lanes(nest: LoopNest, machine: Machine) -> int:
    """Lanes of the widest type that is computed with; addresses of gathers do not count."""
    bits = 8
    for statement in walk(nest.body):
        if isinstance(statement, Let) and isinstance(statement.expression, (Load, Compute)):
            bits = max(bits, statement.local.dtype.compute.bits)
        if isinstance(statement, Let) and isinstance(statement.expression, Load):
            bits = max(bits, statement.expression.buffer.dtype.compute.bits)
    return max(1, machine.lanes(max(bits, 32)))


def _choose_vectors(loop: Loop, lanes: int, machine: Machine) -> list[Vectorize]:
    """One vectorized loop on every path from the outermost loop inwards."""
    if lanes == 1:
        return []
    return [
        Vectorize(target.variable, lanes, _choose_chains(target, lanes, machine))
        for target in _find_targets(loop)
        if target.extent > 1 and _is_legal(target)
    ]


def _choose_prefetch(loop: Loop, vectors: list[Vectorize], machine: Machine) -> list[PrefetchRows]:
    """For rows that are walked several times, from memory beyond the caches: the next row while this one is computed with.

    It belongs into the walk that computes most. A row of its own page is what hardware does not foresee.
    """
    walks = [s for s in loop.body if isinstance(s, Loop) and any(v.variable == s.variable for v in vectors)]
    large = [b for b in _loaded_inputs(walks) if b.size * b.dtype.size > machine.l2_bytes // 2]
    if len(walks) < 2 or not large or any(_is_indirect(i) for s in walk(loop.body) for i in indices_of(s)):
        return []
    busiest = max(walks[:-1], key=lambda s: _cost_of((s,), {}))
    return [PrefetchRows(loop.variable, busiest.variable)]


def _loaded_inputs(loops: Iterable[Loop]) -> set[Buffer]:
    return {
        s.expression.buffer
        for loop in loops
        for s in walk(loop.body)
        if isinstance(s, Let) and isinstance(s.expression, Load) and s.expression.buffer.role == INPUT
    }


def _find_targets(loop: Loop) -> list[Loop]:
    inner = [s for s in loop.body if isinstance(s, Loop)]
    if not inner:
        return [loop]
    below = [target for child in inner for target in _find_targets(child)]
    if all(_prefers(target, loop) for target in below):
        return below
    return [loop]


def _prefers(inner: Loop, outer: Loop) -> bool:
    """Whether vectors along the inner loop touch memory better than along the outer one."""
    if inner.extent == 1 or not _is_legal(inner):
        return False
    return _strain(inner, inner.variable) <= _strain(inner, outer.variable) or not _is_legal(outer)


def _strain(loop: Loop, variable: str) -> float:
    """What the memory accesses of a loop cost if `variable` runs along the lanes."""
    strain = 0.0
    for statement in walk(loop.body):
        offset = _offset_of(statement)
        if offset is not None:
            strain += {0: 0.1, 1: 1.0, -1: 2.0}.get(offset.coefficient(variable), GATHER_COST)
        if isinstance(statement, Accumulate):
            strain += 0.5 if variable == loop.variable else 0.0
    return strain


def _offset_of(statement: Statement) -> Index | None:
    if isinstance(statement, Store):
        return statement.offset
    if isinstance(statement, Let) and isinstance(statement.expression, Load):
        return statement.expression.offset
    return None


def _is_legal(loop: Loop, in_chunks: bool = False) -> bool:
    """Lanes must not write to one place nor wait for one another: no store that adds, or whose address does not move with
    the loop, and no use of what the loop itself accumulates. Chunks (`in_chunks`) have local buffers of their own."""
    inside = list(walk(loop.body))
    started = {s.accumulator for s in inside if isinstance(s, Start)}
    carried = {s.accumulator for s in inside if isinstance(s, Accumulate)} - started
    for statement in inside:
        if isinstance(statement, Let) and isinstance(statement.expression, Result):
            if statement.expression.accumulator in carried:
                return False
        if not isinstance(statement, Store) or in_chunks and statement.buffer.role == LOCAL:
            continue
        if statement.combine and _is_indirect(statement.offset):
            return False
        if statement.offset.coefficient(loop.variable) == 0 and not _is_indirect(statement.offset):
            return False
    return True


def _is_indirect(index: Index) -> bool:
    return any(isinstance(symbol, Local) for symbol, _ in index.terms)


def _choose_chains(loop: Loop, lanes: int, machine: Machine) -> int:
    """Enough independent chains to cover latency, as long as their values fit in the registers."""
    statements = [s for s in walk(loop.body) if not isinstance(s, Loop)]
    if any(isinstance(s, Accumulate) and s.position is not None for s in statements):
        return 1
    live = _most_live(statements) + sum(isinstance(s, Accumulate) for s in statements)
    width = 4
    while width > 1 and (loop.extent < lanes * width or live * width > 1.5 * machine.vector_registers):
        width //= 2
    return width if len(statements) <= LONGEST_INTERLEAVED else 1


def _most_live(statements: Sequence[Statement]) -> int:
    """How many values there are at once at most, in the order of the statements."""
    last: dict[Local, int] = {}
    for place, statement in enumerate(statements):
        last.update((operand, place) for operand in _operands_of(statement))
    live, most = set[Local](), 0
    for place, statement in enumerate(statements):
        if isinstance(statement, Let):
            live.add(statement.local)
        most = max(most, len(live))
        live = {local for local in live if last.get(local, -1) > place}
    return most


def _operands_of(statement: Statement) -> list[Local]:
    operands: tuple[object, ...] = ()
    if isinstance(statement, (Store, Accumulate)):
        operands = (statement.value,)
    elif isinstance(statement, Let) and isinstance(statement.expression, Compute):
        operands = statement.expression.operands
    return [operand for operand in operands if isinstance(operand, Local)]


def _cost_of(statements: Iterable[Statement], lanes: dict[str, int]) -> float:
    """Vector instructions of statements, loops multiplied out."""
    total = 0.0
    for statement in statements:
        if isinstance(statement, Loop):
            width = lanes.get(statement.variable, 1)
            total += _cost_of(statement.body, lanes) * (statement.extent / width)
        elif isinstance(statement, Store):
            total += STORE_COST
        elif isinstance(statement, Accumulate):
            total += 1.0
        elif isinstance(statement, Let):
            total += _expression_cost(statement)
    return total


def _expression_cost(let: Let) -> float:
    expression = let.expression
    if isinstance(expression, Load):
        return GATHER_COST if _is_indirect(expression.offset) else LOAD_COST
    if isinstance(expression, Compute) and expression.definition.scalar is not None:
        dtypes = [operand.dtype for operand in expression.operands]
        return issue_cost(expression.definition.scalar, dtypes, expression.attributes)
    return 0.5


def _carries(loop: Loop) -> bool:
    """Whether iterations depend on one another: stores that add, or go to the same place."""
    return not _is_legal(loop, in_chunks=True)


def _choose_chunks(loop: Loop, cost: float, threads: int, directives: list, forced: str) -> int:
    """How many chunks the outermost loop is cut into; the result never depends on it."""
    step = next((d.lanes * d.chains for d in directives if isinstance(d, Vectorize) and d.variable == loop.variable), 1)
    pieces = -(-loop.extent // step)
    if forced in ("serial", "scalar"):
        return 1
    if forced == "parallel":
        return max(1, min(pieces, 64))
    if threads < 2 or cost < FORK_COST:
        return 1
    wanted = min(64, 4 * threads, int(cost // CHUNK_COST))
    chunks = max(1, min(pieces, wanted))
    return chunks - chunks % threads if chunks > threads else chunks
