"""Shapes as tensors, and arithmetic of static shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import DType, as_dtype, int32
from ..operation import OpDef, Tensor, TensorType, apply, define
from ..shapes import TensorShape, broadcast_shapes
from .compare import equal, select
from .constants import build_constant, convert_to_tensor
from .slicing import pad

SHAPE = define(
    OpDef(
        "shape",
        infer=lambda types, dtype: TensorType(dtype, (types[0].rank,)),
        differentiable=False,
        attributes={"dtype": DType},
        type_value=lambda types, dtype: np.array(types[0].sizes, dtype.numpy),
    )
)
SIZE = define(
    OpDef(
        "size",
        infer=lambda types, dtype: TensorType(dtype, ()),
        differentiable=False,
        attributes={"dtype": DType},
        type_value=lambda types, dtype: np.array(types[0].elements, dtype.numpy),
    )
)
RANK = define(
    OpDef(
        "rank",
        infer=lambda types: TensorType(int32, ()),
        differentiable=False,
        type_value=lambda types: np.array(len(types[0].sizes), np.int32),
    )
)


def shape(input: Any, name: str | None = None, out_type: Any = int32) -> Tensor:
    """The sizes of a tensor as a vector of int32 (or `out_type`): a constant where they are known."""
    tensor, dtype = convert_to_tensor(input), as_dtype(out_type or int32)
    if tensor.type.is_known:
        return build_constant(np.array(tensor.type.sizes, dtype.numpy), name=name or "Shape")
    return apply(SHAPE, [tensor], name or "Shape", dtype=dtype)


def shape_n(input: Sequence[Any], out_type: Any = int32, name: str | None = None) -> list[Tensor]:
    """The sizes of several tensors."""
    return [shape(item, name or "ShapeN", out_type) for item in input]


def size(input: Any, name: str | None = None, out_type: Any = int32) -> Tensor:
    """The number of elements as a 0-d int32 (or `out_type`)."""
    tensor, dtype = convert_to_tensor(input), as_dtype(out_type or int32)
    if tensor.type.is_known:
        return build_constant(np.array(tensor.type.elements, dtype.numpy), name=name or "Size")
    return apply(SIZE, [tensor], name or "Size", dtype=dtype)


def rank(input: Any, name: str | None = None) -> Tensor:
    """The number of axes as a 0-d int32."""
    tensor = convert_to_tensor(input)
    if tensor.type.rank is not None:
        return build_constant(tensor.type.rank, int32, name=name or "Rank")
    return apply(RANK, [tensor], name or "Rank")


def broadcast_static_shape(shape_x: TensorShape, shape_y: TensorShape) -> TensorShape:
    """The static shape of an elementwise result. Raises ValueError where the shapes do not fit."""
    return TensorShape(broadcast_shapes(TensorShape(shape_x).sizes, TensorShape(shape_y).sizes))


def broadcast_dynamic_shape(shape_x: Any, shape_y: Any) -> Tensor:
    """The shape of an elementwise result, from the shapes of the operands as tensors."""
    x, y = convert_to_tensor(shape_x), convert_to_tensor(shape_y)
    return apply(BROADCAST_SHAPE, [x, y], "BroadcastArgs")


def _broadcast_shape_type(types: Sequence[TensorType]) -> TensorType:
    lengths = [t.shape[0] if t.shape else None for t in types]
    known = [length for length in lengths if length is not None]
    return TensorType(types[0].dtype, (max(known) if len(known) == len(lengths) else None,))


def _expand_broadcast_shape(operation: Any) -> Tensor:
    a, b = operation.inputs
    length = operation.output.type.sizes[0]
    padded = [pad(t, [(length - t.type.sizes[0], 0)], constant_values=1) for t in (a, b)]
    first, second = padded
    return select(equal(first, 1), second, first)


BROADCAST_SHAPE = define(
    OpDef("broadcast_shape", infer=_broadcast_shape_type, differentiable=False, composite=_expand_broadcast_shape)
)


def _ensure_type(types: Sequence[TensorType], shape: Any) -> TensorType:
    return TensorType(types[0].dtype, TensorShape(types[0].shape).merge_with(TensorShape(shape)).sizes)


ENSURE_SHAPE = define(
    OpDef(
        "ensure_shape",
        infer=_ensure_type,
        gradient=lambda operation, gradient: [gradient],
        attributes={"shape": tuple},
        composite=lambda operation: operation.inputs[0],
    )
)


def ensure_shape(x: Any, shape: Any, name: str | None = None) -> Tensor:
    """The same tensor, whose shape fits `shape` (None for any size). Raises ValueError where it does not."""
    return apply(ENSURE_SHAPE, [convert_to_tensor(x)], name or "EnsureShape", shape=TensorShape(shape).sizes)


__all__ = [
    "shape", "shape_n", "size", "rank", "broadcast_static_shape", "broadcast_dynamic_shape", "ensure_shape",
]  # fmt: skip
