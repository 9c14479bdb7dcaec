"""Schedules applied: each directive changes the kind of one loop, after checking that the nest allows it."""

from __future__ import annotations

from dataclasses import replace

from graphc.runtime.loops.nodes import PARALLEL, SERIAL, VECTOR, Loop, LoopNest, map_loops, walk
from graphc.runtime.schedule.choose import Parallelize, Schedule, Vectorize


def apply_schedule(nest: LoopNest, schedule: Schedule) -> LoopNest:
    """The nest with its loops as the schedule says. Raises ValueError for a directive that does not fit."""
    for directive in schedule.directives:
        if isinstance(directive, Vectorize):
            nest = vectorize_loop(nest, directive)
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
