"""What a picture of a graph shows, before anything is laid out: boxes, arrows between them, and the scopes around them.

A declared graph, a pruned program and a nest of fetches become the same `Drawing`. Reads of a variable are part of the
variable's box, as are the operations that initialise it; scalar constants stand inside the box that takes them; what is
computed for gradients is marked; the body of a fused operation becomes a cluster.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .graph import Graph
from .operation import Operation, Tensor
from .program import FEED, VARIABLE, Parameter, Program
from .value_text import summarize_first

PATH = tuple[str, ...]

LONGEST_LABEL = 30
_GRADIENT_SCOPE = re.compile(r"^gradients?(_\d+)?$", re.IGNORECASE)


@dataclass
class Node:
    """A box with the two lines `label` and `detail`.

    `name` is the last part of the operation's name, `scope` the clusters that it lies in, `count` the number of operations
    that it stands for, `variable` the key of the variable of a program that it holds or gives a new value.
    """

    key: str
    label: str
    kind: str
    name: str = ""
    scope: PATH = ()
    detail: str = ""
    tooltip: str = ""
    gradient: bool = False
    count: int = 1
    variable: str = ""


@dataclass
class Edge:
    """An arrow; `count` tensors go along it. A control edge carries none."""

    source: str
    target: str
    count: int = 1
    types: frozenset[str] = frozenset()
    control: bool = False

    @property
    def label(self) -> str:
        """What goes along the arrow."""
        if len(self.types) == 1:
            return f"{self.count} × {min(self.types)}" if self.count > 1 else min(self.types)
        return f"{self.count} tensors" if self.types else ""


@dataclass
class Cluster:
    """A frame around boxes: a name scope, a part of one that belongs to gradients, or a fused kernel."""

    path: PATH
    label: str
    kind: str = "scope"
    tooltip: str = ""


@dataclass
class Drawing:
    """Boxes, arrows, and clusters by path. A cluster's boxes say in their `scope` that they are in it."""

    title: str
    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    clusters: dict[PATH, Cluster] = field(default_factory=dict)

    def led_to(self) -> set[str]:
        """The boxes that something flows into."""
        return {edge.target for edge in self.edges if not edge.control}

    def kinds(self) -> list[str]:
        """The kinds of boxes that occur, in the order of the legend."""
        found = {node.kind for node in self.nodes}
        return [kind for kind in KINDS if kind in found]


KINDS = (
    "placeholder", "variable", "constant", "scalar", "reduce", "movement", "composite", "kernel", "gradient", "write",
    "host", "source", "scope", "result",
)  # fmt: skip


def draw_graph(graph: Graph, title: str | None = None) -> Drawing:
    """All of a declared graph."""
    operations = graph.get_operations()
    builder = _Builder(title or f"graph of {len(operations)} operations")
    builder.add_declared(operations, with_initialization=False)
    return builder.finish()


def draw_fetches(fetches: Iterable[Tensor | Operation], title: str | None = None) -> Drawing:
    """What of a declared graph is needed for some tensors and operations."""
    results = list(fetches)
    operations = _needed_for([item.operation if isinstance(item, Tensor) else item for item in results])
    builder = _Builder(title or f"{len(operations)} operations")
    builder.add_declared(operations)
    builder.add_results([item for item in results if isinstance(item, Tensor)])
    return builder.finish()


def draw_program(program: Program, title: str | None = None) -> Drawing:
    """A program: parameters, operations, results and new values of variables."""
    fused = sum(operation.definition.name == "fused" for operation in program.operations)
    summary = f"program {program.name}: {len(program.operations)} operations" + (f", {fused} of them fused" if fused else "")
    builder = _Builder(title or summary)
    builder.add_parameters(program.parameters)
    for operation in program.operations:
        builder.add_operation(operation)
    builder.connect(program.operations)
    builder.add_results(program.fetches)
    builder.add_updates(program.updates)
    return builder.finish()


def _needed_for(operations: Iterable[Operation]) -> list[Operation]:
    pending = list(operations)
    seen = set(pending)
    while pending:
        operation = pending.pop()
        for other in [*(t.operation for t in operation.inputs), *operation.control_inputs]:
            if other not in seen:
                seen.add(other)
                pending.append(other)
    return sorted(seen, key=lambda operation: operation.position)


