"""Tensors made of nothing but numbers: fill, zeros, ones, ranges, identity matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import DType, as_dtype, float32, int32
from ..errors import DTypeError, ShapeError
from ..operation import Dynamic, OpDef, Operation, Tensor, TensorType, apply, define
from ..scopes import name_scope
from .compare import equal, select
from .constants import as_array, build_constant, convert_to_tensor
from .conversion import cast
from .elementwise import add, multiply, realdiv, subtract
from .joining import concat
from .movement import BROADCAST_TO, broadcast_to, reshape
from .rules import (
    FLOATS,
    check_kind,
    check_same_dtype,
    integer,
    is_tensor,
    partial_number,
    partial_sizes,
    shape_error,
    size_list,
)

# -- one value


def fill(dims: Any, value: Any, name: str | None = None) -> Tensor:
    """A tensor of the given sizes with one value throughout. Raises ShapeError where the value is not 0-d."""
    filler = convert_to_tensor(value)
    if filler.type.rank not in (0, None):
        raise shape_error(f"fill: the value has rank {filler.type.rank}, not 0", filler)
    return apply(BROADCAST_TO, [filler], name or "Fill", shape=size_list(dims))


def zeros(shape: Any, dtype: Any = float32, name: str | None = None) -> Tensor:
    """A tensor of zeros (False for bool, empty strings for strings)."""
    return _constant_of(shape, _zero(as_dtype(dtype)), name or "zeros")


def ones(shape: Any, dtype: Any = float32, name: str | None = None) -> Tensor:
    """A tensor of ones (True for bool)."""
    return _constant_of(shape, np.ones((), as_dtype(dtype).numpy), name or "ones")


def _zero(dtype: DType) -> np.ndarray:
    return np.array("", object) if dtype.kind == "s" else np.zeros((), dtype.numpy)


def _constant_of(shape: Any, value: np.ndarray, name: str) -> Tensor:
    sizes = size_list(shape)
    if sizes == ():
        return build_constant(value, name=name)
    with name_scope(name) as scope:
        return apply(BROADCAST_TO, [build_constant(value)], scope, shape=sizes)


def _like_type(types: Sequence[TensorType], dtype: DType) -> TensorType:
    return TensorType(dtype, types[0].shape)


ZEROS_LIKE = define(
    OpDef(
        "zeros_like",
        infer=_like_type,
        differentiable=False,
        attributes={"dtype": DType},
        composite=lambda operation: zeros(operation.inputs[0].type.sizes, operation.attributes["dtype"]),
    )
)
ONES_LIKE = define(
    OpDef(
        "ones_like",
        infer=_like_type,
        differentiable=False,
        attributes={"dtype": DType},
        composite=lambda operation: ones(operation.inputs[0].type.sizes, operation.attributes["dtype"]),
    )
)


def zeros_like(tensor: Any, dtype: Any = None, name: str | None = None, optimize: bool = True) -> Tensor:
    """Zeros in the shape of a tensor, of its type unless given."""
    source = convert_to_tensor(tensor)
    wanted = as_dtype(dtype) if dtype is not None else source.dtype
    if source.type.is_known:
        return zeros(source.type.sizes, wanted, name=name or "zeros_like")
    return apply(ZEROS_LIKE, [source], name or "zeros_like", dtype=wanted)


def ones_like(tensor: Any, dtype: Any = None, name: str | None = None, optimize: bool = True) -> Tensor:
    """Ones in the shape of a tensor, of its type unless given."""
    source = convert_to_tensor(tensor)
    wanted = as_dtype(dtype) if dtype is not None else source.dtype
    if source.type.is_known:
        return ones(source.type.sizes, wanted, name=name or "ones_like")
    return apply(ONES_LIKE, [source], name or "ones_like", dtype=wanted)


# -- counting


def _iota_type(types: Sequence[TensorType], dtype: DType, shape: Any, axis: int) -> TensorType:
    sizes = partial_sizes(shape)
    if sizes is not None and not 0 <= axis < len(sizes):
        raise ShapeError(f"axis {axis} is out of range for rank {len(sizes)}")
    if sizes is not None and any(size is not None and size < 0 for size in sizes):
        raise ShapeError(f"a size is negative in {list(sizes)}")
    return TensorType(dtype, sizes)


def _evaluate_iota(attributes: Any) -> np.ndarray:
    shape, axis = attributes["shape"], attributes["axis"]
    counted = np.arange(shape[axis]).astype(attributes["dtype"].numpy)
    return np.broadcast_to(counted.reshape([-1] + [1] * (len(shape) - axis - 1)), shape)


IOTA = define(
    OpDef(
        "iota",
        infer=_iota_type,
        differentiable=False,
        attributes={"dtype": DType, "shape": tuple, "axis": int},
        kernel="iota",
        evaluate=_evaluate_iota,
    )
)


def iota(shape: Any, axis: int, dtype: Any = int32) -> Tensor:
    """A tensor whose elements are their own index along an axis (not negative)."""
    return apply(IOTA, [], shape=size_list(shape), axis=axis, dtype=as_dtype(dtype))


def _range_type(types: Sequence[TensorType], start: Any, limit: Any, delta: Any, dtype: DType) -> TensorType:
    values = [_partial_value(v) for v in (start, limit, delta)]
    if values[2] == 0:
        raise ShapeError("the step is zero")
    if None in values:
        return TensorType(dtype, (None,))
    first, last, step = values
    if (last - first) * step < 0:
        raise ShapeError(f"{last} cannot be reached from {first} in steps of {step}")
    return TensorType(dtype, (_range_size(first, last, step, dtype),))


def _partial_value(attribute: Any) -> Any:
    if not isinstance(attribute, Dynamic):
        return attribute
    return attribute.partial if not isinstance(attribute.partial, tuple) else None


def _range_size(start: Any, limit: Any, delta: Any, dtype: DType) -> int:
    """As TensorFlow counts: with floats in their own type."""
    if dtype.is_integer:
        return -(-abs(limit - start) // abs(delta))
    kind = dtype.compute.numpy.type
    return max(math.ceil(abs((kind(limit) - kind(start)) / kind(delta))), 0)


def _expand_range(operation: Operation) -> Tensor:
    a = operation.attributes
    counted = iota(operation.output.type.sizes, 0, a["dtype"])
    scaled = counted if a["delta"] == 1 else multiply(counted, a["delta"])
    return scaled if a["start"] == 0 else add(scaled, a["start"])


RANGE = define(
    OpDef(
        "range",
        infer=_range_type,
        differentiable=False,
        attributes={"start": object, "limit": object, "delta": object, "dtype": DType},
        composite=_expand_range,
    )
)


def range(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: str = "range") -> Tensor:
    """start, start + delta ... before limit; from 0 where one bound is given.

    The type is that which all three fit (int32, int64, float32, float64 in this order) unless given. Raises ShapeError
    where the step is 0 or leads away from the limit.
    """
    if limit is None:
        start, limit = 0, start
    bounds = [convert_to_tensor(v) if is_tensor(v) else v for v in (start, limit, delta)]
    wanted = as_dtype(dtype) if dtype is not None else _common_dtype(bounds)
    values = [_range_bound(bound, wanted) for bound in bounds]
    return apply(RANGE, [], name or "range", start=values[0], limit=values[1], delta=values[2], dtype=wanted)


def _common_dtype(values: Sequence[Any]) -> DType:
    order = ("int32", "int64", "float32", "float64")
    found = [v.dtype if isinstance(v, Tensor) else as_dtype(as_array(v).dtype) for v in values]
    for dtype in found:
        if dtype.name not in order:
            raise DTypeError(f"range: bounds of type {dtype.name} are not supported")
    return max(found, key=lambda dtype: order.index(dtype.name))


def _range_bound(bound: Any, dtype: DType) -> Any:
    if isinstance(bound, Tensor):
        return cast(bound, dtype)
    return int(bound) if dtype.is_integer else float(bound)


def _linspace_type(types: Sequence[TensorType], num: Any) -> TensorType:
    dtype = check_same_dtype(types)
    check_kind(dtype, FLOATS)
    count = partial_number(num)
    if count is not None and count < 1:
        raise ShapeError(f"the number of values must be positive, not {count}")
    return TensorType(dtype, (count,))


def _expand_linspace(operation: Operation) -> Tensor:
    start, stop = operation.inputs
    (count,) = operation.output.type.sizes
    if count == 1:
        return reshape(start, [1])
    index = iota([count], 0, start.dtype)
    step = realdiv(subtract(stop, start), float(count - 1))
    return select(equal(index, float(count - 1)), stop, add(start, multiply(index, step)))


LINSPACE = define(OpDef("linspace", infer=_linspace_type, attributes={"num": int}, composite=_expand_linspace))


def linspace(start: Any, stop: Any, num: Any, name: str | None = None) -> Tensor:
    """`num` evenly spaced floats from start to stop, which is the last one."""
    first = convert_to_tensor(start)
    last = convert_to_tensor(stop, None if is_tensor(stop) else first.dtype)
    return apply(LINSPACE, [first, last], name or "LinSpace", num=integer(num))


lin_space = linspace

# -- identity matrices



def eye(
    num_rows: Any, num_columns: Any = None, batch_shape: Any = None, dtype: Any = float32, name: str | None = None
) -> Tensor:
    """Identity matrices: ones where row and column are the same."""
    rows, columns = integer(num_rows), integer(num_rows if num_columns is None else num_columns)
    batch = size_list(batch_shape) if batch_shape is not None else ()
    with name_scope(name, "eye") as scope:
        counts = size_list([rows, columns])
        matrix = cast(equal(iota(counts, 0), iota(counts, 1)), dtype, name=scope if batch == () else None)
        if batch == ():
            return matrix
        shape = (*batch, *counts) if isinstance(batch, tuple) and isinstance(counts, tuple) else concat(
            [convert_to_tensor(batch, int32), convert_to_tensor(counts, int32)], 0
        )  # fmt: skip
        return broadcast_to(matrix, shape, name=scope)


__all__ = ["fill", "zeros", "ones", "zeros_like", "ones_like", "range", "linspace", "lin_space", "eye"]
