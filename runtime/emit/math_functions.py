"""Which vector code stands behind each function of the scalar vocabulary."""

from __future__ import annotations

from collections.abc import Callable

from graphc.runtime.emit import (
    math_area,
    math_double,
    math_error,
    math_exponential,
    math_inverse,
    math_logarithm,
    math_pow,
    math_reciprocal,
    math_special,
    math_trigonometry,
)
from graphc.runtime.emit.function import F32, Value, element_of
from graphc.runtime.emit.math_builder import MathBuilder

Emitter = Callable[..., Value]

BOTH: dict[str, Emitter] = {
    "exp": math_exponential.exp,
    "expm1": math_exponential.expm1,
    "log": math_logarithm.log,
    "log1p": math_logarithm.log1p,
    "softplus": math_logarithm.softplus,
    "sigmoid": math_exponential.sigmoid,
    "tanh": math_exponential.tanh,
    "sinh": math_exponential.sinh,
    "cosh": math_exponential.cosh,
    "erf": math_error.erf,
    "erfc": math_error.erfc,
    "rsqrt": math_reciprocal.rsqrt,
    "sin": math_trigonometry.sin,
    "cos": math_trigonometry.cos,
    "asin": math_inverse.asin,
    "acos": math_inverse.acos,
    "atan": math_inverse.atan,
    "atan2": math_inverse.atan2,
    "digamma": math_special.digamma,
    "fmod": math_reciprocal.remainder,
}
SINGLE: dict[str, Emitter] = BOTH | {
    "tan": math_double.tan,
    "asinh": math_double.asinh,
    "acosh": math_double.acosh,
    "atanh": math_double.atanh,
    "pow": math_pow.pow_single,
}
DOUBLE: dict[str, Emitter] = BOTH | {
    "tan": math_trigonometry.tan,
    "asinh": math_area.asinh,
    "acosh": math_area.acosh,
    "atanh": math_area.atanh,
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
