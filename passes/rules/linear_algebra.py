"""Rules for contractions: transposes become part of their axes."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.operation import Tensor
from graphc.passes.patterns import Match, op, rule, tensors
from graphc.passes.rules.building import again, is_made_by

x, y = tensors("x y")

Axes = tuple[int, ...]


def _free(rank: int, batch: Sequence[int], contract: Sequence[int]) -> list[int]:
    return [axis for axis in range(rank) if axis not in batch and axis not in contract]


def _fold_operand(tensor: Tensor, batch: Axes, contract: Axes) -> tuple[Tensor, Axes, Axes] | None:
    """The operand before its transpose with the axes counted there, where its free axes stay in order."""
    if not is_made_by(tensor, "transpose"):
        return None
    perm, source = tensor.operation.attributes["perm"], tensor.operation.inputs[0]
    free = [perm[axis] for axis in _free(len(perm), batch, contract)]
    if free != sorted(free):
        return None
    return source, tuple(perm[axis] for axis in batch), tuple(perm[axis] for axis in contract)


def _fold_transposes(m: Match) -> Tensor | None:
    """Contracts the axes of an operand as they lay before it was transposed."""
    batch, contract = m.root.attributes["batch"], m.root.attributes["contract"]
    a = _fold_operand(m.x, batch[0], contract[0])
    b = _fold_operand(m.y, batch[1], contract[1])
    if a is None and b is None:
        return None
    left, batch_a, contract_a = a or (m.x, batch[0], contract[0])
    right, batch_b, contract_b = b or (m.y, batch[1], contract[1])
    return again(m.root.output, [left, right], batch=(batch_a, batch_b), contract=(contract_a, contract_b))


def _swap_operands(m: Match) -> Tensor | None:
    """A transpose that puts the free axes of b before those of a: the operands change places."""
    product = m.operations[1]
    if m.uses(product.output) > 1:
        return None
    batch, contract = product.attributes["batch"], product.attributes["contract"]
    outer = len(batch[0])
    rows = len(_free(len(m.x.type.sizes), batch[0], contract[0]))
    columns = len(_free(len(m.y.type.sizes), batch[1], contract[1]))
    first, second = range(outer + rows, outer + rows + columns), range(outer, outer + rows)
    if m.root.attributes["perm"] != (*range(outer), *first, *second):
        return None
    return again(product.output, [m.y, m.x], batch=batch[::-1], contract=contract[::-1])


RULES = [
    rule(op.dot_general(x, y), _fold_transposes, name="dot_general of transposes"),
    rule(op.transpose(op.dot_general(x, y)), _swap_operands),
]
