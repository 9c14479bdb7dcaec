"""Constants that kernels are given: what shares a kernel, what does not, and that the numbers arrive."""

import ml_dtypes
import numpy as np
import pytest
from native_running import compile_native, run_native

import graphc as tf
from graphc.program import build_program
from graphc.runtime.dump import describe_origin

X = np.random.default_rng(0).standard_normal((6, 7)).astype(np.float32)


def build(function, dtype=tf.float32, shape=X.shape):
    """A program of one placeholder, x."""
    with tf.Graph().as_default():
        x = tf.placeholder(dtype, shape, name="x")
        return build_program([function(x)], feeds=[x])


def kernels_of(program):
    return {step.kernel.name for _, step in compile_native(program).compilation.steps}


def test_operations_that_differ_in_numbers_have_one_kernel():
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, X.shape, name="x")
        program = build_program([tf.tanh(x * factor) - factor / 7 for factor in (3.7, 0.2, -5.1, 1e-8)], feeds=[x])
    assert len(kernels_of(program)) < 4  # one, but for what results share
    for factor, found in zip((3.7, 0.2, -5.1, 1e-8), run_native(program, {"x:0": X})):
        np.testing.assert_allclose(found, np.tanh(X * np.float32(factor)) - np.float32(factor / 7), rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("apply", [
    lambda x, c: x * c, lambda x, c: x + c, lambda x, c: c - x, lambda x, c: x / c, lambda x, c: c / x,
    lambda x, c: tf.where(tf.greater(x, c), x, x * c), lambda x, c: tf.where(tf.less_equal(c, x), x, c + tf.zeros_like(x)),
])  # fmt: skip
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
def test_numbers_arrive_in_every_type(apply, dtype):
    values, number = X.astype(dtype), dtype(0.3)
    programs = [build(lambda x, c=c: apply(x, tf.constant(c, x.dtype)), tf.as_dtype(dtype)) for c in (0.3, 0.7)]
    assert kernels_of(programs[0]) == kernels_of(programs[1])
    (found,) = run_native(programs[0], {"x:0": values})
    with tf.Graph().as_default():
        x, c = (tf.placeholder(tf.as_dtype(dtype), shape) for shape in (values.shape, []))
        by_feeds = build_program([apply(x, c)], feeds=[x, c])
    (expected,) = run_native(by_feeds, {by_feeds.parameters[0].key: values, by_feeds.parameters[1].key: np.array(number)})
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("pair", [
    (lambda x: x * 1, lambda x: x * 2.0), (lambda x: x + 0.5, lambda x: x + 3.7),
    (lambda x: tf.pow(x, 2.5), lambda x: tf.pow(x, 3.5)), (lambda x: tf.maximum(x, 0.3), lambda x: tf.maximum(x, 0.4)),
    (lambda x: x + np.inf, lambda x: x + 3.7),
])  # fmt: skip
def test_what_makes_better_code_stays_in_the_kernel(pair):
    first, second = (kernels_of(build(function)) for function in pair)
    assert first != second


def test_large_loops_keep_their_numbers():
    small, large = ([kernels_of(build(lambda x, c=c: x * c, shape=[rows, 128])) for c in (0.3, 0.4)] for rows in (256, 257))
    assert small[0] == small[1]
    assert large[0] != large[1]


def test_equal_numbers_are_not_taken_for_one():
    def two(a, b):
        return build(lambda x: x * tf.constant(a, shape=[1, 1]) + tf.constant(b))

    for a, b in ((0.3, 0.3), (0.3, 0.7), (0.7, 0.3)):
        (found,) = run_native(two(a, b), {"x:0": X})
        np.testing.assert_allclose(found, X * np.float32(a) + np.float32(b), rtol=1e-6, atol=1e-6)


def test_what_follows_products_and_convolutions_is_given_its_numbers():
    weights = np.random.default_rng(1).standard_normal((7, 40)).astype(np.float32)
    images = np.random.default_rng(2).standard_normal((2, 9, 9, 3)).astype(np.float32)
    filters = np.random.default_rng(3).standard_normal((3, 3, 3, 16)).astype(np.float32)

    def dense(scale, shift):
        return build(lambda x: tf.maximum(tf.matmul(x, tf.constant(weights)) * scale + shift, 0))

    def convolved(scale, shift):
        return build(lambda x: tf.nn.conv2d(x, filters, [1, 1, 1, 1], "SAME") * scale + shift, shape=images.shape)

    for make, values, like in ((dense, X, X @ weights), (convolved, images, None)):
        assert kernels_of(make(0.3, 0.7)) == kernels_of(make(0.4, 0.9))
        (plain,) = run_native(make(1.0, 0.0), {"x:0": values})
        (found,) = run_native(make(0.3, 0.7), {"x:0": values})
        expected = plain * np.float32(0.3) + np.float32(0.7) if like is None else np.maximum(like * 0.3 + 0.7, 0)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_another_learning_rate_needs_no_other_kernel():
    def train(rate):
        with tf.Graph().as_default():
            x = tf.placeholder(tf.float32, [8, 12], name="x")
            w = tf.Variable(np.full((12, 20), 0.1, np.float32), name="w")
            loss = tf.reduce_mean(tf.square(tf.matmul(x, w)))
            return build_program([loss], [tf.train.GradientDescentOptimizer(rate).minimize(loss)], [x])

    assert kernels_of(train(0.1)) == kernels_of(train(0.003))


def test_dumps_name_the_numbers():
    compilation = compile_native(build(lambda x: x * 3.7)).compilation
    ((operation, step),) = compilation.steps
    assert "mul(v0, given0)" in step.kernel.loops
    assert "given0: f32" in step.kernel.loops
    assert "given0 = 3.7" in describe_origin(operation, step)
