"""Floating-point operations of kernels: counted by the scalar bodies, once for each element."""

import numpy as np
import pytest
from native_running import compile_native

import graphc as tf
from graphc.program import build_program

ROWS, COLUMNS = 24, 36
ELEMENTS = ROWS * COLUMNS


def count(function, dtype=tf.float32, shape=(ROWS, COLUMNS)):
    """Operations and flops of all kernels of a program of one placeholder."""
    with tf.Graph().as_default():
        x = tf.placeholder(dtype, shape, name="x")
        program = build_program([function(x)], feeds=[x])
    kernels = [step.kernel for _, step in compile_native(program).compilation.steps]
    return sum(kernel.operations for kernel in kernels), sum(kernel.flops for kernel in kernels)


@pytest.mark.parametrize("function, expected", [
    (lambda x: x * 3.7, ELEMENTS),
    (lambda x: tf.exp(x * 3.7) + x, 3 * ELEMENTS),
    (lambda x: tf.erf(tf.tanh(x)), 2 * ELEMENTS),
    (lambda x: tf.where(tf.greater(x, 0.3), x, -x), 2 * ELEMENTS),
    (lambda x: tf.transpose(x), 0),
    (lambda x: tf.cast(x, tf.int32) + 5, 0),
    (lambda x: tf.reduce_sum(x, 1), ELEMENTS),
    (lambda x: tf.reduce_max(tf.square(x), 0), 2 * ELEMENTS),
    (lambda x: tf.cumsum(x, 1), ELEMENTS),
])  # fmt: skip
def test_loops_count_what_is_computed(function, expected):
    assert count(function) == (expected, 0)


def test_integers_count_nothing():
    assert count(lambda x: x * 3 + x, tf.int32) == (0, 0)


def test_what_follows_a_product_is_counted_beside_its_flops():
    results = ROWS * 40
    assert count(lambda x: tf.matmul(x, np.ones((COLUMNS, 40), np.float32))) == (0, 2 * results * COLUMNS)
    with_bias = count(lambda x: tf.tanh(tf.matmul(x, np.ones((COLUMNS, 40), np.float32)) + 0.3))
    assert with_bias == (2 * results, 2 * results * COLUMNS)


def test_what_follows_a_convolution_is_counted_beside_its_flops():
    filters, shape = np.ones((3, 3, 4, 8), np.float32), (2, 6, 6, 4)
    plain = count(lambda x: tf.nn.conv2d(x, filters, [1, 1, 1, 1], "VALID"), shape=shape)
    relu = count(lambda x: tf.nn.conv2d(x, filters, [1, 1, 1, 1], "VALID") * 0.3, shape=shape)
    assert plain == (0, 2 * 2 * 4 * 4 * 8 * 3 * 3 * 4)
    assert relu == (2 * 4 * 4 * 8, plain[1])


def test_windows_count_their_elements_without_the_padding():
    shape = (2, 5, 5, 3)
    largest = count(lambda x: tf.nn.max_pool(x, [1, 2, 2, 1], [1, 2, 2, 1], "SAME"), shape=shape)
    mean = count(lambda x: tf.nn.avg_pool(x, [1, 2, 2, 1], [1, 2, 2, 1], "SAME"), shape=shape)
    assert largest == (2 * 5 * 5 * 3, 0)
    assert mean == (2 * 5 * 5 * 3 + 2 * 3 * 3 * 3, 0)
