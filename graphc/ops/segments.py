"""Sums by index: segments, counts, histograms, and dense tensors from sparse values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..dtypes import as_dtype, int32, int64
from ..operation import Tensor
from ..scopes import name_scope
from .compare import greater, less, select
from .constants import convert_to_tensor
from .conversion import cast
from .elementwise import add, clip_by_value, floor, maximum, minimum, realdiv, sqrt, subtract
from .filling import ones_like, zeros
from .indexing import scatter_nd
from .joining import concat, stack
from .movement import broadcast_to, expand_dims, reshape
from .reduce import reduce_max
from .rules import is_tensor, size_list
from .shape_ops import shape as shape_of

# -- segments


def unsorted_segment_sum(data: Any, segment_ids: Any, num_segments: Any, name: str | None = None) -> Tensor:
    """Row i of the result is the sum of the parts of `data` whose id is i; negative ids are left out.

    The ids have the first sizes of `data`. A run with an id that is not below num_segments fails. Raises ValueError where the
    rank of the ids is not known.
    """
    with name_scope(name, "UnsortedSegmentSum") as scope:
        return _sum_by_id(convert_to_tensor(data), convert_to_tensor(segment_ids), num_segments, scope)


def _sum_by_id(data: Tensor, ids: Tensor, count: Any, name: str | None = None) -> Tensor:
    if ids.type.rank is None:
        raise ValueError("unsorted_segment_sum: the rank of segment_ids must be known")
    rest = _sizes_after(data, ids.type.rank)
    rows = reshape(data, size_list([-1, *rest]))
    flat = reshape(ids, [-1])
    left_out = reshape(less(flat, 0), size_list([-1, *[1] * len(rest)]))
    kept = select(left_out, zeros([], data.dtype), rows)
    places = expand_dims(maximum(flat, 0), 1)
    return scatter_nd(places, kept, size_list([count, *rest]), name=name)


def _sizes_after(data: Tensor, rank: int) -> list[Any]:
    """The sizes of the axes from `rank` on: numbers where they are known."""
    shape = data.type.shape
    if shape is None:
        raise ValueError("unsorted_segment_sum: the rank of data must be known")
    sizes = shape_of(data)
    return [sizes[axis] if shape[axis] is None else shape[axis] for axis in range(rank, len(shape))]


def _count_by_id(data: Tensor, ids: Tensor, count: Any) -> Tensor:
    """How many parts each segment has, at least 1, in a shape that broadcasts against its sum."""
    counted = maximum(_sum_by_id(ones_like(ids, data.dtype), ids, count), 1)
    if data.type.rank is None or ids.type.rank is None:
        raise ValueError("unsorted_segment_mean: ranks must be known")
    return reshape(counted, [-1] + [1] * (data.type.rank - ids.type.rank))


def unsorted_segment_mean(data: Any, segment_ids: Any, num_segments: Any, name: str | None = None) -> Tensor:
    """Row i of the result is the mean of the parts of `data` whose id is i; 0 where there is none."""
    values, ids = convert_to_tensor(data), convert_to_tensor(segment_ids)
    with name_scope(name, "UnsortedSegmentMean") as scope:
        total = _sum_by_id(values, ids, num_segments)
        return realdiv(total, _count_by_id(values, ids, num_segments), name=scope)


def unsorted_segment_sqrt_n(data: Any, segment_ids: Any, num_segments: Any, name: str | None = None) -> Tensor:
    """As unsorted_segment_sum, divided by the square root of the number of parts."""
    values, ids = convert_to_tensor(data), convert_to_tensor(segment_ids)
    with name_scope(name, "UnsortedSegmentSqrtN") as scope:
        total = _sum_by_id(values, ids, num_segments)
        return realdiv(total, sqrt(_count_by_id(values, ids, num_segments)), name=scope)


def segment_sum(data: Any, segment_ids: Any, name: str | None = None) -> Tensor:
    """Row i of the result is the sum of the rows of `data` whose id is i; the largest id says how many there are."""
    ids = convert_to_tensor(segment_ids)
    return unsorted_segment_sum(data, ids, reduce_max(ids) + 1, name or "SegmentSum")


def segment_mean(data: Any, segment_ids: Any, name: str | None = None) -> Tensor:
    """Row i of the result is the mean of the rows of `data` whose id is i; the largest id says how many there are."""
    ids = convert_to_tensor(segment_ids)
    return unsorted_segment_mean(data, ids, reduce_max(ids) + 1, name or "SegmentMean")


# -- dense from sparse


def sparse_to_dense(
    sparse_indices: Any, output_shape: Any, sparse_values: Any, default_value: Any = 0, validate_indices: bool = True,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """A tensor of `default_value` with values at indices, of which none stands twice.

    Indices are a number, a vector (one index an element), or rows of several parts. Values are one an index, or one for all.
    """
    values = convert_to_tensor(sparse_values)
    default = convert_to_tensor(default_value, None if is_tensor(default_value) else values.dtype)
    with name_scope(name, "SparseToDense") as scope:
        places = convert_to_tensor(sparse_indices)
        if places.type.rank is None:
            raise ValueError("sparse_to_dense: the rank of the indices must be known")
        rows = reshape(places, [-1, 1]) if places.type.rank < 2 else places
        updates = broadcast_to(values, shape_of(rows)[:1])
        held = scatter_nd(rows, ones_like(updates, int32), output_shape)
        return select(greater(held, 0), scatter_nd(rows, updates, output_shape), default, name=scope)


def tensor_scatter_add(tensor: Any, indices: Any, updates: Any, name: str | None = None) -> Tensor:
    """The tensor with updates added at indices of several parts; several at one place add up."""
    base = convert_to_tensor(tensor)
    with name_scope(name, "TensorScatterAdd") as scope:
        return add(base, scatter_nd(indices, _like(updates, base), shape_of(base)), name=scope)


def tensor_scatter_sub(tensor: Any, indices: Any, updates: Any, name: str | None = None) -> Tensor:
    """The tensor with updates subtracted at indices of several parts; several at one place add up."""
    base = convert_to_tensor(tensor)
    with name_scope(name, "TensorScatterSub") as scope:
        return subtract(base, scatter_nd(indices, _like(updates, base), shape_of(base)), name=scope)


def tensor_scatter_update(tensor: Any, indices: Any, updates: Any, name: str | None = None) -> Tensor:
    """The tensor with updates in the place of its elements at indices of several parts, of which none stands twice."""
    base = convert_to_tensor(tensor)
    values = _like(updates, base)
    with name_scope(name, "TensorScatterUpdate") as scope:
        held = scatter_nd(indices, ones_like(values, int32), shape_of(base))
        return select(greater(held, 0), scatter_nd(indices, values, shape_of(base)), base, name=scope)


def _like(values: Any, other: Tensor) -> Tensor:
    return convert_to_tensor(values, None if is_tensor(values) else other.dtype)


def dynamic_stitch(indices: Sequence[Any], data: Sequence[Any], name: str | None = None) -> Tensor:
    """Parts of several tensors put together: part data[m][i] at indices[m][i], of which none stands twice.

    The largest index says how long the result is. Raises ValueError where the ranks are not known.
    """
    places, values = [convert_to_tensor(i) for i in indices], [convert_to_tensor(d) for d in data]
    with name_scope(name, "DynamicStitch") as scope:
        if any(i.type.rank is None or d.type.rank is None for i, d in zip(places, values, strict=True)):
            raise ValueError("dynamic_stitch: the ranks of indices and data must be known")
        rest = _sizes_after(values[0], places[0].type.rank or 0)
        rows = concat([reshape(d, size_list([-1, *rest])) for d in values], 0)
        flat = concat([reshape(i, [-1]) for i in places], 0)
        return scatter_nd(expand_dims(flat, 1), rows, size_list([reduce_max(flat) + 1, *rest]), name=scope)


# -- counts


def bincount(
    arr: Any, weights: Any = None, minlength: Any = None, maxlength: Any = None, dtype: Any = int32
) -> Tensor:  # fmt: skip
    """How often each number from 0 on occurs, or the sum of its weights; from 0 to the largest one.

    The result has at least `minlength` and at most `maxlength` entries; larger numbers are left out then.
    """
    with name_scope(None, "bincount") as scope:
        values = reshape(cast(arr, int32), [-1])
        count: Any = reduce_max(concat([values, convert_to_tensor([-1])], 0)) + 1
        if minlength is not None:
            count = maximum(count, cast(minlength, int32))
        if maxlength is not None:
            count = minimum(count, cast(maxlength, int32))
            values = select(less(values, cast(maxlength, int32)), values, -1)
        amounts = ones_like(values, as_dtype(dtype)) if weights is None else reshape(convert_to_tensor(weights), [-1])
        return _sum_by_id(amounts, values, count, scope)


def confusion_matrix(
    labels: Any, predictions: Any, num_classes: Any = None, dtype: Any = int32, name: str | None = None, weights: Any = None
) -> Tensor:
    """A matrix that counts, or adds the weights of, predictions (columns) by labels (rows)."""
    with name_scope(name, "confusion_matrix") as scope:
        rows, columns = reshape(cast(labels, int64), [-1]), reshape(cast(predictions, int64), [-1])
        count = maximum(reduce_max(rows), reduce_max(columns)) + 1 if num_classes is None else num_classes
        amounts = ones_like(rows, as_dtype(dtype)) if weights is None else cast(weights, dtype)
        return scatter_nd(stack([rows, columns], 1), amounts, size_list([count, count]), name=scope)


def histogram_fixed_width(
    values: Any, value_range: Any, nbins: Any = 100, dtype: Any = int32, name: str | None = None
) -> Tensor:
    """How many values lie in each of `nbins` equal parts of [value_range[0], value_range[1]); others in the outer ones."""
    data = convert_to_tensor(values)
    limits = convert_to_tensor(value_range, None if is_tensor(value_range) else data.dtype)
    with name_scope(name, "histogram_fixed_width") as scope:
        flat = cast(reshape(data, [-1]), limits.dtype)
        low, high = cast(limits[0], "float64"), cast(limits[1], "float64")
        bins = cast(nbins, int32)
        scaled = floor((cast(flat, "float64") - low) / (high - low) * cast(bins, "float64"))
        places = cast(clip_by_value(scaled, 0.0, cast(bins, "float64") - 1), int32)
        return _sum_by_id(ones_like(places, as_dtype(dtype)), places, nbins, scope)


__all__ = [
    "unsorted_segment_sum", "unsorted_segment_mean", "unsorted_segment_sqrt_n", "segment_sum", "segment_mean",
    "sparse_to_dense", "tensor_scatter_add", "tensor_scatter_sub", "tensor_scatter_update", "dynamic_stitch", "bincount",
    "confusion_matrix", "histogram_fixed_width",
]  # fmt: skip
