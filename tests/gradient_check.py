"""Gradients against central differences along random directions, in float64, to first and second order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.dtypes import as_dtype
from graphc.gradients import gradients
from graphc.graph import Graph
from graphc.operation import Operation, Tensor
from graphc.ops.constants import build_constant, placeholder
from graphc.ops.elementwise import add_n, multiply
from graphc.ops.reduce import reduce_sum
from graphc.passes.base import Context
from graphc.passes.expand_gradients import ExpandGradients
from graphc.passes.specialise import specialise
from graphc.program import Program, build_program
from graphc.runtime.interpreter import interpret

STEP = 1e-5  # of the differences; errors are of the order of its square, and of 1e-16 / STEP


def verify_gradient(
    build: Callable[..., Any], arrays: Sequence[np.ndarray], order: int = 2, tolerance: float = 2e-5
) -> None:
    """Compares derivatives of a random combination of the results of `build(*tensors)` with differences.

    `arrays` are values of the tensors; the derivative is taken along random directions in all that are float64. With
    `order` 2 a random combination of the first derivatives is differentiated again. Raises AssertionError where they differ by
    more than `tolerance`, relative to the larger of them and 1.
    """
    random = np.random.default_rng(20)
    with Graph().as_default():
        feeds = [placeholder(as_dtype(a.dtype), a.shape) for a in arrays]
        moving = [i for i, a in enumerate(arrays) if a.dtype == np.float64]
        xs = [feeds[i] for i in moving]
        loss = _combine(_outputs(build(*feeds)), random)
        for degree in range(1, order + 1):
            found = gradients(loss, xs)
            directions = [random.standard_normal(arrays[i].shape) for i in moving]
            slope = _combine_with([(g, d) for g, d in zip(found, directions) if g is not None])
            _compare(loss, slope, feeds, arrays, dict(zip(moving, directions)), degree, tolerance)
            if slope is None:
                return
            loss = slope


def _outputs(built: Any) -> list[Tensor]:
    if isinstance(built, Operation):
        return list(built.outputs)
    tensors = [built] if isinstance(built, Tensor) else list(built)
    return [t for t in tensors if t.dtype.is_floating]


def _combine(tensors: Sequence[Tensor], random: np.random.Generator) -> Tensor:
    """A number that depends on every element of every tensor."""
    combined = _combine_with([(t, random.standard_normal(t.type.sizes)) for t in tensors])
    assert combined is not None
    return combined


def _combine_with(pairs: Sequence[tuple[Tensor, np.ndarray]]) -> Tensor | None:
    if not pairs:
        return None
    return add_n([reduce_sum(multiply(t, build_constant(weight))) for t, weight in pairs])


def _compare(
    loss: Tensor, slope: Tensor | None, feeds: Sequence[Tensor], arrays: Sequence[np.ndarray],
    directions: dict[int, np.ndarray], degree: int, tolerance: float,
) -> None:  # fmt: skip
    program = _prepare(loss, feeds)
    ends = []
    for sign in (1, -1):
        moved = [a + sign * STEP * directions[i] if i in directions else a for i, a in enumerate(arrays)]
        ends.append(_run(program, feeds, moved))
    expected = (ends[0] - ends[1]) / (2 * STEP)
    found = 0.0 if slope is None else _run(_prepare(slope, feeds), feeds, arrays)
    bound = tolerance * max(1.0, abs(expected), abs(found))
    assert abs(found - expected) <= bound, f"derivative {degree} is {found}, differences say {expected}\n{program}"


def _prepare(tensor: Tensor, feeds: Sequence[Tensor]) -> Program:
    program = specialise(build_program([tensor], feeds=feeds, name="gradient_check"), {})
    return ExpandGradients().run(program, Context(verify=False))


def _run(program: Program, feeds: Sequence[Tensor], arrays: Sequence[np.ndarray]) -> float:
    (value,), _ = interpret(program, {t.name: a for t, a in zip(feeds, arrays)})
    return float(value)
