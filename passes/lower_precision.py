"""Matrix products in bf16 where the user asked for it: operands rounded, sums in f32."""

from __future__ import annotations

from typing import Any

from graphc.dtypes import float32
from graphc.operation import Operation, Tensor, apply
from graphc.program import Program, transform_operations
from graphc.records import record

PRECISIONS = ("", "bf16")


@record
class LowerPrecision:
    """Gives float32 matrix products the precision that the session or GRAPHC_MATMUL_PRECISION asks for; others keep theirs."""

    name: str = "lower_precision"

    def run(self, program: Program, context: Any) -> Program:
        precision = context.matmul_precision
        if precision not in PRECISIONS:
            raise ValueError(f"the precision of matrix products is '' or 'bf16', not {precision!r}")
        return transform_operations(program, lambda op, inputs: _lower(op, inputs, precision)) if precision else program


def _lower(operation: Operation, inputs: tuple[Tensor, ...], precision: str) -> tuple[Tensor, ...] | None:
    if operation.definition.name != "dot_general" or operation.attributes["precision"]:
        return None
    if any(t.dtype != float32 for t in inputs):
        return None
    return (apply(operation.definition, inputs, **dict(operation.attributes, precision=precision)),)
