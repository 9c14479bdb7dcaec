"""Values of tensors as text, as TensorFlow prints them."""

from __future__ import annotations

from typing import Any

import numpy as np


def summarize_first(array: np.ndarray, limit: int) -> str:
    """The first `limit` entries (all where negative), rows in brackets: `[0 0 0...]...`."""
    limit = array.size if limit < 0 else min(limit, array.size)
    shown = iter([_format(item) for item in array.ravel()[:limit].tolist()] if array.dtype == object else
                 [format_number(item) for item in array.ravel()[:limit]])  # fmt: skip
    text = _write_rows(list(shown), array.shape, array.size) if array.ndim > 1 else " ".join(shown)
    return text + "..." if array.size > limit else text


def _write_rows(shown: list[str], shape: tuple[int, ...], size: int) -> str:
    """Entries in the brackets of their rows, as far as they go; a row that is cut short ends in dots."""
    parts: list[str] = []
    taken = 0

    def write(axis: int) -> None:
        nonlocal taken
        if axis == len(shape) - 1:
            row = shown[taken : taken + shape[axis]]
            taken += len(row)
            parts.append(" ".join(row) + ("..." if len(row) < shape[axis] else ""))
            return
        for _ in range(shape[axis]):
            if taken >= len(shown):
                return
            parts.append("[")
            write(axis + 1)
            parts.append("]")

    write(0)
    return "".join(parts)


def summarize_ends(array: np.ndarray, count: int) -> str:
    """The first and last `count` entries of each dimension (all where negative), a row a line."""
    shown = max(array.shape, default=0) if count < 0 else count
    return _write_ends(array, shown, 0, array.ndim)


def _write_ends(array: Any, count: int, axis: int, rank: int) -> str:
    if axis == rank:
        return _format(array, quoted=True) if isinstance(array, (str, bytes)) else format_number(np.asarray(array)[()])
    length = len(array)
    first = list(range(min(count, length)))
    last = list(range(max(count, length - count), length))
    parts = [_write_ends(array[i], count, axis + 1, rank) for i in first]
    if length > 2 * count:
        parts.append("...")
    parts += [_write_ends(array[i], count, axis + 1, rank) for i in last]
    depth = rank - axis - 1
    between = "\n" * depth + " " * (axis + 1) if depth else " "
    return "[" + between.join(parts) + "]"


def _format(item: Any, quoted: bool = False) -> str:
    text = item.decode("utf-8", "backslashreplace") if isinstance(item, bytes) else str(item)
    return f'"{text}"' if quoted else text


def format_number(value: Any) -> str:
    """A number in the fewest digits of 6 or 9 (float32), 15 or 17 (float64) that give it back."""
    if isinstance(value, (bytes, str)):
        return _format(value, quoted=True)
    kind = value.dtype.kind
    if kind == "b":
        return str(int(value))
    if kind in "iu":
        return str(int(value))
    if kind == "c":
        return f"({format_number(value.real)},{format_number(value.imag)})"
    if value.dtype == np.float64:
        digits, most = 15, 17
    else:
        value = np.float32(value)
        digits, most = 6, 9
    short = f"{float(value):.{digits}g}"
    return short if type(value)(short) == value or value != value else f"{float(value):.{most}g}"


__all__ = ["summarize_first", "summarize_ends", "format_number"]
