"""Rules for reductions: over nothing, over what was only moved or repeated, and one after another."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from graphc.operation import DEFINITIONS, Tensor, apply
from graphc.ops.constants import build_constant
from graphc.passes.patterns import Match, Rule, op, rule, tensors
from graphc.passes.rules.building import REDUCTIONS, again, reduce, reshape, reshape_groups

(x,) = tensors("x")

_IDEMPOTENT = ("reduce_max", "reduce_min", "reduce_any", "reduce_all")  # repeating an element changes nothing
_LARGEST_SMALL_COUNT = 2048  # whole numbers up to here are exact in float16, up to 256 in bfloat16


def _axes(m: Match) -> tuple[int, ...]:
    return m.root.attributes["axes"]


def _finish(m: Match, source: Tensor, axes: Collection[int]) -> Tensor:
    """The reduction of `source` in the shape of the result; other axes follow in the order of the result's."""
    return reshape(reduce(m.root.definition.name, source, sorted(axes)), m.root.output.type.sizes)


def _over_units(m: Match) -> Tensor | None:
    """Axes of size 1 are dropped without being reduced."""
    sizes = m.x.type.sizes
    wide = [axis for axis in _axes(m) if sizes[axis] != 1]
    return None if len(wide) == len(_axes(m)) and wide else _finish(m, m.x, wide)


def _of_reduction(m: Match) -> Tensor | None:
    """Two reductions of one kind as one, where nothing else needs the first."""
    inner = m.operations[1]
    if m.uses(inner.output) > 1:
        return None
    first = inner.attributes["axes"]
    if inner.attributes["keepdims"]:
        return _finish(m, m.x, {*first, *_axes(m)})
    left = [axis for axis in range(len(m.x.type.sizes)) if axis not in first]
    return _finish(m, m.x, {*first, *[left[axis] for axis in _axes(m)]})


def _of_transpose(m: Match) -> Tensor | None:
    """Reduces before a transpose where the other axes stay in order."""
    perm = m.operations[1].attributes["perm"]
    kept = [source for axis, source in enumerate(perm) if axis not in _axes(m) and m.x.type.sizes[source] != 1]
    return _finish(m, m.x, [perm[axis] for axis in _axes(m)]) if kept == sorted(kept) else None


def _of_reshape(m: Match) -> Tensor | None:
    """Reduces before a reshape that keeps apart what is reduced and what is not."""
    before, after = m.x.type.sizes, m.operations[1].output.type.sizes
    groups = reshape_groups(before, after)
    if groups is None or before == after:
        return None
    reduced: list[int] = []
    for left, right in groups:
        inside = [axis in _axes(m) for axis in right]
        if any(inside) and not all(inside):
            return None
        reduced += left if all(inside) else ()
    return _finish(m, m.x, reduced)


def _of_broadcast(m: Match) -> Tensor | None:
    """Reduces what was repeated, and multiplies a sum by the number of repetitions."""
    name, result = m.root.definition.name, m.root.output.type
    wide = m.operations[1].output.type.sizes
    narrow = (1,) * (len(wide) - len(m.x.type.sizes)) + m.x.type.sizes
    repeated = [axis for axis in _axes(m) if narrow[axis] != wide[axis]]
    count = math.prod(wide[axis] for axis in repeated)
    if not repeated or not count or (name == "reduce_sum" and not _is_exact_count(count, m)):
        return None
    source = reshape(m.x, narrow)
    value = reduce(name, source, [axis for axis in _axes(m) if narrow[axis] != 1], keepdims=True)
    if name == "reduce_sum":
        value = apply(DEFINITIONS["mul"], [value, build_constant(count, result.dtype)])
    return reshape(value, _shape_after(m, value.type.sizes))


def _is_exact_count(count: int, m: Match) -> bool:
    dtype = m.root.output.dtype
    if dtype.is_integer:
        return count <= dtype.max
    if dtype.name == "bfloat16":
        return count <= _LARGEST_SMALL_COUNT // 8
    return dtype.bits > 16 or count <= _LARGEST_SMALL_COUNT


def _shape_after(m: Match, sizes: Sequence[int]) -> tuple[int, ...]:
    """The shape of the result without the repetitions along axes that are kept."""
    if m.root.attributes["keepdims"]:
        return tuple(sizes)
    return tuple(size for axis, size in enumerate(sizes) if axis not in _axes(m))


def _rules_for(name: str) -> list[Rule]:
    pattern = getattr(op, name)
    repeated = [rule(pattern(op.broadcast_to(x)), _of_broadcast)] if name in (*_IDEMPOTENT, "reduce_sum") else []
    return [
        rule(pattern(x), _over_units, name=f"{name} over units"),
        rule(pattern(getattr(op, name)(x)), _of_reduction),
        rule(pattern(op.transpose(x)), _of_transpose),
        rule(pattern(op.reshape(x)), _of_reshape),
        *repeated,
    ]


# Rounding is the same for numbers of the other sign.
_SIGN = rule(op.reduce_sum(op.neg(x)), lambda m: apply(DEFINITIONS["neg"], [again(m.root.output, [m.x])]))

RULES = [_SIGN, *[item for name in REDUCTIONS for item in _rules_for(name)]]
