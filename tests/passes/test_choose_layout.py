"""Networks declared with channels first run with channels last."""

import numpy as np
from native_running import compile_native, run_native

import graphc as tf
from graphc.passes.base import Context
from graphc.passes.expand_gradients import ExpandGradients
from graphc.program import build_program
from graphc.runtime.interpreter import interpret


def network(gradient=False):
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [2, 3, 12, 12], name="x")
        w1 = tf.placeholder(tf.float32, [3, 3, 3, 16], name="w1")
        w2 = tf.placeholder(tf.float32, [3, 3, 16, 8], name="w2")
        b = tf.placeholder(tf.float32, [16], name="b")
        h = tf.nn.conv2d(x, w1, [1, 1, 1, 1], "SAME", data_format="NCHW")
        h = tf.nn.relu(tf.nn.bias_add(h, b, data_format="NCHW"))
        mean, variance = tf.nn.moments(h, [0, 2, 3], keep_dims=True)
        h = (h - mean) * tf.rsqrt(variance + 1e-3)
        h = tf.nn.max_pool(h, [1, 1, 2, 2], [1, 1, 2, 2], "VALID", data_format="NCHW")
        y = tf.nn.conv2d(h, w2, [1, 1, 1, 1], "SAME", data_format="NCHW")
        fetches = tf.gradients(tf.reduce_sum(y * y), [x, w1, b]) if gradient else [y]
        return build_program(fetches, feeds=[x, w1, w2, b])


def bindings():
    rng = np.random.default_rng(0)
    shapes = {"x:0": (2, 3, 12, 12), "w1:0": (3, 3, 3, 16), "w2:0": (3, 3, 16, 8), "b:0": (16,)}
    return {key: (0.3 * rng.standard_normal(shape)).astype(np.float32) for key, shape in shapes.items()}


def count_transposes(program, disabled=frozenset()):
    native = compile_native(program, context=Context(disabled=disabled))
    operations = native.compilation.plan.program.operations
    bodies = [op.attributes["body"].operations if op.definition.name == "fused" else (op,) for op in operations]
    return sum(op.definition.name == "transpose" for body in bodies for op in body)


def test_only_the_outermost_transposes_are_left():
    assert count_transposes(network()) == 2
    assert count_transposes(network(), frozenset({"choose_layout"})) >= 4


def test_values_stay():
    for gradient in (False, True):
        program = network(gradient)
        expected, _ = interpret(ExpandGradients().run(program, Context()), bindings())
        for a, b in zip(run_native(program, bindings()), expected):
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)
