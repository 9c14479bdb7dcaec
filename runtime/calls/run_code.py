"""The run of a native call: locks, slots, the walk, and what becomes of a failed check.

Ownership: while other threads may run, the record's owner and the feeds are held. Nothing runs Python code while a lock is
held, so no destructor can come back for it.
"""

from __future__ import annotations

import ctypes

from graphc.runtime.calls.feeds_code import CELL_BYTES
from graphc.runtime.calls.lock_code import is_held_by_caller
from graphc.runtime.calls.objects import internal
from graphc.runtime.calls.records import CallRecord, FeedRecord, ResultRecord
from graphc.runtime.emit.function import I1, I32, I64, PTR, Module, Value
from graphc.runtime.jit.routine import NULL, Routine

DONE, MISMATCH, STALE = 0, 1, 2  # what `perform` says besides an object
_PAUSE_MICROSECONDS = 50
_ENTERED, _PASSED, _INTERRUPTED = 0, 1, 2
_STATUS_CELLS = 4


def emit_run(module: Module) -> None:
    """Defines `perform(call, arguments, verdict)`; needs feeds, results and lock in the module."""
    _emit_enter(module)
    _emit_leave_shared(module)
    _emit_enter_both(module)
    _emit_leave_both(module)
    _emit_run(module)
    _emit_report(module)
    _emit_execute(module)
    _emit_perform(module)


def _emit_enter(module: Module) -> None:
    """Takes a lock, giving way to other threads meanwhile: entered, passed (this thread holds it), or interrupted.

    Where it is interrupted, a signal handler has raised an error, which is set.
    """
    f = internal(module, "enter", [("lock", PTR), ("exclusive", I32)], I32, inlined=True)
    lock, exclusive = f.arguments
    f.return_if(f.is_set(f.call("@try_enter", I32, [lock, exclusive])), _ENTERED)
    with f.when(is_held_by_caller(f, lock)):
        f.call("@withdraw", "void", [lock])
        f.leave(_PASSED)
    with f.forever():
        thread = f.foreign("PyEval_SaveThread", PTR, [])
        f.foreign("usleep", I32, [f.coerce(_PAUSE_MICROSECONDS, I32)])
        f.foreign("PyEval_RestoreThread", "void", [thread])
        with f.when(f.is_set(f.foreign("PyErr_CheckSignals", I32, []))):
            f.call("@withdraw", "void", [lock])
            f.leave(_INTERRUPTED)
        f.return_if(f.is_set(f.call("@try_enter", I32, [lock, exclusive])), _ENTERED)
    f.finish()


def _emit_enter_both(module: Module) -> None:
    """Takes the lock of the variables, then the one of the record's memory; False with an error set.

    In this order: a thread that holds the first one from Python comes here for the second one.
    """
    f = internal(module, "enter_both", [("call", PTR), ("passed", PTR)], I1, inlined=True)
    call, passed = f.arguments
    own, shared = f.field(call, CallRecord, "own_lock"), f.field(call, CallRecord, "shared_lock")
    with f.when(f.is_set(shared)):
        outcome = f.call("@enter", I32, [shared, _writes(f, call)])
        f.store(outcome, passed)
        f.return_if(f.icmp("eq", outcome, _INTERRUPTED), False)
    with f.when(f.icmp("eq", f.call("@enter", I32, [own, f.coerce(1, I32)]), _INTERRUPTED)):
        f.call("@leave_shared", "void", [call, passed])
        f.leave(False)
    f.leave(True)
    f.finish()


def _emit_leave_shared(module: Module) -> None:
    """Leaves the lock of the variables, where there is one that was not just passed."""
    f = internal(module, "leave_shared", [("call", PTR), ("passed", PTR)], inlined=True)
    call, passed = f.arguments
    shared = f.field(call, CallRecord, "shared_lock")
    with f.when(f.both(f.is_set(shared), f.icmp("eq", f.load(passed, I32), _ENTERED))):
        f.call("@leave", "void", [shared, _writes(f, call)])
    f.return_void()


def _emit_leave_both(module: Module) -> None:
    f = internal(module, "leave_both", [("call", PTR), ("passed", PTR)], inlined=True)
    call, passed = f.arguments
    f.call("@leave", "void", [f.field(call, CallRecord, "own_lock"), f.coerce(1, I32)])
    f.call("@leave_shared", "void", [call, passed])
    f.return_void()


def _writes(f: Routine, call: Value) -> Value:
    return f.cast("trunc", f.field(call, CallRecord, "writes"), I32)


