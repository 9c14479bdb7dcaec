"""What a user feeds: keys to tensors of the graph, values to arrays of their types."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from graphc.dtypes import string
from graphc.errors import format_error
from graphc.graph import Graph
from graphc.indexed_slices import IndexedSlices
from graphc.location import find_location
from graphc.operation import Operation, Tensor
from graphc.runtime.fetches import suggest_names
from graphc.shapes import are_compatible

_EXPANSIONS: list[tuple[type, Callable[[Any, Any], list[tuple[Any, Any]]]]] = []


def register_feed_expansion(key_type: type, expand: Callable[[Any, Any], list[tuple[Any, Any]]]) -> None:
    """`expand(key, value)` gives the pairs of tensor and value that a feed under a key of this type stands for."""
    _EXPANSIONS.append((key_type, expand))


def _expand_slices(key: IndexedSlices, value: Any) -> list[tuple[Any, Any]]:
    parts = [key.values, key.indices] + ([] if key.dense_shape is None else [key.dense_shape])
    return list(zip(parts, value))


register_feed_expansion(IndexedSlices, _expand_slices)


def convert_feeds(graph: Graph, feed_dict: Mapping[Any, Any]) -> dict[Tensor, np.ndarray]:
    """The fed tensors with their values as C-contiguous arrays.

    Keys are tensors, variables, names, or tuples of these with a value of the same structure. Raises TypeError for what
    is no key or no value, ValueError for a value whose shape contradicts the tensor's, as TensorFlow does.
    """
    if not isinstance(feed_dict, Mapping):
        raise TypeError(f"feed_dict must be a dictionary, not {type(feed_dict).__name__!r}.")
    pairs = [pair for key, value in feed_dict.items() for pair in _flatten(key, value)]
    return {(tensor := find_fed_tensor(graph, key)): convert_feed(tensor, value) for key, value in pairs}


def _flatten(key: Any, value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(key, (list, tuple)):
        if not isinstance(value, (list, tuple)) or len(value) != len(key):
            raise ValueError(f"Could not flatten dictionary. Key had {len(key)} elements, value was {value!r}. Key: {key!r}.")
        for inner_key, inner_value in zip(key, value):
            yield from _flatten(inner_key, inner_value)
        return
    expand = next((expand for kind, expand in _EXPANSIONS if isinstance(key, kind)), None)
    if expand is None:
        yield key, value
    else:
        yield from expand(key, value)


def find_fed_tensor(graph: Graph, key: Any) -> Tensor:
    """The tensor that a key of a feed stands for. Raises TypeError, or ValueError where it may not be fed."""
    try:
        found = graph.as_graph_element(key)
    except (TypeError, ValueError, KeyError) as error:
        problem = f"Cannot interpret feed_dict key as Tensor: {error.args[0]}"
        operands = [key] if isinstance(key, Tensor) else ()
        raise TypeError(format_error(problem + suggest_names(graph, key), operands, find_location())) from None
    if isinstance(found, Operation):
        raise TypeError(
            f"Cannot interpret feed_dict key as Tensor: The name {found.name!r} refers to an Operation, not a Tensor. "
            'Tensor names must be of the form "<op_name>:<output_index>".'
        )
    if found.operation.definition.name == "run_key":
        raise ValueError(f"Tensor {found.name} may not be fed.")
    return found


def convert_feed(tensor: Tensor, value: Any) -> np.ndarray:
    """A value as an array of the tensor's type; floats become integers by dropping the fraction, as in TensorFlow."""
    if isinstance(value, Tensor) or hasattr(value, "_as_graph_element"):
        problem = (
            "The value of a feed cannot be a tf.Tensor object. Acceptable feed values include Python scalars, strings, "
            f"lists, numpy ndarrays, or TensorHandles. For reference, the tensor object was {value!r} which was passed to "
            f"the feed with key {tensor!r}."
        )
        raise TypeError(format_error(problem, [tensor], find_location()))
    dtype = tensor.dtype.numpy
    if type(value) is not np.ndarray or value.dtype != dtype or not value.flags.c_contiguous:
        value = _convert_value(tensor, value)
    if not are_compatible(value.shape, tensor.type.shape):
        problem = (
            f"Cannot feed value of shape {value.shape} for Tensor {tensor.name!r}, which has shape {str(tensor.shape)!r}"
        )
        raise ValueError(format_error(problem, [tensor], find_location()))
    return value


def _convert_value(tensor: Tensor, value: Any) -> np.ndarray:
    dtype = tensor.dtype.numpy
    if tensor.dtype == string:
        return _convert_strings(value)
    if isinstance(value, int) and not _holds(tensor, value):
        problem = (
            f"Type of feed value {value} with type {type(value)} is not compatible with Tensor type {dtype.type}. "
            "Try explicitly setting the type of the feed tensor to a larger type (e.g. int64)."
        )
        raise TypeError(format_error(problem, [tensor], find_location()))
    try:
        with np.errstate(all="ignore"):
            return np.asarray(value, dtype=dtype, order="C")
    except (TypeError, ValueError, OverflowError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        problem = f"Cannot convert the value fed for Tensor {tensor.name!r} to {tensor.dtype.name}: {error}"
        raise kind(format_error(problem, [tensor], find_location())) from error


def _holds(tensor: Tensor, number: int) -> bool:
    """Whether a Python integer keeps its value in the tensor's type."""
    if tensor.dtype.is_integer:
        return tensor.dtype.min <= number <= tensor.dtype.max
    if tensor.dtype.is_bool:
        return number in (0, 1)
    with np.errstate(all="ignore"):
        return bool(np.asarray(number).astype(tensor.dtype.numpy) == number)


def _convert_strings(value: Any) -> np.ndarray:
    array = np.asarray(value)
    return np.asarray(array if array.dtype.kind in "SUO" else array.astype(str), dtype=object, order="C")
