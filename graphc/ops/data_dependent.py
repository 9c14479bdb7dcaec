"""Operations whose shapes depend on their data: they run in Python, between native parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import DType, as_dtype, int32, int64
from ..errors import ShapeError
from ..operation import OpDef, Operation, Tensor, TensorType, apply, define
from ..scopes import name_scope
from ..shapes import are_compatible, format_shape
from .compare import equal
from .constants import convert_operands, convert_to_tensor
from .indexing import gather
from .movement import reshape, squeeze
from .rules import check_same_dtype, normalize, shape_error, size_list
from .shape_ops import shape as shape_of

# -- where


def _true_indices_type(types: Sequence[TensorType]) -> TensorType:
    return TensorType(int64, (None, types[0].rank))


TRUE_INDICES = define(
    OpDef(
        "true_indices",
        infer=_true_indices_type,
        differentiable=False,
        host=lambda operation, condition: np.argwhere(condition),
    )
)


def true_indices(condition: Any, name: str | None = None) -> Tensor:
    """The indices of the elements that are not 0, one row an element in the order of memory, as int64."""
    return apply(TRUE_INDICES, [convert_to_tensor(condition)], name or "Where")


def boolean_mask(tensor: Any, mask: Any, name: str = "boolean_mask", axis: Any = None) -> Tensor:
    """The parts of a tensor where the mask holds, along the axes that it covers, from `axis` on.

    How many there are is known when it runs. Raises ValueError where the mask is 0-d or of unknown rank, ShapeError
    where it does not fit the tensor.
    """
    values, chosen = convert_to_tensor(tensor), convert_to_tensor(mask)
    place = int(axis or 0)
    if chosen.type.rank is None or chosen.type.rank == 0:
        raise ValueError("Number of mask dimensions must be specified, and not be 0.")
    if values.type.rank is not None:
        place = normalize(place, values.type.rank)
    covered = None if values.type.shape is None else values.type.shape[place : place + chosen.type.rank]
    if not are_compatible(covered, chosen.type.shape):
        shapes = f"{format_shape(chosen.type.shape)} does not fit the sizes {format_shape(covered)}"
        raise shape_error(f"boolean_mask: a mask of shape {shapes}", values, chosen)
    with name_scope(name, "boolean_mask"):
        flat = values if chosen.type.rank == 1 else reshape(values, _merged_sizes(values, place, chosen.type.rank))
        places = squeeze(true_indices(reshape(chosen, [-1])), axis=[1])
        return gather(flat, places, axis=place)


def _merged_sizes(values: Tensor, axis: int, count: int) -> Any:
    sizes = shape_of(values)
    if values.type.rank is None:
        raise ValueError("boolean_mask: the rank of the tensor must be known where the mask has several axes")
    kept = list(range(axis)) + list(range(axis + count, values.type.rank))
    parts: list[Any] = [sizes[i] for i in kept]
    parts.insert(axis, -1)
    return size_list(parts)


# -- sets of values


def _unique_type(types: Sequence[TensorType], dtype: DType) -> list[TensorType]:
    if types[0].rank not in (1, None):
        raise ShapeError(f"takes a vector, not a tensor of rank {types[0].rank}")
    return [TensorType(types[0].dtype, (None,)), TensorType(dtype, types[0].shape or (None,)), TensorType(dtype, (None,))]


def _find_unique(operation: Operation, x: np.ndarray) -> list[np.ndarray]:
    """Values in the order of their first occurrence."""
    values, first, places, counts = np.unique(x, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(first, kind="stable")
    return [values[order], invert(order)[places.reshape(-1)], counts[order]]


def invert(order: np.ndarray) -> np.ndarray:
    """The permutation that undoes another."""
    inverse = np.empty_like(order)
    inverse[order] = np.arange(len(order))
    return inverse


UNIQUE = define(
    OpDef("unique", infer=_unique_type, differentiable=False, attributes={"dtype": DType}, host=_find_unique)
)


def unique(x: Any, out_idx: Any = int32, name: str | None = None) -> tuple[Tensor, Tensor]:
    """The values of a vector in the order of their first occurrence, and where each element stands among them."""
    values, places, _ = apply(UNIQUE, [convert_to_tensor(x)], name or "Unique", dtype=as_dtype(out_idx))
    return values, places


def unique_with_counts(x: Any, out_idx: Any = int32, name: str | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """unique, and how often each value occurs."""
    return apply(UNIQUE, [convert_to_tensor(x)], name or "UniqueWithCounts", dtype=as_dtype(out_idx))


def _difference_type(types: Sequence[TensorType], dtype: DType) -> list[TensorType]:
    found = check_same_dtype(types)
    return [TensorType(found, (None,)), TensorType(dtype, (None,))]


def _find_difference(operation: Operation, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    (places,) = np.nonzero(~np.isin(x, y))
    return [x[places], places]


DIFFERENCE = define(
    OpDef("setdiff1d", infer=_difference_type, differentiable=False, attributes={"dtype": DType}, host=_find_difference)
)


def setdiff1d(x: Any, y: Any, index_dtype: Any = int32, name: str | None = None) -> tuple[Tensor, Tensor]:
    """The elements of x that are not in y, in their order, and their indices."""
    return apply(DIFFERENCE, convert_operands(x, y), name or "ListDiff", dtype=as_dtype(index_dtype))


def dynamic_partition(data: Any, partitions: Any, num_partitions: int, name: str | None = None) -> list[Tensor]:
    """For each number below `num_partitions` the parts of `data` where `partitions` has it."""
    values, groups = convert_to_tensor(data), convert_to_tensor(partitions)
    with name_scope(name, "DynamicPartition"):
        return [boolean_mask(values, equal(groups, number)) for number in range(int(num_partitions))]


__all__ = ["boolean_mask", "unique", "unique_with_counts", "setdiff1d", "dynamic_partition"]
