"""Runs a program in NumPy, operation by operation: the oracle for everything that is compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc.evaluate import evaluate_in_run
from graphc.operation import Operation, Tensor
from graphc.program import Program


def interpret(program: Program, bindings: Mapping[Any, Any]) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """The fetches of a program, and the new values of variables by key.

    `bindings` gives values of the parameters, by key or by tensor; they are converted to the parameters' types. Raises
    KeyError where one is missing, ValueError where its shape does not fit. Values are freed after their last use.
    """
    values = _bind(program, bindings)
    last_use = _find_last_uses(program)
    for operation in program.operations:
        arrays = [values[t] for t in operation.inputs]
        values.update(zip(operation.outputs, evaluate_in_run(operation, arrays)))
        for tensor in (*operation.inputs, *operation.outputs):
            if last_use.get(tensor, operation) is operation:
                values.pop(tensor, None)
    return [values[t] for t in program.fetches], {key: values[t] for key, t in program.updates}


def _bind(program: Program, bindings: Mapping[Any, Any]) -> dict[Tensor, np.ndarray]:
    values = {}
    for parameter in program.parameters:
        tensor = parameter.tensor
        given = bindings[tensor] if tensor in bindings else bindings[parameter.key]
        array = np.asarray(given, tensor.dtype.numpy)
        if not tensor.shape.is_compatible_with(array.shape):
            raise ValueError(f"{parameter.key} is {tensor.type}, its value has shape {list(array.shape)}")
        values[tensor] = array
    return values


def _find_last_uses(program: Program) -> dict[Tensor, Operation | None]:
    """The last operation that takes a tensor; None for results, which stay."""
    last: dict[Tensor, Operation | None] = {}
    for operation in program.operations:
        last.update((t, operation) for t in operation.inputs)
    last.update((t, None) for t in program.results)
    return last
