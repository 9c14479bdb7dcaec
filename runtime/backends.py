"""What carries programs out: native code, or NumPy operation by operation.

Native code is the default; GRAPHC_BACKEND=interpreter chooses NumPy for a whole process, to tell an error of the compiler
from one of the script.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from graphc.operation import Tensor
from graphc.program import FEED, RUN, VARIABLE, Program
from graphc.runtime.interpreter import interpret
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
    name: str

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
        bindings: dict[Tensor, np.ndarray] = {}
        remaining = iter(feeds)
        for parameter in self.program.parameters:
            if parameter.kind == FEED:
                bindings[parameter.tensor] = next(remaining)
            elif parameter.kind == VARIABLE:
                bindings[parameter.tensor] = store.value(parameter.key).copy()
            elif parameter.kind == RUN:
                bindings[parameter.tensor] = run_key
        fetched, updates = interpret(self.program, bindings)
        fetched = [np.array(value) for value in fetched]
        for key, value in updates.items():
            store.assign(key, value)
        return fetched


def choose_backend(threads: int = 0, matmul_precision: str = "default") -> Backend:
    """The backend of the environment variable GRAPHC_BACKEND, computing with that many threads (0: as many as there are
    cores to use), and matrix products in that precision: "", "bf16", or "default" for what GRAPHC_MATMUL_PRECISION says.

    Raises ValueError for an unknown name.
    """
    name = os.environ.get("GRAPHC_BACKEND", "native")
    from graphc.runtime.native_backend import InterpreterBackend, NativeBackend  # late: the tables of types come first

    if name == "interpreter":
        return InterpreterBackend()
    if name == "native":
        if matmul_precision == "default":
            matmul_precision = os.environ.get("GRAPHC_MATMUL_PRECISION", "")
        return NativeBackend(threads or None, matmul_precision)
    raise ValueError(f"GRAPHC_BACKEND={name!r}: there are native and interpreter")
