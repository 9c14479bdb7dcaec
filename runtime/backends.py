"""What carries programs out: native code, or NumPy operation by operation.

Native code is the default; GRAPHC_BACKEND=interpreter chooses NumPy for a whole process, to tell an error of the compiler
from one of the script.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from graphc.evaluate import evaluate_operation
from graphc.operation import Tensor
from graphc.program import FEED, RUN, VARIABLE, Program
from graphc.runtime.variable_store import VariableStore

Sizes = tuple[int, ...]


class CompiledProgram(Protocol):
    """A program for feeds and variables of certain shapes, ready to run."""

    def run(self, feeds: Sequence[np.ndarray], store: VariableStore, run_key: np.ndarray) -> list[np.ndarray]:
        """The fetches as arrays that the caller owns; the new values of variables go into the store.

        `feeds` come in the order of the program's feed parameters, C-contiguous, of the declared types. `run_key` is the
        session's number and the number of the run (two int64).
        """
        ...


class Backend(Protocol):
    def compile(self, program: Program, shapes: Mapping[Tensor, Sizes], known: Mapping[Tensor, np.ndarray]) -> CompiledProgram:
        """`shapes` holds the shape of every parameter, `known` values of tensors that shapes depend on.

        Raises NeedsValues where further values have to be known.
        """
        ...


class NeedsValues(Exception):  # noqa: N818 - an answer more than an error
    """Parts of a program have to run before the rest can be compiled.

    `values` are tensors of the program whose values decide about shapes, `shapes` tensors whose own shapes depend on data.
    """

    def __init__(self, values: Sequence[Tensor], shapes: Sequence[Tensor] = ()):
        super().__init__(", ".join(t.name for t in (*values, *shapes)))
        self.values, self.shapes = tuple(values), tuple(shapes)


class InterpretedProgram:
    """Runs a program in NumPy, operation by operation."""

    def __init__(self, program: Program):
        self.program = program

    def run(self, feeds: Sequence[np.ndarray], store: VariableStore, run_key: np.ndarray) -> list[np.ndarray]:
        values: dict[Tensor, np.ndarray] = {}
        remaining = iter(feeds)
        for parameter in self.program.parameters:
            if parameter.kind == FEED:
                values[parameter.tensor] = next(remaining)
            elif parameter.kind == VARIABLE:
                values[parameter.tensor] = store.value(parameter.key).copy()
            elif parameter.kind == RUN:
                values[parameter.tensor] = run_key
        for operation in self.program.operations:
            results = evaluate_operation(operation, [values[t] for t in operation.inputs])
            values.update(zip(operation.outputs, results))
        fetched = [np.array(values[t]) for t in self.program.fetches]
        for key, tensor in self.program.updates:
            store.assign(key, values[tensor])
        return fetched


class InterpreterBackend:
    name = "interpreter"

    def compile(self, program: Program, shapes: Mapping[Tensor, Sizes], known: Mapping[Tensor, np.ndarray]) -> CompiledProgram:
        return InterpretedProgram(program)


def choose_backend() -> Backend:
    """The backend of the environment variable GRAPHC_BACKEND. Raises ValueError for an unknown name."""
    name = os.environ.get("GRAPHC_BACKEND", "native")
    if name == "interpreter":
        return InterpreterBackend()
    if name == "native":
        from graphc.runtime.compiler import NativeBackend

        return NativeBackend()
    raise ValueError(f"GRAPHC_BACKEND={name!r}: there are native and interpreter")
