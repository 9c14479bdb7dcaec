"""Random programs with values for their parameters, for comparing what passes and compilers make of them.

`random_program(seed)` declares operations one by one on what is there, evaluates each with NumPy, and takes back those with
results that say nothing in a comparison: infinities, large numbers, and steps of discontinuous functions so near that a
last bit decides. So results of any correct way of computing agree within the example's tolerances. `random_gradient(seed)`
does so with smooth functions, and fetches derivatives.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from random_steps import SMOOTH_STEPS, STEPS, Step

from graphc import dtypes
from graphc.errors import OpError
from graphc.evaluate import evaluate_operation
from graphc.gradients import gradients
from graphc.graph import Graph
from graphc.operation import Operation, Tensor, apply
from graphc.ops import constants
from graphc.ops.state import ASSIGN, READ, VARIABLE
from graphc.passes.base import Context
from graphc.passes.expand_composites import ExpandComposites
from graphc.passes.expand_gradients import ExpandGradients
from graphc.program import Program, build_program
from graphc.runtime.interpreter import interpret

KINDS = (*["float32"] * 5, "float64", "int32", "int64", "bool")
LARGEST_VALUE = 200.0
LARGEST_SIZE = 2048  # elements of a tensor
MARGIN = 4.0  # tolerances between a value and the step of a discontinuous function
ROUNDING = {"float16": 2e-2, "bfloat16": 1e-1, "float32": 2e-4, "float64": 1e-9}


@dataclass
class Example:
    """A program, values of its parameters by key, its results (fetches, then updates), and how far those may be off."""

    program: Program
    bindings: dict[str, np.ndarray]
    expected: tuple[np.ndarray, ...]
    tolerances: tuple[float, ...]


def assert_expected(example: Example, found: Sequence[np.ndarray], what: str = "") -> None:
    """Compares results with those of an example: fetches, then new values of variables, in the order of its program."""
    for tensor, bound, want, got in zip(example.program.results, example.tolerances, example.expected, found, strict=True):
        assert got.shape == want.shape and got.dtype == want.dtype, f"{what}: {tensor.name} is {got.dtype}{got.shape}"
        off = np.abs(np.asarray(got, np.float64) - np.asarray(want, np.float64))
        worst = off.max() if off.size else 0.0
        assert worst <= bound, f"{what}: {tensor.name} is off by {worst}, more than {bound}\n{example.program}"


def random_program(seed: int, size: int = 24, kinds: Sequence[str] = KINDS) -> Example:
    """A program of about `size` operations on a few feeds and variables, with fetches and updates."""
    return _Generator(np.random.default_rng(seed), kinds, STEPS).build(size)


def random_gradient(seed: int, size: int = 16, kinds: Sequence[str] = ("float32",)) -> Example:
    """A program that fetches the derivatives of a smooth function by its feeds and variables."""
    return _Generator(np.random.default_rng(seed), kinds, SMOOTH_STEPS).build_gradient(size)


class _Generator:
    def __init__(self, random: np.random.Generator, kinds: Sequence[str], steps: Sequence[Step]):
        self.random, self.kinds, self.steps = random, kinds, steps
        self.graph = Graph()
        self.values: dict[Tensor, np.ndarray] = {}
        self.scales: dict[Tensor, float] = {}  # the largest value on the way to a tensor
        self.roundings: dict[Tensor, float] = {}  # of the coarsest type on the way
        self.pool: list[Tensor] = []  # what further operations are built on
        self.bindings: dict[str, np.ndarray] = {}
        self.variables: list[Tensor] = []
        self.evaluated = 0

    def build(self, size: int) -> Example:
        with self.graph.as_default():
            self._grow(size)
            writes = self._write_variables()
            fetches = self._unused()
            program = build_program(fetches, writes, self.feeds)
        results = (*fetches, *[write.inputs[1] for write in writes])
        expected = tuple(np.asarray(self.values[t]) for t in results)
        return Example(program, self.bindings, expected, tuple(self._tolerance(t) for t in results))

    def build_gradient(self, size: int) -> Example:
        with self.graph.as_default():
            self._grow(size)
            sources = self.pool[: len(self.bindings)]
            derivatives = gradients(self._unused(), sources, unconnected_gradients="zero")
            program = build_program(derivatives, (), self.feeds)
        opened = ExpandComposites().run(ExpandGradients().run(program, Context()), Context())
        expected, _ = interpret(opened, self.bindings)
        scale = max([self.scales[t] for t in self.pool] + [_largest(array) for array in expected])
        if not math.isfinite(scale) or scale > LARGEST_VALUE:
            return self._other().build_gradient(size)
        rounding = max(self.roundings.values())
        return Example(program, self.bindings, tuple(expected), (rounding * scale,) * len(expected))

    def _other(self) -> _Generator:
        return _Generator(np.random.default_rng(self.random.integers(2**32)), self.kinds, self.steps)

    @property
    def feeds(self) -> list[Tensor]:
        return [t for t in self.values if t.operation.definition.name == "placeholder"]

    def _grow(self, size: int) -> None:
        for i in range(int(self.random.integers(2, 5))):
            self._add_parameter(i)
        attempts = 0
        while len(self.pool) < size and attempts < 20 * size:
            attempts += 1
            self._try(self.pick(self.steps))

    # -- parameters and values

    def pick(self, choices: Sequence[Any]) -> Any:
        return choices[int(self.random.integers(len(choices)))]

    def random_shape(self, rank: int | None = None) -> tuple[int, ...]:
        rank = int(self.random.integers(0, 4)) if rank is None else rank
        return tuple(int(self.pick((1, 2, 3, 4, 5, 7, 8))) for _ in range(rank))

    def random_array(self, dtype: dtypes.DType, shape: tuple[int, ...]) -> np.ndarray:
        if dtype.is_bool:
            return self.random.random(shape) < 0.5
        if dtype.is_integer:
            return self.random.integers(0 if dtype.is_unsigned else -5, 6, shape).astype(dtype.numpy)
        return self.random.normal(0, 1, shape).astype(dtype.numpy)

    def _add_parameter(self, index: int) -> None:
        dtype, shape = dtypes.as_dtype(self.pick(self.kinds)), self.random_shape()
        array = self.random_array(dtype, shape)
        if self.random.random() < 0.4:
            key = f"v{index}"
            variable = apply(VARIABLE, [], key, dtype=dtype, shape=shape, key=key)
            tensor = apply(READ, [variable])
            self.variables.append(variable)
            self._note(variable, array, [])
        else:
            tensor = constants.placeholder(dtype, shape, name=f"x{index}")
            key = tensor.name
        self.bindings[key] = array
        self._note(tensor, array, [])
        self.pool.append(tensor)
        self.evaluated = len(self.graph.get_operations())

    def _try(self, step: Step) -> None:
        """One more operation, if it fits what it is given and its result can be compared."""
        source = self.pool[-1] if self.random.random() < 0.4 else self.pick(self.pool)
        built = step(self, source)
        if built is None:
            self.evaluated = len(self.graph.get_operations())
            return
        results = list(built) if isinstance(built, (list, tuple)) else [built]
        if self.evaluate_new() and all(self._is_plain(t) for t in results):
            self.pool += [t for t in results if t not in self.pool]

    def evaluate_new(self) -> bool:
        operations = self.graph.get_operations()
        new, self.evaluated = operations[self.evaluated :], len(operations)
        for operation in new:
            if any(t not in self.values for t in operation.inputs):
                return False
            arrays = [self.values[t] for t in operation.inputs]
            try:
                results = evaluate_operation(operation, arrays)
            except (OpError, ValueError, ZeroDivisionError):
                return False
            for tensor, array in zip(operation.outputs, results):
                self._note(tensor, array, operation.inputs)
        return True

    def _note(self, tensor: Tensor, array: np.ndarray, inputs: Sequence[Tensor]) -> None:
        self.values[tensor] = array
        self.scales[tensor] = max([_largest(array), 1.0, *[self.scales[t] for t in inputs]])
        self.roundings[tensor] = max([ROUNDING.get(tensor.dtype.name, 0.0), *[self.roundings[t] for t in inputs]])

    def _tolerance(self, tensor: Tensor) -> float:
        return self.roundings[tensor] * self.scales[tensor] if tensor.dtype.is_floating else 0.0

    def _is_plain(self, tensor: Tensor) -> bool:
        array = self.values[tensor]
        return array.size <= LARGEST_SIZE and _largest(array) <= LARGEST_VALUE

    # -- operands

    def value(self, tensor: Tensor) -> np.ndarray:
        return np.asarray(self.values[tensor], np.float64)

    def is_between(self, tensor: Tensor, low: float, high: float) -> bool:
        array = self.value(tensor)
        return bool(((array >= low) & (array <= high)).all())

    def partner(self, tensor: Tensor) -> Tensor:
        """An operand that broadcasts with a tensor: another one, a number, or an array."""
        fitting = [t for t in self.pool if t.dtype == tensor.dtype and _broadcasts(t, tensor)]
        if fitting and self.random.random() < 0.7:
            return self.pick(fitting)
        sizes = tensor.type.sizes
        shape = sizes[int(self.random.integers(len(sizes) + 1)) :]
        shape = tuple(1 if self.random.random() < 0.3 else size for size in shape)
        if self.random.random() < 0.5:
            number = self.pick((0, 1, 2, -1, 0.5, 3, 0.25) if tensor.dtype.is_floating else (0, 1, 2, 3))
            array = np.full(shape if self.random.random() < 0.3 else (), number)
        else:
            array = self.random_array(tensor.dtype, shape)
        return self.constant(array, tensor.dtype)

    def constant(self, array: Any, dtype: dtypes.DType) -> Tensor:
        return constants.constant(np.asarray(array).astype(dtype.numpy))

    def steps_are_clear(self, tensor: Tensor, distance: np.ndarray) -> bool:
        """Whether rounding cannot push a value over a step at the given distances."""
        margin = MARGIN * self.roundings[tensor] * self.scales[tensor]
        return not tensor.dtype.is_floating or bool((distance > margin).all())

    # -- results

    def _write_variables(self) -> list[Operation]:
        writes = []
        for variable in self.variables:
            fitting = [t for t in self.pool if t.type == variable.type]
            if fitting and self.random.random() < 0.8:
                writes.append(apply(ASSIGN, [variable, self.pick(fitting)], validate_shape=True).operation)
        return writes

    def _unused(self) -> list[Tensor]:
        used = {t for operation in self.graph.get_operations() for t in operation.inputs}
        ends = [t for t in self.pool if t not in used]
        return ends + [self.pick(self.pool)]


def _largest(array: np.ndarray) -> float:
    if not array.size or array.dtype == bool:
        return 0.0
    largest = float(np.max(np.abs(np.asarray(array, np.float64))))
    return largest if math.isfinite(largest) else math.inf


def _broadcasts(a: Tensor, b: Tensor) -> bool:
    try:
        np.broadcast_shapes(a.type.sizes, b.type.sizes)
    except ValueError:
        return False
    return True
