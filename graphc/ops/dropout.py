"""Dropout."""

from __future__ import annotations

from typing import Any

from ..operation import Tensor
from ..scopes import name_scope
from .compare import greater_equal
from .constants import convert_to_tensor
from .conversion import cast
from .elementwise import divide, multiply, subtract
from .movement import identity
from .random import random_uniform
from .rules import is_tensor
from .shape_ops import shape


def dropout(x: Any, keep_prob: Any = None, noise_shape: Any = None, seed: int | None = None, name: str | None = None,
            rate: Any = None) -> Tensor:  # fmt: skip
    """x with elements set to zero at random, each with probability `rate` = 1 - keep_prob, and the others divided by 1 - rate.

    `noise_shape` broadcasts to the shape of x: elements along its axes of size 1 share their fate. Raises ValueError where
    both or none of the probabilities are given, or where a number is not in [0, 1).
    """
    tensor = convert_to_tensor(x)
    if (keep_prob is None) == (rate is None):
        raise ValueError("You must provide a rate to dropout." if rate is None else
                         "only one of keep_prob and rate can be given")  # fmt: skip
    if not tensor.dtype.is_floating:
        raise ValueError(f"x has to be a floating point tensor since it's going to be scaled. Got a {tensor.dtype} tensor.")
    known = None if is_tensor(keep_prob if rate is None else rate) else float(1 - keep_prob if rate is None else rate)
    if known is not None and not 0 <= known < 1:
        raise ValueError(f"rate must be a scalar tensor or a float in the range [0, 1), got {known}")
    with name_scope(name, "dropout") as scope:
        if known == 0:
            return identity(tensor, name=scope)
        dropped = _probability(keep_prob, rate, tensor, known)
        sizes = shape(tensor) if noise_shape is None else noise_shape
        uniform = random_uniform(sizes, seed=seed, dtype=tensor.dtype)
        scale = divide(1.0, subtract(1.0, dropped)) if known is None else convert_to_tensor(1 / (1 - known), tensor.dtype)
        kept = cast(greater_equal(uniform, dropped), tensor.dtype)
        return multiply(tensor, multiply(kept, scale), name=scope)


def _probability(keep_prob: Any, rate: Any, tensor: Tensor, known: float | None) -> Tensor:
    if known is not None:
        return convert_to_tensor(known, tensor.dtype)
    given = cast(convert_to_tensor(keep_prob if rate is None else rate), tensor.dtype)
    return subtract(1.0, given) if rate is None else given


__all__ = ["dropout"]
