"""Large reductions to few elements in two steps, so that threads can share them.

The order in which elements are combined is part of the program then, the same for any number of threads. A reduction over
everything first reduces the rows; one that keeps few columns first reduces all axes but the outermost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.operation import DEFINITIONS, Operation, Tensor, apply
from graphc.program import Program, transform_operations
from graphc.records import record
from graphc.shapes import count_elements

ASSOCIATIVE = frozenset(("sum", "prod", "max", "min", "any", "all"))
PARTS = (64, 56, 48, 32, 40, 24, 16, 8)  # how many pieces a single reduced axis is cut into, the first that divides it


@record
class SplitReductions:
    """Splits reductions of at least `smallest` elements that keep at most `most_kept`."""

    name: str = "split_reductions"
    smallest: int = 1 << 15
    most_kept: int = 128

    def run(self, program: Program, context: Any) -> Program:
        return transform_operations(program, self._split)

    def _split(self, operation: Operation, inputs: tuple[Tensor, ...]) -> Sequence[Tensor] | None:
        if operation.definition.reduce not in ASSOCIATIVE:
            return None
        sizes, axes = inputs[0].type.sizes, operation.attributes["axes"]
        kept = count_elements([s for d, s in enumerate(sizes) if d not in axes])
        if count_elements(sizes) < self.smallest or kept > self.most_kept:
            return None
        wide = [d for d in axes if sizes[d] > 1]
        if len(wide) > 1:
            return [_reduce_in_two(operation, inputs[0], wide)]
        return _cut_axis(operation, inputs[0], wide[0])


def _reduce_in_two(operation: Operation, source: Tensor, wide: list[int]) -> Tensor:
    """All reduced axes but the outermost first; where nothing but that is kept, rows first."""
    outermost, rest = wide[0], tuple(d for d in operation.attributes["axes"] if d != wide[0])
    partial = apply(operation.definition, [source], axes=rest, keepdims=True)
    total = apply(operation.definition, [partial], axes=(outermost,), keepdims=True)
    return apply(DEFINITIONS["reshape"], [total], shape=operation.output.type.sizes)


def _cut_axis(operation: Operation, source: Tensor, axis: int) -> Sequence[Tensor] | None:
    """One axis as two; rows that lie next to one another in memory stay together."""
    sizes = source.type.sizes
    parts = next((p for p in PARTS if sizes[axis] % p == 0 and sizes[axis] > p), None)
    if parts is None:
        return None
    split = (*sizes[:axis], parts, sizes[axis] // parts, *sizes[axis + 1 :])
    cut = apply(DEFINITIONS["reshape"], [source], shape=split)
    partial = apply(operation.definition, [cut], axes=(axis + 1,), keepdims=False)
    total = apply(operation.definition, [partial], axes=(axis,), keepdims=False)
    return [apply(DEFINITIONS["reshape"], [total], shape=operation.output.type.sizes)]
