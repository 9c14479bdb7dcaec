"""Loops cut where a concatenation changes its source or a padding begins, so that no element has to ask where it is."""

from __future__ import annotations

from graphc.operation import Operation
from graphc.program import Program
from graphc.records import record
from graphc.shapes import count_elements

MOST_PIECES = 8
LARGEST_SERIAL = 1 << 15  # elements
SMALLEST_PIECE = 8  # elements; below, asking is cheaper than more loops


@record
class Piece:
    """The values start to start + size - 1 of a dimension."""

    start: int
    size: int


def find_pieces(body: Program, domain: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, list[Piece]]:
    """A kept dimension of the domain and the pieces that it is walked in; the first dimension as a whole if none is cut.

    Concatenations and paddings count where they have the domain's own shape.
    """
    for operation in body.operations:
        if operation.definition.name not in ("concat", "pad") or operation.output.type.sizes != domain:
            continue
        for axis, sizes in _cuts_of(operation):
            fits = 1 < len(sizes) <= MOST_PIECES and min(sizes) >= SMALLEST_PIECE
            is_outermost = all(domain[d] == 1 or d in axes for d in range(axis))
            if is_outermost and count_elements(domain) > LARGEST_SERIAL:
                continue  # threads share the outermost loop, which must stay one
            if fits and axis not in axes:
                return axis, _as_pieces(sizes)
    return 0, [Piece(0, domain[0] if domain else 1)]


def _cuts_of(operation: Operation) -> list[tuple[int, list[int]]]:
    """The dimensions in which an operation changes from source to source, with the sizes of the parts."""
    if operation.definition.name == "concat":
        axis = operation.attributes["axis"]
        return [(axis, [t.type.sizes[axis] for t in operation.inputs])]
    inner = operation.inputs[0].type.sizes
    paddings = operation.attributes["paddings"]
    return [
        (axis, [size for size in (low, inner[axis], high) if size])
        for axis, (low, high) in enumerate(paddings)
        if low or high
    ]


def _as_pieces(sizes: list[int]) -> list[Piece]:
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return [Piece(start, size) for start, size in zip(starts, sizes)]