class _Builder:
    def __init__(self, title: str):
        self.drawing = Drawing(title)
        self.node_of: dict[Operation, Node] = {}
        self.producer: dict[Tensor, Node] = {}  # the box that an arrow for this tensor begins at
        self.inline: dict[Tensor, str] = {}  # scalar constants as text
        self.edges: dict[tuple[str, str, bool], Edge] = {}

    # -- boxes

    def add_declared(self, operations: Sequence[Operation], with_initialization: bool = True) -> None:
        """Operations of a graph; without initialisation no groups that only initialise variables."""
        variables = {operation.name: operation for operation in operations if operation.definition.name == "variable"}
        owners = {operation: _find_owner(operation, variables) for operation in operations}
        if not with_initialization:
            operations = [op for op in operations if not _only_initializes(op, owners)]
        for operation in operations:
            if owners[operation] is None:
                self.add_operation(operation)
        for operation in operations:
            owner = owners[operation]
            if owner is not None:
                self._absorb(operation, self.node_of[owner])
        self.connect(operations)
        self._drop_unused_run_keys()

    def _absorb(self, operation: Operation, node: Node) -> None:
        self.node_of[operation] = node
        self.producer.update((tensor, node) for tensor in operation.outputs)
        node.count += 1

    def add_operation(self, operation: Operation, scope: PATH | None = None) -> None:
        if operation.definition.name == "fused" and isinstance(operation.attributes.get("body"), Program):
            self._add_fused(operation, scope)
            return
        value = _scalar_text(operation)
        if value is not None:
            self.inline[operation.output] = value
            return
        *path, leaf = operation.name.split("/")
        node = self._add_node(leaf, node_kind(operation), tuple(path) if scope is None else scope)
        node.label, node.detail = _label_operation(operation, leaf)
        node.tooltip = describe_operation(operation)
        node.gradient = any(_GRADIENT_SCOPE.match(part) for part in (*path, leaf)) or operation.definition.name == "gradient"
        self.node_of[operation] = node
        self.producer.update((tensor, node) for tensor in operation.outputs)

    def _add_fused(self, operation: Operation, scope: PATH | None) -> None:
        """A cluster of the operations of the body, which take the place of the fused one."""
        body: Program = operation.attributes["body"]
        *path, leaf = operation.name.split("/")
        inside = (*(tuple(path) if scope is None else scope), f"{leaf} \0{len(self.drawing.clusters)}")
        region = operation.attributes.get("region", "")
        tooltip = describe_operation(operation)
        self.drawing.clusters[inside] = Cluster(inside, f"fused {region}".strip(), "fused", tooltip)
        for parameter, tensor in zip(body.parameters, operation.inputs):
            if tensor in self.producer:
                self.producer[parameter.tensor] = self.producer[tensor]
            if tensor in self.inline:
                self.inline[parameter.tensor] = self.inline[tensor]
        for inner in body.operations:
            self.add_operation(inner, inside)
        self.connect(body.operations)
        for tensor, result in zip(operation.outputs, body.fetches):
            if result in self.producer:
                self.producer[tensor] = self.producer[result]

    def add_parameters(self, parameters: Iterable[Parameter]) -> None:
        for parameter in parameters:
            tensor = parameter.tensor
            kind = {FEED: "placeholder", VARIABLE: "variable"}.get(parameter.kind, "source")
            *path, leaf = parameter.key.removesuffix(":0").split("/")
            node = self._add_node(leaf, kind, tuple(path))
            node.tooltip = f"{parameter.kind} {parameter.key}: {tensor.type}{_location_text(tensor.operation)}"
            node.detail = str(tensor.type)
            node.variable = parameter.key if parameter.kind == VARIABLE else ""
            self.producer[tensor] = node

    def add_results(self, tensors: Iterable[Tensor]) -> None:
        for index, tensor in enumerate(tensors):
            source = self.producer.get(tensor)
            if source is None and tensor in self.inline:
                source = self._add_node(self.inline[tensor], "constant", ())
            if source is not None:
                node = self._add_node(f"fetch {index}", "result", ())
                node.tooltip = f"fetch {tensor.name}: {tensor.type}"
                self._add_edge(source, node, tensor)

    def add_updates(self, updates: Iterable[tuple[str, Tensor]]) -> None:
        for key, tensor in updates:
            node = self._add_node(key, "write", ())  # in its scope, it would stretch this over the whole picture
            node.variable = key
            node.detail, node.tooltip = "new value", f"new value of the variable {key}: {tensor.type}"
            if tensor in self.producer:
                self._add_edge(self.producer[tensor], node, tensor)

    def _add_node(self, name: str, kind: str, scope: PATH) -> Node:
        node = Node(f"n{len(self.drawing.nodes)}", name, kind, name, scope)
        self.drawing.nodes.append(node)
        return node

    # -- arrows

    def connect(self, operations: Iterable[Operation]) -> None:
        for operation in operations:
            target = self.node_of.get(operation)
            if target is None:
                continue
            self._show_scalars(operation, target)
            for index, tensor in enumerate(operation.inputs):
                if index == 0 and target.kind == "write":
                    self._name_written(target, tensor)
                elif target.kind == "variable" and tensor.operation.definition.name == "run_key":
                    pass  # a random initial value
                elif operation.definition.name == "gradient" and not _flows_into_gradient(operation, index):
                    pass  # the box says itself by what it derives
                elif tensor in self.producer:
                    self._add_edge(self.producer[tensor], target, tensor)
            for other in operation.control_inputs:
                if other in self.node_of:
                    self._add_edge(self.node_of[other], target, None)

    def _drop_unused_run_keys(self) -> None:
        used = {key for source, target, _ in self.edges for key in (source, target)}
        unused = {node.key for op, node in self.node_of.items() if op.definition.name == "run_key" and node.key not in used}
        self.drawing.nodes = [node for node in self.drawing.nodes if node.key not in unused]

    def _name_written(self, node: Node, variable: Tensor) -> None:
        """Writes name their variable; an arrow from it would cross the whole picture."""
        node.detail = variable.operation.name
        node.tooltip += f"\nwrites {variable.operation.name}"

    def _show_scalars(self, operation: Operation, node: Node) -> None:
        if not any(t in self.inline for t in operation.inputs) or node.kind == "variable":
            return
        shown = [self.inline.get(tensor, "·") for tensor in operation.inputs]
        if len(shown) <= 4:
            node.label = f"{operation.definition.name}({', '.join(shown)})"

    def _add_edge(self, source: Node, target: Node, tensor: Tensor | None) -> None:
        if source is target:
            return
        key = (source.key, target.key, tensor is None)
        if tensor is None and (source.key, target.key, False) in self.edges:
            return
        edge = self.edges.setdefault(key, Edge(source.key, target.key, 0, control=tensor is None))
        edge.count += 1
        if tensor is not None:
            edge.types |= {str(tensor.type)}

    def finish(self) -> Drawing:
        self.drawing.edges = list(self.edges.values())
        _lift_slots(self.drawing)
        _add_scopes(self.drawing)
        return self.drawing


