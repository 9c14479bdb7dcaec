"""Values from outside the computation: constants, placeholders and the key of a run."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dtypes import DType, as_dtype, int32, int64, string
from ..operation import Literal, OpDef, Tensor, TensorType, apply, define
from ..shapes import Shape, TensorShape, as_shape, count_elements

CONSTANT = define(
    OpDef(
        "constant",
        infer=lambda types, value, dtype: TensorType(dtype, value.array.shape),
        attributes={"value": Literal, "dtype": object},
        evaluate=lambda attributes: attributes["value"].array,
    )
)
PLACEHOLDER = define(
    OpDef(
        "placeholder",
        infer=lambda types, dtype, shape: TensorType(dtype, shape),
        attributes={"dtype": object, "shape": object},
    )
)
PLACEHOLDER_WITH_DEFAULT = define(
    OpDef(
        "placeholder_with_default",
        infer=lambda types, shape: TensorType(types[0].dtype, shape),
        gradient=lambda operation, gradient: [gradient],
        attributes={"shape": object},
        composite=lambda operation: operation.inputs[0],
    )
)
RUN_KEY = define(OpDef("run_key", infer=lambda types: TensorType(int64, (2,)), differentiable=False))
"""Two numbers: what the session drew when it began, and how many runs it has made. Random operations read it."""


def as_array(value: Any, dtype: DType | None = None) -> np.ndarray:
    """A Python or NumPy value as an array of `dtype`, or of the type that TensorFlow infers.

    Python floats become float32, ints int32 (int64 where they do not fit), NumPy arrays keep their type. Raises
    TypeError where the value cannot be had in that type without loss of kind (a float as an integer), ValueError for
    ragged nests.
    """
    if dtype is not None and dtype == string:
        return np.array(value, dtype=object)
    typed = isinstance(value, (np.ndarray, np.generic))
    array = np.asarray(value)
    if array.dtype == object and array.size and not isinstance(value, np.ndarray):
        raise ValueError(f"cannot make an array of {value!r}: it is ragged or holds objects")
    if array.dtype.kind in "US" or array.dtype == object:
        if dtype is not None:
            raise TypeError(f"Expected {dtype.name}, got {value!r} of type {type(value).__name__!r} instead.")
        return array.astype(object)
    if dtype is None:
        return array if typed else array.astype(_inferred(value, array), copy=False)
    found = as_dtype(array.dtype)
    if dtype.is_integer and found.is_floating or dtype.is_bool != found.is_bool and not typed and array.size:
        raise TypeError(f"Expected {dtype.name}, got {value!r} of type {type(value).__name__!r} instead.")
    if dtype.is_integer and not typed and array.size:
        low, high = dtype.min, dtype.max
        if array.min() < low or array.max() > high:
            raise ValueError(f"{value!r} does not fit in {dtype.name}")
    with np.errstate(all="ignore"):
        return array.astype(dtype.numpy, copy=False)


def _inferred(value: Any, array: np.ndarray) -> np.dtype:
    if array.dtype == np.float64 and not _holds_numpy(value, np.float64):
        return np.dtype(np.float32)
    if array.dtype == np.int64 and not _holds_numpy(value, np.int64):
        small = not array.size or (array.min() >= int32.min and array.max() <= int32.max)
        return np.dtype(np.int32) if small else array.dtype
    return array.dtype


def _holds_numpy(value: Any, kind: type) -> bool:
    """Whether a nest holds NumPy values, which keep their type."""
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return isinstance(value, (np.ndarray, np.generic)) and value.dtype == kind


def build_constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Tensor:
    """A constant of a Python or NumPy value; with `shape`, reshaped, or filled up with its last element."""
    wanted = as_dtype(dtype) if dtype is not None else None
    array = as_array(value, wanted)
    if shape is not None:
        array = _fit(array, as_shape(shape))
    return apply(CONSTANT, [], name or "Const", value=Literal(array), dtype=wanted or as_dtype(array.dtype))


def _fit(array: np.ndarray, shape: Shape) -> np.ndarray:
    if shape is None or None in shape:
        raise ValueError("the shape of a constant must be known")
    sizes = [size for size in shape if size is not None]
    count = count_elements(sizes)
    if array.size == count:
        return array.reshape(sizes)
    if not 0 < array.size < count:
        raise ValueError(f"Too many elements provided. Needed at most {count}, but received {array.size}")
    flat = array.ravel()
    return np.concatenate([flat, np.full(count - flat.size, flat[-1], flat.dtype)]).reshape(sizes)


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str = "Const", verify_shape: bool = False) -> Tensor:
    """A constant tensor.

    Raises TypeError where the value does not fit the type, ValueError where it does not fit the shape.
    """
    if verify_shape and shape is not None and tuple(np.shape(value)) != as_shape(shape):
        raise TypeError(f"Expected Tensor's shape: {TensorShape(shape)}, got {TensorShape(np.shape(value))}.")
    return build_constant(value, dtype, shape, name)


def placeholder(dtype: Any, shape: Any = None, name: str | None = None) -> Tensor:
    """A tensor that every run must be fed; dimensions may be None, no shape at all means an unknown rank."""
    return apply(PLACEHOLDER, [], name or "Placeholder", dtype=as_dtype(dtype), shape=as_shape(shape))


def placeholder_with_default(input: Any, shape: Any, name: str | None = None) -> Tensor:
    """A tensor that may be fed, and is `input` where it is not."""
    return apply(PLACEHOLDER_WITH_DEFAULT, [convert_to_tensor(input)], name or "PlaceholderWithDefault",
                 shape=as_shape(shape))  # fmt: skip


_CONVERSIONS: list[tuple[type, Any]] = []


def register_tensor_conversion_function(base_type: type, function: Any, priority: int = 100) -> None:
    """`function(value, dtype, name, as_ref)` makes tensors of values of `base_type`."""
    _CONVERSIONS.append((base_type, function))


def convert_to_tensor(value: Any, dtype: Any = None, name: str | None = None, preferred_dtype: Any = None,
                      dtype_hint: Any = None) -> Tensor:  # fmt: skip
    """A tensor from a tensor, variable, number, array or nest of these.

    Raises ValueError where a tensor has another type than `dtype`, TypeError where a value does not fit it.
    """
    wanted = as_dtype(dtype) if dtype is not None else None
    if hasattr(value, "_as_tensor"):
        value = value._as_tensor()
    for base, function in _CONVERSIONS:
        if isinstance(value, base):
            value = function(value, dtype=wanted, name=name, as_ref=False)
    if isinstance(value, Tensor):
        if wanted is not None and value.dtype != wanted:
            raise ValueError(
                f"Tensor conversion requested dtype {wanted.name} for Tensor with dtype {value.dtype.name}: {value!r}"
            )
        return value
    if isinstance(value, TensorShape):
        value = [int(d) for d in value]
    if isinstance(value, (list, tuple)) and _holds_tensor(value):
        return _stack_nest(value, wanted, name)
    hint = preferred_dtype if preferred_dtype is not None else dtype_hint
    if wanted is None and hint is not None:
        try:
            return build_constant(value, hint, None, name)
        except (TypeError, ValueError):
            pass
    return build_constant(_plain(value), wanted, None, name)


def _plain(value: Any) -> Any:
    """Dimension objects inside nests as numbers."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return int(value) if type(value).__name__ == "Dimension" else value


