"""Copies and fills of memory without gaps: one kernel for copies and one for fills of every size and type.

How many bytes there are is an operand. A program that gives its variables their first values does little else, for every shape
that it has, and would compile a kernel for each.
"""

from __future__ import annotations

import math
import os
import struct

import numpy as np

from graphc.records import record
from graphc.runtime.emit.entry import begin_driver
from graphc.runtime.emit.function import F32, I64, PTR, Function, Module, Operand, Value, vector_type
from graphc.runtime.kernel import Kernel, make_kernel
from graphc.runtime.loops.nodes import (
    Buffer,
    Compute,
    Constant,
    Expression,
    Index,
    Let,
    Load,
    Local,
    Loop,
    LoopNest,
    Statement,
    Store,
)
from graphc.runtime.loops.nodes import Operand as LoopOperand
from graphc.runtime.lower.lowered import Immediate
from graphc.runtime.schedule.reasons import explain_serial, join_notes

SERIAL_BYTES = 1 << 18
CHUNKS_A_THREAD = 2
LINE = 64  # bytes: what a chunk consists of, and the length of the pattern of a fill


@record
class Bulk:
    """A kernel [source, target, sizes] and the last of these. The source is the operand of that number, or the pattern of a
    fill."""

    kernel: Kernel
    sizes: Immediate
    source: int | Immediate


def lower_bulk(nest: LoopNest, threads: int) -> Bulk | None:
    """The bulk kernel that does what a simplified nest does; None where that is something else."""
    match = None if os.environ.get("GRAPHC_SCHEDULE") else _match(nest)
    if match is None:
        return None
    target, source = match
    total = target.size * target.dtype.size
    parallel = threads > 1 and total > SERIAL_BYTES
    chunks = CHUNKS_A_THREAD * threads if parallel else 1
    share = math.ceil(total / chunks / LINE) * LINE
    kernel = _make_kernel(nest, isinstance(source, Buffer), math.ceil(total / share), total, threads)
    sizes = Immediate(struct.pack("<qq", share, total))
    if isinstance(source, Buffer):
        return Bulk(kernel, sizes, nest.buffers.index(source))
    pattern = np.full(LINE // target.dtype.size, source.value, target.dtype.numpy)
    return Bulk(kernel, sizes, Immediate(pattern.tobytes()))


def _match(nest: LoopNest) -> tuple[Buffer, Buffer | Constant] | None:
    """The target, and what it is copied from or filled with."""
    body, place, count = nest.body, Index(), 1
    if len(body) == 1 and isinstance(body[0], Loop):
        place, count, body = Index(0, ((body[0].variable, 1),)), body[0].extent, body[0].body
    source = _stored(body, place)
    store = body[-1]
    if source is None or not isinstance(store, Store) or (store.offset, store.buffer.size) != (place, count):
        return None
    types = (store.buffer.dtype, store.buffer.dtype.compute) if isinstance(source, Constant) else (store.buffer.dtype,)
    return None if store.combine or source.dtype not in types else (store.buffer, source)


def _stored(body: tuple[Statement, ...], place: Index) -> Buffer | Constant | None:
    """What is stored, where it is a constant or an element of an array at the same place."""
    *lets, store = body
    if not isinstance(store, Store) or not all(isinstance(let, Let) for let in lets):
        return None
    values = {let.local: let.expression for let in lets if isinstance(let, Let)}
    value: LoopOperand | Expression = store.value
    while isinstance(value, Local):
        value = values[value]
        if isinstance(value, Compute) and value.definition.name == "copy":
            (value,) = value.operands
    if isinstance(value, Constant):
        return value
    return value.buffer if isinstance(value, Load) and value.offset == place and value.guard is None else None


def _make_kernel(nest: LoopNest, copies: bool, chunks: int, total: int, threads: int) -> Kernel:
    family = "copy" if copies else "fill"
    return make_kernel(
        family,
        _copy_module() if copies else _fill_module(),
        chunks=chunks,
        schedule=join_notes(f"{family} {total:,} bytes", explain_serial(chunks, threads, total, SERIAL_BYTES, "bytes")),
        bytes_moved=2 * total if copies else total,
        loops=str(nest),
    )


def _copy_module() -> str:
    module = Module()
    function, source, target, start, count = _begin(module)
    _copy_bytes(function, function.offset(target, start, "i8"), function.offset(source, start, "i8"), count)
    function.return_void()
    return str(module)


def _fill_module() -> str:
    module = Module()
    function, pattern, target, start, count = _begin(module)
    lines = function.load(pattern, vector_type(F32, LINE // 4))
    place = function.offset(target, start, "i8")
    whole = function.mul(function.udiv(count, LINE), LINE)

    def fill(at: Operand, _: list[Value]) -> list[Value]:
        function.store(lines, function.offset(place, at, "i8"), align=1)
        return []

    with function.when(function.icmp("sgt", whole, 0)):
        function.loop(0, whole, LINE, [], fill)
    _copy_bytes(function, function.offset(place, whole, "i8"), pattern, function.sub(count, whole))
    function.return_void()
    return str(module)


def _begin(module: Module) -> tuple[Function, Value, Value, Operand, Value]:
    """The entry with its source and target, and the first byte and the number of bytes of a chunk."""
    function = begin_driver(module)
    operands, chunk = function.arguments
    source, target, sizes = (function.load(function.offset(operands, i, PTR), PTR) for i in range(3))
    share, total = (function.load(function.offset(sizes, i, I64), I64) for i in range(2))
    start = function.mul(chunk, share)
    count = function.minimum(share, function.sub(total, start))
    assert isinstance(count, Value)
    return function, source, target, start, count


def _copy_bytes(function: Function, target: Value, source: Value, count: Operand) -> None:
    """The C library knows the processor's best way."""
    function.module.declare("memcpy", PTR, [PTR, PTR, I64])
    function.call("@memcpy", PTR, [target, source, function.coerce(count, I64)])
