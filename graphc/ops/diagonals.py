"""Diagonals and bands of matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..errors import ShapeError
from ..operation import OpDef, Operation, Tensor, TensorType, apply, define
from ..shapes import are_compatible, format_shape
from .compare import equal, less_equal, select
from .constants import convert_to_tensor
from .filling import iota, zeros
from .movement import expand_dims, reshape
from .reduce import reduce_sum
from .rules import check_same_dtype, integer, is_tensor
from .slicing import pad, take_slice


def _matrix_diag_type(types: Sequence[TensorType]) -> TensorType:
    source = types[0]
    if source.shape is None:
        return source
    if not source.shape:
        raise ShapeError("takes vectors, not a 0-d tensor")
    return TensorType(source.dtype, (*source.shape, source.shape[-1]))


def _expand_matrix_diag(operation: Operation) -> Tensor:
    diagonal = operation.inputs[0]
    size = diagonal.type.sizes[-1]
    return select(_on_diagonal(size, size), expand_dims(diagonal, -1), zeros([], diagonal.dtype))


def _on_diagonal(rows: int, columns: int) -> Tensor:
    return equal(iota([rows, columns], 0), iota([rows, columns], 1))


MATRIX_DIAG = define(OpDef("matrix_diag", infer=_matrix_diag_type, composite=_expand_matrix_diag))


def matrix_diag(diagonal: Any, name: str | None = None) -> Tensor:
    """Matrices with the given diagonals (the last axis), and zeros beside."""
    return apply(MATRIX_DIAG, [convert_to_tensor(diagonal)], name or "MatrixDiag")


def _matrix_diag_part_type(types: Sequence[TensorType]) -> TensorType:
    source = types[0]
    if source.shape is None:
        return source
    if len(source.shape) < 2:
        raise ShapeError(f"takes matrices, not a tensor of rank {len(source.shape)}")
    rows, columns = source.shape[-2:]
    return TensorType(source.dtype, (*source.shape[:-2], None if rows is None or columns is None else min(rows, columns)))


def _expand_matrix_diag_part(operation: Operation) -> Tensor:
    matrix = operation.inputs[0]
    *batch, rows, columns = matrix.type.sizes
    count = min(rows, columns)
    flat = reshape(matrix, [*batch, rows * columns])
    return take_slice(flat, [0] * len(flat.type.sizes), [*batch, count], [1] * len(batch) + [columns + 1])


MATRIX_DIAG_PART = define(OpDef("matrix_diag_part", infer=_matrix_diag_part_type, composite=_expand_matrix_diag_part))


def matrix_diag_part(input: Any, name: str | None = None) -> Tensor:
    """The diagonals of matrices."""
    return apply(MATRIX_DIAG_PART, [convert_to_tensor(input)], name or "MatrixDiagPart")


def _set_diag_type(types: Sequence[TensorType]) -> TensorType:
    matrix, diagonal = types
    check_same_dtype(types)
    expected = _matrix_diag_part_type([matrix]).shape
    if not are_compatible(expected, diagonal.shape):
        raise ShapeError(
            f"matrices {format_shape(matrix.shape)} have diagonals {format_shape(expected)}, not {format_shape(diagonal.shape)}"
        )
    return matrix


def _expand_set_diag(operation: Operation) -> Tensor:
    matrix, diagonal = operation.inputs
    *batch, rows, columns = matrix.type.sizes
    padded = pad(diagonal, [(0, 0)] * len(batch) + [(0, columns - diagonal.type.sizes[-1])])
    return select(_on_diagonal(rows, columns), expand_dims(padded, -2), matrix)


MATRIX_SET_DIAG = define(OpDef("matrix_set_diag", infer=_set_diag_type, composite=_expand_set_diag))


def matrix_set_diag(input: Any, diagonal: Any, name: str | None = None) -> Tensor:
    """Matrices with other diagonals."""
    matrix = convert_to_tensor(input)
    values = convert_to_tensor(diagonal, None if is_tensor(diagonal) else matrix.dtype)
    return apply(MATRIX_SET_DIAG, [matrix, values], name or "MatrixSetDiag")


def trace(x: Any, name: str | None = None) -> Tensor:
    """The sums of the diagonals of matrices."""
    return reduce_sum(matrix_diag_part(x), [-1], name=name or "Trace")


def _band_type(types: Sequence[TensorType], lower: Any, upper: Any) -> TensorType:
    if types[0].rank is not None and types[0].rank < 2:
        raise ShapeError(f"takes matrices, not a tensor of rank {types[0].rank}")
    return types[0]


def _expand_band(operation: Operation) -> Tensor:
    matrix = operation.inputs[0]
    rows, columns = matrix.type.sizes[-2:]
    row, column = iota([rows, 1], 0), iota([1, columns], 1)
    result = matrix
    for below, number in ((row - column, operation.attributes["lower"]), (column - row, operation.attributes["upper"])):
        if number >= 0:
            result = select(less_equal(below, number), result, zeros([], matrix.dtype))
    return result


BAND_PART = define(
    OpDef("matrix_band_part", infer=_band_type, attributes={"lower": int, "upper": int}, composite=_expand_band)
)


def matrix_band_part(input: Any, num_lower: Any, num_upper: Any, name: str | None = None) -> Tensor:
    """Matrices with zeros outside a band: so many diagonals below and above the middle are kept; all where negative."""
    lower, upper = integer(num_lower), integer(num_upper)
    return apply(BAND_PART, [convert_to_tensor(input)], name or "MatrixBandPart", lower=lower, upper=upper)


def diag(diagonal: Any, name: str | None = None) -> Tensor:
    """A tensor of twice the rank with the given elements where both halves of the index are the same."""
    return apply(DIAG, [convert_to_tensor(diagonal)], name or "Diag")


def _diag_type(types: Sequence[TensorType]) -> TensorType:
    source = types[0]
    return TensorType(source.dtype, None if source.shape is None else source.shape * 2)


DIAG = define(
    OpDef(
        "diag",
        infer=_diag_type,
        composite=lambda operation: reshape(
            matrix_diag(reshape(operation.inputs[0], [-1])), operation.output.type.sizes
        ),
    )
)


def _diag_part_type(types: Sequence[TensorType]) -> TensorType:
    source = types[0]
    if source.shape is None:
        return source
    half = len(source.shape) // 2
    if len(source.shape) != 2 * half or not half:
        raise ShapeError(f"takes a tensor of even rank, not {len(source.shape)}")
    sizes = []
    for a, b in zip(source.shape[:half], source.shape[half:]):
        if a is not None and b is not None and a != b:
            raise ShapeError(f"sizes {a} and {b} of the two halves differ")
        sizes.append(b if a is None else a)
    return TensorType(source.dtype, tuple(sizes))


def _expand_diag_part(operation: Operation) -> Tensor:
    sizes = operation.output.type.sizes
    count = math.prod(sizes)
    return reshape(matrix_diag_part(reshape(operation.inputs[0], [count, count])), sizes)


DIAG_PART = define(OpDef("diag_part", infer=_diag_part_type, composite=_expand_diag_part))


def diag_part(input: Any, name: str | None = None) -> Tensor:
    """The elements at which both halves of the index are the same; the inverse of diag."""
    return apply(DIAG_PART, [convert_to_tensor(input)], name or "DiagPart")


__all__ = [
    "matrix_diag", "matrix_diag_part", "matrix_set_diag", "matrix_band_part", "diag", "diag_part", "trace",
]  # fmt: skip
