"""The native routines that every run needs, as one module: the walk, the worker pool, the lock of a session."""

from __future__ import annotations

import functools
import platform
import sys
from collections.abc import Callable

from graphc.runtime.jit.routines import load_own_routines


@functools.cache
def core_routines() -> dict[str, int]:
    """The addresses of walk, counting_walk, pool_run, pool_pause, try_enter, leave and withdraw."""
    return load_own_routines("core", core_module)


def core_module() -> str:
    from graphc.runtime.calls.lock_code import emit_lock  # late, all of them: as a rule their code lies on disk
    from graphc.runtime.emit.function import Module
    from graphc.runtime.threads.pool_code import emit_pool, emit_serial_pool
    from graphc.runtime.walk_code import emit_counting_walk, emit_special_calls, emit_walk

    module = Module()
    if has_native_pool():
        emit_pool(module, platform.machine())
    else:
        emit_serial_pool(module)
    emit_walk(module)
    emit_counting_walk(module)
    emit_special_calls(module)
    emit_lock(module, linkage="")
    return str(module)


def has_native_pool() -> bool:
    return sys.platform.startswith("linux") and platform.machine() in ("x86_64", "aarch64")


CORE_SOURCES: dict[str, Callable[[], str]] = {"core": core_module}
