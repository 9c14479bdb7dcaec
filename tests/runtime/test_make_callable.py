"""Callables of a session: native from the beginning where shapes are known, right in every case."""

import numpy as np
import pytest

import graphc as tf


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default():
        yield


def test_a_native_function_of_the_feeds_in_their_order():
    x, y = tf.placeholder(tf.float32, [3]), tf.placeholder(tf.float32, [3])
    w = tf.Variable(2.0)
    with tf.Session() as session:
        session.run(w.initializer)
        call = session.make_callable([x - w * y, tf.no_op()], [y, x])
        ones, fives = np.ones(3, np.float32), np.full(3, 5, np.float32)
        value, nothing = call(ones, fives)
        np.testing.assert_array_equal(value, [3, 3, 3])
        assert nothing is None
        session.run(w.assign(3.0))
        np.testing.assert_array_equal(call(ones, fives)[0], [2, 2, 2])
        np.testing.assert_array_equal(call([1, 1, 1], 5.0 + np.zeros(3))[0], [2, 2, 2])  # what has to be converted


def test_variables_that_come_later():
    x, w = tf.placeholder(tf.float32, [2]), tf.Variable([1.0, 2.0])
    with tf.Session() as session:
        call = session.make_callable(x * w, [x])
        with pytest.raises(tf.errors.FailedPreconditionError):
            call(np.ones(2, np.float32))
        session.run(w.initializer)
        for factor in (1.0, 2.0, 3.0):
            np.testing.assert_array_equal(call(np.full(2, factor, np.float32)), [factor, 2 * factor])


def test_unknown_shapes_and_changing_batches():
    x = tf.placeholder(tf.float32, [None, 2])
    with tf.Session() as session:
        call = session.make_callable(tf.reduce_sum(x, 1), [x])
        for rows in (1, 4, 4, 2, 7, 4):
            data = np.arange(2 * rows, dtype=np.float32).reshape(rows, 2)
            np.testing.assert_array_equal(call(data), data.sum(1))


def test_wrong_arguments():
    x = tf.placeholder(tf.float32, [2], name="x")
    with tf.Session() as session:
        call = session.make_callable(x + 1.0, [x])
        with pytest.raises(TypeError, match="takes 1 values, 2 were given"):
            call(np.zeros(2, np.float32), 1)
        with pytest.raises(ValueError, match="Cannot feed value of shape"):
            call(np.zeros(3, np.float32))
        with pytest.raises(tf.errors.InvalidArgumentError, match="You must feed a value for placeholder"):
            call()
        with pytest.raises(tf.errors.InvalidArgumentError, match="You must feed a value for placeholder"):
            session.make_callable(x + 2.0)()


def test_a_closed_session_refuses():
    x = tf.placeholder(tf.float32, [2])
    w = tf.Variable([1.0, 1.0])
    session = tf.Session()
    session.run(w.initializer)
    call = session.make_callable(x * w, [x])
    call(np.ones(2, np.float32))
    session.close()
    with pytest.raises(RuntimeError, match="closed"):
        call(np.ones(2, np.float32))


def test_programs_with_python_in_them():
    x = tf.placeholder(tf.float32, [2])
    y = tf.py_func(lambda a: a * 2, [x], tf.float32)
    with tf.Session() as session:
        call = session.make_callable(y + 1.0, [x])
        for _ in range(3):
            np.testing.assert_array_equal(call(np.ones(2, np.float32)), [3, 3])
