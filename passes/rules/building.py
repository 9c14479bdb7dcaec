"""Makes the operations that rules put in the place of others; gives the operand back where nothing is to be done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.operation import DEFINITIONS, Tensor, apply

REDUCTIONS = ("reduce_sum", "reduce_prod", "reduce_max", "reduce_min", "reduce_any", "reduce_all")

Sizes = tuple[int, ...]


def is_made_by(tensor: Tensor, name: str) -> bool:
    """Whether an operation of that name gives the tensor."""
    return tensor.operation.definition.name == name


def reshape(x: Tensor, shape: Sizes) -> Tensor:
    return x if x.type.sizes == shape else apply(DEFINITIONS["reshape"], [x], shape=shape)


def broadcast(x: Tensor, shape: Sizes) -> Tensor:
    return x if x.type.sizes == shape else apply(DEFINITIONS["broadcast_to"], [x], shape=shape)


def transpose(x: Tensor, perm: Sequence[int]) -> Tensor:
    order = tuple(perm)
    return x if order == tuple(range(len(order))) else apply(DEFINITIONS["transpose"], [x], perm=order)


def cut(x: Tensor, begin: Sequence[int], size: Sequence[int], strides: Sequence[int]) -> Tensor:
    """A slice with `size` elements along each axis."""
    whole = tuple(size) == x.type.sizes and not any(begin) and all(stride == 1 for stride in strides)
    if whole:
        return x
    return apply(DEFINITIONS["slice"], [x], begin=tuple(begin), size=tuple(size), strides=tuple(strides))


def concat(parts: Sequence[Tensor], axis: int) -> Tensor:
    return parts[0] if len(parts) == 1 else apply(DEFINITIONS["concat"], list(parts), axis=axis)


def reduce(name: str, x: Tensor, axes: Sequence[int], keepdims: bool = False) -> Tensor:
    return apply(DEFINITIONS[name], [x], axes=tuple(sorted(axes)), keepdims=keepdims) if axes else x


def again(tensor: Tensor, inputs: Sequence[Tensor], **changes: Any) -> Tensor:
    """The operation of a tensor on other inputs."""
    operation = tensor.operation
    return apply(operation.definition, list(inputs), **{**operation.attributes, **changes})


def drop_units(sizes: Sequence[int]) -> Sizes:
    return tuple(size for size in sizes if size != 1)


def reshape_groups(before: Sizes, after: Sizes) -> list[tuple[tuple[int, ...], tuple[int, ...]]] | None:
    """The smallest groups of axes, in order, that hold the same elements before and after a reshape.

    Axes of size 1 are in no group. None for shapes without elements.
    """
    if 0 in before or 0 in after:
        return None
    left = [axis for axis, size in enumerate(before) if size != 1]
    right = [axis for axis, size in enumerate(after) if size != 1]
    groups: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    i = j = 0
    while i < len(left):
        first_i, first_j = i, j
        a, b = before[left[i]], after[right[j]]
        i, j = i + 1, j + 1
        while a != b:
            if a < b:
                a, i = a * before[left[i]], i + 1
            else:
                b, j = b * after[right[j]], j + 1
        groups.append((tuple(left[first_i:i]), tuple(right[first_j:j])))
    return groups
