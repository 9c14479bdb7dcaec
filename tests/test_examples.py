"""The examples run, and learn what they claim to learn."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import graphc as tf

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@pytest.fixture(autouse=True)
def beside_the_examples(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    with tf.Graph().as_default():
        yield


def load(name):
    return importlib.import_module(name)


def test_linear_regression_runs_as_it_stands():
    command = [sys.executable, "-m", "graphc", "run", str(EXAMPLES / "linear_regression.py")]
    found = subprocess.run(command, capture_output=True, text=True, cwd=EXAMPLES.parent, env=dict(os.environ))
    assert found.returncode == 0, found.stderr
    assert "epoch 200" in found.stdout and found.stdout.splitlines()[-1].startswith("y = ")


def test_logistic_regression():
    assert load("logistic_regression").main() >= 0.95


def test_the_perceptron_reaches_97_percent():
    assert load("digits_mlp").main() >= 0.97


def test_the_convolutional_network_reaches_98_percent(tmp_path):
    assert load("digits_cnn").main(output=str(tmp_path)) >= 0.98
    names = {path.name for path in tmp_path.iterdir()}
    texts = {"program.txt", "memory.txt", "times.txt", "trace.json"}
    assert names == {"graph.svg", "program.svg", "loss.svg", "stages", *texts}
    assert (tmp_path / "graph.svg").read_text().lstrip().startswith("<")
    assert len(list((tmp_path / "stages").iterdir())) > 20


def test_a_training_step_of_the_network_is_one_native_call():
    model = load("digits_cnn").build_model()
    train_x, train_y, _, _ = load("digits").load_digits()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        feed = {model["images"]: train_x[:32], model["labels"]: train_y[:32]}
        fetches = [model["train"], model["loss"]]
        session.run(fetches, feed)
        program, _ = session.find_compiled(fetches, feed)
        updated = {key for key, _ in program.program.updates}
        assert updated == set(program.plan.in_place)
        assert program.plan.arena_bytes < program.plan.intermediate_bytes


def test_custom_training():
    assert load("custom_training").main(steps=400) < 0.01


def test_stages_of_compilation():
    text = load("stages_of_compilation").main()
    assert "dot_general" in text and "memory_plan" in text and "vector(" in text and "define void" in text
