"""How the work of a matrix product is cut into chunks for threads."""

from __future__ import annotations

import math

from graphc.runtime.kernel import MAXIMUM_CHUNKS
from graphc.runtime.kernels.contraction import Contraction

Grid = tuple[int, int, int]


def choose_grid(
    contraction: Contraction, cuts: Grid, threads: int, near: bool, packed: tuple[float, float]
) -> Grid:
    """Parts for batches, rows and panels, of which there are as many as `cuts` says: the shortest longest thread, then the
    least packing done twice. `packed` says what share of the work packing is on the left and on the right side.

    Where the whole right side stays `near`, in the second cache of every core, little is lost if all threads read it. Then each
    takes whole rows of tiles: what follows in a program takes rows as well, and finds its own in the caches of its core.
    """
    batches, tiles, panels = cuts
    best, best_cost = (1, 1, 1), math.inf
    for parts in sorted({1, min(batches, threads), min(batches, 4 * threads), min(batches, MAXIMUM_CHUNKS)}):
        for rows, columns in _factors(min(MAXIMUM_CHUNKS // parts, 2 * threads)):
            if rows > tiles or columns > panels:
                continue
            if packed[0]:
                twice = (rows - 1) * packed[1] + (columns - 1) * packed[0]
            elif near:
                twice = 1e-3 * (columns - 1) + 1e-4 * (rows - 1)
            else:
                twice = (rows - 1) / max(1, contraction.rows) * 8 + (columns - 1) / max(1, contraction.columns) * 2
            cost = busiest_share(cuts, (parts, rows, columns), threads) * (1 + twice) + 1e-4 * parts * rows * columns
            if cost < best_cost - 1e-9:
                best, best_cost = (parts, rows, columns), cost
    return best


def busiest_share(cuts: Grid, grid: Grid, threads: int) -> float:
    """The work of the busiest thread as a share of all, where each takes as many chunks."""
    share = math.prod(math.ceil(count / parts) for count, parts in zip(cuts, grid))
    return math.ceil(math.prod(grid) / threads) * share / math.prod(cuts)


def _factors(limit: int) -> list[tuple[int, int]]:
    return [(rows, columns) for rows in range(1, limit + 1) for columns in range(1, limit // rows + 1)]
