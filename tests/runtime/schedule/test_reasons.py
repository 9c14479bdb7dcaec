"""What schedules say of kernels that one thread runs."""

import numpy as np
import pytest
from native_running import compile_native

import graphc as tf
from graphc.program import build_program
from graphc.runtime.schedule.reasons import explain_serial, join_notes


@pytest.mark.parametrize("given, expected", [
    ((2, 2, 10, 100, "bytes"), ""),
    ((1, 1, 1000, 100, "bytes"), "serial: one thread"),
    ((1, 2, 1234, 20000, "bytes"), "serial: 1,234 bytes, a fork pays from 20,000"),
    ((1, 2, 20000, 20000, "bytes"), "serial: one piece"),
    ((1, 2, 20000, 20000, "bytes", "no loop"), "serial: no loop"),
])  # fmt: skip
def test_the_reason_is_the_first_that_holds(given, expected):
    assert explain_serial(*given) == expected


def test_notes_without_those_that_are_empty():
    assert join_notes("", "a", "", 3) == "a; 3"


def schedules_of(function, shape, threads):
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, shape, name="x")
        program = build_program([function(x)], feeds=[x])
    return [step.kernel.schedule for _, step in compile_native(program, threads).compilation.steps]


@pytest.mark.skipif("GRAPHC_SCHEDULE" in __import__("os").environ, reason="schedules are forced")
def test_every_kernel_says_why_it_is_serial():
    def several(x):
        weights = tf.constant(np.ones((8, 8), np.float32))
        pooled = tf.nn.max_pool(tf.reshape(tf.tanh(tf.matmul(x, weights)), [1, 8, 8, 1]), [1, 2, 2, 1], [1, 2, 2, 1], "SAME")
        return tf.nn.top_k(tf.reshape(pooled, [16]), 3)[0] + tf.random_uniform([3], seed=1)

    for schedule in schedules_of(several, [8, 8], 2):
        assert "a fork pays from" in schedule
    for schedule in schedules_of(several, [8, 8], 1):
        assert "serial: one thread" in schedule
    assert all("serial" not in schedule for schedule in schedules_of(tf.tanh, [512, 512], 2))
