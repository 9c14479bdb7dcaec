"""Which vector code stands behind each function of the scalar vocabulary."""

from __future__ import annotations

from collections.abc import Callable

from graphc.runtime.emit import (
    math_double,
    math_f32,
    math_f64,
    math_hyperbolic,
    math_inverse,
    math_pow,
    math_special,
    math_trigonometry,
)
from graphc.runtime.emit.function import F32, Value, element_of
from graphc.runtime.emit.math_builder import MathBuilder

Emitter = Callable[..., Value]

SINGLE: dict[str, Emitter] = {
    "exp": math_f32.exp,
    "expm1": math_f32.expm1,
    "log": math_f32.log,
    "log1p": math_f32.log1p,
    "softplus": math_f32.softplus,
    "sigmoid": math_f32.sigmoid,
    "tanh": math_f32.tanh,
    "erf": math_f32.erf,
    "erfc": math_f32.erfc,
    "rsqrt": math_f32.rsqrt,
    "sin": math_trigonometry.sin,
    "cos": math_trigonometry.cos,
    "tan": math_double.tan,
    "asin": math_inverse.asin,
    "acos": math_inverse.acos,
    "atan": math_inverse.atan,
    "atan2": math_inverse.atan2,
    "sinh": math_hyperbolic.sinh,
    "cosh": math_hyperbolic.cosh,
    "asinh": math_double.asinh,
    "acosh": math_double.acosh,
    "atanh": math_double.atanh,
    "pow": math_pow.pow_float,
    "digamma": math_special.digamma,
}
DOUBLE: dict[str, Emitter] = {
    "exp": math_f64.exp,
    "expm1": math_f64.expm1,
    "log": math_f64.log,
    "softplus": math_f64.softplus,
    "sigmoid": math_f64.sigmoid,
    "tanh": math_f64.tanh,
    "rsqrt": math_f64.rsqrt,
    "sin": math_trigonometry.sin,
    "cos": math_trigonometry.cos,
    "pow": math_pow.pow_float,
    "digamma": math_special.digamma,
}


def emit_function(m: MathBuilder, name: str, *arguments: Value) -> Value:
    """The value of a function of floats, by vector code or else by the C library's float64 function for each lane."""
    single = element_of(arguments[0].type) == F32
    found = (SINGLE if single else DOUBLE).get(name)
    if found is not None:
        return found(m, *arguments)
    if not single:
        return m.call_lanes(name, *arguments)
    return m.in_single(m.call_lanes(name, *[m.in_double(a) for a in arguments]))
