"""Loops that depend on their own iterations: running sums and scattered additions."""

from __future__ import annotations

from graphc.dtypes import int64
from graphc.errors import format_error
from graphc.operation import Operation
from graphc.runtime.loops.nodes import (
    INPUT,
    OUTPUT,
    Accumulate,
    Accumulator,
    Buffer,
    Checked,
    Constant,
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
    variable,
)  # fmt: skip
from graphc.runtime.lower.values import flatten_index
from graphc.shapes import count_elements


def lower_cumulative(operation: Operation) -> LoopNest:
    """Running sums, products or maxima along an axis: a serial loop inside loops over everything else."""
    source, result = operation.inputs[0], operation.output
    axis, sizes = operation.attributes["axis"], source.type.sizes
    backwards, exclusive = operation.attributes["reverse"], operation.attributes["exclusive"]
    read = Buffer("in0", source.dtype, source.type.elements, INPUT)
    written = Buffer("out0", result.dtype, result.type.elements, OUTPUT)
    index = [variable(f"i{d}") for d in range(len(sizes))]
    if backwards:
        index[axis] = index[axis] * -1 + (sizes[axis] - 1)
    offset = flatten_index(sizes, index)
    total = Accumulator("total", source.dtype.compute, operation.attributes["monoid"])
    value, running = Local("value", source.dtype.compute), Local("running", source.dtype.compute)
    load, add = Let(value, Load(read, offset)), Accumulate(total, value)
    show: tuple[Statement, ...] = (Let(running, Result(total)), Store(written, offset, running))
    step: tuple[Statement, ...] = (load, *show, add) if exclusive else (load, add, *show)
    statements: tuple[Statement, ...] = (Start(total), Loop(f"i{axis}", sizes[axis], step))
    for d in reversed(range(len(sizes))):
        if d != axis:
            statements = (Loop(f"i{d}", sizes[d], statements),)
    return LoopNest("cumulative", (read, written), statements)


def lower_scatter(operation: Operation) -> LoopNest:
    """Zeros, then every slice of the updates added where its index says, in order."""
    indices, updates = operation.inputs[:2]
    result = operation.output
    depth = indices.type.sizes[-1]
    outer, shape = indices.type.sizes[:-1], result.type.sizes
    where = Buffer("in0", indices.dtype, indices.type.elements, INPUT)
    what = Buffer("in1", updates.dtype, updates.type.elements, INPUT)
    written = Buffer("out0", result.dtype, result.type.elements, OUTPUT)
    clear = Loop("z", count_elements(shape), (Store(written, variable("z"), Constant(0, result.dtype.compute)),))
    position = [variable(f"i{d}") for d in range(len(outer))]
    inner = [variable(f"j{d}") for d in range(depth, len(shape))]
    statements: list[Statement] = []
    target: list[Index] = []
    messages = []
    for d in range(depth):
        raw, checked = Local(f"raw{d}", indices.dtype), Local(f"at{d}", int64)
        statements.append(Let(raw, Load(where, flatten_index(indices.type.sizes, (*position, Index(d))))))
        statements.append(Let(checked, Checked(raw, shape[d], d)))
        target.append(Index(0, ((checked, 1),)))
        problem = f"{operation.definition.name}: index {{value}} is not in [0, {shape[d]})"
        messages.append(format_error(problem, operation.inputs, operation.location))
    value = Local("value", updates.dtype.compute)
    body: tuple[Statement, ...] = (
        Let(value, Load(what, flatten_index(updates.type.sizes, (*position, *inner)))),
        Store(written, flatten_index(shape, (*target, *inner)), value, combine=True),
    )
    for d in reversed(range(depth, len(shape))):
        body = (Loop(f"j{d}", shape[d], body),)
    body = (*statements, *body)
    for d in reversed(range(len(outer))):
        body = (Loop(f"i{d}", outer[d], body),)
    return LoopNest("scatter", (where, what, written), (clear, *body), tuple(messages))
