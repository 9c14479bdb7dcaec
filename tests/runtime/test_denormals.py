"""Programs take denormal floats for zero; the threads of the caller keep their mode."""

from __future__ import annotations

import platform

import numpy as np
import pytest

import graphc as tf

TINY = np.float32(1e-40)

pytestmark = pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="the mode of this processor is unknown")


@pytest.mark.parametrize("size", [5, 1_000_003])
def test_results_and_operands_below_the_smallest_normal_float_are_zero(size: int) -> None:
    x = tf.placeholder(tf.float32, [None])
    small, large = x * 1e-30, x * 1e30
    with tf.Session() as session:
        results = session.run(small, {x: np.full(size, 1e-10, np.float32)})
        operands = session.run(large, {x: np.full(size, TINY)})
    np.testing.assert_array_equal(results, np.zeros(size, np.float32))
    np.testing.assert_array_equal(operands, np.zeros(size, np.float32))


def test_the_calling_thread_keeps_its_mode() -> None:
    x = tf.placeholder(tf.float32, [3])
    with tf.Session() as session:
        session.run(x + 1, {x: np.ones(3)})
    assert TINY * np.float32(0.5) != 0
    assert (np.full(64, TINY) * np.float32(0.5)).all()


def test_a_failed_run_gives_the_mode_back() -> None:
    row = tf.placeholder(tf.int32, [])
    picked = tf.gather(tf.constant([1.0, 2.0]), row)
    with tf.Session() as session, pytest.raises(tf.errors.InvalidArgumentError):
        session.run(picked, {row: 7})
    assert TINY * np.float32(0.5) != 0


def test_the_moments_of_a_dead_unit_decay_to_zero() -> None:
    x = tf.placeholder(tf.float32, [4])
    weights = tf.Variable(np.ones(4, np.float32))
    optimizer = tf.train.AdamOptimizer(0.01)
    train = optimizer.minimize(tf.reduce_sum(weights * x))
    moment = optimizer.get_slot(weights, "m")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train, {x: [1, 1, 0, 1]})
        for _ in range(1200):
            session.run(train, {x: np.zeros(4)})
        np.testing.assert_array_equal(session.run(moment), np.zeros(4, np.float32))
