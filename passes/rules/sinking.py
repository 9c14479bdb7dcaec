"""Rules that let elementwise work come before movements of its operands: fewer elements, and longer chains to fuse."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.errors import ShapeError
from graphc.operation import Tensor
from graphc.passes.patterns import Match, any_of_kind, rule
from graphc.passes.rules.building import Sizes, again, is_made_by, reshape


def _drop_broadcasts(m: Match) -> Tensor | None:
    """Elementwise operations broadcast by themselves; what is repeated in every operand is repeated afterwards."""
    inputs = [t.operation.inputs[0] if is_made_by(t, "broadcast_to") else t for t in m.root.inputs]
    return None if tuple(inputs) == m.root.inputs else _try_again(m, inputs)


def _sink_reshapes(m: Match) -> Tensor | None:
    """Computes before a reshape, where every other operand has a counterpart of the shape before it."""
    sizes = m.root.output.type.sizes
    source = next((t for t in m.root.inputs if is_made_by(t, "reshape") and t.type.sizes == sizes), None)
    if source is None:
        return None
    before = source.operation.inputs[0].type.sizes
    inputs = [_counterpart(t, before, sizes) for t in m.root.inputs]
    if before == sizes or any(t is None for t in inputs):
        return None
    value = _try_again(m, [t for t in inputs if t is not None])
    return None if value is None or value.type.sizes != before else reshape(value, sizes)


def _counterpart(tensor: Tensor, before: Sizes, after: Sizes) -> Tensor | None:
    """What an operand of a result of shape `after` is for the shape `before`."""
    if tensor.type.sizes == after and is_made_by(tensor, "reshape"):
        source = tensor.operation.inputs[0]
        return source if source.type.sizes == before else None
    if tensor.type.elements == 1:
        return reshape(tensor, ())
    sizes = _strip_leading_units(tensor.type.sizes)
    fits = len(sizes) <= len(before) and before[len(before) - len(sizes) :] == after[len(after) - len(sizes) :]
    return reshape(tensor, sizes) if fits else None


def _strip_leading_units(sizes: Sizes) -> Sizes:
    first = next((i for i, size in enumerate(sizes) if size != 1), len(sizes))
    return sizes[first:]


def _try_again(m: Match, inputs: Sequence[Tensor]) -> Tensor | None:
    """The operation on other operands, where its type rule takes them."""
    try:
        return again(m.root.output, inputs)
    except ShapeError:
        return None


RULES = [
    rule(any_of_kind("scalar"), _drop_broadcasts, name="elementwise of broadcasts"),
    rule(any_of_kind("scalar"), _sink_reshapes, name="elementwise of reshapes"),
]
