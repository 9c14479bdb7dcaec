"""Makes large drawings readable: scopes become single boxes until few enough are left."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping

from .visualize_kernels import close_kernels
from .visualize_model import PATH, Cluster, Drawing, Node, merge_edges

MOST_VISIBLE = 400  # boxes; graphviz takes seconds for as many, and minutes for a few times more
LARGEST_SHARE = 0.25  # of the boxes that one scope may bring
SHARE_OPENED = 0.4  # of these boxes, once scopes have to be closed: a picture at the limit is no overview
CALM = 80  # boxes up to which nothing is closed


def collapse(drawing: Drawing, limit: int = MOST_VISIBLE, expand: Collection[str] = ()) -> Drawing:
    """A drawing of at most about `limit` boxes; where it has more, of considerably fewer.

    Scopes are opened from the outside in, all of a level or none. In all but small drawings a scope that does nothing but
    write variables (an optimizer's) is closed, with the variables that only it uses; in programs every fused kernel is.
    Scopes named in `expand` ("a/b") are opened with all that is around them, whatever the limit.
    """
    wanted = {tuple(name.split("/")) for name in expand}
    writing: set[PATH] = set()
    if len(drawing.nodes) > min(CALM, limit):
        has_kernels = any(cluster.kind == "fused" for cluster in drawing.clusters.values())
        drawing = close_kernels(drawing, wanted)
        writing = set() if has_kernels else _find_writing(drawing, wanted)
    if len(drawing.nodes) <= limit:
        opened = {path for path in drawing.clusters if not any(path[: len(closed)] == closed for closed in writing)}
        return _fold(drawing, opened) if writing else drawing
    most = max(1, int(limit * SHARE_OPENED))
    _cut_into_blocks(drawing, most)
    return _fold(drawing, _Choice(drawing, most, wanted, writing).choose())


def _find_writing(drawing: Drawing, wanted: Collection[PATH]) -> set[PATH]:
    """The outermost scopes that write variables and that nothing flows out of; not those that have to be opened."""
    scope_of = {node.key: node.scope for node in drawing.nodes}
    writing = {node.scope[:depth] for node in drawing.nodes if node.kind == "write" for depth in range(1, len(node.scope) + 1)}
    for edge in drawing.edges:
        source, target = scope_of[edge.source], scope_of[edge.target]
        if not edge.control:
            writing -= {source[:depth] for depth in range(1, len(source) + 1) if source[:depth] != target[:depth]}
    writing -= {name[:depth] for name in wanted for depth in range(1, len(name) + 1)}
    return {path for path in writing if not any(path[:depth] in writing for depth in range(1, len(path)))}


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


class _Choice:
    """Which scopes are opened."""

    def __init__(self, drawing: Drawing, limit: int, wanted: Collection[PATH], closed: Collection[PATH]):
        self.drawing, self.limit, self.wanted, self.closed = drawing, limit, wanted, closed
        self.inside: dict[PATH, int] = Counter(node.scope for node in drawing.nodes)  # boxes directly in a scope
        self.children: dict[PATH, list[PATH]] = {}
        for path in drawing.clusters:
            self.children.setdefault(path[:-1], []).append(path)

    def choose(self) -> set[PATH]:
        """Level by level: all scopes of a level are opened or none, but for those that are too large by themselves."""
        opened: set[PATH] = {(), *self._named()}
        visible = 1 + sum(self._cost(path) for path in opened)
        level = [child for path in opened for child in self.children.get(path, []) if child not in opened]
        while level:
            small = [path for path in level if path not in self.closed and self._cost(path) <= self.limit * LARGEST_SHARE]
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


def _fold(drawing: Drawing, opened: Collection[PATH]) -> Drawing:
    """The drawing with one box for each outermost scope that is not open."""
    open_ = {(), *opened}
    home: dict[str, PATH] = {}  # the closed scope that a box is in
    for node in drawing.nodes:
        closed = next((node.scope[:i] for i in range(1, len(node.scope) + 1) if node.scope[:i] not in open_), None)
        if closed is not None:
            home[node.key] = closed
    home |= _take_in_variables(drawing, home)
    boxes: dict[PATH, list[Node]] = {}
    for node in drawing.nodes:
        if node.key in home:
            boxes.setdefault(home[node.key], []).append(node)
    result = Drawing(drawing.title, [node for node in drawing.nodes if node.key not in home])
    result.nodes += [_make_box(drawing.clusters[path], nodes) for path, nodes in boxes.items()]
    place = {node.key: _box_key(home[node.key]) if node.key in home else node.key for node in drawing.nodes}
    result.edges = merge_edges(drawing.edges, place)
    result.clusters = {path: cluster for path, cluster in drawing.clusters.items() if path in open_}
    return result


def _take_in_variables(drawing: Drawing, home: Mapping[str, PATH]) -> dict[str, PATH]:
    """The closed scope of variables and constants outside that nothing but the inside of that scope uses."""
    users: dict[str, set[PATH | None]] = {n.key: set() for n in drawing.nodes if n.kind in ("variable", "constant")}
    for edge in drawing.edges:
        for key, other in ((edge.source, edge.target), (edge.target, edge.source)):
            if key in users and not edge.control:
                users[key].add(home.get(other))
    alone = {key: next(iter(found)) for key, found in users.items() if len(found) == 1 and key not in home}
    return {key: path for key, path in alone.items() if path is not None}


def _make_box(cluster: Cluster, nodes: list[Node]) -> Node:
    count = sum(node.count for node in nodes)
    labels = Counter(node.label.partition("(")[0] for node in nodes if node.kind not in ("variable", "placeholder"))
    parts = ", ".join(f"{n} {label}" if n > 1 else label for label, n in labels.most_common(12))
    written = [node.detail for node in nodes if node.kind == "write" and node.detail]
    writes = f"\nwrites {', '.join(written)}" if written else ""
    return Node(
        _box_key(cluster.path), cluster.label, "kernel" if cluster.kind == "fused" else "scope", cluster.label,
        cluster.path[:-1], f"{count} operations" if count > 1 else "1 operation",
        f"{cluster.tooltip}\n{parts}{writes}".strip(), all(node.gradient for node in nodes), count,
    )  # fmt: skip


def _box_key(path: PATH) -> str:
    return "scope " + "/".join(path).replace("\0", "#")
