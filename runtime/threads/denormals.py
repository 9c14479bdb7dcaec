"""Denormal floats are taken for zero while a program runs, as TensorFlow does.

Averages of gradients that have become zero decay into the denormals and stay there: Adam's first moment of a dead unit is
one for ever after some 800 steps. Arithmetic on denormals costs a hundred cycles or more on most processors.
"""

from __future__ import annotations

import platform

from graphc.runtime.emit.function import I32, I64, PTR, Value
from graphc.runtime.jit.routine import Routine

_X86_FLUSH = 0x8040  # results to zero (bit 15), operands too (bit 6) of MXCSR
_ARM_FLUSH = 1 << 24  # FZ of FPCR


def flush_denormals(f: Routine, architecture: str | None = None) -> Value | None:
    """Sets the mode of the calling thread. Returns the mode before, for `restore_float_mode`; None where none is known."""
    known = architecture or platform.machine()
    if known == "x86_64":
        before, changed = f.cell(I32), f.cell(I32)
        _control_word(f, "stmxcsr", before)
        f.store(f.binary("or", f.load(before, I32), _X86_FLUSH), changed)
        _control_word(f, "ldmxcsr", changed)
        return before
    if known == "aarch64":
        f.module.declare("llvm.aarch64.get.fpcr", I64, [])
        f.module.declare("llvm.aarch64.set.fpcr", "void", [I64])
        mode = f.instruction("call i64 @llvm.aarch64.get.fpcr()", I64)
        f.emit(f"call void @llvm.aarch64.set.fpcr({f.binary('or', mode, _ARM_FLUSH)})")
        return mode
    return None


def restore_float_mode(f: Routine, before: Value | None) -> None:
    """Gives the calling thread the mode that `flush_denormals` found."""
    if before is None:
        return
    if before.type == PTR:
        _control_word(f, "ldmxcsr", before)
    else:
        f.emit(f"call void @llvm.aarch64.set.fpcr({before})")


def _control_word(f: Routine, instruction: str, cell: Value) -> None:
    f.module.declare(f"llvm.x86.sse.{instruction}", "void", [PTR])
    f.emit(f"call void @llvm.x86.sse.{instruction}({cell})")
