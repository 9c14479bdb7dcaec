"""Random numbers: seeds, uniform and normal numbers, samples and permutations.

The numbers are a pure function of the seeds and the number of the run (`graphc.ops.philox`), so a run gives the same ones on
any number of threads, and every run of a session gives others.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dtypes import DType, as_dtype, float32, float64, int32, int64, uint32, uint64
from ..graph import get_default_graph
from ..operation import DEFINITIONS, Tensor, apply
from ..scopes import name_scope
from ..static_values import constant_value
from .constants import convert_to_tensor
from .conversion import cast
from .elementwise import add, log, multiply, negative, subtract
from .filling import range as range_of
from .indexing import gather
from .movement import expand_dims
from .philox import random_bits
from .random_values import BOUNDED_INTEGER, STANDARD_NORMAL, STANDARD_TRUNCATED_NORMAL, UNIT_UNIFORM
from .reduce import argmax
from .rules import size_list
from .shape_ops import shape as shape_of

DEFAULT_GRAPH_SEED = 87654321
_SECOND_WORD = 1 << 62  # added to the seed of the second word of bits, beyond all seeds
_SEED_BITS = _SECOND_WORD - 1


def set_random_seed(seed: int | None) -> None:
    """Sets the seed of the default graph, which every random operation mixes with its own."""
    get_default_graph().seed = seed


def get_seed(op_seed: int | None) -> tuple[int | None, int | None]:
    """The seeds of the graph and of an operation, as random operations declared now would take them.

    Where only one of the two is set, the other is a default: for the graph a fixed number, for the operation the number of
    operations that the graph has. Where neither is set, both are None.
    """
    graph = get_default_graph()
    if graph.seed is not None:
        return graph.seed, graph.version if op_seed is None else op_seed
    return (DEFAULT_GRAPH_SEED, op_seed) if op_seed is not None else (None, None)


def _seeds(seed: int | None) -> tuple[int | None, int]:
    """Seeds for `random_bits`: where none is set, operations differ by their place in the graph."""
    graph_seed, op_seed = get_seed(seed)
    if op_seed is None:
        return None, get_default_graph().version
    return int(graph_seed or 0) & _SEED_BITS, int(op_seed) & _SEED_BITS


def _words(shape: Any, seed: int | None, count: int) -> list[Tensor]:
    graph_seed, op_seed = _seeds(seed)
    return [random_bits(shape, (graph_seed, op_seed + i * _SECOND_WORD)) for i in range(count)]


def _check_float(dtype: Any) -> DType:
    found = as_dtype(dtype)
    if not found.is_floating:
        raise ValueError(f"random numbers of {found.name} are not supported")
    return found


# -- uniform


def random_uniform(shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = float32, seed: int | None = None,
                   name: str | None = None) -> Tensor:  # fmt: skip
    """Numbers spread evenly over [minval, maxval); `maxval` is 1 for floats where it is None.

    `shape` may be a tensor, and so may the bounds, which broadcast. Raises ValueError for integers without `maxval`, or
    where it is not above `minval`.
    """
    found = as_dtype(dtype)
    if found.is_integer:
        return _uniform_integers(shape, minval, maxval, found, seed, name)
    _check_float(found)
    with name_scope(name, "random_uniform") as scope:
        words = _words(size_list(shape), seed, 2 if found == float64 else 1)
        if _is_number(minval, 0) and (maxval is None or _is_number(maxval, 1)):
            return apply(UNIT_UNIFORM, words, scope, dtype=found)
        unit = apply(UNIT_UNIFORM, words, "RandomUniform", dtype=found)
        low, high = convert_to_tensor(minval, found), convert_to_tensor(1 if maxval is None else maxval, found)
        return add(multiply(unit, subtract(high, low)), low, name=scope)


def _is_number(value: Any, number: float) -> bool:
    return isinstance(value, (int, float)) and value == number


def _uniform_integers(shape: Any, minval: Any, maxval: Any, dtype: DType, seed: int | None, name: str | None) -> Tensor:
    if maxval is None:
        raise ValueError(f"Must specify maxval for integer dtype {dtype!r}")
    with name_scope(name, "random_uniform") as scope:
        low, high = convert_to_tensor(minval, dtype), convert_to_tensor(maxval, dtype)
        span = _span(low, high)
        wide = dtype.bits == 64 and (span is None or span >= 1 << 32)
        count = cast(subtract(high, low), uint64 if wide else uint32)
        words = _words(size_list(shape), seed, 2 if wide else 1)
        return apply(BOUNDED_INTEGER, [*words, low, count], scope, dtype=dtype)


def _span(low: Tensor, high: Tensor) -> int | None:
    """high - low where both are known numbers. Raises ValueError where some bound leaves nothing between."""
    known_low, known_high = constant_value(low), constant_value(high)
    if known_low is None or known_high is None:
        return None
    if not np.all(known_low < known_high):
        raise ValueError(f"Need minval < maxval, got {known_low} >= {known_high}")
    return int(known_high) - int(known_low) if known_low.ndim == known_high.ndim == 0 else None


# -- normal


def random_normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = float32, seed: int | None = None,
                  name: str | None = None) -> Tensor:  # fmt: skip
    """Normal numbers of the given mean and standard deviation, both of which may be tensors that broadcast."""
    return _normal(STANDARD_NORMAL, "random_normal", shape, mean, stddev, dtype, seed, name)


def truncated_normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = float32, seed: int | None = None,
                     name: str | None = None) -> Tensor:  # fmt: skip
    """Normal numbers on condition that they are within two standard deviations of the mean."""
    return _normal(STANDARD_TRUNCATED_NORMAL, "truncated_normal", shape, mean, stddev, dtype, seed, name)


def _normal(definition: Any, kind: str, shape: Any, mean: Any, stddev: Any, dtype: Any, seed: int | None,
            name: str | None) -> Tensor:  # fmt: skip
    found = _check_float(dtype)
    with name_scope(name, kind) as scope:
        words = _words(size_list(shape), seed, 2 if found == float64 else 1)
        numbers = cast(apply(definition, words, dtype=found.compute), found)
        scaled = multiply(numbers, convert_to_tensor(stddev, found))
        return add(scaled, convert_to_tensor(mean, found), name=scope)


# -- permutations and samples


def random_shuffle(value: Any, seed: int | None = None, name: str | None = None) -> Tensor:
    """The tensor with its first axis permuted at random."""
    tensor = convert_to_tensor(value)
    with name_scope(name, "RandomShuffle") as scope:
        rows = size_list(shape_of(tensor)[:1])
        (keys,) = _words(rows, seed, 1)
        order = apply(DEFINITIONS["argsort"], [keys], descending=False)
        return gather(tensor, order, axis=0, name=scope)


def random_crop(value: Any, size: Any, seed: int | None = None, name: str | None = None) -> Tensor:
    """A part of the given size at a place that is drawn anew in every run.

    `size` has a number for each axis; -1 is not allowed. Raises ValueError where a size is larger than the axis.
    """
    tensor = convert_to_tensor(value)
    sizes = size_list(size)
    if not isinstance(sizes, tuple) or len(sizes) != tensor.type.rank:
        raise ValueError("random_crop: size must be a known number for each axis")
    with name_scope(name, "random_crop"):
        for axis, (wanted, had) in enumerate(zip(sizes, tensor.type.shape or ())):
            if had is not None and not 0 <= wanted <= had:
                raise ValueError(f"random_crop: Need value.shape >= size, got {had} and {wanted} along axis {axis}")
            if wanted == had:
                continue
            last = subtract(shape_of(tensor)[axis], wanted)
            start = random_uniform([], 0, add(last, 1), int32, None if seed is None else seed + axis)
            tensor = gather(tensor, add(range_of(wanted), start), axis=axis)
    return tensor


def multinomial(logits: Any, num_samples: Any, seed: int | None = None, name: str | None = None,
                output_dtype: Any = None) -> Tensor:  # fmt: skip
    """Class numbers [batch, num_samples], drawn with probabilities softmax(logits) for each row of [batch, classes].

    The largest of logits plus Gumbel noise is such a sample. The result is int64 unless `output_dtype` says int32.
    """
    unnormalized = convert_to_tensor(logits)
    found = int64 if output_dtype is None else as_dtype(output_dtype)
    with name_scope(name, "multinomial"):
        sizes = shape_of(unnormalized)
        rows = expand_dims(unnormalized if unnormalized.dtype == float64 else cast(unnormalized, float32), 1)
        uniform = random_uniform([sizes[0], num_samples, sizes[1]], dtype=rows.dtype, seed=seed)
        noise = negative(log(negative(log(uniform))))
        return argmax(add(rows, noise), axis=2, output_type=found)


def categorical(logits: Any, num_samples: Any, dtype: Any = None, seed: int | None = None,
                name: str | None = None) -> Tensor:  # fmt: skip
    """`multinomial` with its arguments in another order."""
    return multinomial(logits, num_samples, seed, name or "categorical", dtype)


__all__ = [
    "categorical", "get_seed", "multinomial", "random_crop", "random_normal", "random_shuffle", "random_uniform",
    "set_random_seed", "truncated_normal",
]  # fmt: skip
