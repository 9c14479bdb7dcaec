"""Inverse hyperbolic functions of float64 by way of log1p; those of float32 are in `math_double`."""

from __future__ import annotations

from graphc.runtime.emit.function import Value, constant
from graphc.runtime.emit.math_builder import MathBuilder
from graphc.runtime.emit.math_logarithm import log1p

LN2 = 0.6931471805599453
GREAT = 2.0**60  # beyond it a + 1 rounds to a; squares up to it do not overflow


def asinh(m: MathBuilder, x: Value) -> Value:
    """log1p(a + a**2 / (1 + sqrt(1 + a**2))), or log(2 a) for great a = abs(x)."""
    f = m.function
    a = f.fabs(x)
    square = f.fmul(a, a)
    root = f.sqrt(m.fma(a, a, 1.0))
    return f.copysign(_log1p_or_log_of_double(m, a, f.fadd(a, f.fdiv(square, f.fadd(root, 1.0)))), x)


def acosh(m: MathBuilder, x: Value) -> Value:
    """log1p(t + sqrt(t (t + 2))) with t = x - 1, or log(2 x) for great x."""
    f = m.function
    t = f.fsub(x, 1.0)
    value = _log1p_or_log_of_double(m, x, f.fadd(t, f.sqrt(m.fma(t, t, f.fadd(t, t)))))
    return f.select(f.fcmp("olt", x, 1.0), constant(float("nan"), x.type), value)


def _log1p_or_log_of_double(m: MathBuilder, a: Value, argument: Value) -> Value:
    f = m.function
    great = f.fcmp("ogt", a, GREAT)
    value = log1p(m, f.select(great, a, argument))
    return f.select(great, f.fadd(value, LN2), value)


def atanh(m: MathBuilder, x: Value) -> Value:
    """log1p(2 a / (1 - a)) / 2 with the sign of x; the pole at 1 and NaN beyond come from the quotient."""
    f = m.function
    a = f.fabs(x)
    value = f.fmul(log1p(m, f.fdiv(f.fadd(a, a), f.fsub(1.0, a))), 0.5)
    outside = f.fcmp("ogt", a, 1.0)
    return f.copysign(f.select(outside, constant(float("nan"), x.type), value), x)
