"""Loop nests as text."""

from __future__ import annotations

from collections.abc import Iterable

from graphc.runtime.loops.nodes import (
    PARALLEL,
    SERIAL,
    VECTOR,
    Accumulate,
    Checked,
    Compute,
    Constant,
    Expression,
    Given,
    IndexValue,
    Let,
    Load,
    Loop,
    LoopNest,
    Operand,
    Prefetch,
    Result,
    Start,
    Statement,
    Store,
    Within,
)  # fmt: skip

_SIGNS = {"sum": "+=", "prod": "*=", "min": "min=", "max": "max=", "any": "or=", "all": "and="}


def print_nest(nest: LoopNest) -> str:
    """The buffers, then the statements, indented by loop."""
    buffers = ", ".join(f"{b.role} {b.name}: {b.dtype.short}[{b.size}]" for b in nest.buffers)
    given = "".join(f", given{place}: {dtype.short}" for place, dtype in enumerate(nest.given))
    lines = [f"kernel {nest.name}({buffers}{given}) {{"]
    lines += [f"  # {note}" for note in nest.notes]
    lines += _print_body(nest.body, "  ", nest.chunks)
    return "\n".join([*lines, "}"])


def _print_body(statements: Iterable[Statement], indent: str, chunks: int) -> list[str]:
    lines: list[str] = []
    for statement in statements:
        if isinstance(statement, Loop):
            lines.append(f"{indent}{_loop_head(statement, chunks)} {{")
            lines += [*_print_body(statement.body, indent + "  ", chunks), indent + "}"]
        else:
            lines.append(indent + _statement(statement))
    return lines


def _loop_head(loop: Loop, chunks: int) -> str:
    how = {SERIAL: "for", PARALLEL: f"parallel({chunks} chunks) for", VECTOR: f"vector({loop.lanes} x {loop.chains}) for"}
    return f"{how[loop.kind]} {loop.variable} in 0..{loop.extent}"


def _statement(statement: Statement) -> str:
    if isinstance(statement, Let):
        return f"{statement.local.name} = {_expression(statement.expression)} : {statement.local.dtype.short}"
    if isinstance(statement, Store):
        sign = "+=" if statement.combine else "="
        return f"{statement.buffer.name}[{statement.offset}] {sign} {_operand(statement.value)}"
    if isinstance(statement, Prefetch):
        return f"prefetch {statement.buffer.name}[{statement.offset}]"
    if isinstance(statement, Start):
        return f"accumulator {statement.accumulator.name}: {statement.accumulator.monoid} {statement.accumulator.dtype.short}"
    assert isinstance(statement, Accumulate)
    sign = _SIGNS.get(statement.accumulator.monoid, f"{statement.accumulator.monoid}=")
    at = f" at {statement.position}" if statement.position is not None else ""
    return f"{statement.accumulator.name} {sign} {_operand(statement.value)}{at}"


def _operand(operand: Operand) -> str:
    if isinstance(operand, Given):
        return f"given{operand.place}"
    return repr(operand.value) if isinstance(operand, Constant) else operand.name


def _expression(expression: Expression) -> str:
    if isinstance(expression, Load):
        text = f"{expression.buffer.name}[{expression.offset}]"
        if expression.guard is None:
            return text
        return f"{text} if {_expression(expression.guard)} else {expression.otherwise}"
    if isinstance(expression, Within):
        return " and ".join(f"0 <= {index} < {limit}" for index, limit in expression.bounds)
    if isinstance(expression, Checked):
        return f"check {expression.code}: 0 <= {_operand(expression.operand)} < {expression.limit}"
    if isinstance(expression, Compute):
        operands = [_operand(operand) for operand in expression.operands]
        operands += [f"{key}={value}" for key, value in expression.attributes.items()]
        return f"{expression.definition.name}({', '.join(operands)})"
    if isinstance(expression, IndexValue):
        return f"index({expression.index})"
    if isinstance(expression, Result):
        return expression.accumulator.name
    return repr(expression.value)
