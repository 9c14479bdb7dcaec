"""Look-ups of rows in tables of embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..operation import Tensor
from ..scopes import name_scope
from .constants import convert_to_tensor
from .elementwise import add, floordiv, maximum, minimum, mod, multiply, rsqrt, square
from .indexing import gather
from .joining import concat
from .reduce import reduce_sum


def embedding_lookup(params: Any, ids: Any, partition_strategy: str = "mod", name: str | None = None,
                     validate_indices: bool = True, max_norm: Any = None) -> Tensor:  # fmt: skip
    """The rows of `params` with the numbers `ids`, a tensor of any rank: shape ids.shape + params.shape[1:].

    A list of tables is one table cut into parts: row i is row i // n of part i % n where `partition_strategy` is "mod", and
    parts hold consecutive rows where it is "div". Rows longer than `max_norm` are shortened to it.
    """
    numbers = convert_to_tensor(ids)
    with name_scope(name, "embedding_lookup") as scope:
        if isinstance(params, (list, tuple)) and len(params) > 1:
            rows = _lookup_parts([convert_to_tensor(p) for p in params], numbers, partition_strategy)
        else:
            table = convert_to_tensor(params[0] if isinstance(params, (list, tuple)) else params)
            rows = gather(table, numbers, name=scope if max_norm is None else None)
        return rows if max_norm is None else _shorten(rows, max_norm, numbers.type.rank, scope)


def _lookup_parts(parts: Sequence[Tensor], ids: Tensor, strategy: str) -> Tensor:
    sizes = [part.type.shape[0] if part.type.shape else None for part in parts]
    if None in sizes:
        raise ValueError("embedding_lookup: the number of rows of each part must be known")
    table = concat(parts, 0)
    if strategy == "div":
        return gather(table, ids)
    if strategy != "mod":
        raise ValueError(f"Unrecognized partition strategy: {strategy}")
    starts = np.cumsum([0, *sizes[:-1]])
    first = gather(convert_to_tensor(starts, ids.dtype), mod(ids, len(parts)))
    return gather(table, add(first, floordiv(ids, len(parts))))


def _shorten(rows: Tensor, max_norm: Any, rank: int | None, name: str) -> Tensor:
    if rank is None or rows.type.rank is None:
        raise ValueError("embedding_lookup: max_norm needs a known rank of ids and params")
    total = reduce_sum(square(rows), list(range(rank, rows.type.rank)), keepdims=True)
    limit = convert_to_tensor(max_norm, rows.dtype)
    smallest = np.finfo(np.float32).tiny  # keeps the scale of an empty row finite
    scale = minimum(multiply(limit, rsqrt(maximum(total, smallest))), 1.0)
    return multiply(rows, scale, name=name)


__all__ = ["embedding_lookup"]