def _holds_tensor(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_holds_tensor(item) for item in value)
    return isinstance(value, Tensor) or hasattr(value, "_as_tensor")


def _stack_nest(value: Any, dtype: DType | None, name: str | None) -> Tensor:
    from .joining import stack

    if dtype is None:
        dtype = _first_tensor(value).dtype
    return stack([convert_to_tensor(item, dtype) for item in value], name=name or "packed")


def _first_tensor(value: Any) -> Tensor:
    for item in value:
        if isinstance(item, (list, tuple)):
            if _holds_tensor(item):
                return _first_tensor(item)
        elif isinstance(item, Tensor):
            return item
        elif hasattr(item, "_as_tensor"):
            return item._as_tensor()
    raise ValueError("the nest holds no tensor")


def convert_operands(x: Any, y: Any) -> tuple[Tensor, Tensor]:
    """Both operands of a binary operation: a plain value takes the type of the tensor beside it."""
    if isinstance(y, Tensor) or hasattr(y, "_as_tensor"):
        y = convert_to_tensor(y)
        return (convert_to_tensor(x, None if _is_tensor(x) else y.dtype)), y
    x = convert_to_tensor(x)
    return x, convert_to_tensor(y, None if _is_tensor(y) else x.dtype)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor) or hasattr(value, "_as_tensor")


__all__ = [
    "constant", "placeholder", "placeholder_with_default", "convert_to_tensor", "register_tensor_conversion_function",
]  # fmt: skip
