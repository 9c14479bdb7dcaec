"""Order: sorting, permutations, sequences of different lengths, grids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import bool_, int32
from ..errors import DTypeError, ShapeError
from ..operation import OpDef, Operation, Tensor, TensorType, apply, define
from ..scopes import name_scope
from .compare import less, select
from .constants import convert_to_tensor
from .conversion import cast
from .filling import iota
from .filling import range as build_range
from .indexing import batch_gather, gather, scatter_nd
from .movement import broadcast_to, expand_dims, invert_order, reshape, transpose
from .reduce import reduce_max
from .rules import NUMBERS, check_axis, check_kind, normalize, shape_error, size_list
from .shape_ops import shape as shape_of
from .shape_ops import size as size_of

# -- sorting


def _argsort_type(types: Sequence[TensorType], descending: bool) -> TensorType:
    check_kind(types[0].dtype, NUMBERS)
    if types[0].rank == 0:
        raise ShapeError("takes vectors, not a 0-d tensor")
    return TensorType(int32, types[0].shape)


def _evaluate_argsort(attributes: Any, x: np.ndarray) -> np.ndarray:
    """Stable in both directions; NaN comes last, or first where descending."""
    if not attributes["descending"]:
        return np.argsort(x, axis=-1, kind="stable").astype(np.int32)
    backwards = np.argsort(x[..., ::-1], axis=-1, kind="stable")[..., ::-1]
    return (x.shape[-1] - 1 - backwards).astype(np.int32)


ARGSORT = define(
    OpDef(
        "argsort",
        infer=_argsort_type,
        differentiable=False,
        attributes={"descending": bool},
        kernel="sort",
        evaluate=_evaluate_argsort,
    )
)
"""Where the elements of each row come from when they are sorted, along the last axis; equal ones keep their order."""


def _is_descending(direction: str) -> bool:
    if direction not in ("ASCENDING", "DESCENDING"):
        raise ValueError(f"{direction} should be one of ASCENDING, DESCENDING")
    return direction == "DESCENDING"


def _last_axis_order(tensor: Tensor, axis: int) -> list[int] | None:
    """The exchange of an axis with the last one; None where it is the last one."""
    rank = tensor.type.rank
    if axis == -1:
        return None
    if rank is None:
        raise ValueError("the rank must be known to sort along another axis than the last one")
    place = normalize(axis, rank)
    if not 0 <= place < rank:
        raise shape_error(f"sort: axis {axis} is out of range for rank {rank}", tensor)
    order = list(range(rank))
    order[place], order[-1] = order[-1], order[place]
    return None if place == rank - 1 else order


def argsort(
    values: Any, axis: int = -1, direction: str = "ASCENDING", stable: bool = False, name: str | None = None
) -> Tensor:
    """The indices (int32) that sort a tensor along an axis; equal elements keep their order."""
    tensor, descending = convert_to_tensor(values), _is_descending(direction)
    order = _last_axis_order(tensor, axis)
    if order is None:
        return apply(ARGSORT, [tensor], name or "argsort", descending=descending)
    with name_scope(name, "argsort") as scope:
        places = apply(ARGSORT, [transpose(tensor, order)], "places", descending=descending)
        return transpose(places, order, name=scope)


def sort(values: Any, axis: int = -1, direction: str = "ASCENDING", name: str | None = None) -> Tensor:
    """The elements in order along an axis."""
    tensor, descending = convert_to_tensor(values), _is_descending(direction)
    order = _last_axis_order(tensor, axis)
    if order is None:
        return apply(SORT, [tensor], name or "sort", descending=descending)
    with name_scope(name, "sort") as scope:
        return transpose(apply(SORT, [transpose(tensor, order)], "rows", descending=descending), order, name=scope)


def _sort_type(types: Sequence[TensorType], descending: bool) -> TensorType:
    _argsort_type(types, descending)
    return types[0]


def _expand_sort(operation: Operation) -> Tensor:
    values = operation.inputs[0]
    return batch_gather(values, apply(ARGSORT, [values], descending=operation.attributes["descending"]))


SORT = define(OpDef("sort", infer=_sort_type, attributes={"descending": bool}, composite=_expand_sort))


def invert_permutation(x: Any, name: str | None = None) -> Tensor:
    """The permutation that undoes another: y[x[i]] = i."""
    order = convert_to_tensor(x)
    with name_scope(name, "InvertPermutation") as scope:
        count = reshape(size_of(order), [1])
        places = cast(build_range(size_of(order)), order.dtype)
        return scatter_nd(expand_dims(order, 1), places, count, name=scope)


# -- sequences of different lengths


def sequence_mask(lengths: Any, maxlen: Any = None, dtype: Any = bool_, name: str | None = None) -> Tensor:
    """For each length a row of `maxlen` elements (the largest length by default), the first ones of which are True."""
    counts = convert_to_tensor(lengths)
    with name_scope(name, "SequenceMask") as scope:
        limit = reduce_max(counts) if maxlen is None else maxlen
        places = build_range(limit)
        mask = less(cast(places, counts.dtype), expand_dims(counts, -1), name=scope if dtype == bool_ else None)
        return cast(mask, dtype, name=scope)


def _reverse_sequence_type(types: Sequence[TensorType], seq_axis: int, batch_axis: int) -> TensorType:
    source, lengths = types
    if not lengths.dtype.is_integer:
        raise DTypeError(f"lengths are integers, not {lengths.dtype.name}")
    if source.shape is None:
        return source
    rank = len(source.shape)
    sequence, batch = normalize(seq_axis, rank), normalize(batch_axis, rank)
    check_axis(sequence, rank)
    check_axis(batch, rank)
    if sequence == batch:
        raise ShapeError(f"the axes of time and batch are both {sequence}")
    count, rows = lengths.shape[0] if lengths.shape else None, source.shape[batch]
    if None not in (count, rows) and count != rows:
        raise ShapeError(f"{count} lengths for a batch of {rows}")
    found = count if rows is None else rows
    return TensorType(source.dtype, (*source.shape[:batch], found, *source.shape[batch + 1 :]))


def _expand_reverse_sequence(operation: Operation) -> Tensor:
    source, lengths = operation.inputs
    sizes = source.type.sizes
    sequence = normalize(operation.attributes["seq_axis"], len(sizes))
    batch = normalize(operation.attributes["batch_axis"], len(sizes))
    order = [batch, sequence, *(axis for axis in range(len(sizes)) if axis not in (batch, sequence))]
    rows, steps = sizes[batch], sizes[sequence]
    time = iota([rows, steps], 1)
    limit = cast(expand_dims(lengths, 1), int32)
    source_time = select(less(time, limit), limit - 1 - time, time)
    moved = transpose(source, order)
    flat = reshape(moved, [rows * steps, *(sizes[axis] for axis in order[2:])])
    taken = gather(flat, source_time + iota([rows, steps], 0) * steps)
    return transpose(taken, invert_order(order))


def _reverse_sequence_gradient(operation: Operation, gradient: Tensor) -> list[Tensor | None]:
    return [apply(REVERSE_SEQUENCE, [gradient, operation.inputs[1]], **operation.attributes), None]


REVERSE_SEQUENCE = define(
    OpDef(
        "reverse_sequence",
        infer=_reverse_sequence_type,
        gradient=_reverse_sequence_gradient,
        attributes={"seq_axis": int, "batch_axis": int},
        composite=_expand_reverse_sequence,
    )
)


def reverse_sequence(
    input: Any, seq_lengths: Any, seq_axis: Any = None, batch_axis: Any = None, name: str | None = None, seq_dim: Any = None,
    batch_dim: Any = None,
) -> Tensor:  # fmt: skip
    """The first seq_lengths[i] elements of row i along `seq_axis` in the opposite order, the others in place."""
    sequence = seq_dim if seq_axis is None else seq_axis
    batch = batch_dim if batch_axis is None else batch_axis
    if sequence is None:
        raise ValueError("reverse_sequence: seq_axis must be given")
    tensors = [convert_to_tensor(input), convert_to_tensor(seq_lengths)]
    return apply(REVERSE_SEQUENCE, tensors, name or "ReverseSequence", seq_axis=int(sequence), batch_axis=int(batch or 0))


# -- grids


def meshgrid(*args: Any, **kwargs: Any) -> list[Tensor]:
    """Grids of coordinates from vectors of them, one tensor a vector.

    `indexing` "xy" (the default) puts the second vector along the first axis, "ij" keeps the order. Raises ValueError for
    another indexing, TypeError for other keywords.
    """
    indexing, name = kwargs.pop("indexing", "xy"), kwargs.pop("name", None)
    if kwargs:
        raise TypeError(f"'{next(iter(kwargs))}' is an invalid keyword argument for this function")
    if indexing not in ("xy", "ij"):
        raise ValueError("indexing parameter must be either 'xy' or 'ij'")
    vectors = [reshape(convert_to_tensor(value), [-1]) for value in args]
    axes = list(range(len(vectors)))
    if indexing == "xy" and len(vectors) > 1:
        axes[:2] = [1, 0]
    with name_scope(name, "meshgrid"):
        counts: Any = [shape_of(vectors[axes.index(axis)])[0] for axis in range(len(vectors))]
        shape = size_list(counts)
        return [broadcast_to(_along(vector, axis, len(vectors)), shape) for vector, axis in zip(vectors, axes)]


def _along(vector: Tensor, axis: int, rank: int) -> Tensor:
    """A vector as a tensor of a rank, along one axis."""
    return reshape(vector, [-1 if i == axis else 1 for i in range(rank)])


__all__ = ["argsort", "sort", "invert_permutation", "sequence_mask", "reverse_sequence", "meshgrid"]
