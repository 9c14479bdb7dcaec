"""What is known of a tensor's value without running: sizes, shapes and other small integers.

`tf.reshape(x, [tf.shape(x)[0], -1])` is declared while the batch is unknown: the value of its second argument is then
(None, -1) in part, and becomes whole when a run's feeds are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .evaluate import as_attribute, contains_dynamic, evaluate_operation, expand_composite
from .operation import STATIC_VALUE, Dynamic, Operation, Tensor

LARGEST = 4096  # elements; larger values are not worth knowing while graphs are declared

Known = Mapping[Tensor, np.ndarray]


def constant_value(tensor: Tensor, known: Known | None = None) -> np.ndarray | None:
    """The value of a tensor that depends on constants and known shapes only, or None.

    `known` gives values of tensors from elsewhere.
    """
    return _Evaluation(known or {}).value(tensor)


def static_value(tensor: Tensor) -> Any:
    """An attribute from a tensor: a number or nested tuples where its value is known, else a Dynamic."""
    value = constant_value(tensor)
    if value is not None:
        return as_attribute(value)
    return Dynamic(partial_value(tensor))


class _Evaluation:
    def __init__(self, known: Known):
        self.values: dict[Tensor, np.ndarray | None] = dict(known)

    def value(self, tensor: Tensor) -> np.ndarray | None:
        if tensor not in self.values:
            self._evaluate(tensor.operation)
        return self.values.get(tensor)

    def _evaluate(self, operation: Operation) -> None:
        for tensor in operation.outputs:
            self.values.setdefault(tensor, None)
        results = self._results(operation)
        if results is not None:
            self.values.update(zip(operation.outputs, results))

    def _results(self, operation: Operation) -> list[np.ndarray] | None:
        definition = operation.definition
        if definition.name == "constant":
            return [operation.attributes["value"].array]
        if definition.effect is not None or definition.host is not None or definition.kind == "source":
            if definition.type_value is None:
                return None
        if definition.type_value is not None and all(t.type.is_known for t in operation.data_inputs):
            types = [t.type for t in operation.data_inputs]
            attributes = operation.attributes
            return [np.asarray(definition.type_value(types, **attributes), operation.output.dtype.numpy)]
        if definition.type_value is not None or not self._is_small(operation):
            return None
        arrays = []
        for tensor in operation.inputs:
            array = self.value(tensor)
            if array is None:
                return None
            arrays.append(array)
        return evaluate_operation(operation, arrays)

    def _is_small(self, operation: Operation) -> bool:
        """Whether the outputs, as far as their shapes are known, are worth computing here."""
        for tensor in operation.outputs:
            shape = tensor.type.shape
            if shape is None:
                return contains_dynamic(operation)
            if np.prod([s for s in shape if s is not None], initial=1) > LARGEST:
                return False
        return True


def partial_value(tensor: Tensor) -> Any:
    """What is known of a small integer tensor: a tuple with None for unknown entries, a number, or None."""
    value = constant_value(tensor)
    if value is not None:
        return as_attribute(value) if value.ndim < 2 else None
    shape = tensor.type.shape
    if shape is None or len(shape) > 1 or tensor.dtype.kind not in "iu":
        return None
    known = _partial_of(tensor)
    if known is not None:
        return known
    return None if len(shape) == 0 or shape[0] is None else (None,) * shape[0]


def _partial_of(tensor: Tensor) -> Any:
    operation = tensor.operation
    name = operation.definition.name
    if name == "shape":
        return operation.inputs[0].type.shape
    if name == "concat":
        parts = [partial_value(t) for t in operation.data_inputs]
        return sum(parts, ()) if all(isinstance(p, tuple) for p in parts) else None
    if name == "reshape" and tensor.type.shape in ((1,), ()):
        inner = partial_value(operation.inputs[0])
        entry = inner[0] if isinstance(inner, tuple) and len(inner) == 1 else inner
        if isinstance(entry, tuple):
            return None
        return (entry,) if tensor.type.shape == (1,) else entry
    if name == "cast":
        return partial_value(operation.inputs[0])
    if name == "slice":
        return _partial_slice(operation)
    if operation.definition.composite is not None and operation.definition.effect is None:
        _, results = expand_composite(operation)
        return partial_value(results[tensor.index])
    return None


def _partial_slice(operation: Operation) -> Any:
    source = partial_value(operation.inputs[0])
    attributes = operation.attributes
    if not isinstance(source, tuple) or any(isinstance(v, Dynamic) for v in attributes.values()):
        return None
    (begin,), (size,), (stride,) = attributes["begin"], attributes["size"], attributes["strides"]
    return tuple(source[begin + i * stride] for i in range(size))


STATIC_VALUE[:] = [static_value]
