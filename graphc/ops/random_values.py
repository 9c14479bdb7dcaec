"""From random bits to numbers of a distribution, as elementwise operations.

Normal numbers come by inverting the distribution function, since that takes one word of bits an element and no branch. With
t = 1 - abs(x) the inverse of erf is written erfinv(x) = sign(x) (1 - t) P(-log(t (2 - t))), so nothing is lost in the tails,
where t is small. P is a polynomial on each side of CENTRE_END after Giles ("Approximating the erfinv function", 2010), with
coefficients fitted here for the smallest relative error: 1e-7 on both sides. float64 starts from the same and goes on by
Halley's steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..dtypes import DType, float32, float64, int32, uint32, uint64
from ..errors import DTypeError, ShapeError
from ..operation import OpDef, TensorType, define
from ..shapes import broadcast_shapes

CENTRE_END, CENTRE_MIDDLE, TAIL_MIDDLE = 5.0, 2.5, 3.4791777793734138
CENTRE = (
    2.85347895e-08, 3.43727061e-07, -3.52885953e-06, -4.39678136e-06, 0.000218602194, -0.00125370751, -0.00417770776,
    0.246640726, 1.50140942,
)  # fmt: skip
"""P as a polynomial in w - CENTRE_MIDDLE for w below CENTRE_END, highest power first."""
TAIL = (
    3.77539963e-05, 6.51496212e-06, -0.000307315521, 0.000563760922, -0.000680045929, 0.00111347631, -0.00217636053,
    0.00341862331, 1.00723152, 3.31451121,
)  # fmt: skip
"""P as a polynomial in sqrt(w) - TAIL_MIDDLE for w from CENTRE_END to 22.3, which is as far as 32 bits reach."""

SQRT_2 = math.sqrt(2.0)
TWO_DEVIATIONS = math.erf(SQRT_2)
"""The probability that a normal number is within two standard deviations."""

_MANTISSA = {"float16": 10, "bfloat16": 7, "float32": 23}
_SIGN_FREE = 0x7FFFFFFF


def _polynomial(s: Any, x: Any, coefficients: Sequence[float]) -> Any:
    value = s.constant(coefficients[0], x)
    for coefficient in coefficients[1:]:
        value = s.add(s.mul(value, x), coefficient)
    return value


def _inverse_erf_of_tail(s: Any, t: Any, dtype: DType) -> Any:
    """erfinv(1 - t) for t in (0, 1]."""
    w = s.neg(s.log(s.mul(t, s.sub(2.0, t))))
    centre = _polynomial(s, s.sub(w, CENTRE_MIDDLE), CENTRE)
    tail = _polynomial(s, s.sub(s.sqrt(s.maximum(w, CENTRE_END)), TAIL_MIDDLE), TAIL)
    x = s.mul(s.select(s.lt(w, CENTRE_END), centre, tail), s.sub(1.0, t))
    if dtype == float64:
        for _ in range(2):
            x = _halley(s, x, s.sub(t, s.erfc(x)))
    return x


def _inverse_erf_of_centre(s: Any, v: Any, dtype: DType) -> Any:
    """erfinv(v) for v in [0, 0.99]."""
    w = s.neg(s.log(s.mul(s.sub(1.0, v), s.add(1.0, v))))
    x = s.mul(_polynomial(s, s.sub(w, CENTRE_MIDDLE), CENTRE), v)
    return _halley(s, x, s.sub(s.erf(x), v)) if dtype == float64 else x


def _halley(s: Any, x: Any, excess: Any) -> Any:
    """One step towards the argument at which erf is smaller by `excess`; erf'' / erf' is -2 x."""
    newton = s.mul(s.mul(excess, s.exp(s.square(x))), math.sqrt(math.pi) / 2)
    return s.sub(x, s.div(newton, s.add(s.mul(newton, x), 1.0)))


def _uniform_magnitude(s: Any, words: Sequence[Any], dtype: DType) -> Any:
    """A number in (0, 1] from the bits below the sign: of one word for float32, of two for float64."""
    high = s.cast(s.bitcast(s.bit_and(words[0], _SIGN_FREE), int32), dtype)
    if dtype == float32:
        return s.mul(s.add(high, 0.5), 2.0**-31)
    low = s.mul(s.add(s.cast(words[1], dtype), 0.5), 2.0**-32)
    return s.mul(s.add(high, low), 2.0**-31)


def _with_sign(s: Any, magnitude: Any, word: Any) -> Any:
    return s.select(s.lt(s.bitcast(word, int32), 0), s.neg(magnitude), magnitude)


