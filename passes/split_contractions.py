"""Long products with few results in parts that threads can share.

A product of few rows and columns has few tiles, however long its sums are. Its contracted dimension is cut into parts: a
batch of products, whose results are summed. The order of summation is part of the program then, the same for any number of
threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from graphc.operation import DEFINITIONS, Operation, Tensor, apply
from graphc.program import Program, transform_operations
from graphc.records import record
from graphc.shapes import count_elements

TILE = (8, 32)  # rows and columns of about one register tile
PARTS = (16, 15, 14, 12, 10, 9, 8, 7, 6, 5, 4, 3, 2)


@record
class SplitContractions:
    """Splits products of fewer than `fewest` tiles whose parts keep at least `shortest` steps."""

    name: str = "split_contractions"
    fewest: int = 16
    shortest: int = 2048

    def run(self, program: Program, context: Any) -> Program:
        return transform_operations(program, self._split)

    def _split(self, operation: Operation, inputs: tuple[Tensor, ...]) -> Sequence[Tensor] | None:
        if operation.definition.name != "dot_general":
            return None
        dtype = operation.output.dtype
        if not dtype.is_floating or dtype.compute != dtype:
            return None
        tiles = _count_tiles(operation, inputs)
        axes = [side[0] for side in operation.attributes["contract"] if side]
        if len(axes) != 2 or tiles == 0:
            return None
        depth = inputs[0].type.sizes[axes[0]]
        wanted = math.ceil(self.fewest / tiles)
        parts = next((p for p in PARTS if p <= wanted and depth % p == 0 and depth // p >= self.shortest), 1)
        if parts == 1:
            return None
        return [_multiply_in_parts(operation, inputs, axes, parts)]


def _count_tiles(operation: Operation, inputs: Sequence[Tensor]) -> int:
    count = 1
    for i, (tensor, extent) in enumerate(zip(inputs, TILE)):
        batch, contract = operation.attributes["batch"][i], operation.attributes["contract"][i]
        free = [s for axis, s in enumerate(tensor.type.sizes) if axis not in batch and axis not in contract]
        count *= math.ceil(count_elements(free) / extent)
    return count * count_elements([inputs[0].type.sizes[axis] for axis in operation.attributes["batch"][0]])


def _multiply_in_parts(operation: Operation, inputs: Sequence[Tensor], axes: Sequence[int], parts: int) -> Tensor:
    """The sum over the products of every part."""
    cut, batch, contract = [], [], []
    for i, (tensor, axis) in enumerate(zip(inputs, axes)):
        sizes = tensor.type.sizes
        shape = (*sizes[:axis], parts, sizes[axis] // parts, *sizes[axis + 1 :])
        cut.append(apply(DEFINITIONS["reshape"], [tensor], shape=shape))
        batch.append((*(_behind(a, axis) for a in operation.attributes["batch"][i]), axis))
        rest = operation.attributes["contract"][i][1:]
        contract.append((axis + 1, *(_behind(a, axis) for a in rest)))
    attributes = dict(operation.attributes, batch=tuple(batch), contract=tuple(contract))
    products = apply(operation.definition, cut, **attributes)
    return apply(DEFINITIONS["reduce_sum"], [products], axes=(len(batch[0]) - 1,), keepdims=False)


def _behind(axis: int, cut: int) -> int:
    """Where an axis is after another one became two."""
    return axis + 1 if axis > cut else axis
