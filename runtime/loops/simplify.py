"""Fewer loops: those that run once disappear, and two that together walk memory evenly become one."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from graphc.runtime.loops.nodes import (
    INPUT,
    Buffer,
    Index,
    Let,
    Load,
    Loop,
    LoopNest,
    Statement,
    indices_of,
    map_indices,
    variable,
    walk,
)  # fmt: skip


def simplify_nest(nest: LoopNest) -> LoopNest:
    """The nest without unit loops, and with perfectly nested loops merged where every index allows it."""
    return nest.replace(body=_merge(_drop_unit_loops(nest.body)))


def _drop_unit_loops(statements: tuple[Statement, ...]) -> tuple[Statement, ...]:
    result: list[Statement] = []
    for statement in statements:
        if not isinstance(statement, Loop):
            result.append(statement)
            continue
        body = _drop_unit_loops(statement.body)
        if statement.extent == 1:
            result += map_indices(body, partial(Index.substitute, values={statement.variable: Index()}))
        else:
            result.append(replace(statement, body=body))
    return tuple(result)


def _merge(statements: tuple[Statement, ...]) -> tuple[Statement, ...]:
    result: list[Statement] = []
    for statement in statements:
        if isinstance(statement, Loop):
            statement = replace(statement, body=_merge(statement.body))
            while (merged := _merge_with_inner(statement)) is not None:
                statement = merged
        result.append(statement)
    return tuple(result)


def _merge_with_inner(outer: Loop) -> Loop | None:
    """One loop over both, where the outer holds nothing else and every index counts outer * inner extent + inner."""
    if len(outer.body) != 1 or not isinstance(outer.body[0], Loop):
        return None
    inner = outer.body[0]
    for statement in walk(inner.body):
        for index in indices_of(statement):
            if index.coefficient(outer.variable) != index.coefficient(inner.variable) * inner.extent:
                return None
    together = {outer.variable: Index(), inner.variable: variable(inner.variable)}
    body = map_indices(inner.body, lambda index: index.substitute(together))
    return Loop(inner.variable, outer.extent * inner.extent, body)


def split_offsets(nest: LoopNest) -> tuple[LoopNest, dict[Buffer, int]]:
    """The nest with its inputs read from offset 0 on, and where they begin: the smallest constant of all their indices.

    So slices of one array that differ in their place alone have the same code.
    """
    starts: dict[Buffer, int] = {}
    for statement in walk(nest.body):
        if isinstance(statement, Let) and isinstance(statement.expression, Load):
            load = statement.expression
            if load.buffer.role == INPUT:
                starts[load.buffer] = min(load.offset.constant, starts.get(load.buffer, load.offset.constant))
    starts = {buffer: start for buffer, start in starts.items() if start > 0}
    return nest.replace(body=_move_loads(nest.body, starts)) if starts else nest, starts


def _move_loads(statements: tuple[Statement, ...], starts: dict[Buffer, int]) -> tuple[Statement, ...]:
    result: list[Statement] = []
    for statement in statements:
        if isinstance(statement, Loop):
            statement = replace(statement, body=_move_loads(statement.body, starts))
        elif isinstance(statement, Let) and isinstance(statement.expression, Load):
            load = statement.expression
            moved = replace(load, offset=load.offset - starts.get(load.buffer, 0))
            statement = replace(statement, expression=moved)
        result.append(statement)
    return tuple(result)
