"""Reciprocal square root, quotients and remainders."""

from __future__ import annotations

from graphc.runtime.emit.function import F32, I16, Value, constant, element_of
from graphc.runtime.emit.math_builder import MathBuilder


def rsqrt(m: MathBuilder, x: Value) -> Value:
    f = m.function
    if element_of(x.type) != F32 or not m.fills_avx512(x):
        return f.fdiv(1.0, f.sqrt(x))
    y = f.intrinsic("llvm.x86.avx512.rsqrt14.ps.512", x.type, [x, x, constant(-1, I16)])
    e = m.negated_product_plus(f.fmul(x, y), y, 1.0)
    r = m.fma(f.fmul(y, e), m.fma(e, 0.375, 0.5), y)
    return f.select(f.fcmp("ord", e, e), r, y)  # at 0, inf, NaN and negative x the estimate is exact


def quotient_estimate(m: MathBuilder, a: Value, d: Value) -> tuple[Value, Value]:
    """a / d to at least 14 bits, and 1 / d likewise, for d far from 0, infinity and denormals."""
    f = m.function
    if element_of(d.type) == F32 and m.fills_avx512(d):
        inverse = f.intrinsic("llvm.x86.avx512.rcp14.ps.512", d.type, [d, d, constant(-1, I16)])
    else:
        inverse = f.fdiv(1.0, d)
    return f.fmul(a, inverse), inverse


def remainder(m: MathBuilder, x: Value, y: Value) -> Value:
    """x - y trunc(x / y), exactly, as C's fmod.

    A rounded quotient below 2**22 is at most one too large, and one fused operation gives the remainder without error; lanes
    with larger quotients, infinities or NaN go to the C library.
    """
    f = m.function
    single = element_of(x.type) == F32
    name = "fmodf" if single else "fmod"
    if not m.machine.has_fma:
        return m.call_lanes(name, x, y)
    a, b = f.fabs(x), f.fabs(y)
    quotient = f.fdiv(a, b)
    rest = m.negated_product_plus(f.trunc_float(quotient), b, a)
    rest = f.select(f.fcmp("olt", rest, 0.0), f.fadd(rest, b), rest)
    common = f.copysign(rest, x)
    rare = f.bit_or(f.fcmp("uge", quotient, 2.0**22), f.fcmp("uno", rest, rest))
    return m.unless_any(rare, common, lambda: m.call_lanes(name, x, y))
