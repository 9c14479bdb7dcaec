"""What a user sees of a mistake: scripts that fail, and the whole text of their errors.

Each script of tests/golden/errors is run; the file of the same name that ends in .txt has the class and the text that are
expected, from native code as from the interpreter. With --update-golden the texts of native code are written anew; the
difference is to be reviewed by hand.
"""

import runpy
from pathlib import Path

import numpy as np
import pytest

import graphc as tf

FOLDER = Path(__file__).parent / "golden" / "errors"
SCRIPTS = sorted(FOLDER.glob("*.py"))


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def name_of(path):
    return path.stem


def run_failing(path):
    """The class and text of the exception that ends a script."""
    with pytest.raises(Exception) as caught:
        runpy.run_path(str(path))
    return f"{caught.type.__name__}: {caught.value}\n"


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_error(path, request):
    found = run_failing(path)
    golden = path.with_suffix(".txt")
    if request.config.getoption("--update-golden"):
        golden.write_text(found)
    else:
        assert found == golden.read_text(), f"--update-golden rewrites {golden.name}"


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_the_interpreter_says_the_same(path, monkeypatch):
    monkeypatch.setenv("GRAPHC_BACKEND", "interpreter")
    assert run_failing(path) == path.with_suffix(".txt").read_text()


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_the_last_line_is_the_one_at_fault(path):
    """Programs as text point into the text instead."""
    *_, last = path.with_suffix(".txt").read_text().splitlines()
    if last.strip() == "^":
        return
    number, source = last.split(f"at {path.name}:")[1].split(":  ")
    assert path.read_text().splitlines()[int(number) - 1].strip() == source


def test_a_repeated_run_fails_with_the_same_text():
    """The second good run goes the native way; a bad one after it is explained as a first one is."""
    table = tf.constant(np.arange(4.0), name="table")
    places = tf.placeholder(tf.int32, [2], name="places")
    found = tf.gather(table, places)
    texts = []
    with tf.Session() as session:
        for indices in ([0, 4], [1, 2], [3, 0], [0, 4]):
            try:
                np.testing.assert_array_equal(session.run(found, {places: np.array(indices, np.int32)}), indices)
            except tf.errors.InvalidArgumentError as error:
                texts.append(str(error))
    assert len(texts) == 2 and texts[0] == texts[1]
    assert texts[0].startswith("gather: index 4 is not in [0, 4)\n")
