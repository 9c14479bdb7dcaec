"""What the declarations of operations share: type rules, and arguments that may be numbers, tensors or mixtures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..dtypes import DType, int32, int64
from ..errors import DTypeError, ShapeError, format_error
from ..location import find_location
from ..operation import Dynamic, Tensor, TensorType
from ..shapes import Dimension, Shape, TensorShape, broadcast_shapes
from ..static_values import static_value
from .constants import convert_to_tensor

FLOATS, INTEGERS, NUMBERS, BOOL, ANY = "f", "iu", "iuf", "b", "biufcs"

_WORDS = {FLOATS: "floating-point numbers", INTEGERS: "integers", NUMBERS: "numbers", BOOL: "bool"}


def check_kind(dtype: DType, kinds: str) -> None:
    """Raises DTypeError where the element type is not one of `kinds` (FLOATS, INTEGERS, NUMBERS, BOOL, ANY)."""
    if dtype.kind not in kinds:
        raise DTypeError(f"takes {_WORDS[kinds]}, not {dtype.name}")


def check_same_dtype(types: Sequence[TensorType]) -> DType:
    """The element type of all operands. Raises DTypeError where they differ."""
    first = types[0].dtype
    for other in types[1:]:
        if other.dtype != first:
            raise DTypeError(f"operands have different types, {first.name} and {other.dtype.name}")
    return first


def broadcast_types(types: Sequence[TensorType]) -> Shape:
    """The shape of an elementwise result. Raises ShapeError where the operands do not broadcast."""
    try:
        return broadcast_shapes(*(t.shape for t in types))
    except ValueError as error:
        raise ShapeError(str(error)) from None


def elementwise_type(kinds: str, result: DType | None = None) -> Callable[..., TensorType]:
    """The type rule of an elementwise operation: operands of one type of `kinds`, which the result has unless given."""

    def infer(types: Sequence[TensorType], **attributes: Any) -> TensorType:
        dtype = check_same_dtype(types)
        check_kind(dtype, kinds)
        return TensorType(result or dtype, broadcast_types(types))

    return infer


def same_type(types: Sequence[TensorType], **attributes: Any) -> TensorType:
    """The type rule of what changes neither element type nor shape."""
    return types[0]


def check_axis(axis: int, rank: int) -> None:
    """Raises ShapeError for an axis that is not in [0, rank)."""
    if not 0 <= axis < rank:
        raise ShapeError(f"axis {axis} is out of range for rank {rank}")


def shape_error(problem: str, *operands: Tensor) -> ShapeError:
    """The error of a function that finds a problem itself: with the operands and the user's line."""
    return ShapeError(format_error(problem, operands, find_location()))


# -- arguments


def is_tensor(value: Any) -> bool:
    """Whether a value is a tensor or stands for one, as variables do."""
    return isinstance(value, Tensor) or hasattr(value, "_as_tensor")


def is_number(value: Any) -> bool:
    """Whether a value is a single integer: of Python, NumPy or a static shape."""
    return isinstance(value, (int, np.integer, Dimension)) and not isinstance(value, bool)


def size_list(value: Any, name: str | None = None) -> tuple[int, ...] | Tensor:
    """Sizes, axes or indices as plain numbers where they are known, else as one integer tensor of rank 1.

    `value` is a number, a sequence of numbers and 0-d tensors, a static shape, an array or a tensor.
    """
    if is_number(value):
        return (int(value),)
    if isinstance(value, TensorShape):
        return tuple(int(size) for size in value)
    if is_tensor(value):
        return _known_or_tensor(_as_vector(convert_to_tensor(value)))
    items = list(value) if not isinstance(value, np.ndarray) else value.reshape(-1).tolist()
    if all(is_number(item) for item in items):
        return tuple(int(item) for item in items)
    wide = any(is_tensor(item) and convert_to_tensor(item).dtype == int64 for item in items)
    return _known_or_tensor(_pack_sizes(items, int64 if wide else int32, name))


def _as_vector(tensor: Tensor) -> Tensor:
    if tensor.type.rank != 0:
        return tensor
    from .movement import reshape

    return reshape(tensor, [1])


def _pack_sizes(items: Sequence[Any], dtype: DType, name: str | None) -> Tensor:
    from .conversion import cast
    from .joining import stack

    parts = []
    for item in items:
        if not is_tensor(item) and not is_number(item):
            raise TypeError(f"sizes, axes and indices are integers, not {item!r}")
        part = convert_to_tensor(item) if is_tensor(item) else convert_to_tensor(int(item), dtype)
        parts.append(part if part.dtype == dtype else cast(part, dtype))
    return stack(parts, name=name or "packed")


def _known_or_tensor(tensor: Tensor) -> tuple[int, ...] | Tensor:
    """The entries of an integer vector where all are known, else the tensor."""
    if not tensor.dtype.is_integer:
        raise TypeError(f"sizes and axes are integers, not {tensor.dtype.name}: {tensor!r}")
    value = static_value(tensor)
    if isinstance(value, Dynamic):
        value = value.partial
    return value if isinstance(value, tuple) and None not in value else tensor


def integer(value: Any) -> int | Tensor:
    """One number: plain where it is known, else as a 0-d tensor."""
    if is_number(value):
        return int(value)
    tensor = convert_to_tensor(value)
    known = size_list(tensor)
    if isinstance(known, tuple) and len(known) == 1:
        return known[0]
    return tensor


def partial_sizes(attribute: Any) -> tuple[int | None, ...] | None:
    """A list of sizes as far as it is known: an attribute that is a tuple, or a Dynamic one."""
    if not isinstance(attribute, Dynamic):
        return tuple(attribute)
    return attribute.partial if isinstance(attribute.partial, tuple) else None


def partial_number(attribute: Any) -> int | None:
    """A number as far as it is known: an attribute that is an int, or a Dynamic one."""
    if not isinstance(attribute, Dynamic):
        return int(attribute)
    return attribute.partial if isinstance(attribute.partial, int) else None


def normalize(axis: int, rank: int) -> int:
    """A possibly negative axis counted from the front; one out of range stays as it is, for the type rule to report."""
    return axis + rank if -rank <= axis < 0 else axis
