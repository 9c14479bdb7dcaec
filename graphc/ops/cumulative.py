"""Running sums and products along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import as_dtype
from ..evaluate import identity_of
from ..operation import Dynamic, OpDef, Operation, Tensor, TensorType, apply, define
from .constants import convert_to_tensor
from .elementwise import multiply, realdiv
from .joining import normalize_place
from .rules import NUMBERS, check_axis, check_kind, integer


def _cumulative_type(
    types: Sequence[TensorType], monoid: str, axis: Any, exclusive: bool, reverse: bool
) -> TensorType:
    check_kind(types[0].dtype, NUMBERS)
    if types[0].rank is not None and not isinstance(axis, Dynamic):
        check_axis(axis, types[0].rank)
    return types[0]


_ACCUMULATE = {"sum": np.add, "prod": np.multiply, "max": np.maximum}


def _evaluate_cumulative(attributes: Any, x: np.ndarray) -> np.ndarray:
    """16-bit floats accumulate in float32."""
    axis, dtype = attributes["axis"], as_dtype(x.dtype)
    wide = x.astype(dtype.compute.numpy)
    moved = np.moveaxis(wide, axis, 0)
    if attributes["reverse"]:
        moved = moved[::-1]
    total = _ACCUMULATE[attributes["monoid"]].accumulate(moved, axis=0, dtype=moved.dtype)
    if attributes["exclusive"]:
        first = np.full_like(moved[:1], identity_of(attributes["monoid"], dtype.compute))
        total = np.concatenate([first, total[:-1]])
    if attributes["reverse"]:
        total = total[::-1]
    return np.moveaxis(total, 0, axis).astype(x.dtype)


def _cumulative_gradient(operation: Operation, gradient: Tensor) -> list[Tensor]:
    """Of a running product, as TensorFlow's: NaN where an element is 0."""
    a = operation.attributes
    x, y = operation.inputs[0], operation.output
    if a["monoid"] == "sum":
        return [_accumulate(gradient, "sum", a["axis"], a["exclusive"], not a["reverse"])]
    if a["monoid"] != "prod":
        raise LookupError(f"No gradient defined for a running {a['monoid']}")
    return [realdiv(_accumulate(multiply(gradient, y), "sum", a["axis"], a["exclusive"], not a["reverse"]), x)]


CUMULATIVE = define(
    OpDef(
        "cumulative",
        infer=_cumulative_type,
        gradient=_cumulative_gradient,
        attributes={"monoid": str, "axis": int, "exclusive": bool, "reverse": bool},
        kernel="cumulative",
        evaluate=_evaluate_cumulative,
    )
)


def _accumulate(x: Tensor, monoid: str, axis: Any, exclusive: bool, reverse: bool, name: str | None = None) -> Tensor:
    return apply(CUMULATIVE, [x], name, monoid=monoid, axis=axis, exclusive=exclusive, reverse=reverse)


def cumsum(x: Any, axis: Any = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None) -> Tensor:
    """The running sum along an axis; without the element itself where `exclusive`, from the end where `reverse`."""
    tensor = convert_to_tensor(x)
    place = normalize_place(integer(axis), tensor.type.rank, tensor)
    return _accumulate(tensor, "sum", place, bool(exclusive), bool(reverse), name or "Cumsum")


def cumprod(x: Any, axis: Any = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None) -> Tensor:
    """The running product along an axis; without the element itself where `exclusive`, from the end where `reverse`."""
    tensor = convert_to_tensor(x)
    place = normalize_place(integer(axis), tensor.type.rank, tensor)
    return _accumulate(tensor, "prod", place, bool(exclusive), bool(reverse), name or "Cumprod")


__all__ = ["cumsum", "cumprod"]
