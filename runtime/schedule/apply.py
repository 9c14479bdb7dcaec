"""Schedules applied: each directive changes the kind of one loop, after checking that the nest allows it."""

from __future__ import annotations

from dataclasses import replace

from graphc.runtime.loops.nodes import (
    INPUT,
    PARALLEL,
    SERIAL,
    VECTOR,
    Buffer,
    Index,
    Let,
    Load,
    Loop,
    LoopNest,
    Prefetch,
    map_loops,
    walk,
)  # fmt: skip
from graphc.runtime.schedule.choose import Parallelize, PrefetchRows, Schedule, Vectorize


def apply_schedule(nest: LoopNest, schedule: Schedule) -> LoopNest:
    """The nest with its loops as the schedule says. Raises ValueError for a directive that does not fit."""
    for directive in schedule.directives:
        if isinstance(directive, Vectorize):
            nest = vectorize_loop(nest, directive)
        elif isinstance(directive, PrefetchRows):
            nest = prefetch_rows(nest, directive)
        else:
            nest = parallelize_loop(nest, directive)
    return nest


def vectorize_loop(nest: LoopNest, directive: Vectorize) -> LoopNest:
    """Every loop of the variable runs as vectors. Raises ValueError where vectors would nest."""

    def change(loop: Loop) -> Loop:
        if loop.variable != directive.variable:
            return loop
        if any(isinstance(s, Loop) and s.kind == VECTOR for s in walk(loop.body)):
            raise ValueError(f"{nest.name}: a loop inside {loop.variable} is vectorized already")
        return replace(loop, kind=VECTOR, lanes=directive.lanes, chains=directive.chains)

    return nest.replace(body=map_loops(nest.body, change))


def parallelize_loop(nest: LoopNest, directive: Parallelize) -> LoopNest:
    """The outermost loop is cut into chunks. Raises ValueError where it is not the only statement of the nest."""
    if len(nest.body) != 1 or not isinstance(nest.body[0], Loop) or nest.body[0].variable != directive.variable:
        raise ValueError(f"{nest.name}: {directive.variable} is not the outermost loop")
    loop = nest.body[0]
    if loop.kind == SERIAL:
        loop = replace(loop, kind=PARALLEL)
    return nest.replace(body=(loop,), chunks=directive.chunks)


def prefetch_rows(nest: LoopNest, directive: PrefetchRows) -> LoopNest:
    """The loop `inside` begins with hints for all inputs that the rows walk, one row ahead."""
    rows = next(s for s in walk(nest.body) if isinstance(s, Loop) and s.variable == directive.rows)
    walked: dict[tuple[Buffer, int, int], Index] = {}
    for loop in (s for s in rows.body if isinstance(s, Loop)):
        for statement in loop.body:
            if isinstance(statement, Let) and isinstance(statement.expression, Load):
                load = statement.expression
                step, stride = load.offset.coefficient(rows.variable), load.offset.coefficient(loop.variable)
                if load.buffer.role == INPUT and load.guard is None and stride == 1 and step:
                    here = load.offset.substitute({loop.variable: Index(0, ((directive.inside, 1),))})
                    walked.setdefault((load.buffer, step, load.offset.constant), here + step)
    hints = tuple(Prefetch(buffer, index) for (buffer, _, _), index in walked.items())

    def change(loop: Loop) -> Loop:
        return replace(loop, body=(*hints, *loop.body)) if loop.variable == directive.inside else loop

    return nest.replace(body=map_loops(nest.body, change))
