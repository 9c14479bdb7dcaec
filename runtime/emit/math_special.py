"""Gamma functions as vector code in float64; float32 arguments are widened, so their results are nearly correctly rounded."""

from __future__ import annotations

import math

from graphc.runtime.emit import math_logarithm, math_trigonometry
from graphc.runtime.emit.function import F32, Value, constant, element_of
from graphc.runtime.emit.math_builder import MathBuilder

NAN = float("nan")
SHIFTED = 8
# digamma(y) = log(y) - 1 / (2 y) - z q(z) with z = 1 / y**2: Bernoulli numbers B(2 k) / (2 k)
DIGAMMA_ASYMPTOTIC = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12, -3617 / 8160)


def digamma(m: MathBuilder, x: Value) -> Value:
    if element_of(x.type) == F32:
        return m.in_single(digamma(m, m.in_double(x)))
    f = m.function
    reflected = f.fcmp("ole", x, 0.0)
    y = f.select(reflected, f.fsub(1.0, x), x)
    total = constant(0.0, x.type)
    for _ in range(SHIFTED):
        small = f.fcmp("olt", y, float(SHIFTED))
        total = f.select(small, f.fadd(total, f.fdiv(1.0, y)), total)
        y = f.select(small, f.fadd(y, 1.0), y)
    inverse = f.fdiv(1.0, y)
    z = f.fmul(inverse, inverse)
    tail = m.fma(f.fmul(z, m.horner(z, DIGAMMA_ASYMPTOTIC)), -1.0, f.fmul(inverse, -0.5))
    value = f.fsub(f.fadd(math_logarithm.log(m, y), tail), total)
    angle = f.fmul(f.fsub(x, f.round_even(x)), math.pi)
    cotangent = f.fdiv(math_trigonometry.cos(m, angle), math_trigonometry.sin(m, angle))
    below = m.fma(cotangent, -math.pi, value)
    pole = f.fcmp("oeq", f.round_even(x), x)
    below = f.select(pole, constant(NAN, x.type), below)
    return f.select(reflected, below, value)
