"""Measures built on reductions: variance, norms, counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import int64
from ..operation import Tensor
from ..scopes import name_scope
from .compare import not_equal
from .constants import convert_to_tensor
from .conversion import cast
from .elementwise import abs as absolute
from .elementwise import pow, sqrt, square, squared_difference
from .filling import zeros
from .movement import squeeze
from .reduce import reduce_max, reduce_mean, reduce_sum


def reduce_variance(input_tensor: Any, axis: Any = None, keepdims: bool | None = False, name: str | None = None) -> Tensor:
    """The mean squared distance from the mean over axes."""
    tensor = convert_to_tensor(input_tensor)
    with name_scope(name, "reduce_variance") as scope:
        mean = reduce_mean(tensor, axis, keepdims=True)
        return reduce_mean(squared_difference(tensor, mean), axis, keepdims, name=scope)


def reduce_std(input_tensor: Any, axis: Any = None, keepdims: bool | None = False, name: str | None = None) -> Tensor:
    """The square root of the variance over axes."""
    with name_scope(name, "reduce_std") as scope:
        return sqrt(reduce_variance(input_tensor, axis, keepdims), name=scope)


def reduce_euclidean_norm(
    input_tensor: Any, axis: Any = None, keepdims: bool | None = False, name: str | None = None
) -> Tensor:
    """The square root of the sum of squares over axes."""
    with name_scope(name, "EuclideanNorm") as scope:
        return sqrt(reduce_sum(square(input_tensor), axis, keepdims), name=scope)


def count_nonzero(
    input_tensor: Any = None, axis: Any = None, keepdims: bool | None = None, dtype: Any = int64, name: str | None = None,
    reduction_indices: Any = None, keep_dims: bool | None = None, input: Any = None,
) -> Tensor:  # fmt: skip
    """The number of elements that are not 0 (not False, not empty) over axes, as int64 unless given."""
    tensor = convert_to_tensor(input_tensor if input is None else input)
    with name_scope(name, "count_nonzero") as scope:
        counted = cast(not_equal(tensor, zeros([], tensor.dtype)), int64)
        total = reduce_sum(counted, axis, keepdims, reduction_indices=reduction_indices, keep_dims=keep_dims)
        return cast(total, dtype, name=scope)


def norm(
    tensor: Any, ord: Any = "euclidean", axis: Any = None, keepdims: bool | None = None, name: str | None = None,
    keep_dims: bool | None = None,
) -> Tensor:  # fmt: skip
    """The norm of vectors (`axis` a number), of matrices (a pair), or of all elements as one vector (None).

    `ord` is "euclidean" (also the Frobenius norm of matrices), 1, 2, any positive number, or np.inf; of matrices "euclidean",
    "fro", 1 and np.inf. Raises ValueError for another order.
    """
    x, keep = convert_to_tensor(tensor), bool(keep_dims if keepdims is None else keepdims)
    matrices = isinstance(axis, (list, tuple)) and len(axis) == 2
    if isinstance(axis, (list, tuple)) and len(axis) not in (1, 2):
        raise ValueError("'axis' must be None, an integer, or a tuple of 2 unique integers")
    with name_scope(name, "norm"):
        if ord in ("euclidean", "fro") or (ord == 2 and not matrices):
            if ord == "fro" and not matrices and axis is not None:
                raise ValueError("the Frobenius norm is one of matrices")
            return sqrt(reduce_sum(square(x), axis, keep))
        if isinstance(ord, str) or not ord > 0:
            raise ValueError(f"{ord!r} is not a supported order of a norm")
        return _matrix_norm(absolute(x), ord, axis, keep) if matrices else _vector_norm(absolute(x), ord, axis, keep)


def _vector_norm(x: Tensor, order: float, axis: Any, keep: bool) -> Tensor:
    if order == np.inf:
        return reduce_max(x, axis, keep)
    if order == 1:
        return reduce_sum(x, axis, keep)
    return pow(reduce_sum(pow(x, float(order)), axis, keep), 1.0 / order)


def _matrix_norm(x: Tensor, order: float, axis: Sequence[int], keep: bool) -> Tensor:
    if order not in (1, np.inf):
        raise ValueError(f"{order!r} is not a supported order of a norm of matrices")
    summed, largest = (axis[0], axis[1]) if order == 1 else (axis[1], axis[0])
    both = reduce_max(reduce_sum(x, summed, True), largest, True)
    if keep:
        return both
    return squeeze(both, list(axis))


__all__ = ["reduce_variance", "reduce_std", "reduce_euclidean_norm", "count_nonzero", "norm"]
