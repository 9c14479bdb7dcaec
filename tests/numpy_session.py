"""Sessions that run in NumPy, for tests of the language."""

import os
from collections.abc import Mapping, Sequence
from typing import Any
from unittest import mock

import numpy as np

from graphc.graph import Graph, get_default_graph
from graphc.runtime.session import Session


def numpy_session(graph: Graph | None = None) -> Session:
    """A session that runs programs operation by operation, specialised and differentiated, but not optimised."""
    with mock.patch.dict(os.environ, {"GRAPHC_BACKEND": "interpreter"}):
        return Session(graph=graph if graph is not None else get_default_graph())


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
