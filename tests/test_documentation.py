"""The documentation shows what is: its scripts run, its programs are what `dump` gives, its links lead somewhere."""

import ast
import json
import os
import re
from pathlib import Path

import pytest

import graphc as tf
from graphc.passes.pipeline import PASSES

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
FENCE = re.compile(r"^```(\w+)[ ]?([\w ]*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#:]+)\)|src=\"([^\":]+)\"")


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def blocks(page, language):
    """The fenced blocks of a page as (what stands behind the language, text)."""
    return [(info, text) for kind, info, text in FENCE.findall((ROOT / page).read_text()) if kind == language]


def run_block(text, name, folder):
    """Runs a script under a file name, so that its lines have locations."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        names = {}
        exec(compile(text, name, "exec"), names)
        return names
    finally:
        os.chdir(before)


def assert_shows(dumped, shown):
    """Every line that is shown is in the text, in this order; lines may be left out between, and cut at their ends."""
    remaining = iter([squeeze(line) for line in dumped.splitlines()])
    for line in filter(None, map(squeeze, shown.splitlines())):
        assert any(found.startswith(line) for found in remaining), line


def squeeze(line):
    return " ".join(line.split())


def test_the_script_of_the_readme(tmp_path, capsys):
    ((_, script),) = blocks("README.md", "python")
    names = run_block(script, "digits.py", tmp_path)
    assert (tmp_path / "graph.svg").read_text().lstrip().startswith("<")
    assert names["value"] < 0.3
    shown = {info: text for info, text in blocks("README.md", "text") if info}
    assert_shows(capsys.readouterr().out, shown["fuse"])
    loops = tf.dump(names["probabilities"], stage="loops")
    assert_shows(*(re.sub(r"vector\(\d+ x \d+\)", "vector", text) for text in (loops, shown["loops"])))


def test_the_stages_of_the_architecture():
    ((_, script),) = blocks("docs/architecture.md", "python")
    names = run_block(script, "script.py", ROOT)
    for stage, shown in blocks("docs/architecture.md", "text"):
        dumped = tf.dump([names["train"], names["loss"]], stage=stage, shapes={"x": (32, 4)})
        assert_shows(dumped, shown)


def test_the_script_about_times(tmp_path, capsys):
    ((_, script),) = blocks("docs/profiling.md", "python")
    names = run_block(script, "times.py", tmp_path)
    text = capsys.readouterr().out
    assert text.startswith(f"{len(names['profile'].steps)} kernels, ")
    assert text.splitlines()[-1].startswith("times.py:")
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    for first, second in LINK.findall(FENCE.sub("", page.read_text())):
        assert (page.parent / (first or second)).exists(), first or second


def test_every_environment_variable_is_described():
    described = set(re.findall(r"GRAPHC_[A-Z_]+", (ROOT / "docs" / "architecture.md").read_text()))
    used = set()
    for folder in ("graphc", "passes", "runtime"):
        for path in (ROOT / folder).rglob("*.py"):
            used |= {text for text in strings_of(path) if re.fullmatch(r"GRAPHC_[A-Z_]+", text)}
    assert used == described


def strings_of(path):
    return {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(getattr(node, "value", None), str)}


def test_every_pass_is_described():
    text = (ROOT / "docs" / "architecture.md").read_text()
    assert not [item.name for item in PASSES if f"`{item.name}`" not in text]
    assert not [item.name for item in PASSES if (type(item).__doc__ or "").startswith(type(item).__name__)]


def test_what_the_readme_calls_absent_is_absent():
    (sentence,) = re.findall(r"What is not there: (.*?)\.\s", (ROOT / "README.md").read_text(), re.DOTALL)
    names = re.findall(r"`tf\.([\w.]+)`", sentence)
    assert len(names) >= 4
    assert not [name for name in names if has_name(name)]


def has_name(name):
    found = tf
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is not None
