"""Random bits: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).

The generator is a function of a key of two 32-bit words and a counter of four, so every element can be computed by itself
and the numbers are the same on any number of threads.

Layout, which native code follows: of n elements with nb = ceil(n / 4), element e is word e // nb of the block whose counter
is (e % nb, run), each as 64 bits with the low word first. So neighbouring blocks give neighbouring elements. The key is
splitmix64(splitmix64(root) ^ seed), low word first, where `root` is the graph's seed, or the number that the session drew
when it began (run_key[0]) where the graph has none, `seed` the operation's own, and `run` the number of the run
(run_key[1]). All four are taken as unsigned 64-bit numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import int64, uint32
from ..errors import DTypeError, ShapeError
from ..graph import Graph
from ..operation import OpDef, Tensor, TensorType, apply, current_builder, define
from .constants import RUN_KEY
from .rules import partial_sizes

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10

_LOW, _ALL = (1 << 32) - 1, (1 << 64) - 1


def splitmix64(value: int) -> int:
    """A permutation of 64-bit numbers that spreads every bit over all (Steele et al. 2014)."""
    mixed = (value + 0x9E3779B97F4A7C15) & _ALL
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _ALL
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _ALL
    return mixed ^ mixed >> 31


def derive_key(root: int, seed: int) -> tuple[int, int]:
    """The two words of the key, low word first."""
    key = splitmix64(splitmix64(root & _ALL) ^ (seed & _ALL))
    return key & _LOW, key >> 32


def philox(counter: Sequence[np.ndarray], key: tuple[int, int]) -> list[np.ndarray]:
    """The four words of each block, from arrays of the counters' four words (as uint64 below 2**32)."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    low, shift = np.uint64(_LOW), np.uint64(32)
    for _ in range(ROUNDS):
        p0, p1 = np.uint64(MULTIPLIERS[0]) * c0, np.uint64(MULTIPLIERS[1]) * c2
        c0, c1, c2, c3 = p1 >> shift ^ c1 ^ np.uint64(k0), p1 & low, p0 >> shift ^ c3 ^ np.uint64(k1), p0 & low
        k0, k1 = (k0 + KEY_STEPS[0]) & _LOW, (k1 + KEY_STEPS[1]) & _LOW
    return [c0, c1, c2, c3]


def random_words(count: int, key: tuple[int, int], run: int) -> np.ndarray:
    """`count` random 32-bit words in the layout of this module."""
    blocks = np.arange(-(-count // 4), dtype=np.uint64)
    run &= _ALL
    high = [np.full_like(blocks, run & _LOW), np.full_like(blocks, run >> 32)]
    words = philox([blocks & np.uint64(_LOW), blocks >> np.uint64(32), *high], key)
    return np.concatenate(words)[:count].astype(np.uint32)


def _bits_type(types: Sequence[TensorType], shape: Any, seeds: tuple[int | None, int]) -> TensorType:
    if types[0].dtype != int64:
        raise DTypeError(f"the key of the run is int64, not {types[0].dtype.name}")
    sizes = partial_sizes(shape)
    if sizes is not None and any(size is not None and size < 0 for size in sizes):
        raise ShapeError(f"a size is negative in {list(sizes)}")
    return TensorType(uint32, sizes)


def _evaluate_bits(attributes: dict[str, Any], run_key: np.ndarray) -> np.ndarray:
    shape, (graph_seed, op_seed) = attributes["shape"], attributes["seeds"]
    root = int(run_key[0]) if graph_seed is None else graph_seed
    count = int(np.prod(shape, dtype=np.int64))
    return random_words(count, derive_key(root, op_seed), int(run_key[1])).reshape(shape)


RANDOM_BITS = define(
    OpDef(
        "random_bits",
        infer=_bits_type,
        differentiable=False,
        attributes={"shape": tuple, "seeds": tuple},
        kernel="random_bits",
        evaluate=_evaluate_bits,
    )
)
"""random_bits(run_key): uint32 of `shape`; `seeds` are the graph's seed or None, and the operation's."""


def random_bits(shape: Any, seeds: tuple[int | None, int], name: str | None = None) -> Tensor:
    """Random 32-bit words; `shape` is a tuple or a tensor, `seeds` the graph's seed or None and the operation's."""
    return apply(RANDOM_BITS, [_run_key()], name, shape=shape, seeds=seeds)


def _run_key() -> Tensor:
    """The key of the run, one operation a graph, outside all scopes and control dependencies."""
    graph = current_builder()
    if not isinstance(graph, Graph):
        return apply(RUN_KEY, [])
    if "run_key" not in graph.extras:
        with graph.name_scope(None), graph.control_dependencies(None):
            graph.extras["run_key"] = apply(RUN_KEY, [])
    return graph.extras["run_key"]
