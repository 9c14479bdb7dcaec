"""Feeds of tensors that operations compute: the fed value takes the place of the operation, whatever it is."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as tf


def _fed_constant():
    x = tf.constant(3.0)
    y = -x
    return -y, x, 5.0, 5.0


def _fed_behind_an_inverse():
    y = -tf.Variable(3.0)
    return -y, y, 5.0, -5.0


def _fed_behind_a_movement():
    y = tf.reshape(tf.Variable([[3.0, 4.0]]), [-1])
    return tf.reshape(y, [2, 1]), y, [7, 8], [[7], [8]]


def _fed_filling():
    y = tf.zeros([2])
    return y + 1, y, [5, 6], [6, 7]


def _fed_read_of_a_variable():
    x = tf.Variable([1.0, 2.0])
    return x * 2, x, [5, 6], [10, 12]


def _fed_default_of_a_shape():
    x = tf.placeholder_with_default([3], [1])
    return tf.zeros(x), x, [5], [0] * 5


def _fed_factor_of_a_gradient():
    x, factor = tf.Variable(1.0), tf.zeros([2])
    return tf.gradients(factor * x * x, x)[0], factor, [5, 6], 22


def _fed_part_of_a_split():
    x = tf.split(tf.constant([1.0, 2.0]), 2)
    return tf.concat(x, 0), x[0], [5], [5, 2]


CASES = [
    _fed_constant, _fed_behind_an_inverse, _fed_behind_a_movement, _fed_filling, _fed_read_of_a_variable,
    _fed_default_of_a_shape, _fed_factor_of_a_gradient, _fed_part_of_a_split,
]  # fmt: skip


@pytest.mark.parametrize("build", CASES, ids=lambda build: build.__name__.strip("_"))
def test_fed_value_takes_the_place_of_the_operation(build):
    with tf.Graph().as_default(), tf.Session() as session:
        result, fed, value, expected = build()
        session.run(tf.global_variables_initializer())
        for _ in range(2):  # the first run compiles, the second takes the native path
            np.testing.assert_array_equal(session.run(result, {fed: value}), np.array(expected, np.float32))
        np.testing.assert_array_equal(session.run([fed, result], {fed: value})[0], value)


@pytest.fixture
def slow_runs(monkeypatch):
    """The feeds of runs that are not repetitions of earlier ones."""
    runs = []
    monkeypatch.setattr("graphc.runtime.session.RUN_OBSERVERS", [lambda session, fetches, feeds: runs.append(feeds)])
    return runs


def test_feeds_that_are_not_needed_are_checked_and_cost_no_slow_run(slow_runs):
    with tf.Graph().as_default(), tf.Session() as session:
        x, rate = tf.placeholder(tf.float32, [3], name="x"), tf.placeholder(tf.float32, [], name="rate")
        rows, text = tf.placeholder(tf.int32, [None, 2], name="rows"), tf.placeholder(tf.string, [], name="text")
        y, values = x * 2.0, np.array([1, 2, 3], np.float32)
        for others in ({}, {rate: 0.5}, {rate: 0.5, rows: np.zeros((4, 2), np.int32)}, {rows: np.zeros((1, 2), np.int32)}):
            for repetition in range(3):
                count = len(slow_runs)
                np.testing.assert_array_equal(session.run(y, {x: values, **others}), [2, 4, 6])
                assert len(slow_runs) == count + (repetition == 0)
        np.testing.assert_array_equal(session.run(y, {x: values, text: "unread"}), [2, 4, 6])
        with pytest.raises(ValueError, match="Cannot feed value of shape"):
            session.run(y, {x: values, rate: 0.5, rows: np.zeros((4, 3), np.int32)})
        with pytest.raises(ValueError, match="Cannot convert"):
            session.run(y, {x: values, rate: "slow"})


def test_callables_take_feeds_that_are_not_needed(slow_runs):
    with tf.Graph().as_default(), tf.Session() as session:
        x, rows = tf.placeholder(tf.float32, [3]), tf.placeholder(tf.float32, [None, 2])
        function = session.make_callable(x + 1.0, [rows, x])
        for count in (2, 2, 5):
            np.testing.assert_array_equal(function(np.zeros((count, 2), np.float32), [1, 2, 3]), [2, 3, 4])
        with pytest.raises(ValueError, match="Cannot feed value of shape"):
            function(np.zeros((2, 3), np.float32), [1, 2, 3])
        twice = session.make_callable(x + 1.0, [x, x])
        np.testing.assert_array_equal(twice(np.zeros(3, np.float32), np.ones(3, np.float32)), [2, 2, 2])


def test_feeds_that_are_not_needed_leave_watched_variables_watched():
    """Steps that write a variable whose packed form is kept, with and without such feeds."""
    with tf.Graph().as_default(), tf.Session() as session:
        x, rate = tf.placeholder(tf.float32, [4, 64], name="x"), tf.placeholder(tf.float32, [], name="rate")
        w = tf.Variable(np.eye(64, dtype=np.float32))
        product, double = tf.matmul(x, w), tf.assign(w, w * 2.0)
        session.run(w.initializer)
        values, expected = np.ones((4, 64), np.float32), 1.0
        for _ in range(4):
            for others in ({}, {rate: 0.5}):
                np.testing.assert_array_equal(session.run(product, {x: values, **others}), values * expected)
                session.run(double, others)
                expected *= 2
