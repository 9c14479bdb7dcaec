"""How much floating-point work a loop nest is."""

from __future__ import annotations

from collections.abc import Iterable

from graphc.runtime.loops.nodes import Accumulate, Compute, Let, Loop, LoopNest, Statement, Store
from graphc.scalars import count_operations


def count_nest_operations(nest: LoopNest) -> int:
    """The floating-point operations of all iterations, as `graphc.scalars.count_operations` counts them, and one for every
    value that is added to an accumulator or to memory. What is computed again counts again."""
    return _count(nest.body)


def _count(statements: Iterable[Statement]) -> int:
    total = 0
    for statement in statements:
        if isinstance(statement, Loop):
            total += statement.extent * _count(statement.body)
        elif isinstance(statement, Accumulate):
            total += statement.accumulator.dtype.is_floating
        elif isinstance(statement, Store):
            total += statement.combine and statement.buffer.dtype.is_floating
        elif isinstance(statement, Let) and isinstance(statement.expression, Compute):
            compute = statement.expression
            assert compute.definition.scalar is not None
            dtypes = [operand.dtype for operand in compute.operands]
            total += count_operations(compute.definition.scalar, dtypes, compute.attributes)
    return total
