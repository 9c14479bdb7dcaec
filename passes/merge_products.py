"""Sums of matrix products of the same shapes as one: a1 @ b1 + a2 @ b2 + ... keeps its sums where they are.

The gradient of a weight that an unrolled network uses at every step is such a sum. As one operation it reads and writes its
result once instead of once a step, and what follows, the optimizer's update, sees the whole sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from graphc.operation import DEFINITIONS, Operation, Tensor, apply
from graphc.ops.linear_algebra import DOT_GENERAL
from graphc.passes.regions import is_inline
from graphc.program import Program, replace_results
from graphc.records import record

SUMS = ("add", "add_n")
MOST_TERMS = 16  # whose operands have to stay in memory until they are summed
LONGEST_TERM = 2048  # steps of a product that needs no blocks of its own


@record
class MergeProducts:
    """Replaces the products of a sum that have the same shapes."""

    name: str = "merge_products"

    def run(self, program: Program, context: Any) -> Program:
        search = _Search(program)
        sums = {op: found for op in program.operations if (found := search.find_sum(op)) is not None}
        return replace_results(program, {op: partial(_add_up, groups) for op, groups in sums.items()})


def _add_up(groups: Sequence[Sequence[Tensor]], replaced: Mapping[Tensor, Tensor]) -> Tensor:
    total = None
    for group in groups:
        term = replaced[group[0]]
        if len(group) > 1:
            operands = [replaced[t] for product in group for t in product.operation.inputs]
            term = apply(DOT_GENERAL, operands, **group[0].operation.attributes)
        total = term if total is None else apply(DEFINITIONS["add"], [total, term])
    assert total is not None
    return total


class _Search:
    """Looks for sums in one program."""

    def __init__(self, program: Program):
        self.consumers, self.results = program.consumers(), set(program.results)

    def find_sum(self, operation: Operation) -> list[list[Tensor]] | None:
        """The terms of a sum that an addition completes, products of the same shapes together; None where there are none."""
        if operation.definition.name not in SUMS or self._is_term(operation.output):
            return None
        leaves: list[Tensor] = []
        pending = list(reversed(operation.inputs))
        while pending:
            tensor = pending.pop()
            if tensor.operation.definition.name in SUMS and self._is_term(tensor):
                pending += reversed(tensor.operation.inputs)
            else:
                leaves.append(tensor)
        groups = self._group(leaves)
        return groups if len(groups) < len(leaves) else None

    def _group(self, leaves: Sequence[Tensor]) -> list[list[Tensor]]:
        groups: list[list[Tensor]] = []
        open_groups: dict[tuple[Any, ...], list[Tensor]] = {}
        for leaf in leaves:
            key = _describe(leaf) if self._can_merge(leaf) else None
            group = open_groups.get(key, []) if key is not None else []
            if len(group) in (0, MOST_TERMS):
                group = []
                groups.append(group)
            if key is not None:
                open_groups[key] = group
            group.append(leaf)
        return groups

    def _is_term(self, tensor: Tensor) -> bool:
        """Whether a tensor is only used as a term of one sum of its own type."""
        users = self.consumers[tensor]
        if tensor in self.results or len(users) != 1 or users[0].definition.name not in SUMS:
            return False
        return users[0].output.type == tensor.type and users[0].inputs.count(tensor) == 1

    def _can_merge(self, tensor: Tensor) -> bool:
        """Whether a term is a product of matrices that lie in memory in their own order."""
        operation = tensor.operation
        if operation.definition is not DOT_GENERAL or not self._is_term(tensor) or len(operation.inputs) != 2:
            return False
        (axes, _), dtype = operation.attributes["contract"], tensor.dtype
        if not dtype.is_floating or dtype.compute != dtype or operation.attributes["precision"]:
            return False
        if len(axes) != 1 or operation.inputs[0].type.sizes[axes[0]] > LONGEST_TERM:
            return False
        return tensor.type.elements > 0 and all(_lies_in_memory(t) for t in operation.inputs)


def _lies_in_memory(tensor: Tensor) -> bool:
    while tensor.operation.definition.name == "reshape":
        tensor = tensor.operation.inputs[0]
    return not is_inline(tensor.operation) and tensor.operation.definition.name != "constant"


def _describe(product: Tensor) -> tuple[Any, ...]:
    attributes = product.operation.attributes
    return (attributes["batch"], attributes["contract"], *(t.type for t in product.operation.inputs))
