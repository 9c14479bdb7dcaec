"""Operations that differ in names alone are lowered once."""

import numpy as np
from native_running import compile_native, run_native

import graphc as tf
from graphc.passes.base import Context
from graphc.passes.expand_gradients import ExpandGradients
from graphc.program import build_program
from graphc.runtime.interpreter import interpret


def recurrent(steps, scale=1.0):
    """The same cell several times, on other data each time."""
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [steps, 4, 8], name="x")
        w = tf.placeholder(tf.float32, [8, 8], name="w")
        h = tf.zeros([4, 8])
        for i in range(steps):
            h = tf.tanh(tf.matmul(h, w) * scale + x[i])
        return build_program([h], feeds=[x, w])


def test_cells_share_their_kernels():
    kernels = {count: len(compile_native(recurrent(count)).executable.kernels) for count in (6, 12)}
    assert kernels[6] == kernels[12]


def test_what_differs_in_a_constant_is_not_shared():
    x, w = np.ones((3, 4, 8), np.float32), np.full((8, 8), 0.1, np.float32)
    (a,) = run_native(recurrent(3, 1.0), {"x:0": x, "w:0": w})
    (b,) = run_native(recurrent(3, -1.0), {"x:0": x, "w:0": w})
    assert np.abs(a - b).max() > 0.1


def test_convolution_gradients_of_one_shape_have_memory_of_their_own():
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [2, 6, 6, 16], name="x")
        w = tf.placeholder(tf.float32, [3, 3, 16, 16], name="w")
        y = x
        for _ in range(3):
            y = tf.nn.conv2d(y, w, [1, 1, 1, 1], "SAME")
        (gradient,) = tf.gradients(tf.reduce_sum(y * y), x)
        program = build_program([gradient], feeds=[x, w])
    rng = np.random.default_rng(0)
    bindings = {"x:0": rng.standard_normal((2, 6, 6, 16)).astype(np.float32),
                "w:0": 0.1 * rng.standard_normal((3, 3, 16, 16)).astype(np.float32)}  # fmt: skip
    (expected,), _ = interpret(ExpandGradients().run(program, Context()), bindings)
    (found,) = run_native(program, bindings)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
