"""Sums of products of the same shapes become one operation."""

import numpy as np
import pytest
from native_running import run_native

import graphc as tf
from graphc.passes.base import Context
from graphc.passes.pipeline import optimise
from graphc.passes.specialise import specialise
from graphc.program import build_program
from graphc.runtime.interpreter import interpret


def check(build, *shapes):
    """The numbers of terms of the products in the optimised program, whose results are those of the interpreter."""
    with tf.Graph().as_default():
        feeds = [tf.placeholder(tf.float32, shape) for shape in shapes]
        program = specialise(build_program(build(*feeds), feeds=feeds), {})
    rng = np.random.default_rng(3)
    values = {p.key: rng.standard_normal(p.tensor.type.sizes).astype(np.float32) for p in program.parameters}
    expected = interpret(program, {key: value.astype(np.float64) for key, value in values.items()})[0]
    results = [run_native(program, values, threads=threads) for threads in (1, 2, 4)]
    for wanted, *found in zip(expected, *results):
        np.testing.assert_allclose(found[0], wanted, rtol=1e-4, atol=1e-4 * max(1.0, abs(wanted).max()))
        assert all(np.array_equal(other, found[0]) for other in found)
    fused = optimise(program, Context(verify=True)).operations
    bodies = [op.attributes["body"].operations for op in fused if op.definition.name == "fused"]
    return sorted(len(op.inputs) // 2 for body in bodies for op in body if op.definition.name == "dot_general")


SIZES = [(3, 3, 3), (1, 40, 50), (50, 32, 200), (37, 5, 19), (9, 131, 1), (100, 200, 64), (17, 18, 700)]
TURNS = [{}, {"transpose_a": True}, {"transpose_b": True}, {"transpose_a": True, "transpose_b": True}]


@pytest.mark.parametrize("options", TURNS)
@pytest.mark.parametrize("sizes", SIZES)
def test_products_of_a_sum(sizes, options):
    rows, depth, columns = sizes
    left, right = (rows, depth), (depth, columns)
    left = left[::-1] if options.get("transpose_a") else left
    right = right[::-1] if options.get("transpose_b") else right

    def build(a, b, c, d, e, f):
        total = tf.matmul(a, b, **options) + tf.matmul(c, d, **options) + tf.matmul(e, f, **options)
        return [total, tf.nn.relu(total + 1.0) * 2.0]

    assert check(build, *[left, right] * 3) == [3]


def test_batches_and_reshaped_operands():
    def build(a, b, c, d):
        return [tf.matmul(a, tf.reshape(b, [4, 9, 21])) + tf.matmul(tf.reshape(c, [4, 5, 9]), d)]

    assert check(build, (4, 5, 9), (4, 9 * 21), (20, 9), (4, 9, 21)) == [2]


def test_long_sums_come_in_groups():
    def build(*operands):
        return [tf.add_n([tf.matmul(a, b) for a, b in zip(operands[::2], operands[1::2])])]

    assert check(build, *[(6, 30), (30, 40)] * 20) == [4, 16]


def test_what_stays_apart():
    def others(a, b, c, d):
        product = tf.matmul(a, b)
        return [product + tf.matmul(c, d), product]

    assert check(others, (8, 8), (8, 8), (8, 8), (8, 8)) == [1, 1]
    assert check(lambda a, b, c, d: [tf.matmul(a, b) + tf.matmul(c, d)], (8, 5), (5, 8), (8, 6), (6, 8)) == [1, 1]
    assert check(lambda a, b, c, d: [tf.matmul(a, b) + tf.matmul(c[:, 1:6], d)], (8, 5), (5, 8), (8, 9), (5, 8)) == [1, 1]
    assert check(lambda a, b, c: [tf.matmul(a, b) + c + c], (8, 5), (5, 8), (8, 8)) == [1]
    assert check(lambda a, b, c: [tf.add_n([c, tf.matmul(a, b), c, c])], (8, 5), (5, 8), (8, 8)) == [1]


def test_a_weight_of_every_step():
    """The gradient of the recurrent weight is one operation with the optimizer's update behind it."""
    steps, batch, units = 5, 6, 20
    rng = np.random.default_rng(0)
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [batch, steps, units])
        w = tf.get_variable("w", initializer=(rng.standard_normal((units, units)) * 0.2).astype(np.float32))
        h = tf.zeros([batch, units])
        for step in range(steps):
            h = tf.tanh(x[:, step] + tf.matmul(h, w))
        loss = tf.reduce_mean(tf.square(h))
        (gradient,) = tf.gradients(loss, [w])
        train = tf.train.GradientDescentOptimizer(0.5).apply_gradients([(gradient, w)])
        given = {x: rng.standard_normal((batch, steps, units)).astype(np.float32)}
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            before, exact = session.run([w, gradient], given)
            session.run(train, given)
            np.testing.assert_allclose(session.run(w), before - 0.5 * exact, rtol=1e-5, atol=1e-6)
            nudge = np.zeros_like(before)
            nudge[3, 7] = 1e-2
            w.load(before + nudge, session)
            more = session.run(loss, given)
            w.load(before - nudge, session)
            slope = (more - session.run(loss, given)) / 2e-2
        np.testing.assert_allclose(exact[3, 7], slope, rtol=2e-2, atol=1e-4)
