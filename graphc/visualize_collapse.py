"""Makes large drawings readable: scopes become single boxes until few enough are left."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection

from .visualize_model import PATH, Cluster, Drawing, Edge, Node

MOST_VISIBLE = 400  # boxes; graphviz takes seconds for as many, and minutes for a few times more
LARGEST_SHARE = 0.25  # of the boxes that one scope may bring
SHARE_OPENED = 0.4  # of these boxes, once scopes have to be closed: a picture at the limit is no overview


def collapse(drawing: Drawing, limit: int = MOST_VISIBLE, expand: Collection[str] = ()) -> Drawing:
    """A drawing of at most about `limit` boxes; where it has more, of considerably fewer.

    Scopes are opened from the outside in, all of a level or none.

    Scopes named in `expand` ("a/b") are opened with all that is around them, whatever the limit.
    """
    if len(drawing.nodes) <= limit:
        return drawing
    most = max(1, int(limit * SHARE_OPENED))
    _cut_into_blocks(drawing, most)
    return _Collapse(drawing, most, {tuple(name.split("/")) for name in expand}).run()


def _cut_into_blocks(drawing: Drawing, most: int) -> None:
    """Gives the outermost boxes scopes of their own, where there are too many: neighbours in the order of declaration."""
    loose = [node for node in drawing.nodes if not node.scope]
    if len(loose) + len({node.scope[0] for node in drawing.nodes if node.scope}) <= most:
        return
    size = math.ceil(2 * len(loose) / most)
    for start in range(0, len(loose), size):
        block = loose[start : start + size]
        path = (f"\0{start}",)
        drawing.clusters[path] = Cluster(path, f"{block[0].name} … {block[-1].name}")
        for node in block:
            node.scope = path


class _Collapse:
    def __init__(self, drawing: Drawing, limit: int, wanted: set[PATH]):
        self.drawing, self.limit, self.wanted = drawing, limit, wanted
        self.inside: dict[PATH, int] = Counter(node.scope for node in drawing.nodes)  # boxes directly in a scope
        self.children: dict[PATH, list[PATH]] = {}
        for path in drawing.clusters:
            self.children.setdefault(path[:-1], []).append(path)

    def run(self) -> Drawing:
        opened = self._choose_opened()
        result = Drawing(self.drawing.title)
        boxes: dict[PATH, list[Node]] = {}
        place: dict[str, str] = {}
        for node in self.drawing.nodes:
            closed = next((node.scope[:i] for i in range(1, len(node.scope) + 1) if node.scope[:i] not in opened), None)
            if closed is None:
                result.nodes.append(node)
                place[node.key] = node.key
            else:
                boxes.setdefault(closed, []).append(node)
                place[node.key] = _box_key(closed)
        result.nodes += [self._make_box(path, nodes) for path, nodes in boxes.items()]
        result.edges = _merge_edges(self.drawing.edges, place)
        result.clusters = {path: cluster for path, cluster in self.drawing.clusters.items() if path in opened}
        return result

    def _choose_opened(self) -> set[PATH]:
        """Level by level: all scopes of a level are opened or none, but for those that are too large by themselves."""
        opened: set[PATH] = {()}
        for path in self._named():
            opened.add(path)
        visible = 1 + sum(self._cost(path) for path in opened)
        level = [child for path in opened for child in self.children.get(path, []) if child not in opened]
        while level:
            small = [path for path in level if self._cost(path) <= self.limit * LARGEST_SHARE]
            visible += sum(map(self._cost, small))
            if visible > self.limit:
                break
            opened.update(small)
            level = [child for path in small for child in self.children.get(path, [])]
        return opened

    def _named(self) -> set[PATH]:
        """The scopes that have to be opened, with those around them."""
        around = {name[:depth] for name in self.wanted for depth in range(1, len(name) + 1)}
        return around & set(self.drawing.clusters)

    def _cost(self, path: PATH) -> int:
        """How many boxes more there are when a scope is opened."""
        return self.inside.get(path, 0) + len(self.children.get(path, [])) - 1

    def _make_box(self, path: PATH, nodes: list[Node]) -> Node:
        cluster = self.drawing.clusters[path]
        count = sum(node.count for node in nodes)
        fused = cluster.kind == "fused"
        gradient = all(node.gradient for node in nodes)
        labels = Counter(node.label.partition("(")[0] for node in nodes if node.kind not in ("variable", "placeholder"))
        parts = ", ".join(f"{n} {label}" if n > 1 else label for label, n in labels.most_common(12))
        return Node(
            _box_key(path), cluster.label, "kernel" if fused else "scope", cluster.label, path[:-1],
            f"{count} operations" if count > 1 else "1 operation", f"{cluster.tooltip}\n{parts}".strip(), gradient, count,
        )  # fmt: skip


def _box_key(path: PATH) -> str:
    return "scope " + "/".join(path).replace("\0", "#")


def _merge_edges(edges: list[Edge], place: dict[str, str]) -> list[Edge]:
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
