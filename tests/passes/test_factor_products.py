"""Sums of products of one factor become one product."""

import numpy as np

import graphc as tf
from graphc.passes.base import Context
from graphc.passes.eliminate_dead_code import EliminateDeadCode
from graphc.passes.factor_products import FactorProducts
from graphc.passes.pipeline import optimise
from graphc.passes.specialise import specialise
from graphc.program import build_program
from graphc.runtime.interpreter import interpret


def factored(build):
    """The program of `build(d, a, b, c)` with a product d = x @ y, before and after the pass."""
    with tf.Graph().as_default():
        x, y, a, b, c = (tf.placeholder(tf.float32, (3, 3), name) for name in "xyabc")
        program = specialise(build_program([build(tf.matmul(x, y), a, b, c)], feeds=[x, y, a, b, c]), {})
    program = optimise(program, Context(frozenset(("fuse", "factor_products", "place_results")), verify=True))
    after = FactorProducts().run(program, None)
    return program, EliminateDeadCode().run(after, None)


def uses_of_product(program):
    product = next(op for op in program.operations if op.definition.name == "dot_general").output
    return [op.definition.name for op in program.operations if product in op.inputs]


def test_terms_of_a_sum_are_added_without_their_factor():
    before, after = factored(lambda d, a, b, c: (d * a + d * b) * c - d)
    assert len(uses_of_product(before)) == 3
    assert uses_of_product(after) == ["mul"]
    assert after.fetches[0].operation.definition.name == "mul"
    rng = np.random.default_rng(0)
    feeds = {p.key: rng.standard_normal((3, 3)).astype(np.float32) for p in before.parameters}
    (expected,), (result,) = interpret(before, feeds)[0], interpret(after, feeds)[0]
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


def test_what_is_not_linear_stays():
    for build in (
        lambda d, a, b, c: d * a + d * d + d * b + d * c,
        lambda d, a, b, c: d * a + d * b + c + a,
        lambda d, a, b, c: d * a + d * b * tf.exp(d) + d * c,
        lambda d, a, b, c: d * a * b * c * 2.5,
    ):
        before, after = factored(build)
        assert after is before


def test_a_factor_or_term_that_others_use_stays():
    def build(d, a, b, c):
        term = d * a
        return (term + d * b + d * c) * tf.reduce_sum(term)

    before, after = factored(build)
    assert after is before


def test_the_gradient_of_gelu_is_one_product_of_the_gradient_behind_it():
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, (16, 8))
        w, v = (tf.get_variable(n, s, initializer=tf.ones_initializer()) for n, s in (("w", (8, 8)), ("v", (8, 4))))
        z = tf.matmul(x, w)
        gelu = 0.5 * z * (1.0 + tf.tanh(0.7978846 * (z + 0.044715 * z * z * z)))
        loss = tf.reduce_sum(tf.square(tf.matmul(gelu, v)))
        program = specialise(build_program(tf.gradients(loss, [w, v]), feeds=[x]), {})
    fused = [op for op in optimise(program, Context(verify=True)).operations if op.definition.name == "fused"]
    bodies = [[inner.definition.name for inner in op.attributes["body"].operations] for op in fused]
    assert ["dot_general", "mul"] in [[name for name in body if name != "constant"] for body in bodies]
    assert sum("tanh" in body for body in bodies) == 1
