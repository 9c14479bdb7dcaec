"""Large programs drawn kernel by kernel: a fused kernel is one box, and stands for the state that it alone keeps.

A variable that a kernel updates is read and written in the same place, so it needs no arrow across the picture to the kernel,
whose box says what it writes; variables that nothing else reads (an optimizer's) are part of the box.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace

from .visualize_model import PATH, Cluster, Drawing, Edge, Node, merge_edges

MOST_NAMED = 3  # operations that a box lists; where there are more, it names the one that matters
_STATE = ("variable", "placeholder", "result", "write")
_WORK = ("kernel", "reduce", "scalar", "composite")  # kinds of operations that a box lists, the ones that matter first


def close_kernels(drawing: Drawing, wanted: Collection[PATH]) -> Drawing:
    """The drawing with one box for each fused kernel, but for those in scopes of `wanted`; frames for outermost scopes."""
    closed = {path: cluster for path, cluster in drawing.clusters.items()
              if cluster.kind == "fused" and not any(path[: len(scope)] == scope for scope in wanted)}  # fmt: skip
    return _Closing(drawing, closed).close() if closed else drawing


class _Closing:
    def __init__(self, drawing: Drawing, closed: dict[PATH, Cluster]):
        self.drawing, self.closed = drawing, closed
        self.nodes = {node.key: node for node in drawing.nodes}
        self.home: dict[str, PATH] = {node.key: node.scope for node in drawing.nodes if node.scope in closed}
        self.writer: dict[str, PATH] = {}  # the kernel that makes the new value of a variable

    def close(self) -> Drawing:
        self._take_in_new_values()
        self._take_in_variables()
        outside = [self._lift(node) for node in self.drawing.nodes if node.key not in self.home]
        self.nodes |= {node.key: node for node in outside}
        edges = [edge for edge in self.drawing.edges if not self._is_far_update(edge)]
        contents: dict[PATH, list[Node]] = {}
        for key, path in self.home.items():
            contents.setdefault(path, []).append(self.nodes[key])
        boxes = {path: self._make_box(path, inner) for path, inner in contents.items()}
        place = {key: boxes[self.home[key]].key if key in self.home else key for key in self.nodes}
        clusters = {path: c for path, c in self.drawing.clusters.items() if path not in self.closed}
        result = Drawing(self.drawing.title, [*outside, *boxes.values()], merge_edges(edges, place), clusters)
        _drop_lonely_frames(result)
        return result

    def _take_in_new_values(self) -> None:
        for edge in self.drawing.edges:
            target = self.nodes[edge.target]
            if target.kind == "write" and edge.source in self.home:
                self.home[edge.target] = self.writer[target.variable] = self.home[edge.source]

    def _take_in_variables(self) -> None:
        """Those that nothing reads but the kernel that writes them."""
        readers: dict[str, set[PATH | None]] = {}
        for edge in self.drawing.edges:
            readers.setdefault(edge.source, set()).add(self.home.get(edge.target))
        for node in self.drawing.nodes:
            kernel = self.writer.get(node.variable)
            if node.kind == "variable" and kernel is not None and readers.get(node.key, {kernel}) == {kernel}:
                self.home[node.key] = kernel

    def _is_far_update(self, edge: Edge) -> bool:
        """Whether an arrow brings a variable's old value to the kernel that makes the new one, out of the variable's frame."""
        source, kernel = self.nodes[edge.source], self.home.get(edge.target)
        if kernel is None or self.writer.get(source.variable) != kernel:
            return False
        return source.scope[:1] != _frame_of(kernel) or not source.scope

    def _lift(self, node: Node) -> Node:
        """An operation in the outermost of its scopes, a variable or constant with the boxes that take it, where these are
        in one; what lies in an open kernel stays there."""
        cluster = self.drawing.clusters.get(node.scope)
        if cluster is not None and cluster.kind == "fused":
            return node
        if node.kind == "constant" or node.kind == "variable" and not node.scope:
            frames = {self._frame(edge.target) for edge in self.drawing.edges if edge.source == node.key}
            return replace(node, scope=frames.pop()) if len(frames) == 1 else node
        return node if node.kind in _STATE else replace(node, scope=node.scope[:1])

    def _frame(self, key: str) -> PATH:
        """The outermost scope of a box, once kernels are closed."""
        return _frame_of(self.home[key]) if key in self.home else self.nodes[key].scope[:1]

    def _make_box(self, path: PATH, nodes: list[Node]) -> Node:
        inner = [node for node in nodes if node.kind not in _STATE]
        work = [node for node in inner if node.kind in _WORK] or inner
        main = min(work, key=lambda node: _WORK.index(node.kind) if node.kind in _WORK else len(_WORK))
        names = [node.label.partition("(")[0] for node in work]
        few = len(names) <= MOST_NAMED
        label = " + ".join(names) if few else f"{main.label.partition('(')[0]} + {len(names) - 1}"
        written = sorted((variable for variable, kernel in self.writer.items() if kernel == path), key=len)
        detail = "/".join(path[1:] or path).partition(" \0")[0]
        tooltip = f"{self.closed[path].label}\n{self.closed[path].tooltip}"
        if written:
            detail = f"writes {written[0]}" + (f" + {len(written) - 1}" if len(written) > 1 else "")
            tooltip += f"\nwrites {', '.join(written)}"
        return Node(
            f"kernel {'/'.join(path)}".replace("\0", "#"), label, main.kind, label, _frame_of(path), detail, tooltip,
            all(node.gradient for node in inner), sum(node.count for node in nodes),
        )  # fmt: skip


def _frame_of(kernel: PATH) -> PATH:
    """The outermost scope around a kernel."""
    return kernel[:-1][:1]


def _drop_lonely_frames(drawing: Drawing) -> None:
    """Leaves out frames around nothing, or around a single box."""
    sizes = Counter(node.scope[:depth] for node in drawing.nodes for depth in range(1, len(node.scope) + 1))
    for node in drawing.nodes:
        if len(node.scope) == 1 and sizes[node.scope] == 1:
            node.scope = ()
    used = {node.scope[:depth] for node in drawing.nodes for depth in range(1, len(node.scope) + 1)}
    drawing.clusters = {path: cluster for path, cluster in drawing.clusters.items() if path in used}
