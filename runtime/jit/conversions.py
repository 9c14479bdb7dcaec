"""Conversions to narrow floats that LLVM calls by name where a processor has no instruction, and many C libraries lack."""

from __future__ import annotations

import functools

from graphc.runtime.emit.function import BF16, F16, F32, F64, I16, I32, Function, Module, Value

NAMES = frozenset(("__truncsfbf2", "__truncdfbf2", "__truncdfhf2"))


@functools.cache
def conversion_module() -> str:
    """Defines the functions of `NAMES`: float and double to bfloat, double to half, all rounding to even."""
    module = Module()
    f = Function(module, "__truncsfbf2", [("x", F32)], BF16)
    f.return_value(_to_bfloat(f, f.arguments[0]))
    f = Function(module, "__truncdfbf2", [("x", F64)], BF16)
    f.return_value(_to_bfloat(f, _to_odd_float(f, f.arguments[0])))
    f = Function(module, "__truncdfhf2", [("x", F64)], F16)
    f.return_value(f.cast("fptrunc", _to_odd_float(f, f.arguments[0]), F16))
    return str(module)


def _to_bfloat(f: Function, x: Value) -> Value:
    bits = f.bits(x)
    high = f.lshr(bits, 16)
    rounded = f.lshr(f.binary("add", bits, f.binary("add", f.bit_and(high, 1), 0x7FFF)), 16)
    quiet = f.bit_or(high, 0x40)
    chosen = f.select(f.fcmp("uno", x, x), quiet, rounded)
    return f.cast("bitcast", f.cast("trunc", chosen, I16), BF16)


def _to_odd_float(f: Function, x: Value) -> Value:
    """The float towards zero, its last bit set where that is inexact, so that rounding once more is right."""
    near = f.cast("fptrunc", x, F32)
    back = f.cast("fpext", near, F64)
    bits = f.bits(near)
    away = f.fcmp("ogt", f.fabs(back), f.fabs(x))
    odd = f.bit_or(f.binary("sub", bits, f.cast("zext", away, I32)), 1)
    inexact = f.fcmp("one", back, x)
    return f.floats(f.select(inexact, odd, bits))
