"""Rules for contractions: transposes and reshapes of the operands become part of their axes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphc.operation import DEFINITIONS, Tensor, apply
from graphc.passes.patterns import Match, op, rule, tensors
from graphc.passes.rules.building import again, is_made_by, reshape, reshape_groups

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


# -- reshapes of operands

Parts = dict[int, list[int]]


def _before_reshape(tensor: Tensor, paired: Sequence[int]) -> tuple[Tensor, Parts] | None:
    """An operand before its reshape, and the axes there that each batch or contracted axis consists of.

    None where the reshape mixes such an axis with others.
    """
    if not is_made_by(tensor, "reshape"):
        return tensor, {axis: [axis] for axis in paired}
    source = tensor.operation.inputs[0]
    groups = reshape_groups(source.type.sizes, tensor.type.sizes)
    if groups is None:
        return None
    parts: Parts = {}
    for left, right in groups:
        if len(right) == 1:
            parts[right[0]] = list(left)
        elif any(axis in paired for axis in right):
            return None
    return (source, parts) if all(axis in parts for axis in paired) else None


def _split_pairs(pair: tuple[Axes, Axes], a: tuple[Tensor, Parts], b: tuple[Tensor, Parts]) -> tuple[Axes, Axes] | None:
    """Paired axes as pairs of the axes that they consist of, where both sides fall into the same sizes."""
    left: list[int] = []
    right: list[int] = []
    for i, j in zip(*pair):
        parts_a, parts_b = a[1][i], b[1][j]
        if [a[0].type.sizes[axis] for axis in parts_a] != [b[0].type.sizes[axis] for axis in parts_b]:
            return None
        left += parts_a
        right += parts_b
    return tuple(left), tuple(right)


def _fold_reshapes(m: Match) -> Tensor | None:
    """Contracts the operands as they were before reshapes that only merge or split axes, and reshapes the result."""
    if not is_made_by(m.x, "reshape") and not is_made_by(m.y, "reshape"):
        return None
    batch, contract = m.root.attributes["batch"], m.root.attributes["contract"]
    a = _before_reshape(m.x, batch[0] + contract[0])
    b = _before_reshape(m.y, batch[1] + contract[1])
    if a is None or b is None:
        return None
    new_batch, new_contract = _split_pairs(batch, a, b), _split_pairs(contract, a, b)
    if new_batch is None or new_contract is None:
        return None
    product = again(m.root.output, [a[0], b[0]], batch=new_batch, contract=new_contract)
    return reshape(product, m.root.output.type.sizes)


# -- products of one term


def _has_depth_one(m: Match) -> bool:
    """Whether nothing is summed, and the operands have their batch axes in front."""
    (batch_a, batch_b), (contract_a, _) = m.root.attributes["batch"], m.root.attributes["contract"]
    in_front = tuple(range(len(batch_a)))
    return math.prod(m.x.type.sizes[axis] for axis in contract_a) == 1 and batch_a == batch_b == in_front


def _multiply(m: Match) -> Tensor:
    """An outer product, elementwise: it can then be fused with what follows."""
    (batch, _), (contract_a, contract_b) = m.root.attributes["batch"], m.root.attributes["contract"]
    a, b = m.x.type.sizes, m.y.type.sizes
    outer = a[: len(batch)]
    rows = tuple(a[axis] for axis in _free(len(a), batch, contract_a))
    columns = tuple(b[axis] for axis in _free(len(b), batch, contract_b))
    left, right = reshape(m.x, outer + rows + (1,) * len(columns)), reshape(m.y, outer + (1,) * len(rows) + columns)
    return apply(DEFINITIONS["mul"], [left, right])


RULES = [
    rule(op.dot_general(x, y), _fold_transposes, name="dot_general of transposes"),
    rule(op.dot_general(x, y), _fold_reshapes, name="dot_general of reshapes"),
    rule(op.dot_general(x, y), _multiply, _has_depth_one, name="dot_general of depth 1"),
    rule(op.transpose(op.dot_general(x, y)), _swap_operands),
]
