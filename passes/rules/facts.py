"""What can be said of the values of tensors, as conditions of rules."""

from __future__ import annotations

import math

import numpy as np

from graphc.operation import Tensor
from graphc.passes.patterns import Match, splat_value

_DEPTH = 6  # operations that are looked through

_POSITIVE_ZERO = frozenset(("abs", "square", "exp", "sigmoid", "softplus", "cosh"))
"""Results are never negative, and zero only with a positive sign."""

_NON_NEGATIVE = _POSITIVE_ZERO | {"relu", "relu6"}
_PASSING = frozenset(("reshape", "transpose", "slice", "broadcast_to", "reduce_sum", "reduce_prod", "reduce_max", "reduce_min"))
_CLOSED = frozenset(("add", "mul", "div", "sqrt", "rsqrt", "minimum"))


def is_integer(m: Match) -> bool:
    return m.root.inputs[0].dtype.is_integer


def is_float(m: Match) -> bool:
    return m.root.inputs[0].dtype.is_floating


def is_never_negative_zero(tensor: Tensor) -> bool:
    """Whether no element is -0.0, so that adding 0.0 changes nothing."""
    return not tensor.dtype.is_floating or tensor.operation.definition.name in _POSITIVE_ZERO


def is_non_negative(tensor: Tensor, depth: int = _DEPTH) -> bool:
    """Whether elements are NaN or at least zero (a zero may have either sign), as far as the operations before say."""
    operation = tensor.operation
    name = operation.definition.name
    if name in _NON_NEGATIVE or tensor.dtype.is_unsigned:
        return True
    value = splat_value(tensor)
    if value is not None:
        return value >= 0
    if depth == 0:
        return False
    if name in _PASSING:
        return is_non_negative(operation.inputs[0], depth - 1)
    if name in _CLOSED and tensor.dtype.is_floating:
        return all(is_non_negative(t, depth - 1) for t in operation.inputs)
    return name == "maximum" and any(is_non_negative(t, depth - 1) for t in operation.inputs)


def is_power_of_two(value: float, tensor: Tensor) -> bool:
    """Whether the reciprocal of a number is exact in the type of a tensor."""
    if not math.isfinite(value) or value == 0:
        return False
    fraction, exponent = math.frexp(value)
    return abs(fraction) == 0.5 and abs(exponent) < _exponent_range(tensor)


def _exponent_range(tensor: Tensor) -> int:
    """Exponents below this are of normal numbers, and so are those of their reciprocals."""
    return math.frexp(float(tensor.dtype.max))[1] - 2


def is_normal(value: float, tensor: Tensor) -> bool:
    """Whether a number is finite, not zero and not subnormal in the type of a tensor."""
    if not math.isfinite(value) or value == 0:
        return False
    return abs(math.frexp(value)[1]) < _exponent_range(tensor)


def wrapped(value: int, tensor: Tensor) -> int:
    """An integer result as it wraps in the type of a tensor."""
    return int(np.array(value & ((1 << tensor.dtype.bits) - 1), np.uint64).astype(tensor.dtype.numpy))
