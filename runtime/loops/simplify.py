"""Fewer loops: those that run once disappear, and two that together walk memory evenly become one."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from graphc.runtime.loops.nodes import Index, Loop, LoopNest, Statement, indices_of, map_indices, variable, walk


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