def _find_owner(operation: Operation, variables: Mapping[str, Operation]) -> Operation | None:
    """The variable in whose box an operation is shown: reads of it, and what lies in the scope of its name."""
    if operation.definition.name == "read_variable" and operation.inputs[0].operation.name in variables:
        return operation.inputs[0].operation
    if operation.definition.name == "variable":
        return None
    name = operation.name
    while "/" in name:
        name = name.rpartition("/")[0]
        if name in variables:
            return variables[name]
    return None


def _only_initializes(operation: Operation, owners: Mapping[Operation, Operation | None]) -> bool:
    """Whether an operation does nothing but wait for initial values of variables."""
    waits = operation.control_inputs
    return operation.definition.name == "no_op" and bool(waits) and all(owners.get(other) is not None for other in waits)


def _lift_slots(drawing: Drawing) -> None:
    """Puts variables that are named below another one (an optimizer's) beside it instead of into a frame around both."""
    variables = {(*node.scope, node.name) for node in drawing.nodes if node.kind == "variable"}
    for node in drawing.nodes:
        if node.kind == "variable" and node.scope in variables:
            node.label = f"{node.scope[-1]}/{node.label}"
            node.scope = node.scope[:-1]


def _add_scopes(drawing: Drawing) -> None:
    """A cluster for each scope; a box named as a scope lies in it."""
    for node in drawing.nodes:
        for depth in range(1, len(node.scope) + 1):
            path = node.scope[:depth]
            if path not in drawing.clusters:
                kind = "gradient" if _GRADIENT_SCOPE.match(path[-1]) else "scope"
                drawing.clusters[path] = Cluster(path, path[-1], kind, "/".join(path))
    for node in drawing.nodes:
        own = (*node.scope, node.name)
        if own in drawing.clusters and drawing.clusters[own].kind != "fused" and node.kind not in ("result", "write"):
            node.scope = own


