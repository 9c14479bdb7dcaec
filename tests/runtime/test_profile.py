"""Times of kernels. Nothing is said about how long they are."""

import numpy as np
import pytest

import graphc as tf
from graphc.runtime.profile import format_times, profile_session_run


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def test_each_step_has_a_time_and_a_line():
    x = tf.placeholder(tf.float32, [64, 32])
    w = tf.Variable(np.ones((32, 16), np.float32))
    loss = tf.reduce_sum(tf.square(tf.matmul(x, w)))
    train = tf.train.GradientDescentOptimizer(1e-6).minimize(loss)
    session = tf.Session()
    session.run(w.initializer)
    steps = profile_session_run(session, [train, loss], {x: np.ones((64, 32))}, repeat=3)
    assert [step.number for step in steps] == list(range(len(steps)))
    assert all(step.microseconds >= 0 for step in steps)
    assert sum(step.flops for step in steps) >= 2 * 2 * 64 * 32 * 16
    text = format_times(steps)
    assert text.startswith(f"{len(steps)} kernels, ") and "test_profile.py:" in text
    assert format_times(steps, most=1).endswith(f"... and {len(steps) - 1} more")


def test_runs_with_parts_in_python_are_not_timed():
    y = tf.py_func(lambda: np.float32(1), [], tf.float32)
    with pytest.raises(ValueError, match="not one compiled program"):
        profile_session_run(tf.Session(), y)
