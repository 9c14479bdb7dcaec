"""The NumPy value of one operation: what constant folding, static values and the oracle compute with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .dtypes import as_dtype
from .errors import InvalidArgumentError, format_error
from .numpy_scalars import NumpyScalars, widen
from .operation import Collector, Dynamic, Operation, Tensor, TensorType, building_into, infer_types

_SCALARS = NumpyScalars()


def evaluate_operation(operation: Operation, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The outputs of an operation for the values of its inputs, with the element types that the operation declares.

    Floating-point exceptions are silent, as they are in native code.
    """
    definition = operation.definition
    attributes, data = split_dynamic(operation, arrays)
    with np.errstate(all="ignore"):
        if definition.evaluate is not None:
            result = definition.evaluate(attributes, *data)
        elif definition.scalar is not None:
            result = definition.scalar(_SCALARS, *[widen(a) for a in data], **attributes)
        elif definition.reduce is not None:
            result = reduce_array(definition.reduce, data[0], attributes["axes"], attributes["keepdims"])
        elif definition.type_value is not None:
            types = [TensorType(as_dtype(a.dtype), a.shape) for a in data]
            result = definition.type_value(types, **attributes)
        elif definition.composite is not None:
            result = _evaluate_composite(operation, attributes, data)
        elif definition.host is not None:
            result = definition.host(operation, *data)
        else:
            raise ValueError(f"{operation.name}: {definition.name} has no value outside a run")
    results = list(result) if isinstance(result, (list, tuple)) else [result]
    return [_as_declared(value, tensor) for value, tensor in zip(results, operation.outputs)]


def evaluate_in_run(operation: Operation, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """evaluate_operation for values of a run: what is wrong with them is said with the operation and the user's line.

    Raises InvalidArgumentError.
    """
    try:
        return evaluate_operation(operation, arrays)
    except InvalidArgumentError as error:
        if error.op is not None:
            raise
        problem = error.message
    except ValueError as error:
        problem = str(error)
    text = format_error(f"{operation.definition.name}: {problem}", operation.data_inputs, operation.location)
    raise InvalidArgumentError(operation, operation, text)


def _as_declared(value: Any, tensor: Tensor) -> np.ndarray:
    array = np.asarray(value)
    return array if array.dtype == tensor.dtype.numpy else array.astype(tensor.dtype.numpy)


def split_dynamic(operation: Operation, arrays: Sequence[Any]) -> tuple[dict[str, Any], Sequence[Any]]:
    """Attributes with the values of those that are given as inputs, and the arrays of the data inputs."""
    names = operation.dynamic_attributes
    if not names:
        return operation.attributes, arrays
    count = len(arrays) - len(names)
    attributes = dict(operation.attributes)
    attributes.update((name, as_attribute(array)) for name, array in zip(names, arrays[count:]))
    return attributes, arrays[:count]


def as_attribute(array: np.ndarray) -> Any:
    """An array as an attribute value: a number, or nested tuples of numbers."""
    value = np.asarray(array).tolist()
    return _as_tuples(value)


def _as_tuples(value: Any) -> Any:
    return tuple(_as_tuples(item) for item in value) if isinstance(value, list) else value


def expand_composite(operation: Operation) -> tuple[list[Operation], tuple[Tensor, ...]]:
    """The operations that a composite consists of, and the tensors that take the place of its outputs."""
    collector = Collector(operation.name, operation.locations)
    with building_into(collector):
        built = operation.definition.composite(operation)  # type: ignore[misc]
    return collector.operations, (built,) if isinstance(built, Tensor) else tuple(built)


def _evaluate_composite(operation: Operation, attributes: Mapping[str, Any], arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    sources = [_source(array) for array in arrays]
    types = infer_types(operation.definition, sources, attributes, operation.location)
    known = Operation(operation.definition, sources, attributes, types, operation.name, operation.locations)
    operations, results = expand_composite(known)
    values = dict(zip(sources, arrays))
    for inner in operations:
        values.update(zip(inner.outputs, evaluate_operation(inner, [values[t] for t in inner.inputs])))
    return [values[t] for t in results]


def _source(array: np.ndarray) -> Tensor:
    """A tensor of the type of an array, of no graph."""
    from .ops.constants import PLACEHOLDER

    type_ = TensorType(as_dtype(array.dtype), array.shape)
    return Operation(PLACEHOLDER, [], {"dtype": type_.dtype, "shape": type_.shape}, [type_], "value").output


def reduce_array(monoid: str, array: np.ndarray, axes: Sequence[int], keepdims: bool) -> np.ndarray:
    """A reduction over axes. Sums and products of f16 and bf16 accumulate in f32; argmax and argmin take one axis."""
    where = tuple(axes)
    dtype = as_dtype(array.dtype)
    if monoid in ("argmax", "argmin"):
        (axis,) = where
        if array.shape[axis] == 0:
            raise ValueError("Reduction axis is empty")
        keys = array.astype(dtype.compute.numpy) if dtype.compute is not dtype else array
        return getattr(np, monoid)(keys, axis=axis, keepdims=keepdims)
    if monoid in ("any", "all"):
        return getattr(np, monoid)(array, axis=where, keepdims=keepdims)
    if monoid in ("sum", "prod"):
        wide = array.astype(dtype.compute.numpy)
        return getattr(np, monoid)(wide, axis=where, keepdims=keepdims, dtype=wide.dtype).astype(array.dtype)
    start = identity_of(monoid, dtype)
    wide = array.astype(dtype.compute.numpy)
    return getattr(np, monoid)(wide, axis=where, keepdims=keepdims, initial=start).astype(array.dtype)


def identity_of(monoid: str, dtype: Any) -> Any:
    """The value that an empty reduction has."""
    if monoid == "sum":
        return 0
    if monoid == "prod":
        return 1
    if monoid == "any":
        return False
    if monoid == "all":
        return True
    if dtype.is_floating:
        return float("-inf") if monoid in ("max", "argmax") else float("inf")
    if dtype.is_bool:
        return monoid == "min"
    return dtype.min if monoid in ("max", "argmax") else dtype.max


def contains_dynamic(operation: Operation) -> bool:
    return any(isinstance(value, Dynamic) for value in operation.attributes.values())
