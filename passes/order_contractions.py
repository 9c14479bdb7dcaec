"""Contractions over several dimensions brought into a form in which those can be walked as one.

A matrix product walks one contracted dimension. Several are one where they are neighbours in memory, in the same order, in
both operands; an operand in which they are not is copied with its contracted dimensions last. The operation names them in the
order of memory, whatever order it was declared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.operation import DEFINITIONS, Operation, Tensor, apply
from graphc.ops.fused import COPY
from graphc.passes.regions import is_inline, needs_memory
from graphc.program import Program, transform_operations
from graphc.records import record


@record
class OrderContractions:
    """Copies operands whose contracted dimensions are no neighbours in memory."""

    name: str = "order_contractions"

    def run(self, program: Program, context: Any) -> Program:
        return transform_operations(program, _order)


def _order(operation: Operation, inputs: tuple[Tensor, ...]) -> Sequence[Tensor] | None:
    if operation.definition.name != "dot_general":
        return None
    sizes = inputs[0].type.sizes
    given = [(a, b) for a, b in zip(*operation.attributes["contract"]) if sizes[a] != 1]
    pairs = sorted(given)
    if len(pairs) < 2:
        return None
    if given == pairs and all(_are_neighbours(t, [p[i] for p in pairs]) for i, t in enumerate(inputs)):
        return None
    operands, batch, contract = [], [], []
    for i, tensor in enumerate(inputs):
        last = [pair[i] for pair in pairs]
        ones = [axis for axis in operation.attributes["contract"][i] if axis not in last]
        copied, axes = _move_last(tensor, last)
        operands.append(copied)
        batch.append(tuple(axes[axis] for axis in operation.attributes["batch"][i]))
        contract.append(tuple(axes[axis] for axis in (*ones, *last)))
    attributes = dict(operation.attributes, batch=tuple(batch), contract=tuple(contract))
    return [apply(operation.definition, operands, **attributes)]


def _are_neighbours(tensor: Tensor, axes: Sequence[int]) -> bool:
    """Whether dimensions lie next to one another in memory, in this order; dimensions of size 1 do not count.

    What is read through movements lies otherwise, but for a reshape that finds its operand in memory in any case.
    """
    source = tensor.operation.inputs[0] if tensor.operation.definition.name == "reshape" else tensor
    if is_inline(source.operation) and not needs_memory(tensor):
        return False
    sizes = tensor.type.sizes
    between = [axis for axis in range(axes[0], axes[-1] + 1) if sizes[axis] != 1]
    return list(axes) == between


def _move_last(tensor: Tensor, axes: Sequence[int]) -> tuple[Tensor, dict[int, int]]:
    """A copy with some dimensions last, and where each dimension is in it; the tensor itself where they are neighbours."""
    rank = len(tensor.type.sizes)
    if _are_neighbours(tensor, axes):
        return tensor, {axis: axis for axis in range(rank)}
    order = [axis for axis in range(rank) if axis not in axes] + list(axes)
    moved = apply(DEFINITIONS["transpose"], [tensor], perm=tuple(order))
    return apply(COPY, [moved]), {axis: place for place, axis in enumerate(order)}
