"""Regularizers: functions of weights whose values are added to a loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .collections import GraphKeys, add_to_collection, get_collection
from .operation import Tensor
from .ops.constants import convert_to_tensor
from .ops.elementwise import abs as absolute
from .ops.elementwise import add_n, multiply
from .ops.linear_algebra import l2_loss
from .ops.reduce import reduce_sum
from .scopes import name_scope
from .variables import Variable

Regularizer = Callable[[Any], Tensor | None]


def _check_scale(scale: float) -> None:
    if isinstance(scale, int) and not isinstance(scale, bool):
        raise ValueError(f"scale cannot be an integer: {scale}")
    if scale < 0.0:
        raise ValueError(f"Setting a scale less than 0 on a regularizer: {scale}")


def l2_regularizer(scale: float, scope: str | None = None) -> Regularizer:
    """scale * sum(w^2) / 2; None for a scale of 0."""
    _check_scale(scale)
    if scale == 0.0:
        return lambda weights: None

    def regularize(weights: Any) -> Tensor:
        with name_scope(scope, "l2_regularizer", [weights]) as name:
            tensor = convert_to_tensor(weights)
            return multiply(convert_to_tensor(scale, tensor.dtype, name="scale"), l2_loss(tensor), name=name)

    return regularize


def l1_regularizer(scale: float, scope: str | None = None) -> Regularizer:
    """scale * sum(|w|); None for a scale of 0."""
    _check_scale(scale)
    if scale == 0.0:
        return lambda weights: None

    def regularize(weights: Any) -> Tensor:
        with name_scope(scope, "l1_regularizer", [weights]) as name:
            tensor = convert_to_tensor(weights)
            return multiply(convert_to_tensor(scale, tensor.dtype, name="scale"), reduce_sum(absolute(tensor)), name=name)

    return regularize


def l1_l2_regularizer(scale_l1: float = 1.0, scale_l2: float = 1.0, scope: str | None = None) -> Regularizer:
    """The sum of an L1 and an L2 regularizer."""
    return sum_regularizer([l1_regularizer(scale_l1), l2_regularizer(scale_l2)], scope or "l1_l2_regularizer")


def sum_regularizer(regularizer_list: Iterable[Regularizer | None], scope: str | None = None) -> Regularizer:
    """The sum of several regularizers; None where all give None."""
    parts = [part for part in regularizer_list if part is not None]

    def regularize(weights: Any) -> Tensor | None:
        with name_scope(scope, "sum_regularizer", [weights]):
            values = [value for part in parts if (value := part(weights)) is not None]
            return add_n(values) if values else None

    return regularize


def apply_regularization(regularizer: Regularizer, weights_list: Sequence[Variable] | None = None) -> Tensor:
    """The sum of a regularizer over weights (the collection WEIGHTS by default); it joins REGULARIZATION_LOSSES.

    Raises ValueError where there are no weights.
    """
    weights = weights_list or get_collection(GraphKeys.WEIGHTS)
    if not weights:
        raise ValueError("No weights to regularize.")
    with name_scope("get_regularization_penalty", values=weights) as scope:
        penalties = [penalty for weight in weights if (penalty := regularizer(weight)) is not None]
        total = add_n(penalties, name=scope) if penalties else convert_to_tensor(0.0)
        add_to_collection(GraphKeys.REGULARIZATION_LOSSES, total)
        return total


__all__ = ["apply_regularization", "l1_l2_regularizer", "l1_regularizer", "l2_regularizer", "sum_regularizer"]
