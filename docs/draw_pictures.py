"""Draws the pictures of the documentation: python docs/draw_pictures.py

    graph.svg          the graph of the script in the README, by graphc itself
    kernels.svg        the training step of the demo as kernels, by graphc itself
    architecture.svg   the way of the data
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

import graphc as tf

FOLDER = Path(__file__).resolve().parent
WIDTH, HEIGHT, GAP, LEFT, ROW = 140, 48, 92, 150, 112
INK, PALE = "#333333", "#777777"


class Step(NamedTuple):
    """A stage, what or where it is, and the type of what it hands on."""

    name: str
    detail: str
    result: str


ROWS = (
    ("graphc/", "what a user declares", "#dcf2d5", "#4f9a3d", (
        Step("declare", "ops, layers, optimizers", "Graph"),
        Step("prune", "state as data flow", "Program"),
    )),
    ("passes/", "program to program", "#dce9fb", "#4a7fc1", (
        Step("specialise", "shapes of the feeds", "Program"),
        Step("differentiate", "gradient operations", "Program"),
        Step("simplify", "primitives, rules", "Program"),
        Step("fuse", "one kernel a region", "Program"),
        Step("plan memory", "places in one arena", "MemoryPlan"),
    )),
    ("runtime/", "to machine code", "#ffd9d0", "#cf5a42", (
        Step("lower", "what is computed", "LoopNest"),
        Step("schedule", "how it runs", "LoopNest"),
        Step("emit", "LLVM IR as text", "Kernel"),
        Step("compile, load", "code cache", "addresses"),
        Step("assemble", "a table of steps", "Executable"),
    )),
    ("runtime/", "at each run", "#ffe6bf", "#c98317", (
        Step("Session.run", "match fetches, feeds", "arrays"),
        Step("call path", "check, allocate, lock", "slots"),
        Step("walk", "step after step", "chunks"),
        Step("thread pool", "kernels", "arrays"),
    )),
)  # fmt: skip


def draw_architecture(path: Path) -> None:
    """One row a part, arrows with the types that are handed on; the end of a row leads to the start of the next."""
    parts: list[str] = []
    for number, (folder, meaning, fill, line, steps) in enumerate(ROWS):
        top = 20 + number * ROW
        middle = top + HEIGHT / 2
        parts.append(_text(16, middle - 4, folder, 14, INK, "start", "bold"))
        parts.append(_text(16, middle + 13, meaning, 11, PALE, "start"))
        for place, step in enumerate(steps):
            x = LEFT + place * (WIDTH + GAP)
            parts.append(f'<rect x="{x}" y="{top}" width="{WIDTH}" height="{HEIGHT}" rx="7" fill="{fill}" stroke="{line}"/>')
            parts.append(_text(x + WIDTH / 2, middle - 3, step.name, 13, INK, "middle", "bold"))
            parts.append(_text(x + WIDTH / 2, middle + 14, step.detail, 10.5, PALE))
            if place < len(steps) - 1:
                parts.append(_arrow([(x + WIDTH, middle), (x + WIDTH + GAP, middle)]))
                parts.append(_text(x + WIDTH + GAP / 2 - 3, middle - 6, step.result, 11, INK))
        if number < len(ROWS) - 1:
            end, start = LEFT + (len(steps) - 1) * (WIDTH + GAP) + WIDTH / 2, LEFT + WIDTH / 2
            between = top + HEIGHT + (ROW - HEIGHT) / 2
            parts.append(_arrow([(end, top + HEIGHT), (end, between), (start, between), (start, top + ROW)]))
            parts.append(_text((end + start) / 2, between - 6, steps[-1].result, 11, INK))
    width = LEFT + 5 * WIDTH + 4 * GAP + 16
    height = 20 + (len(ROWS) - 1) * ROW + HEIGHT + 20
    path.write_text("\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="Helvetica,Arial,sans-serif">',
        '<defs><marker id="tip" markerWidth="9" markerHeight="8" refX="8" refY="4" orient="auto">'
        f'<path d="M0,0 L9,4 L0,8 z" fill="{PALE}"/></marker></defs>',
        '<rect width="100%" height="100%" fill="white"/>',
        *parts,
        "</svg>",
        "",
    ]))  # fmt: skip


def _text(x: float, y: float, text: str, size: float, colour: str, anchor: str = "middle", weight: str = "normal") -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{colour}" text-anchor="{anchor}" '
        f'font-weight="{weight}">{text}</text>'
    )


def _arrow(points: list[tuple[float, float]]) -> str:
    line = " ".join(f"{x:g},{y:g}" for x, y in points)
    return f'<polyline points="{line}" fill="none" stroke="{PALE}" stroke-width="1.3" marker-end="url(#tip)"/>'


def draw_readme_graph(path: Path) -> None:
    """Runs the script of the README up to its session, and draws what it declared."""
    text = (FOLDER.parent / "README.md").read_text()
    (script,) = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    declarations, _, _ = script.partition("with tf.Session")
    with tf.Graph().as_default() as graph:
        exec(compile(declarations, "digits.py", "exec"), {})
        tf.render(graph, path)


def draw_kernels(path: Path) -> None:
    """Optimises the training step of the demo, and draws it."""
    from graphc.parser import parse_program

    sys.path.insert(0, str(FOLDER.parent / "examples"))
    from digits_cnn import BATCH, build_model

    with tf.Graph().as_default():
        model = build_model()
        shapes = {"images": (BATCH, 8, 8, 1), "labels": (BATCH,)}
        text = tf.dump([model["train"], model["loss"]], stage="place_results", shapes=shapes)
        tf.render(parse_program(text), path, title="examples/digits_cnn.py: one training step as kernels")


if __name__ == "__main__":
    draw_architecture(FOLDER / "architecture.svg")
    draw_kernels(FOLDER / "kernels.svg")
    draw_readme_graph(FOLDER / "graph.svg")
