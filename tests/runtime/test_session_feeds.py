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
