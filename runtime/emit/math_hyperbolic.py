"""Hyperbolic sine and cosine of float32 as inline vector code."""

from __future__ import annotations

from graphc.runtime.emit.function import Value
from graphc.runtime.emit.math_builder import MathBuilder
from graphc.runtime.emit.math_f32 import EXP_TAIL, LN2_HIGH, LN2_LOW, LOG2_E

# sinh(a) = a + a**3 q(a**2) for a < 1
SINH_TAIL = (0.1666666716337204, 0.00833331048488617, 0.00019842895562760532, 2.7822131869470468e-06)


def sinh(m: MathBuilder, x: Value) -> Value:
    f = m.function
    a = f.fabs(x)
    square = f.fmul(a, a)
    small = m.fma(f.fmul(a, square), m.horner(square, SINH_TAIL), a)
    large = _half_exponentials(m, a, -1.0)
    return f.copysign(f.select(f.fcmp("olt", a, 1.0), small, large), x)


def cosh(m: MathBuilder, x: Value) -> Value:
    return _half_exponentials(m, m.function.fabs(x), 1.0)


def _half_exponentials(m: MathBuilder, a: Value, sign: float) -> Value:
    """(exp(a) + sign exp(-a)) / 2 for a >= 0, rounded nearly once: with exp(a) = 4 h (1 + e) it is
    2 (h + (h e + sign / (16 h (1 + e))))."""
    f = m.function
    a = f.min_keep_nan(a, 89.5)
    n, shifted = m.round_to_integer(a, LOG2_E)
    r = m.fma(n, -LN2_LOW, m.fma(n, -LN2_HIGH, a))
    e = m.fma(f.fmul(r, r), m.horner(r, EXP_TAIL), r)
    h = f.floats(f.shl(f.binary("add", f.bits(shifted), 127 - 2), 23))
    inverse = f.fdiv(sign / 16.0, m.fma(h, e, h))
    half = f.fadd(h, m.fma(h, e, inverse))
    return f.fadd(half, half)
