"""What is known of a tensor's value without running: sizes, shapes and other small integers.

`tf.reshape(x, [tf.shape(x)[0], -1])` is declared while the batch is unknown: the value of its second argument is then
(None, -1) in part, and becomes whole when a run's feeds are known.
"""

from __future__ import annotations

import math
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
    return StaticValues(known or {}, may_be_fed=True).value(tensor)


def static_value(tensor: Tensor) -> Any:
    """An attribute from a tensor: a number or nested tuples where its value is known, else a Dynamic."""
    values = StaticValues({}, may_be_fed=True)
    value = values.value(tensor)
    if value is not None:
        return as_attribute(value)
    partial = partial_value(tensor, values)
    unknown = partial is None or isinstance(partial, tuple) and None in partial
    return Dynamic(partial) if unknown else partial


class StaticValues:
    """Finds values of tensors that depend on constants and known shapes only, each once.

    `may_be_fed` says that it is not known yet what is fed, so that a placeholder's default is no value.
    """

    def __init__(self, known: Known, may_be_fed: bool = False):
        self.values: dict[Tensor, np.ndarray | None] = dict(known)
        self.may_be_fed = may_be_fed

    def value(self, tensor: Tensor) -> np.ndarray | None:
        """The value of a tensor, or None where it is not known."""
        pending = [tensor.operation] if tensor not in self.values else []
        while pending:
            operation = pending[-1]
            missing = self._first_missing(operation)
            if missing is not None:
                pending.append(missing.operation)
                continue
            pending.pop()
            self._evaluate(operation)
        return self.values[tensor]

    def learn(self, tensor: Tensor, value: np.ndarray) -> None:
        self.values[tensor] = value

    def _first_missing(self, operation: Operation) -> Tensor | None:
        """An input that has to be looked at before the operation; None where all are known or one cannot be."""
        if not self._has_value(operation):
            return None
        for tensor in operation.inputs:
            if tensor not in self.values:
                return tensor
            if self.values[tensor] is None:
                return None
        return None

    def _has_value(self, operation: Operation) -> bool:
        """Whether the operation's value may follow from those of its inputs, and is small enough to be looked for."""
        definition = operation.definition
        if definition.type_value is not None or definition.effect is not None or definition.host is not None:
            return False
        if self.may_be_fed and definition.name == "placeholder_with_default":
            return False
        return definition.kind != "source" and self._is_small(operation)

    def _evaluate(self, operation: Operation) -> None:
        results = self._results(operation)
        for i, tensor in enumerate(operation.outputs):
            self.values.setdefault(tensor, results[i] if results is not None else None)

    def _results(self, operation: Operation) -> list[np.ndarray] | None:
        definition = operation.definition
        if definition.name == "constant":
            return [operation.attributes["value"].array]
        if definition.type_value is not None:
            types = [t.type for t in operation.data_inputs]
            if not all(type_.is_known for type_ in types):
                return None
            return [np.asarray(definition.type_value(types, **operation.attributes), operation.output.dtype.numpy)]
        if not self._has_value(operation):
            return None
        arrays = [self.values.get(tensor) for tensor in operation.inputs]
        if any(array is None for array in arrays):
            return None
        return evaluate_operation(operation, arrays)  # type: ignore[arg-type]

    def _is_small(self, operation: Operation) -> bool:
        """Whether the outputs, as far as their shapes are known, are worth computing here."""
        for tensor in operation.outputs:
            shape = tensor.type.shape
            if shape is None:
                return contains_dynamic(operation)
            if math.prod([s for s in shape if s is not None]) > LARGEST:
                return False
        return True


def partial_value(tensor: Tensor, values: StaticValues | None = None) -> Any:
    """What is known of a small integer tensor: a tuple with None for unknown entries, a number, or None.

    `values` holds what has been found of other tensors.
    """
    if values is None:
        values = StaticValues({}, may_be_fed=True)
    value = values.value(tensor)
    if value is not None:
        return as_attribute(value) if value.ndim < 2 else None
    shape = tensor.type.shape
    if shape is None or len(shape) > 1 or tensor.dtype.kind not in "iu":
        return None
    known = _partial_of(tensor, values)
    if known is not None:
        return known
    return None if len(shape) == 0 or shape[0] is None else (None,) * shape[0]


def _partial_of(tensor: Tensor, values: StaticValues) -> Any:
    operation = tensor.operation
    name = operation.definition.name
    if name == "shape":
        return operation.inputs[0].type.shape
    if name == "stack" and tensor.type.rank == 1:
        return tuple(partial_value(t, values) for t in operation.data_inputs)
    if name == "concat":
        parts = [partial_value(t, values) for t in operation.data_inputs]
        return sum(parts, ()) if all(isinstance(p, tuple) for p in parts) else None
    if name == "reshape" and tensor.type.shape in ((1,), ()):
        inner = partial_value(operation.inputs[0], values)
        entry = inner[0] if isinstance(inner, tuple) and len(inner) == 1 else inner
        if isinstance(entry, tuple):
            return None
        return (entry,) if tensor.type.shape == (1,) else entry
    if name == "cast":
        return partial_value(operation.inputs[0], values)
    if name == "slice":
        return _partial_slice(operation, values)
    if _can_expand(operation):
        _, results = expand_composite(operation)
        return partial_value(results[tensor.index], values)
    return None


def _can_expand(operation: Operation) -> bool:
    definition = operation.definition
    if definition.composite is None or definition.effect is not None or definition.name == "placeholder_with_default":
        return False
    return not contains_dynamic(operation) and all(t.type.is_known for t in (*operation.inputs, *operation.outputs))


def _partial_slice(operation: Operation, values: StaticValues) -> Any:
    source = partial_value(operation.inputs[0], values)
    attributes = operation.attributes
    if not isinstance(source, tuple) or any(isinstance(v, Dynamic) for v in attributes.values()):
        return None
    (begin,), (size,), (stride,) = attributes["begin"], attributes["size"], attributes["strides"]
    return tuple(source[begin + i * stride] for i in range(size))


STATIC_VALUE[:] = [static_value]
