"""Index arithmetic that the entries of kernels share."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.runtime.emit.function import Function, Operand


def split_index(function: Function, index: Operand, sizes: Sequence[Operand]) -> list[Operand]:
    """The index in every dimension of a row-major counter over `sizes`."""
    result: list[Operand] = []
    for size in reversed(sizes[1:]):
        result.append(function.urem(index, size))
        index = function.udiv(index, size)
    return [*([index] if sizes else []), *reversed(result)]


def part_of(function: Function, part: Operand, total: int, parts: int) -> tuple[Operand, Operand]:
    """From where to where the given one of `parts` nearly equal shares of `total` goes."""
    if parts == 1:
        return 0, total
    following = function.add(part, 1)
    return function.udiv(function.mul(part, total), parts), function.udiv(function.mul(following, total), parts)
