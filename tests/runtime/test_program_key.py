"""What a compiled program is kept under tells apart all that leads to different code."""

import pytest

import graphc as tf
from graphc.program import build_program
from graphc.runtime.program_store import program_key
from graphc.runtime.schedule.machine import host_machine


@pytest.fixture
def program():
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [4, 4], name="x")
        yield build_program([tf.matmul(x, x)], (), [x])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GRAPHC_MATMUL_PRECISION", "bf16"),
        ("GRAPHC_SCHEDULE", "scalar"),
        ("GRAPHC_CONVOLUTION", "direct"),
        ("GRAPHC_DISABLE", "fold_constants"),
    ],
)
def test_options_of_the_environment(program, monkeypatch, name, value):
    monkeypatch.delenv(name, raising=False)
    before = program_key(program, host_machine(), 2)
    monkeypatch.setenv(name, value)
    assert before is not None and program_key(program, host_machine(), 2) != before
    monkeypatch.delenv(name)
    assert program_key(program, host_machine(), 2) == before


def test_threads_and_text(program):
    key = program_key(program, host_machine(), 2)
    assert program_key(program, host_machine(), 3) != key
    assert program_key(program.replace(name="other"), host_machine(), 2) != key
