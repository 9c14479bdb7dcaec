"""A session for tests of the language: programs are specialised and differentiated, then run in NumPy."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.graph import Graph, get_default_graph
from graphc.operation import TensorType
from graphc.passes.base import Context
from graphc.passes.expand_gradients import ExpandGradients
from graphc.passes.specialise import NeedsValues as PassNeedsValues
from graphc.passes.specialise import specialise
from graphc.program import Program
from graphc.runtime.backends import InterpretedProgram, NeedsValues
from graphc.runtime.session import Session


class DifferentiatingBackend:
    """Runs programs in NumPy, their gradients expanded."""

    name = "numpy"

    def compile(self, program: Program, shapes: Mapping, known: Mapping) -> InterpretedProgram:
        types = {p.key: TensorType(p.tensor.dtype, shapes[p.tensor]) for p in program.parameters if p.tensor in shapes}
        try:
            special = specialise(program, types, known)
        except PassNeedsValues as needed:
            raise NeedsValues(needed.values, needed.shapes) from None
        return InterpretedProgram(ExpandGradients().run(special, Context(verify=False)))


def numpy_session(graph: Graph | None = None) -> Session:
    session = Session(graph=graph if graph is not None else get_default_graph())
    session._backend = DifferentiatingBackend()
    return session


def evaluate(fetches: Any, feeds: Mapping | None = None, initializer: Any = None) -> Any:
    """The values of fetches of the default graph, in a fresh session."""
    with numpy_session() as session:
        if initializer is not None:
            session.run(initializer)
        return session.run(fetches, feeds)


def numeric_gradient(function: Any, at: Sequence[np.ndarray], which: int, step: float = 1e-6) -> np.ndarray:
    """Central differences of a scalar function by one of its arguments, in float64."""
    arguments = [np.array(a, np.float64) for a in at]
    result = np.zeros_like(arguments[which])
    for index in np.ndindex(result.shape):
        values = []
        for sign in (1, -1):
            moved = [a.copy() for a in arguments]
            moved[which][index] += sign * step
            values.append(float(function(*moved)))
        result[index] = (values[0] - values[1]) / (2 * step)
    return result
