"""Rules for contractions: transposes and reshapes of the operands become part of their axes."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from graphc.operation import DEFINITIONS, Tensor, apply
from graphc.passes.patterns import Match, op, rule, tensors
from graphc.passes.rules.building import Sizes, again, is_made_by, reshape, reshape_groups

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


@dataclass
class _Operand:
    """An operand that is a reshape: which axes of its source each of its own axes, or each group of them, comes from."""

    tensor: Tensor
    source: Tensor
    groups: dict[int, tuple[Axes, Axes]]  # by the first axis of the operand: axes of the source, axes of the operand
    paired: Axes

    def parts(self, axis: int) -> Sizes:
        """The sizes that a batch or contracted axis consists of."""
        left = self._splittable(axis)
        return tuple(self.source.type.sizes[i] for i in left) if left else (self.tensor.type.sizes[axis],)

    def _splittable(self, axis: int) -> Axes | None:
        left, right = self.groups.get(axis, ((), ()))
        return left if len(right) == 1 and not self._lies_apart(left) else None

    def _lies_apart(self, left: Axes) -> bool:
        """Whether innermost axes were brought together by a transpose, so that merging them lays out the elements anew."""
        if not is_made_by(self.source, "transpose") or len(left) < 2 or left[-1] != len(self.source.type.sizes) - 1:
            return False
        perm = self.source.operation.attributes["perm"]
        return any(perm[i] + 1 != perm[j] for i, j in zip(left, left[1:]))

    def split(self, split_axes: Collection[int]) -> tuple[Tensor, dict[int, Axes]]:
        """The operand with its free axes, and the paired ones in `split_axes`, as the source has them.

        The table says where each paired axis lies now.
        """
        shape: list[int] = []
        places: dict[int, Axes] = {}
        for axis, size in enumerate(self.tensor.type.sizes):
            sizes = self._sizes_at(axis, size, split_axes)
            if axis in self.paired:
                places[axis] = tuple(range(len(shape), len(shape) + len(sizes)))
            shape += sizes
        return reshape(self.source, tuple(shape)), places

    def _sizes_at(self, axis: int, size: int, split_axes: Collection[int]) -> Sizes:
        inside = any(axis in right[1:] for _, right in self.groups.values())
        if axis in self.paired:
            return self.parts(axis) if axis in split_axes else (size,)
        if inside or axis not in self.groups:
            return ()  # said by the first axis of the group, or a free axis of size 1
        left, right = self.groups[axis]
        kept = self._lies_apart(left)
        return tuple(self.tensor.type.sizes[i] for i in right) if kept else tuple(self.source.type.sizes[i] for i in left)


def _find_operand(tensor: Tensor, paired: Axes) -> _Operand | None:
    """None where a reshape mixes batch or contracted axes with others."""
    source = tensor.operation.inputs[0] if is_made_by(tensor, "reshape") else tensor
    groups = reshape_groups(source.type.sizes, tensor.type.sizes)
    if groups is None or any(len(right) > 1 and not set(right).isdisjoint(paired) for _, right in groups):
        return None
    return _Operand(tensor, source, {right[0]: (left, right) for left, right in groups}, paired)


def _lays_out_anew(tensor: Tensor) -> bool:
    return is_made_by(tensor, "reshape") and is_made_by(tensor.operation.inputs[0], "transpose")


def _fold_reshapes(m: Match) -> Tensor | None:
    """Contracts the operands with their axes as they were before reshapes, and reshapes the result.

    Free axes are merged after the product instead of before it. Paired axes stay split where both operands split them alike.
    Only a reshape of a transpose is worth it; another one costs nothing, and what follows fuses better with the product.
    """
    if not _lays_out_anew(m.x) and not _lays_out_anew(m.y):
        return None
    batch, contract = m.root.attributes["batch"], m.root.attributes["contract"]
    a, b = _find_operand(m.x, batch[0] + contract[0]), _find_operand(m.y, batch[1] + contract[1])
    if a is None or b is None:
        return None
    pairs = [*zip(*batch), *zip(*contract)]
    alike = [(i, j) for i, j in pairs if a.parts(i) == b.parts(j)]
    left, places_a = a.split([i for i, _ in alike])
    right, places_b = b.split([j for _, j in alike])
    if left.type == m.x.type and right.type == m.y.type:
        return None
    new_batch, new_contract = (
        (tuple(p for i in pair[0] for p in places_a[i]), tuple(p for j in pair[1] for p in places_b[j]))
        for pair in (batch, contract)
    )
    product = again(m.root.output, [left, right], batch=new_batch, contract=new_contract)
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
