"""Rules for the gradients of windows' maxima, each of which goes to one element: what is done to all of them is done before."""

from __future__ import annotations

from graphc.operation import DEFINITIONS, Tensor, apply
from graphc.ops.constants import build_constant
from graphc.passes.patterns import Match, const, op, rule, tensors
from graphc.passes.rules.building import again, is_made_by

x, y, g = tensors("x y g")

_SPACE = {1, 2}  # axes of an image that windows lie along


def _mask_before(m: Match) -> Tensor | None:
    """The element that a window's gradient goes to is equal to its maximum, and positive where that is."""
    routed = m.operations[2].output
    if m.uses(routed) > 1:
        return None
    zero = build_constant(0, m.y.dtype)
    kept = apply(DEFINITIONS["select"], [apply(DEFINITIONS["greater"], [m.y, zero]), m.g, zero])
    return again(routed, [m.x, m.y, kept])


def _sum_before(m: Match) -> Tensor | None:
    """Over whole images, as much goes to elements as comes from windows: each has its maximum somewhere."""
    routed, pooled = m.operations[1], m.y.operation
    if not is_made_by(m.y, "max_pool") or pooled.inputs[0] is not m.x or pooled.attributes != routed.attributes:
        return None
    return again(m.root.output, [m.g]) if _SPACE <= set(m.root.attributes["axes"]) else None


RULES = [
    rule(op.select(op.greater(x, const(0)), op.max_pool_gradient(x, y, g), const(0)), _mask_before),
    # Fewer numbers, in another order.
    rule(op.reduce_sum(op.max_pool_gradient(x, y, g)), _sum_before),
]
