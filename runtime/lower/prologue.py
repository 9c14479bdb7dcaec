"""The elementwise operations that make an operand of a contraction, on its elements as they are loaded."""

from __future__ import annotations

from collections.abc import Container, Sequence

from graphc.dtypes import DType
from graphc.operation import Operation, Tensor
from graphc.program import Program
from graphc.records import identity_record
from graphc.runtime.emit import vectors
from graphc.runtime.emit.expressions import VectorScalars
from graphc.runtime.emit.function import Function, Value
from graphc.runtime.emit.vectors import TypedValue
from graphc.runtime.lower.epilogue import emit_elementwise
from graphc.runtime.schedule.machine import Machine


@identity_record
class RegionPrologue:
    """Computes `operations`, in order, on elements of `source`, the one array that they read; the last makes the operand."""

    source: Tensor
    operations: Sequence[Operation]
    machine: Machine

    @property
    def dtype(self) -> DType:
        return self.source.dtype

    def emit(self, function: Function, value: TypedValue) -> Value:
        scalars = VectorScalars(function, self.machine, contract=True)
        values = {self.source: value}

        def value_of(tensor: Tensor) -> TypedValue:
            if tensor in values:
                return values[tensor]
            number = tensor.operation.attributes["value"].array.item()
            return vectors.typed_constant(number, tensor.dtype, value.lanes)

        for operation in self.operations:
            numbers = {t for t in operation.inputs if t.operation.definition.name == "constant" and t not in values}
            values[operation.output] = emit_elementwise(operation, scalars, numbers, value_of)
        return values[self.operations[-1].output]


def find_prologue(
    body: Program, operand: Tensor, sources: Container[Tensor], machine: Machine
) -> RegionPrologue | None:
    """What makes an operand of the body's contraction from one of `sources`; None where nothing elementwise does.

    Raises ValueError where it is made from more than one array.
    """
    if operand in sources or operand.operation.definition.scalar is None:
        return None
    wanted, operations = {operand}, []
    for operation in reversed(body.operations):
        if operation.output in wanted and operation.definition.scalar is not None:
            operations.append(operation)
            wanted.update(operation.inputs)
    read = [t for t in wanted if t.operation not in operations and (t in sources or t.operation.definition.name != "constant")]
    if len(read) != 1:
        raise ValueError(f"{operand.operation.name}: an operand of a contraction is computed from {len(read)} arrays")
    return RegionPrologue(read[0], tuple(reversed(operations)), machine)
