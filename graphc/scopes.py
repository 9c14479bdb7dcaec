"""Scopes of the default graph: names, control dependencies, devices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from . import operation as core
from .graph import Graph, get_default_graph
from .operation import Operation, Tensor


class name_scope(AbstractContextManager):  # noqa: N801
    """Operations made inside get names under `name/`; entering gives that prefix.

    `name` None takes `default_name`; a name that ends in a slash is entered again as it is, "" or None (without default)
    leaves all scopes. `values` are the tensors that the scope is about. Raises ValueError where values are given, but no
    name. Inside a pass, where names follow the operation that is replaced, a scope does nothing.
    """

    def __init__(self, name: str | None, default_name: str | None = None, values: Sequence[Any] | None = None):
        if default_name is not None and not isinstance(default_name, str):
            raise TypeError("`default_name` type is not a string. Did you mean to pass it as `values`?")
        if name is None and default_name is None and values is not None:
            raise ValueError("At least one of name (None) and default_name (None) must be provided.")
        self.name = default_name if name is None else name
        self._values = values
        self._entered: list[AbstractContextManager] = []

    def __enter__(self) -> str:
        builder = core.current_builder()
        if not isinstance(builder, Graph):
            self._entered.append(_nothing())
            self._entered[-1].__enter__()
            return f"{self.name}/" if self.name else ""
        scope = builder.name_scope(self.name)
        self._entered.append(scope)
        return scope.__enter__()

    def __exit__(self, *exception: Any) -> None:
        self._entered.pop().__exit__(*exception)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def op_scope(values: Any, name: str | None, default_name: str | None = None) -> Iterator[str]:
    """name_scope with the order of arguments that early TensorFlow had."""
    with name_scope(name, default_name, values) as scope:
        yield scope


def control_dependencies(control_inputs: Any) -> AbstractContextManager:
    """Operations made inside run after the given operations, tensors and variables; None forgets those in force."""
    builder = core.current_builder()
    return builder.control_dependencies(control_inputs) if isinstance(builder, Graph) else _nothing()


@contextmanager
def init_scope() -> Iterator[None]:
    """Operations made inside belong to the set-up of the graph: they wait for no control dependency."""
    with get_default_graph().control_dependencies(None):
        yield


def device(device_name_or_function: Any) -> AbstractContextManager:
    """Accepted and ignored: there is one device."""
    return get_default_graph().device(device_name_or_function)


def colocate_with(op: Any, ignore_existing: bool = False) -> AbstractContextManager:
    """Accepted and ignored: there is one device."""
    return get_default_graph().colocate_with(op, ignore_existing)


@contextmanager
def container(container_name: str) -> Iterator[str]:
    """Accepted and ignored: the variables of a session are in one place."""
    yield container_name


def get_name_scope() -> str:
    """The name scope in force, without a slash at its end."""
    return get_default_graph().get_name_scope()


def graph_of(*values: Any) -> Graph:
    """The graph of the first tensor, operation or variable among the values, else the default graph."""
    for value in values:
        element = value._as_graph_element() if hasattr(value, "_as_graph_element") else value
        if isinstance(element, (Tensor, Operation)) and element.graph is not None:
            return element.graph
    return get_default_graph()


__all__ = ["name_scope", "op_scope", "control_dependencies", "init_scope", "device", "colocate_with", "container"]
