"""The fused operation: a region of a program that runs as one kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..evaluate import evaluate_operation
from ..operation import OpDef, Operation, TensorType, define
from ..program import Program


def _infer(types: list[TensorType], body: Program, region: str) -> list[TensorType]:
    return [tensor.type for tensor in body.fetches]


def _evaluate(attributes: dict[str, Any], *arrays: np.ndarray) -> list[np.ndarray]:
    body: Program = attributes["body"]
    values = {p.tensor: array for p, array in zip(body.parameters, arrays)}
    for operation in body.operations:
        values.update(zip(operation.outputs, evaluate_operation(operation, [values[t] for t in operation.inputs])))
    return [values[t] for t in body.fetches]


FUSED = define(
    OpDef(
        "fused", infer=_infer, attributes={"body": Program, "region": str}, kernel="fused", evaluate=_evaluate,
        differentiable=False,
    )
)  # fmt: skip
"""The operations of `body` on the inputs, which stand for its parameters in order. `region` says how it is lowered:
"loops" for elementwise work, movements and reductions, "contraction" and "convolution" for those with what follows them,
and, for a contraction, with the elementwise operations that make its operands."""


def find_prologues(body: Program) -> set[Operation]:
    """The elementwise operations of a body from whose results a kernel among its operations takes its operands."""
    found: set[Operation] = set()
    wanted = {t for op in body.operations if op.definition.kernel is not None for t in op.inputs}
    for operation in reversed(body.operations):
        if operation.definition.kernel is None and any(t in wanted for t in operation.outputs):
            wanted.update(operation.inputs)
            if operation.definition.scalar is not None:
                found.add(operation)
    return found


COPY = define(
    OpDef("copy", infer=lambda types: types[0], gradient=lambda operation, gradient: [gradient], scalar=lambda s, x: x)
)
"""The same values in memory of their own."""
