"""Channels last: transposes that bring images from one layout to the other move down until they meet their inverse.

Kernels of images want channels last. A network declared with channels first has a transpose before and one behind each of
its operations. Elementwise operations and reductions between them are carried out in the kernels' layout, so that the
transposes of neighbours meet and cancel; one is left where the images come in and one where they go out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.operation import DEFINITIONS, Operation, Tensor, apply
from graphc.program import Program, transform_operations
from graphc.records import record

Perm = tuple[int, ...]


@record
class ChooseLayout:
    """Moves transposes of images past elementwise operations and reductions until they cancel."""

    name: str = "choose_layout"

    def run(self, program: Program, context: Any) -> Program:
        return transform_operations(program, _visit)


def _visit(operation: Operation, inputs: tuple[Tensor, ...]) -> Sequence[Tensor] | None:
    if operation.definition.name == "transpose":
        return _cancel(operation, inputs[0])
    if operation.definition.scalar is not None:
        return _compute_before(operation, inputs)
    if operation.definition.reduce is not None:
        return _reduce_before(operation, inputs[0])
    return None


def is_image_permutation(perm: Sequence[int]) -> bool:
    """Whether a permutation moves the channels of images between the second and the last place."""
    rank = len(perm)
    spatial = tuple(range(1, rank - 1))
    return 3 <= rank <= 5 and tuple(perm) in ((0, rank - 1, *spatial), (0, *(s + 1 for s in spatial), 1))


def _permutation_of(tensor: Tensor) -> Perm | None:
    if tensor.operation.definition.name != "transpose":
        return None
    perm = tuple(tensor.operation.attributes["perm"])
    return perm if is_image_permutation(perm) else None


def _transpose(tensor: Tensor, perm: Sequence[int]) -> Tensor:
    return apply(DEFINITIONS["transpose"], [tensor], perm=tuple(perm))


def _cancel(operation: Operation, source: Tensor) -> Sequence[Tensor] | None:
    """A transpose of a transposed image as one, or as nothing."""
    perm, inner = tuple(operation.attributes["perm"]), _permutation_of(source)
    if inner is None or not is_image_permutation(perm):
        return None
    together = tuple(inner[p] for p in perm)
    before = source.operation.inputs[0]
    return [before] if together == tuple(range(len(together))) else [_transpose(before, together)]


def _compute_before(operation: Operation, inputs: tuple[Tensor, ...]) -> Sequence[Tensor] | None:
    """An elementwise operation of images that were all transposed alike, before that transpose."""
    sizes = operation.output.type.sizes
    perms = {_permutation_of(t) for t in inputs if t.type.sizes == sizes}
    if len(perms) != 1 or None in perms:
        return None
    (perm,) = perms
    assert perm is not None
    before = [_before_transpose(t, perm) for t in inputs]
    if any(t is None for t in before):
        return None
    return [_transpose(apply(operation.definition, [t for t in before if t is not None], **operation.attributes), perm)]


def _before_transpose(tensor: Tensor, perm: Perm) -> Tensor | None:
    """An operand as it is before its result is transposed: without its transpose, or with its dimensions in that order.

    None for an operand that would have to be transposed for it.
    """
    if len(tensor.type.sizes) == len(perm) and _permutation_of(tensor) == perm:
        return tensor.operation.inputs[0]
    if tensor.type.elements == 1:
        return tensor
    sizes = (1,) * (len(perm) - len(tensor.type.sizes)) + tensor.type.sizes
    if sum(size != 1 for size in sizes) > 1:
        return None
    moved = [1] * len(perm)
    for place, axis in enumerate(perm):
        moved[axis] = sizes[place]
    return apply(DEFINITIONS["reshape"], [tensor], shape=tuple(moved))


def _reduce_before(operation: Operation, source: Tensor) -> Sequence[Tensor] | None:
    """A reduction of transposed images over the same elements before the transpose, where little is kept."""
    perm = _permutation_of(source)
    if perm is None:
        return None
    axes = tuple(sorted(perm[axis] for axis in operation.attributes["axes"]))
    kept = [axis for axis in range(len(perm)) if axis not in axes and source.operation.inputs[0].type.sizes[axis] != 1]
    if len(kept) > 1 or operation.definition.reduce in ("argmax", "argmin"):
        return None
    reduced = apply(operation.definition, [source.operation.inputs[0]], **dict(operation.attributes, axes=axes))
    return [apply(DEFINITIONS["reshape"], [reduced], shape=operation.output.type.sizes)]