def node_kind(operation: Operation) -> str:
    """What colour and form a box has."""
    kind = operation.definition.kind
    name = operation.definition.name
    if name in ("placeholder", "placeholder_with_default"):
        return "placeholder"
    if name in ("variable", "constant", "gradient"):
        return name
    if operation.definition.effect == "write":
        return "write"
    return kind


def _label_operation(operation: Operation, name: str) -> tuple[str, str]:
    """The two lines of a box: what it does above what it is called; for what holds values the other way round."""
    if operation.definition.name == "constant":
        array = operation.attributes["value"].array
        return (f"[{summarize_first(array, 3)}]" if array.ndim == 1 and array.size <= 4 else str(operation.output.type)), name
    if node_kind(operation) in ("variable", "placeholder"):
        return name, str(operation.output.type)
    if operation.definition.name == "gradient":
        return "gradient", _describe_gradient(operation)
    return operation.definition.name, "" if name.lower() == operation.definition.name.lower() else name


def _flows_into_gradient(operation: Operation, index: int) -> bool:
    """Whether an input of a `gradient` operation is a derived tensor or its weight, not what it is derived by."""
    attributes = operation.attributes
    sources_end = attributes["ys"] + sum(attributes["groups"])
    return index < attributes["ys"] or sources_end <= index < len(operation.inputs) - attributes["stops"]


def _describe_gradient(operation: Operation) -> str:
    """What is derived, and by what: a name or how many."""
    ys, count = operation.inputs[: operation.attributes["ys"]], len(operation.attributes["groups"])
    first = operation.inputs[len(ys)].operation.name if count else ""
    by = f"by {first}" if count == 1 else f"by {count} tensors"
    return f"of {ys[0].operation.name.rpartition('/')[2]} {by}" if len(ys) == 1 else by


def _scalar_text(operation: Operation) -> str | None:
    """A constant of one element as text, which needs no box of its own."""
    if operation.definition.name != "constant":
        return None
    array = operation.attributes["value"].array
    if array.size != 1:
        return None
    text = f"{array.item():.6g}" if array.dtype.kind == "f" else summarize_first(array.reshape(1), 1)
    return text if len(text) <= 12 else None


def describe_operation(operation: Operation) -> str:
    """The whole name, types, attributes and the user's lines, for a tooltip."""
    types = ", ".join(str(t.type) for t in operation.outputs)
    lines = [f"{operation.name} = {operation.definition.name}({', '.join(t.name for t in operation.inputs[:6])}) : {types}"]
    for name, value in operation.attributes.items():
        if not isinstance(value, Program):
            lines.append(f"{name} = {shorten(repr(value), 80)}")
    return "\n".join(lines) + _location_text(operation)


def _location_text(operation: Operation) -> str:
    return "".join(f"\n{where}:  {where.source}".rstrip() for where in operation.locations[:8])


def shorten(text: str, length: int = LONGEST_LABEL) -> str:
    """The text with its middle left out where it is longer."""
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return f"{text[: length - 1 - tail]}…{text[len(text) - tail :]}"


def find_elements(fetches: Any) -> list[Tensor | Operation]:
    """The tensors and operations of a nest of tensors, operations and variables. Raises TypeError for anything else."""
    if isinstance(fetches, (Tensor, Operation)):
        return [fetches]
    if hasattr(fetches, "_as_graph_element"):
        return [fetches._as_graph_element()]
    if isinstance(fetches, Mapping):
        fetches = list(fetches.values())
    if isinstance(fetches, (list, tuple)):
        return [element for item in fetches for element in find_elements(item)]
    raise TypeError(f"{fetches!r} is no graph, program, tensor or operation")


def merge_edges(edges: Iterable[Edge], place: Mapping[str, str]) -> list[Edge]:
    """The arrows between the boxes that are left; control edges only where nothing else connects two boxes."""
    merged: dict[tuple[str, str, bool], Edge] = {}
    for edge in edges:
        source, target = place[edge.source], place[edge.target]
        if source == target:
            continue
        kept = merged.setdefault((source, target, edge.control), Edge(source, target, 0, control=edge.control))
        kept.count += edge.count
        kept.types |= edge.types
    return [e for (source, target, control), e in merged.items() if not control or (source, target, False) not in merged]