def _emit_run(module: Module) -> None:
    """Fills the slots and walks the program; the locks are held. Copies the status cells to `outcome`."""
    arguments = [("call", PTR), ("feeds", PTR), ("results", PTR), ("outcome", PTR)]
    f = internal(module, "run", arguments, inlined=True)
    call, feed_addresses, result_addresses, outcome = f.arguments
    slots = f.field(call, CallRecord, "slots")
    _fill_slots(f, call, slots, FeedRecord, "feed", feed_addresses)
    _fill_slots(f, call, slots, ResultRecord, "result", result_addresses)
    counter = f.field(call, CallRecord, "run_counter")
    with f.when(f.is_set(counter)):
        number = f.binary("add", f.atomic("add", counter, 1, I64), 1)
        f.store(number, f.field(call, CallRecord, "run_number"))
    status = f.field(call, CallRecord, "status")
    with f.when(f.is_set(status)):
        f.store(f.coerce(0, I64), status)
    walk, program = f.field(call, CallRecord, "walk"), f.field(call, CallRecord, "program")

    def released() -> None:
        thread = f.foreign("PyEval_SaveThread", PTR, [])
        f.call(walk.ref, "void", [program, slots])
        f.foreign("PyEval_RestoreThread", "void", [thread])

    def kept() -> None:
        f.call(walk.ref, "void", [program, slots])

    f.if_else(f.is_set(f.field(call, CallRecord, "releases_interpreter")), released, kept)
    with f.when(f.is_set(status)):
        for cell in range(_STATUS_CELLS):
            f.set_item(outcome, cell, f.item(status, cell, I64), I64)
    f.return_void()


def _fill_slots(
    f: Routine, call: Value, slots: Value, record: type[ctypes.Structure], kind: str, addresses: Value
) -> None:
    table = f.field(call, CallRecord, f"{kind}s")
    with f.each(f.field(call, CallRecord, f"{kind}_count")) as index:
        entry = f.at(table, f.mul(index, ctypes.sizeof(record)))
        f.set_item(slots, f.field(entry, record, "slot"), f.item(addresses, index))


def _emit_report(module: Module) -> None:
    """Calls the function that raises the error of a failed check; returns null, as every failure does."""
    f = internal(module, "report", [("call", PTR), ("outcome", PTR)], PTR)
    call, outcome = f.arguments
    module.define_global("four_numbers", 'private unnamed_addr constant [5 x i8] c"LLLL\\00"')
    cells = [f.item(outcome, cell, I64) for cell in range(_STATUS_CELLS)]
    function, form = f.field(call, CallRecord, "report"), Value("@four_numbers", PTR)
    answer = f.foreign("PyObject_CallFunction", PTR, [function, form, *cells], variadic_after=2)
    f.foreign("Py_DecRef", "void", [answer])
    f.leave(NULL)
    f.finish()


def _emit_execute(module: Module) -> None:
    """Runs with feeds that were accepted. Sets `verdict` to stale where the record has become so meanwhile."""
    f = internal(module, "execute", [("call", PTR), ("feeds", PTR), ("verdict", PTR)], PTR, inlined=True)
    call, feeds, verdict = f.arguments
    count = f.field(call, CallRecord, "result_count")
    made, addresses = f.array(PTR, count), f.array(PTR, count)
    cells = f.array(f"[{CELL_BYTES} x i8]", count)
    outcome, passed = f.cell(I64, 0, count=_STATUS_CELLS), f.cell(I32, _ENTERED)
    f.return_if(f.is_zero(f.call("@allocate", I1, [call, made, addresses, cells])), NULL)
    with f.when(f.is_zero(f.call("@enter_both", I1, [call, passed]))):
        f.call("@drop", "void", [made, count])
        f.leave(NULL)
    with f.when(f.is_zero(f.field(call, CallRecord, "valid"))):
        f.call("@leave_both", "void", [call, passed])
        f.call("@drop", "void", [made, count])
        f.store(f.coerce(STALE, I32), verdict)
        f.leave(NULL)
    f.call("@run", "void", [call, feeds, addresses, outcome])
    f.call("@leave_both", "void", [call, passed])
    with f.when(f.is_set(f.load(outcome, I64))):
        f.call("@drop", "void", [made, count])
        f.leave(f.call("@report", PTR, [call, outcome]))
    packed = f.cell(PTR, NULL)
    with f.when(f.call("@wrap_scalars", I1, [call, made, cells])):
        f.store(f.call("@pack", PTR, [call, made]), packed)
    f.call("@drop", "void", [made, count])
    f.leave(f.load(packed, PTR))
    f.finish()


def _emit_perform(module: Module) -> None:
    """Checks the arguments and runs. `verdict` says whether the call was done, perhaps with an error set.

    A mismatch is told before anything else could run, so the caller may go on with what it was looking through.
    """
    f = internal(module, "perform", [("call", PTR), ("arguments", PTR), ("verdict", PTR)], PTR)
    call, given, verdict = f.arguments
    count = f.field(call, CallRecord, "feed_count")
    addresses, cells = f.array(PTR, count), f.array(f"[{CELL_BYTES} x i8]", count)
    f.store(f.coerce(MISMATCH, I32), verdict)
    f.return_if(f.is_zero(f.call("@accept", I1, [call, given, addresses, cells])), NULL)
    f.store(f.coerce(STALE, I32), verdict)
    f.return_if(f.is_zero(f.field(call, CallRecord, "valid")), NULL)
    f.store(f.coerce(DONE, I32), verdict)
    owner = f.field(call, CallRecord, "owner")
    held = f.array(PTR, count)  # the array of arguments may be gone once other threads have run
    f.foreign("Py_IncRef", "void", [owner])
    with f.each(count) as index:
        argument = f.item(given, index)
        f.foreign("Py_IncRef", "void", [argument])
        f.set_item(held, index, argument)
    answer = f.call("@execute", PTR, [call, addresses, verdict])
    f.call("@drop", "void", [held, count])
    f.foreign("Py_DecRef", "void", [owner])
    f.leave(answer)
    f.finish()
