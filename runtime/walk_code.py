"""The walk over the steps of a compiled program, as native code."""

from __future__ import annotations

import ctypes

from graphc.runtime.emit.function import I32, I64, PTR, Module, Value
from graphc.runtime.jit.routine import Routine
from graphc.runtime.threads.denormals import flush_denormals, restore_float_mode


class StepRecord(ctypes.Structure):
    _fields_ = [
        ("kernel", ctypes.c_void_p),
        ("chunks", ctypes.c_int64),
        ("first_operand", ctypes.c_int64),
        ("operand_count", ctypes.c_int64),
        ("parallel", ctypes.c_int64),
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
        ("status_slot", ctypes.c_int64),
        ("pool", ctypes.c_void_p),
        ("pool_run", ctypes.c_void_p),
    ]


def timed_walk_module() -> str:
    """Defines `timed_walk(program, slots, times)`, which also stores the moment before each step and the one at the end."""
    module = Module()
    emit_walk(module, "timed_walk", timed=True)
    return str(module)


def emit_walk(module: Module, name: str = "walk", timed: bool = False) -> None:
    """Defines `walk(program, slots)`, which calls the kernels of all steps, up to one whose check fails."""
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
    kernel = f.field(step, StepRecord, "kernel")
    chunks = f.field(step, StepRecord, "chunks")

    def in_parallel() -> None:
        run = f.field(program, ProgramRecord, "pool_run")
        f.call(run.ref, "void", [f.field(program, ProgramRecord, "pool"), kernel, buffer, chunks])

    def in_order() -> None:
        with f.each(chunks) as chunk:
            f.call(kernel.ref, "void", [buffer, chunk])

    f.if_else(f.is_set(f.field(step, StepRecord, "parallel")), in_parallel, in_order)


def _read_clock(f: Routine) -> Value:
    """Nanoseconds of the monotonic clock, the one of `time.monotonic_ns`."""
    monotonic = 1
    moment = f.cell(I64, count=2)
    f.foreign("clock_gettime", I32, [f.coerce(monotonic, I32), moment])
    seconds = f.mul(f.load(moment, I64), 1_000_000_000)
    return f.coerce(f.add(seconds, f.item(moment, 1, I64)), I64)
