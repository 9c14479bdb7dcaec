"""Computes what depends on constants only."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from graphc.errors import OpError
from graphc.evaluate import evaluate_operation
from graphc.operation import Literal, Operation, Tensor, TensorType
from graphc.ops.constants import CONSTANT
from graphc.passes.base import Context
from graphc.passes.rebuild import Rebuild
from graphc.program import Program
from graphc.records import record

_SPREADING = frozenset(("broadcast_to", "iota"))
"""Operations whose results are cheaper to make than to keep."""


@record
class FoldConstants:
    """Replaces operations on constants by their values.

    Values larger than `largest` bytes are folded only where they are not larger than what they are computed from. Filled and
    counted arrays (broadcast_to, iota) of more than `largest_spread` elements stay as they are, and so do operations on the
    host, with effects, or whose value cannot be had (a division by zero, say).
    """

    largest: int = 1 << 20
    largest_spread: int = 16
    name: ClassVar[str] = "fold_constants"

    def run(self, program: Program, context: Context) -> Program:
        rebuild = Rebuild(program)
        values: dict[Tensor, np.ndarray] = {}
        for operation in program.operations:
            arrays = self._evaluate(operation, values)
            if arrays is not None:
                values.update(zip(operation.outputs, arrays))
            if arrays is None or self._stays(operation):
                rebuild.keep(operation)
                continue
            constants = [_make_constant(operation, tensor, array) for tensor, array in zip(operation.outputs, arrays)]
            rebuild.operations += constants
            rebuild.replace(operation, [constant.output for constant in constants])
        return rebuild.finish()

    def _evaluate(self, operation: Operation, values: dict[Tensor, np.ndarray]) -> list[np.ndarray] | None:
        """The values of the outputs, where they are constant and small."""
        definition = operation.definition
        if definition.name == "constant":
            return [operation.attributes["value"].array]
        if definition.kind in ("source", "host") or definition.effect is not None:
            return None
        if not all(t in values for t in operation.inputs) or not all(t.type.is_known for t in operation.outputs):
            return None
        arrays = [values[t] for t in operation.inputs]
        size = sum(t.type.nbytes for t in operation.outputs)
        if size > self.largest and size > sum(array.nbytes for array in arrays):
            return None
        try:
            return evaluate_operation(operation, arrays)
        except (ArithmeticError, ValueError, IndexError, OpError):
            return None

    def _stays(self, operation: Operation) -> bool:
        name = operation.definition.name
        return name == "constant" or name in _SPREADING and operation.output.type.elements > self.largest_spread


def _make_constant(operation: Operation, tensor: Tensor, array: np.ndarray) -> Operation:
    attributes = {"value": Literal(array), "dtype": tensor.dtype}
    name = operation.name if tensor.index == 0 else f"{operation.name}_{tensor.index}"
    type_ = TensorType(tensor.dtype, array.shape)
    return Operation(CONSTANT, [], attributes, [type_], name, operation.locations)