def _standard_normal(s: Any, *words: Any, dtype: DType) -> Any:
    t = _uniform_magnitude(s, words, dtype)
    return _with_sign(s, s.mul(_inverse_erf_of_tail(s, t, dtype), SQRT_2), words[0])


def _truncated_normal(s: Any, *words: Any, dtype: DType) -> Any:
    v = s.mul(_uniform_magnitude(s, words, dtype), TWO_DEVIATIONS)
    magnitude = s.minimum(s.mul(_inverse_erf_of_centre(s, v, dtype), SQRT_2), 2.0)
    return _with_sign(s, magnitude, words[0])


def _unit_uniform(s: Any, *words: Any, dtype: DType) -> Any:
    if dtype == float64:
        high = s.mul(s.cast(s.shift_right(words[0], 6), dtype), 2.0**-26)
        return s.add(high, s.mul(s.cast(s.shift_right(words[1], 6), dtype), 2.0**-52))
    unused = 23 - _MANTISSA[dtype.name]
    bits = s.bit_and(words[0], (1 << 23) - (1 << unused)) if unused else words[0]
    unit = s.unit_float(bits)
    return unit if dtype == float32 else s.cast(unit, dtype)


def _float_type(*allowed: str) -> Any:
    def infer(types: Sequence[TensorType], dtype: DType) -> TensorType:
        if dtype.name not in allowed:
            raise DTypeError(f"makes {', '.join(allowed)}, not {dtype.name}")
        _check_words(types, 2 if dtype == float64 else 1)
        return TensorType(dtype, types[0].shape)

    return infer


def _check_words(types: Sequence[TensorType], count: int) -> None:
    if len(types) != count or any(t.dtype != uint32 for t in types):
        raise DTypeError(f"takes {count} operands of uint32, not " + ", ".join(t.dtype.name for t in types))


def _integer_type(types: Sequence[TensorType], dtype: DType) -> TensorType:
    words, low, span = types[:-2], types[-2], types[-1]
    wide = span.dtype == uint64
    _check_words(words, 2 if wide else 1)
    if low.dtype != dtype or span.dtype not in (uint32, uint64):
        raise DTypeError(f"the bounds are {low.dtype.name} and {span.dtype.name}, the result {dtype.name}")
    try:
        return TensorType(dtype, broadcast_shapes(*[t.shape for t in types]))
    except ValueError as error:
        raise ShapeError(str(error)) from None


def _bounded_integer(s: Any, *operands: Any, dtype: DType) -> Any:
    *words, low, span = operands
    if len(words) == 1:
        offset = s.mul_high(words[0], span)
    else:
        wide = s.bit_or(s.shift_left(s.cast(words[0], uint64), 32), s.cast(words[1], uint64))
        offset = s.floormod(wide, span)
    return s.add(low, s.cast(offset, dtype))


_DTYPE = {"dtype": object}

UNIT_UNIFORM = define(
    OpDef(
        "unit_uniform",
        infer=_float_type("float16", "bfloat16", "float32", "float64"),
        differentiable=False,
        attributes=_DTYPE,
        scalar=_unit_uniform,
    )
)
"""Multiples of 2**-10, 2**-7, 2**-23 or 2**-52 in [0, 1) from one word of bits; from two for float64."""

STANDARD_NORMAL = define(
    OpDef("standard_normal", infer=_float_type("float32", "float64"), differentiable=False, attributes=_DTYPE,
          scalar=_standard_normal)
)  # fmt: skip
"""Normal numbers with mean 0 and deviation 1 from one word of bits (at most 6.3 from the mean), from two for float64."""

STANDARD_TRUNCATED_NORMAL = define(
    OpDef("standard_truncated_normal", infer=_float_type("float32", "float64"), differentiable=False, attributes=_DTYPE,
          scalar=_truncated_normal)
)  # fmt: skip
"""Normal numbers with mean 0 and deviation 1 on condition that they lie in [-2, 2]."""

BOUNDED_INTEGER = define(
    OpDef("bounded_integer", infer=_integer_type, differentiable=False, attributes=_DTYPE, scalar=_bounded_integer)
)
"""bounded_integer(words..., low, span): integers in [low, low + span) from one word where span is uint32, two where uint64.

Some values are more likely than others, by a part in 2**32 / span (2**64 / span).
"""

__all__ = ["BOUNDED_INTEGER", "STANDARD_NORMAL", "STANDARD_TRUNCATED_NORMAL", "UNIT_UNIFORM"]
