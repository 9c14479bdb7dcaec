"""The walk over the steps of a compiled program, as native code."""

from __future__ import annotations

import ctypes
import enum

from graphc.runtime.emit.function import I32, I64, PTR, Module, Value
from graphc.runtime.jit.routine import Routine
from graphc.runtime.threads.denormals import flush_denormals, restore_float_mode


class Manner(enum.IntFlag):
    """How a step is called: its chunks in order, or on the pool; always, or only where it remembers another version."""

    IN_ORDER = 0
    PARALLEL = 1
    REMEMBERS = 2


class StepRecord(ctypes.Structure):
    _fields_ = [
        ("kernel", ctypes.c_void_p),
        ("chunks", ctypes.c_int64),
        ("first_operand", ctypes.c_int64),
        ("operand_count", ctypes.c_int64),
        ("manner", ctypes.c_int64),
    ]


class OperandRecord(ctypes.Structure):
    _fields_ = [("slot", ctypes.c_int64), ("offset", ctypes.c_int64)]


class ProgramRecord(ctypes.Structure):
    """What the walk reads. `status_slot` is -1 where no kernel checks anything."""

    _fields_ = [
        ("steps", ctypes.c_void_p),
        ("step_count", ctypes.c_int64),
        ("operands", ctypes.c_void_p),
        ("most_operands", ctypes.c_int64),
        ("slot_count", ctypes.c_int64),
        ("status_slot", ctypes.c_int64),
        ("pool", ctypes.c_void_p),
        ("pool_run", ctypes.c_void_p),
    ]


def timed_walk_module() -> str:
    """Defines `timed_walk(program, slots, times)`, which also stores the moment before each step and the one at the end."""
    module = Module()
    emit_walk(module, "timed_walk", timed=True)
    emit_special_calls(module)
    return str(module)


def emit_walk(module: Module, name: str = "walk", timed: bool = False) -> None:
    """Defines `walk(program, slots)`, which calls the kernels of all steps, up to one whose check fails.

    The module needs `emit_special_calls` too.
    """
    arguments = [("program", PTR), ("slots", PTR), *([("times", PTR)] if timed else [])]
    f = Routine(module, name, arguments)
    program, slots = f.arguments[:2]
    buffer = f.array(PTR, f.field(program, ProgramRecord, "most_operands"))
    steps, operands = (f.field(program, ProgramRecord, field) for field in ("steps", "operands"))
    count = f.field(program, ProgramRecord, "step_count")
    status = f.cell(PTR, Value("null", PTR))
    status_slot = f.field(program, ProgramRecord, "status_slot")
    with f.when(f.icmp("sge", status_slot, 0)):
        f.store(f.item(slots, status_slot), status)
    end = f.fresh_label("end")
    float_mode = flush_denormals(f)
    with f.each(count) as index:
        if timed:
            f.set_item(f.arguments[2], index, _read_clock(f), I64)
        step = f.at(steps, f.mul(index, ctypes.sizeof(StepRecord)))
        _resolve_operands(f, step, operands, slots, buffer)
        _call_kernel(f, program, step, buffer)
        cells = f.load(status, PTR)
        with f.when(f.is_set(cells)):
            with f.when(f.is_set(f.load(cells, I64))):
                f.set_item(cells, 3, index, I64)
                f.branch(end)
                f.place_label(f.fresh_label("unreached"))
    f.branch(end)
    f.place_label(end)
    restore_float_mode(f, float_mode)
    if timed:
        f.set_item(f.arguments[2], count, _read_clock(f), I64)
    f.return_void()


def _resolve_operands(f: Routine, step: Value, operands: Value, slots: Value, buffer: Value) -> None:
    size = ctypes.sizeof(OperandRecord)
    first = f.at(operands, f.mul(f.field(step, StepRecord, "first_operand"), size))
    with f.each(f.field(step, StepRecord, "operand_count")) as number:
        operand = f.at(first, f.mul(number, size))
        base = f.item(slots, f.field(operand, OperandRecord, "slot"))
        f.set_item(buffer, number, f.at(base, f.field(operand, OperandRecord, "offset")))


def _call_kernel(f: Routine, program: Value, step: Value, buffer: Value) -> None:
    kernel, chunks = f.field(step, StepRecord, "kernel"), f.field(step, StepRecord, "chunks")

    def specially() -> None:
        f.call("@call_specially", "void", [program, step, buffer, kernel, chunks])

    manner = f.field(step, StepRecord, "manner")
    f.if_else(f.is_set(manner), specially, lambda: _call_in_order(f, kernel, chunks, buffer))


def _call_in_order(f: Routine, kernel: Value, chunks: Value, buffer: Value) -> None:
    with f.each(chunks) as chunk:
        f.call(kernel.ref, "void", [buffer, chunk])


def _call_on_pool(f: Routine, program: Value, kernel: Value, chunks: Value, buffer: Value) -> None:
    run = f.field(program, ProgramRecord, "pool_run")
    f.call(run.ref, "void", [f.field(program, ProgramRecord, "pool"), kernel, buffer, chunks])


def emit_special_calls(module: Module) -> None:
    """Calls a kernel in any manner but always and in order; apart, so that those which are do not pay for it."""
    arguments = [("program", PTR), ("step", PTR), ("buffer", PTR), ("kernel", PTR), ("chunks", I64)]
    f = Routine(module, "call_specially", arguments, attributes="nounwind noinline", linkage="internal")
    program, step, buffer, kernel, chunks = f.arguments
    manner = f.field(step, StepRecord, "manner")
    with f.when(f.icmp("eq", manner, Manner.PARALLEL)):
        _call_on_pool(f, program, kernel, chunks, buffer)
        f.leave()
    count = f.field(step, StepRecord, "operand_count")
    version, memory = (f.item(buffer, f.sub(count, back)) for back in (2, 1))
    current = f.load(version, I64)
    with f.when(f.icmp("ne", current, f.load(memory, I64))):
        f.if_else(
            f.icmp("eq", manner, Manner.REMEMBERS),
            lambda: _call_in_order(f, kernel, chunks, buffer),
            lambda: _call_on_pool(f, program, kernel, chunks, buffer),
        )
        f.store(current, memory)
    f.return_void()


def emit_counting_walk(module: Module) -> None:
    """Defines `counting_walk(program, slots)`, the walk of a program that writes variables whose versions are watched: it
    counts up the int64 cells whose addresses follow the slots, to a null, before it begins."""
    f = Routine(module, "counting_walk", [("program", PTR), ("slots", PTR)])
    program, slots = f.arguments
    place = f.cell(I64, f.field(program, ProgramRecord, "slot_count"))
    with f.forever() as loop:
        at = f.load(place, I64)
        version = f.item(slots, at)
        f.stop(loop, f.is_zero(version))
        f.store(f.binary("add", f.load(version, I64), 1), version)
        f.store(f.binary("add", at, 1), place)
    f.call("@walk", "void", [program, slots])
    f.return_void()


def _read_clock(f: Routine) -> Value:
    """Nanoseconds of the monotonic clock, the one of `time.monotonic_ns`."""
    monotonic = 1
    moment = f.cell(I64, count=2)
    f.foreign("clock_gettime", I32, [f.coerce(monotonic, I32), moment])
    seconds = f.mul(f.load(moment, I64), 1_000_000_000)
    return f.coerce(f.add(seconds, f.item(moment, 1, I64)), I64)
