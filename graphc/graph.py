"""The declared graph: append-only, with names, scopes, collections and control dependencies."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from . import operation as core
from .location import SourceLocation
from .operation import OpDef, Operation, Tensor, TensorType

_VALID_NAME = re.compile(r"^[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*$")
_VALID_SCOPE = re.compile(r"^[A-Za-z0-9_.\\/>-]*$")


class Graph:
    """Operations in the order of their declaration. One graph may be built by one thread at a time."""

    def __init__(self) -> None:
        self._operations: list[Operation] = []
        self._by_name: dict[str, Operation] = {}
        self._names_in_use: dict[str, int] = {}
        self._scope = ""
        self._controls: list[list[Operation]] = []
        self._collections: dict[Any, list[Any]] = {}
        self._finalized = False
        self._lock = threading.RLock()
        self.seed: int | None = None
        self.extras: dict[str, Any] = {}  # state that other parts of the language keep with a graph, such as variable scopes

    # -- operations

    def create_operation(
        self,
        definition: OpDef,
        inputs: Sequence[Tensor],
        attributes: Mapping[str, Any],
        types: Sequence[TensorType],
        name: str | None,
        location: SourceLocation | None,
    ) -> Operation:
        """Appends an operation under a unique name, with the control dependencies in force.

        A name that ends in a slash is taken as it is, without scope. Raises RuntimeError when the graph is finalized,
        ValueError for an input of another graph or a malformed name.
        """
        if self._finalized:
            raise RuntimeError("Graph is finalized and cannot be modified.")
        for tensor in inputs:
            if tensor.operation.graph is not self:
                raise ValueError(
                    core.errors.format_error(
                        f"{definition.name}: {tensor.name} is a tensor of another graph", inputs, location
                    )
                )
        with self._lock:
            full_name = self._full_name(name or definition.name)
            controls = self._control_inputs(inputs)
            operation = Operation(
                definition, inputs, attributes, types, full_name, (location,) if location else (), controls, self,
                len(self._operations),
            )  # fmt: skip
            self._operations.append(operation)
            self._by_name[full_name] = operation
        return operation

    def _full_name(self, name: str) -> str:
        if name.endswith("/"):
            return self._reserve(name[:-1])
        if not (_VALID_SCOPE if self._scope else _VALID_NAME).match(name):
            raise ValueError(f"{name!r} is not a valid name of an operation")
        return self.unique_name(name)

    def _reserve(self, name: str) -> str:
        """`name`, made unique among operations only (a scope may have the same name)."""
        if name in self._by_name:
            return self._uniquify(name)
        self._names_in_use.setdefault(name.lower(), 1)
        return name

    def unique_name(self, name: str, mark_as_used: bool = True) -> str:
        """`scope/name`, or with _1, _2 ... where that is taken; names differ in more than case."""
        full = f"{self._scope}/{name}" if self._scope else name
        return self._uniquify(full, mark_as_used)

    def _uniquify(self, full: str, mark: bool = True) -> str:
        key = full.lower()
        count = self._names_in_use.get(key, 0)
        if mark:
            self._names_in_use[key] = count + 1
        if not count:
            return full
        while True:
            candidate = f"{full}_{count}"
            count += 1
            if candidate.lower() not in self._names_in_use:
                break
        if mark:
            self._names_in_use[key] = count
            self._names_in_use[candidate.lower()] = 1
        return candidate

    def get_operations(self) -> list[Operation]:
        return list(self._operations)

    @property
    def version(self) -> int:
        """Grows with every operation."""
        return len(self._operations)

    def get_operation_by_name(self, name: str) -> Operation:
        """Raises KeyError where there is no operation of that name, ValueError for the name of a tensor."""
        if not isinstance(name, str):
            raise TypeError(f"Operation names are strings, not {name!r}")
        if ":" in name:
            raise ValueError(f"The name {name!r} appears to refer to a Tensor, not an Operation.")
        found = self._by_name.get(name)
        if found is None:
            raise KeyError(f"The name {name!r} refers to an Operation not in the graph.")
        return found

    def get_tensor_by_name(self, name: str) -> Tensor:
        """The tensor "operation:index". Raises KeyError or ValueError as TensorFlow does."""
        if not isinstance(name, str):
            raise TypeError(f"Tensor names are strings, not {name!r}")
        operation_name, colon, index = name.rpartition(":")
        if not colon or not index.isdigit():
            raise ValueError(
                f"The name {name!r} looks like an (invalid) tensor name: names of tensors are \"<op_name>:<output_index>\"."
            )
        operation = self._by_name.get(operation_name)
        if operation is None or int(index) >= len(operation.outputs):
            raise KeyError(f"The name {name!r} refers to a Tensor which does not exist. "
                           f"The operation, {operation_name!r}, does not exist in the graph."
                           if operation is None else
                           f"The name {name!r} refers to a Tensor which does not exist: "
                           f"{operation_name!r} has {len(operation.outputs)} outputs.")
        return operation.outputs[int(index)]

    def as_graph_element(self, value: Any, allow_tensor: bool = True, allow_operation: bool = True) -> Any:
        """The tensor or operation that an object or a name stands for.

        Raises TypeError for other objects, ValueError for an element of another graph, KeyError for an unknown name.
        """
        if hasattr(value, "_as_graph_element"):
            value = value._as_graph_element()
        if isinstance(value, (Tensor, Operation)):
            if value.graph is not self:
                raise ValueError(f"{value!r} is not an element of this graph.")
            return value
        if isinstance(value, str):
            return self.get_tensor_by_name(value) if ":" in value else self.get_operation_by_name(value)
        raise TypeError(f"Can not convert a {type(value).__name__} into a Tensor or Operation.")

    def is_feedable(self, tensor: Any) -> bool:
        """Whether a tensor may be fed: all of the graph but the key of the run."""
        element = self.as_graph_element(tensor)
        return isinstance(element, Tensor) and element.operation.definition.name != "run_key"

    def is_fetchable(self, tensor_or_op: Any) -> bool:
        """Whether something may be fetched: all of the graph."""
        self.as_graph_element(tensor_or_op)
        return True

    # -- scopes

    @contextmanager
    def name_scope(self, name: str | None) -> Iterator[str]:
        """Names under `name/`; one that ends in a slash is entered again as it is; "" or None leaves all scopes."""
        before = self._scope
        if not name:
            self._scope = ""
        elif name.endswith("/"):
            self._scope = name[:-1]
        else:
            if not (_VALID_SCOPE if before else _VALID_NAME).match(name):
                raise ValueError(f"{name!r} is not a valid scope name")
            self._scope = self.unique_name(name)
        try:
            yield self._scope + "/" if self._scope else ""
        finally:
            self._scope = before

    def get_name_scope(self) -> str:
        return self._scope

    @contextmanager
    def control_dependencies(self, control_inputs: Iterable[Any] | None) -> Iterator[None]:
        """Operations made inside run after the given ones; None forgets those in force."""
        before = self._controls
        if control_inputs is None:
            self._controls = []
        else:
            elements = [self.as_graph_element(item) for item in control_inputs]
            self._controls = [*before, [e.operation if isinstance(e, Tensor) else e for e in elements]]
        try:
            yield
        finally:
            self._controls = before

    @property
    def has_control_dependencies(self) -> bool:
        """Whether operations made now would wait for others."""
        return any(self._controls)

    def _control_inputs(self, inputs: Sequence[Tensor]) -> tuple[Operation, ...]:
        if not self._controls:
            return ()
        direct = {t.operation for t in inputs}
        found = dict.fromkeys(op for group in self._controls for op in group if op not in direct)
        return tuple(found)

    @contextmanager
    def device(self, device_name: Any) -> Iterator[None]:
        """Accepted and ignored: there is one device."""
        yield

    @contextmanager
    def colocate_with(self, op: Any, ignore_existing: bool = False) -> Iterator[None]:
        """Accepted and ignored: there is one device."""
        yield

    @contextmanager
    def as_default(self) -> Iterator[Graph]:
        with core.building_into(self):
            yield self

    def finalize(self) -> None:
        self._finalized = True

    @property
    def finalized(self) -> bool:
        return self._finalized

    # -- collections

    def add_to_collection(self, name: Any, value: Any) -> None:
        self._collections.setdefault(name, []).append(value)

    def add_to_collections(self, names: Any, value: Any) -> None:
        for name in {names} if isinstance(names, str) else dict.fromkeys(names):
            self.add_to_collection(name, value)

    def get_collection(self, name: Any, scope: str | None = None) -> list[Any]:
        """A copy of the collection; with `scope`, the items whose name matches it as a regular expression."""
        items = self._collections.get(name, [])
        if scope is None:
            return list(items)
        pattern = re.compile(scope)
        return [item for item in items if hasattr(item, "name") and pattern.match(item.name)]

    def get_collection_ref(self, name: Any) -> list[Any]:
        return self._collections.setdefault(name, [])

    def get_all_collection_keys(self) -> list[Any]:
        return [key for key, items in self._collections.items() if items]

    def clear_collection(self, name: Any) -> None:
        self._collections.pop(name, None)

    # -- views

    def to_networkx(self) -> Any:
        """The graph as a networkx.MultiDiGraph: operations by name, one edge a tensor use."""
        from .visualize import to_networkx

        return to_networkx(self)

    def _repr_svg_(self) -> str:
        from .visualize import render_svg

        return render_svg(self)


class _ProcessDefault:
    graph = Graph()


def get_default_graph() -> Graph:
    """The innermost graph made default in this thread, else the one of the process."""
    for item in reversed(core.pushed_builders()):
        if isinstance(item, Graph):
            return item
    return _ProcessDefault.graph


def reset_default_graph() -> None:
    """Replaces the default graph of the process. Raises AssertionError inside a `with graph.as_default()`."""
    if any(isinstance(item, Graph) for item in core.pushed_builders()):
        raise AssertionError("Do not use tf.reset_default_graph() to clear nested graphs.")
    _ProcessDefault.graph = Graph()


core.set_default_builder(lambda: _ProcessDefault.graph)
