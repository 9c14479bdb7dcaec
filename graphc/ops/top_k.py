"""The largest elements along the last axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import as_dtype, int32
from ..errors import DTypeError, ShapeError
from ..operation import DEFINITIONS, OpDef, Operation, Tensor, TensorType, apply, define
from ..scopes import name_scope
from .compare import equal, greater, is_finite, less, logical_and, select
from .constants import convert_to_tensor
from .conversion import cast
from .elementwise import add
from .filling import range as range_of
from .movement import expand_dims, reshape
from .reduce import reduce_all, reduce_any, reduce_sum
from .rules import NUMBERS, check_kind, integer, partial_number
from .shape_ops import shape


class TopKV2(NamedTuple):
    """What `top_k` returns: the values, largest first, and their places along the last axis, int32."""

    values: Tensor
    indices: Tensor


def _top_k_type(types: Sequence[TensorType], k: Any) -> tuple[TensorType, TensorType]:
    check_kind(types[0].dtype, NUMBERS)
    count, shape = partial_number(k), types[0].shape
    if count is not None and count < 0:
        raise ShapeError(f"k is negative: {count}")
    if shape is None:
        return types[0], TensorType(int32, None)
    if not shape:
        raise ShapeError("the input is a scalar; it must have at least one axis")
    if count is not None and shape[-1] is not None and shape[-1] < count:
        raise ShapeError(f"the input has {shape[-1]} columns, k is {count}")
    sizes = (*shape[:-1], count)
    return TensorType(types[0].dtype, sizes), TensorType(int32, sizes)


def _evaluate_top_k(attributes: dict[str, Any], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first k of a stable descending sort: NaN counts as the largest, of equal elements the first comes first."""
    wide = x.astype(as_dtype(x.dtype).compute.numpy)
    flipped = np.argsort(wide[..., ::-1], axis=-1, kind="stable")[..., ::-1]
    indices = (x.shape[-1] - 1 - flipped)[..., : attributes["k"]]
    return np.take_along_axis(x, indices, axis=-1), indices.astype(np.int32)


def _top_k_gradient(operation: Operation, of_values: Tensor | None, of_indices: Tensor | None = None) -> list[Tensor | None]:
    if of_values is None:
        return [None]
    sizes, k = operation.inputs[0].type.sizes, operation.attributes["k"]
    rows, columns = math.prod(sizes[:-1]), sizes[-1]
    starts = np.arange(rows, dtype=np.int32)[:, None] * np.int32(columns)
    places = add(reshape(operation.outputs[1], [rows, k]), starts)
    flat = apply(
        DEFINITIONS["scatter_nd"], [reshape(places, [rows * k, 1]), reshape(of_values, [rows * k])], shape=(rows * columns,)
    )
    return [reshape(flat, sizes)]


TOP_K = define(
    OpDef(
        "top_k",
        infer=_top_k_type,
        gradient=_top_k_gradient,
        attributes={"k": int},
        kernel="top_k",
        evaluate=_evaluate_top_k,
    )
)
"""top_k(x; k): values and int32 indices of the k largest along the last axis, as the first k of a stable descending sort."""


def top_k(input: Any, k: Any = 1, sorted: bool = True, name: str | None = None) -> TopKV2:
    """The k largest elements of each row, largest first (also where `sorted` is False), and their places in the row.

    Of equal elements the one that comes first counts as larger. Raises ShapeError where a row has fewer than k.
    """
    return TopKV2(*apply(TOP_K, [convert_to_tensor(input)], name or "TopKV2", k=integer(k)))


def in_top_k(predictions: Any, targets: Any, k: Any, name: str | None = None) -> Tensor:
    """For each row of predictions [batch, classes], whether fewer than k classes are above the one in targets [batch].

    False where the target is no class or a prediction in the row is not finite.
    """
    scores, labels = convert_to_tensor(predictions), convert_to_tensor(targets)
    if scores.dtype != "float32" or labels.dtype not in (int32, as_dtype("int64")):
        raise DTypeError(f"in_top_k: takes float32 and int32 or int64, not {scores.dtype.name} and {labels.dtype.name}")
    with name_scope(name, "in_top_k") as scope:
        classes = range_of(shape(scores, out_type=labels.dtype)[1], dtype=labels.dtype)
        is_target = equal(expand_dims(labels, 1), expand_dims(classes, 0))
        target_score = reduce_sum(select(is_target, scores, 0.0), 1, keepdims=True)
        above = reduce_sum(cast(greater(scores, target_score), labels.dtype), 1)
        known = logical_and(reduce_any(is_target, 1), reduce_all(is_finite(scores), 1))
        return logical_and(known, less(above, cast(convert_to_tensor(k), labels.dtype)), name=scope)


__all__ = ["TopKV2", "in_top_k", "top_k"]
