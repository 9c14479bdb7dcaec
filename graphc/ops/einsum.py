"""Einstein summation, taken apart into sums, dot_general and a transpose."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ..operation import Tensor
from ..scopes import name_scope
from .compare import equal, select
from .constants import convert_to_tensor
from .filling import range as range_of
from .linear_algebra import dot_general
from .movement import reshape, transpose
from .reduce import reduce_sum
from .shape_ops import shape

_EQUATION = re.compile(r"^([A-Za-z]*(?:,[A-Za-z]*)*)(?:->([A-Za-z]*))?$")


class _Operand:
    """A tensor with a letter for each of its axes."""

    def __init__(self, tensor: Tensor, labels: str):
        self.tensor, self.labels = tensor, labels


def einsum(equation: str, *inputs: Any, name: str | None = None) -> Tensor:
    """The sum of products that `equation` describes, such as "bij,bjk->bik".

    A letter names an axis; letters that the result does not have are summed over; a letter twice in one operand takes the
    diagonal. Without "->" the result has the letters that occur once, in alphabetical order. Raises ValueError for a
    malformed equation, or where ranks or sizes do not fit it.
    """
    operands, result = _parse(equation, inputs)
    with name_scope(name, "einsum"):
        current = operands[0]
        for position, following in enumerate(operands[1:], 1):
            later = result + "".join(other.labels for other in operands[position + 1 :])
            left, right = _simplify(current, later + following.labels), _simplify(following, later + current.labels)
            current = _contract(left, right, later)
        current = _simplify(current, result)
        if current.labels == result:
            return current.tensor
        return transpose(current.tensor, [current.labels.index(label) for label in result])


def _parse(equation: str, inputs: Sequence[Any]) -> tuple[list[_Operand], str]:
    match = _EQUATION.match(equation.replace(" ", ""))
    if match is None:
        raise ValueError(f"Indices have incorrect format: {equation}")
    tensors = [convert_to_tensor(value) for value in inputs]
    parts = match.group(1).split(",")
    if len(parts) != len(tensors):
        raise ValueError(f"Got {len(tensors)} arguments for equation {equation!r}, expecting {len(parts)}")
    result = match.group(2)
    if result is None:
        letters = "".join(parts)
        result = "".join(sorted(letter for letter in set(letters) if letters.count(letter) == 1))
    _check(equation, parts, tensors, result)
    return [_Operand(tensor, labels) for tensor, labels in zip(tensors, parts)], result


def _check(equation: str, parts: Sequence[str], tensors: Sequence[Tensor], result: str) -> None:
    sizes: dict[str, int] = {}
    for labels, tensor in zip(parts, tensors):
        if tensor.type.shape is None:
            tensor.set_shape([None] * len(labels))
        found = tensor.type.shape or ()
        if len(found) != len(labels):
            raise ValueError(f"einsum: {labels!r} in {equation!r} names {len(labels)} axes, {tensor.name} has {len(found)}")
        for label, size in zip(labels, found):
            if size is not None and sizes.setdefault(label, size) != size:
                raise ValueError(f"einsum: axis {label!r} in {equation!r} has sizes {sizes[label]} and {size}")
    unknown = set(result) - set("".join(parts))
    if unknown or len(set(result)) != len(result):
        raise ValueError(f"einsum: the result {result!r} of {equation!r} must hold different axes of the operands")


def _simplify(operand: _Operand, wanted: str) -> _Operand:
    """Takes diagonals of repeated axes, and sums over those that are not wanted."""
    tensor, labels = operand.tensor, operand.labels
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            tensor = _diagonal(tensor, first, second, len(labels))
            labels = labels[:second] + labels[second + 1 :]
    summed = [axis for axis, label in enumerate(labels) if label not in wanted]
    if summed:
        tensor = reduce_sum(tensor, summed)
        labels = "".join(label for label in labels if label in wanted)
    return _Operand(tensor, labels)


def _diagonal(tensor: Tensor, first: int, second: int, rank: int) -> Tensor:
    """The entries where two axes have the same index, along the first of them."""
    sizes = shape(tensor)
    places = [range_of(sizes[axis]) for axis in (first, second)]
    for axis, place in zip((first, second), range(2)):
        spread = [1] * rank
        spread[axis] = -1
        places[place] = reshape(places[place], spread)
    return reduce_sum(select(equal(*places), tensor, 0), [second])


def _contract(a: _Operand, b: _Operand, later: str) -> _Operand:
    """The product of two operands, summed over the axes that both have and nothing else needs."""
    shared = [label for label in a.labels if label in b.labels]
    batch = [label for label in shared if label in later]
    contracted = [label for label in shared if label not in later]
    product = dot_general(a.tensor, b.tensor, _pairs(a, b, batch), _pairs(a, b, contracted))
    rest = [label for label in a.labels + b.labels if label not in shared]
    return _Operand(product, "".join(batch + rest))


def _pairs(a: _Operand, b: _Operand, labels: Sequence[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return tuple(a.labels.index(label) for label in labels), tuple(b.labels.index(label) for label in labels)


__all__ = ["einsum"]
