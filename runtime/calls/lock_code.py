"""The lock that orders runs, as native code: any number of readers or one writer, in one word.

A waiting writer goes first: it leaves a mark that keeps new readers out. Waiting is left to the caller, who can give up the
interpreter lock meanwhile.
"""

from __future__ import annotations

from graphc.runtime.calls.records import LockRecord
from graphc.runtime.emit.function import I1, I32, PTR, Module, Value
from graphc.runtime.jit.routine import Routine

WRITER, WAITING = 1 << 30, 1 << 29  # the bits below count readers


def emit_lock(module: Module, linkage: str = "internal") -> None:
    """Defines try_enter(lock, exclusive), leave(lock, exclusive) and withdraw(lock)."""
    _emit_try_enter(module, linkage)
    _emit_leave(module, linkage)
    _emit_withdraw(module, linkage)


def _emit_try_enter(module: Module, linkage: str) -> None:
    """1 where the lock was taken; a writer who fails leaves its mark and must come back or withdraw."""
    f = Routine(module, "try_enter", [("lock", PTR), ("exclusive", I32)], I32, _attributes(linkage), linkage)
    lock, exclusive = f.arguments
    state_at = f.field_address(lock, LockRecord, "state")
    state = f.atomic_load(state_at, I32)
    with f.when(f.is_set(exclusive)):
        free = f.is_zero(f.bit_and(state, ~WAITING))
        with f.when(free):
            f.return_if(f.exchange_if(state_at, state, WRITER, I32), 1)
        f.atomic("or", state_at, WAITING, I32)
        f.leave(0)
    with f.when(f.is_zero(f.bit_and(state, WRITER | WAITING))):
        following = f.coerce(f.add(state, 1), I32)
        f.return_if(f.exchange_if(state_at, state, following, I32), 1)
    f.leave(0)
    f.finish()


def _emit_leave(module: Module, linkage: str) -> None:
    f = Routine(module, "leave", [("lock", PTR), ("exclusive", I32)], "void", _attributes(linkage), linkage)
    lock, exclusive = f.arguments
    state_at = f.field_address(lock, LockRecord, "state")
    with f.when(f.is_set(exclusive)):
        f.atomic("and", state_at, ~WRITER, I32)
        f.leave()
    f.atomic("sub", state_at, 1, I32)
    f.return_void()


def _emit_withdraw(module: Module, linkage: str) -> None:
    """Takes back the mark of a writer that stops waiting; another one sets it again when it looks next."""
    f = Routine(module, "withdraw", [("lock", PTR)], linkage=linkage)
    f.atomic("and", f.field_address(f.arguments[0], LockRecord, "state"), ~WAITING, I32)
    f.return_void()


def _attributes(linkage: str) -> str:
    return "nounwind alwaysinline" if linkage == "internal" else "nounwind"


def is_held_by_caller(f: Routine, lock: Value) -> Value:
    """Whether this thread holds the lock from Python, and so may pass: a host operation that runs its session again."""
    holder = f.field(lock, LockRecord, "holder")
    own = f.foreign("pthread_self", "i64", [])
    return f.coerce(f.icmp("eq", holder, own), I1)
