"""Conversions between element types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..dtypes import DType, as_dtype, bfloat16, float32, float64, int32, int64
from ..errors import DTypeError
from ..operation import OpDef, Operation, Tensor, TensorType, apply, define
from .constants import convert_to_tensor


def _cast_type(types: Sequence[TensorType], dtype: DType) -> TensorType:
    for side in (types[0].dtype, dtype):
        if side.kind in "cs":
            raise DTypeError(f"cannot convert {types[0].dtype.name} to {dtype.name}")
    return TensorType(dtype, types[0].shape)


def _cast_gradient(operation: Operation, gradient: Tensor) -> list[Tensor | None]:
    source = operation.inputs[0].dtype
    return [cast(gradient, source) if source.is_floating and gradient.dtype.is_floating else None]


CAST = define(
    OpDef(
        "cast",
        infer=_cast_type,
        gradient=_cast_gradient,
        attributes={"dtype": DType},
        scalar=lambda s, x, dtype: s.cast(x, dtype),
    )
)


def cast(x: Any, dtype: Any, name: str | None = None) -> Tensor:
    """The values as another type; the tensor itself where it has that type.

    Floats lose their fraction on the way to integers, everything but 0 becomes True, bool becomes 0 and 1.
    """
    tensor, wanted = convert_to_tensor(x), as_dtype(dtype)
    return tensor if tensor.dtype == wanted else apply(CAST, [tensor], name or "Cast", dtype=wanted)


def _bitcast_type(types: Sequence[TensorType], dtype: DType) -> TensorType:
    source = types[0].dtype
    if source.bits != dtype.bits or source.bits < 32 or "c" in (source.kind, dtype.kind) or "s" in (source.kind, dtype.kind):
        raise DTypeError(f"takes types of the same width of 32 or 64 bits, not {source.name} as {dtype.name}")
    return TensorType(dtype, types[0].shape)


BITCAST = define(
    OpDef(
        "bitcast",
        infer=_bitcast_type,
        differentiable=False,
        attributes={"dtype": DType},
        scalar=lambda s, x, dtype: s.bitcast(x, dtype),
    )
)


def bitcast(input: Any, type: Any, name: str | None = None) -> Tensor:
    """The same bits as another type of the same width, of 32 or 64 bits."""
    tensor, wanted = convert_to_tensor(input), as_dtype(type)
    return tensor if tensor.dtype == wanted else apply(BITCAST, [tensor], name or "Bitcast", dtype=wanted)


def to_float(x: Any, name: str = "ToFloat") -> Tensor:
    """The values as float32."""
    return cast(x, float32, name)


def to_double(x: Any, name: str = "ToDouble") -> Tensor:
    """The values as float64."""
    return cast(x, float64, name)


def to_int32(x: Any, name: str = "ToInt32") -> Tensor:
    """The values as int32."""
    return cast(x, int32, name)


def to_int64(x: Any, name: str = "ToInt64") -> Tensor:
    """The values as int64."""
    return cast(x, int64, name)


def to_bfloat16(x: Any, name: str = "ToBFloat16") -> Tensor:
    """The values as bfloat16."""
    return cast(x, bfloat16, name)


__all__ = ["cast", "bitcast", "to_float", "to_double", "to_int32", "to_int64", "to_bfloat16"]
