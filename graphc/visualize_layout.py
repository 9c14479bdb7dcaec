"""A layered layout of our own, for machines without graphviz: plain boxes in rows, arrows downwards.

Rows follow the longest way from a source (Sugiyama, Tagawa, Toda 1981): long arrows get a place in each row that they
cross, rows are ordered by the mean place of their neighbours, and positions in a row are the closest to the mean of the
neighbours' that keep order and distance (isotonic regression by pooling adjacent violators).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .visualize_dot import STYLES, label_lines
from .visualize_model import Drawing, Edge, Node
from .visualize_svg import escape, frame

LETTER_WIDTH = 6.1
ROW_GAP = 38.0
BOX_GAP = 16.0
BEND_WIDTH = 8.0  # room for an arrow that crosses a row
SWEEPS = 8
MOST_LABELS = 150  # arrows; with more of them, what goes along is in tooltips only


@dataclass(eq=False)
class Place:
    """A box in a row, or the place where a long arrow crosses the row (without node). Coordinates of the centre."""

    node: Node | None
    width: float
    height: float
    lines: list[str] = field(default_factory=list)
    x: float = 0.0
    y: float = 0.0
    above: list[Place] = field(default_factory=list)
    below: list[Place] = field(default_factory=list)


def draw_layers(drawing: Drawing) -> str:
    """The drawing as an SVG document."""
    labels = len(drawing.edges) <= MOST_LABELS
    rows, routes = arrange_rows(drawing, labels)
    width = max((p.x + p.width / 2 for row in rows for p in row), default=0.0) + BOX_GAP
    height = sum(_row_height(row) + ROW_GAP for row in rows)
    content = [
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
        '<path d="M0,0.8 L8,4 L0,7.2 z" fill="#8a8a8a"/></marker></defs>',
        *(_draw_edge(edge, route, labels) for edge, route in routes),
        *(_draw_box(place.node, place) for row in rows for place in row if place.node is not None),
    ]
    return frame(content, width, height, drawing)


def arrange_rows(drawing: Drawing, labels: bool) -> tuple[list[list[Place]], list[tuple[Edge, list[Place]]]]:
    """The rows, and the places that each arrow goes through, from its beginning to its end."""
    edges = [edge for edge in drawing.edges if edge.source != edge.target]
    led_to = drawing.led_to()
    levels = _find_levels(drawing.nodes, [e for e in edges if not e.control or e.target not in led_to])
    places = {node.key: _make_place(node, labels) for node in drawing.nodes}
    rows: list[list[Place]] = [[] for _ in range(max(levels.values(), default=-1) + 1)]
    for node in drawing.nodes:
        rows[levels[node.key]].append(places[node.key])
    routes = []
    for edge in edges:
        upwards = levels[edge.source] > levels[edge.target]
        first, last = (edge.target, edge.source) if upwards else (edge.source, edge.target)
        bends = [Place(None, BEND_WIDTH, 0.0) for _ in range(levels[first] + 1, levels[last])]
        route = [places[first], *bends, places[last]]
        for row, bend in zip(rows[levels[first] + 1 :], bends):
            row.append(bend)
        for upper, lower in zip(route, route[1:]):
            upper.below.append(lower)
            lower.above.append(upper)
        routes.append((edge, route[::-1] if upwards else route))
    _order_rows(rows)
    _place_rows(rows)
    return rows, routes


def _find_levels(nodes: Sequence[Node], edges: Sequence[Edge]) -> dict[str, int]:
    """A row for each box, every arrow downwards but for those that close a cycle; sources stand close to their users."""
    import networkx

    graph = networkx.DiGraph()
    graph.add_nodes_from(node.key for node in nodes)
    graph.add_edges_from((edge.source, edge.target) for edge in edges)
    for component in list(networkx.strongly_connected_components(graph)):
        if len(component) > 1:
            _break_cycles(graph, component, {node.key: index for index, node in enumerate(nodes)})
    levels: dict[str, int] = {}
    for level, generation in enumerate(networkx.topological_generations(graph)):
        levels.update((key, level) for key in generation)
    for key in graph:
        if graph.in_degree(key) == 0 and graph.out_degree(key):
            levels[key] = min(levels[other] for other in graph.successors(key)) - 1
    return levels


def _break_cycles(graph: Any, component: Collection[str], order: Mapping[str, int]) -> None:
    """Removes the arrows of a tangle that lead back in the order of declaration."""
    back = [(a, b) for a in component for b in graph.successors(a) if b in component and order[b] <= order[a]]
    graph.remove_edges_from(back)


def _make_place(node: Node, labels: bool) -> Place:
    lines = label_lines(node, labels)
    width = max(LETTER_WIDTH * len(line) * (0.85 if i else 1.0) for i, line in enumerate(lines)) + 20
    return Place(node, max(width, 34.0), 10.0 + 11.0 * len(lines), lines)


def _order_rows(rows: Sequence[list[Place]]) -> None:
    for sweep in range(SWEEPS):
        downwards = sweep % 2 == 0
        for row, fixed in _neighbours(rows, downwards):
            index = {place: float(i) for i, place in enumerate(fixed)}
            current = {place: float(i) for i, place in enumerate(row)}
            row.sort(key=lambda p: _mean([index[o] for o in (p.above if downwards else p.below)], current[p]))  # noqa: B023


def _neighbours(rows: Sequence[list[Place]], downwards: bool) -> list[tuple[list[Place], list[Place]]]:
    """Each row with the one that it is arranged after."""
    return list(zip(rows[1:], rows)) if downwards else list(zip(rows[-2::-1], rows[::-1]))


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _place_rows(rows: Sequence[list[Place]]) -> None:
    top = 0.0
    for row in rows:
        height = _row_height(row)
        left = 0.0
        for place in row:
            place.x, place.y = left + place.width / 2, top + height / 2
            left += place.width + BOX_GAP
        top += height + ROW_GAP
    for sweep in range(SWEEPS):
        for row, _ in _neighbours(rows, sweep % 2 == 0):
            _move_row(row, sweep % 2 == 0)
    left = min((p.x - p.width / 2 for row in rows for p in row), default=0.0)
    for row in rows:
        for place in row:
            place.x += BOX_GAP - left


def _row_height(row: Sequence[Place]) -> float:
    return max((place.height for place in row), default=0.0)


def _move_row(row: Sequence[Place], downwards: bool) -> None:
    """Moves the places of a row under (or over) their neighbours as far as order and distances allow."""
    offsets, offset = [], 0.0
    for before, place in zip([None, *row], row):
        if before is not None:
            offset += (before.width + place.width) / 2 + (BOX_GAP if before.node or place.node else BEND_WIDTH)
        offsets.append(offset)
    wanted = [_mean([o.x for o in (p.above if downwards else p.below)], p.x) - shift for p, shift in zip(row, offsets)]
    for place, shift, start in zip(row, offsets, fit_ascending(wanted)):
        place.x = start + shift


def fit_ascending(values: Sequence[float]) -> list[float]:
    """The ascending numbers closest to `values` in the square."""
    groups: list[tuple[float, int]] = []  # sum and length of stretches of one value
    for value in values:
        total, count = value, 1
        while groups and groups[-1][0] * count >= total * groups[-1][1]:
            before, length = groups.pop()
            total, count = total + before, count + length
        groups.append((total, count))
    return [total / count for total, count in groups for _ in range(count)]


def _draw_box(node: Node, place: Place) -> str:
    style = STYLES[node.kind]
    left, top = place.x - place.width / 2, place.y - place.height / 2
    dashes = ' stroke-dasharray="3 2"' if node.gradient else ""
    line = STYLES["gradient"].line if node.gradient else style.line
    colours = f'fill="{style.fill}" stroke="{line}"{dashes}'
    ink = "white" if node.kind == "result" else "black"
    parts = [f"<g><title>{escape(node.tooltip or node.label)}</title>", _draw_form(style.shape, left, top, place, colours)]
    first = place.y + (3.5 if len(place.lines) == 1 else -2.5)
    parts.append(_draw_text(place.x, first, 10, ink, place.lines[0], ' font-weight="600"'))
    parts += [_draw_text(place.x, place.y + 9, 8.5, "#666666", line) for line in place.lines[1:]]
    return "".join([*parts, "</g>"])


def _draw_form(shape: str, left: float, top: float, place: Place, colours: str) -> str:
    right, bottom = left + place.width, top + place.height
    if shape == "plain":
        return ""
    if shape == "parallelogram":
        return f'<polygon points="{left + 6},{top} {right},{top} {right - 6},{bottom} {left},{bottom}" {colours}/>'
    if shape == "cylinder":
        arc, rim, foot = f"A{place.width / 2},3 0 0", top + 3, bottom - 3
        return (
            f'<path d="M{left},{rim} {arc} 1 {right},{rim} V{foot} {arc} 1 {left},{foot} z '
            f'M{left},{rim} {arc} 0 {right},{rim}" {colours}/>'
        )
    return f'<rect x="{left}" y="{top}" width="{place.width}" height="{place.height}" rx="4" {colours}/>'


def _draw_text(x: float, y: float, size: float, ink: str, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{ink}" text-anchor="middle"{more}>{escape(text)}</text>'


def _draw_edge(edge: Edge, route: Sequence[Place], labels: bool) -> str:
    down = route[-1].y > route[0].y
    points = [(p.x, p.y) for p in route]
    points[0] = (points[0][0], route[0].y + route[0].height / 2 * (1 if down else -1))
    points[-1] = (points[-1][0], route[-1].y + route[-1].height / 2 * (-1 if down else 1))
    path = f"M{points[0][0]:.1f},{points[0][1]:.1f}"
    for (x, y), (to_x, to_y) in zip(points, points[1:]):
        middle = (y + to_y) / 2
        path += f" C{x:.1f},{middle:.1f} {to_x:.1f},{middle:.1f} {to_x:.1f},{to_y:.1f}"
    look = 'stroke="#bbbbbb" stroke-dasharray="3 3"' if edge.control else 'stroke="#8a8a8a"'
    width = min(1 + (edge.count - 1) ** 0.5 / 3, 4)
    label = edge.label or "control dependency"
    drawn = f'<g><title>{escape(label)}</title><path d="{path}" fill="none" {look} stroke-width="{width:.1f}" '
    drawn += 'marker-end="url(#arrow)"/>'
    if labels and edge.label:
        (x, y), (to_x, to_y) = points[0], points[1]
        halo = ' paint-order="stroke" stroke="white" stroke-width="3"'
        drawn += _draw_text(0.65 * x + 0.35 * to_x, 0.65 * y + 0.35 * to_y + 3, 8, "#666666", edge.label, halo)
    return drawn + "</g>"
