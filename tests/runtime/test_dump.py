"""Stages of a compilation as text, in hand and in files."""

import os

import numpy as np
import pytest

import graphc as tf
from graphc.passes.pipeline import PASSES
from graphc.program import build_program
from graphc.runtime.dump import Dumper, StageList, dump, prune, read_program


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def build_loss():
    x = tf.placeholder(tf.float32, [None, 20], name="x")
    w = tf.Variable(np.ones((20, 5), np.float32), name="w")
    scale = tf.constant(np.arange(20, dtype=np.float32), name="scale")
    return tf.reduce_sum(tf.nn.relu(tf.matmul(x * scale, w)), name="loss")


def test_all_stages_under_headings():
    text = dump(build_loss(), shapes={"x": (4, 20)})
    for heading in ("graph", "program", "specialise", "expand_composites", "fuse", "memory_plan", "kernels"):
        assert f"==== {heading}\n" in text
    for heading in ("llvm-000", "assembly-000"):
        assert f"==== {heading}" in text
    assert "%x: f32[4,20] feed" in text
    assert "x * scale" in text.split("==== llvm-000")[1]  # the user's line, above what it became


@pytest.mark.parametrize("stage", ["graph", "program", "specialise", "fuse", "memory_plan", "kernels", "loops", "llvm"])
def test_one_stage(stage):
    text = dump(build_loss(), stage)
    assert text and "====" not in text
    expected = {"graph": "graph {", "memory_plan": "arena ", "kernels": "step", "loops": "#", "llvm": ";"}
    assert text.startswith(expected.get(stage, "program main("))


def test_unknown_dimensions_count_as_32():
    assert "%x: f32[32,20] feed" in dump(build_loss(), "specialise")


def test_a_stage_that_there_is_none_of():
    with pytest.raises(ValueError, match="there is no stage 'nothing'; there are graph, program, "):
        dump(build_loss(), "nothing")
    with pytest.raises(ValueError, match="the program has no stage 'expand_gradients'; it has graph, "):
        dump(build_loss(), "expand_gradients")


def test_gradients_and_updates():
    loss = build_loss()
    train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    assert "dot_general" in dump([loss, train], "expand_composites")
    assert "in place" in dump(train, "memory_plan")


def test_files_hold_programs_with_their_constants(tmp_path):
    loss = build_loss()
    assert dump(loss, directory=tmp_path) == str(tmp_path)
    names = sorted(os.listdir(tmp_path))
    assert "literals.npz" in names and names[0] == "00-graph.txt"
    assert all(not name.startswith(".") for name in names)
    program = read_program(tmp_path / "01-program.txt")
    assert str(program) == str(prune(loss))
    (found,) = [op for op in program.operations if op.name == "scale"]
    np.testing.assert_array_equal(found.attributes["value"].array, np.arange(20))


def test_constants_of_every_type_come_back(tmp_path):
    values = [np.arange(40).reshape(4, 10) % 2 == 0, np.arange(40, dtype=np.int8), np.arange(40, dtype=np.float16)]
    tensors = [tf.constant(value) for value in values] + [tf.constant(np.arange(40), tf.bfloat16)]
    Dumper(tmp_path).add_program("03-program", build_program(tensors))
    program = read_program(tmp_path / "00-program.txt")
    for tensor, operation in zip(tensors, program.operations):
        before, after = tensor.op.attributes["value"].array, operation.attributes["value"].array
        assert before.dtype == after.dtype
        np.testing.assert_array_equal(before, after)


def test_the_environment_asks_for_every_compilation(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHC_DUMP", str(tmp_path))
    loss = build_loss()
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    session.run(loss, {"x:0": np.ones((4, 20))})
    folders = sorted(os.listdir(tmp_path))
    assert len(folders) == 2 and all(folder.endswith("-main") for folder in folders)
    stages = {name.split("-")[1].split(".")[0] for name in os.listdir(tmp_path / folders[1]) if "-" in name}
    assert stages >= {"graph", "program", "specialise", "fuse", "memory_plan", "kernels", "llvm", "assembly"}


def test_programs_with_host_operations_show_their_native_parts():
    x = tf.placeholder(tf.float32, [4])
    y = tf.py_func(lambda a: a, [x * 2.0], tf.float32)
    y.set_shape([4])
    text = dump(y + 1.0)
    assert text.count("==== memory_plan") == 2


def test_every_pass_can_be_asked_for():
    sink = StageList()
    sink.add_program("07-fuse", prune(build_loss()))
    assert sink.stages[0][0] == "fuse"
    for item in PASSES:
        try:
            dump(build_loss(), item.name)
        except ValueError as error:
            assert "the program has no stage" in str(error)
