"""Products that are only summed over their rows are not made."""

import numpy as np
import pytest

import graphc as tf
from graphc.passes import sum_products
from graphc.passes.base import Context
from graphc.passes.eliminate_dead_code import EliminateDeadCode
from graphc.passes.pipeline import PASSES, optimise
from graphc.passes.specialise import specialise
from graphc.passes.sum_products import SumProducts
from graphc.program import build_program
from graphc.runtime.interpreter import interpret

LATER = [item.name for item in PASSES[PASSES.index(SumProducts()) :]]
EARLIER = [item.name for item in PASSES[: PASSES.index(SumProducts())]]


@pytest.fixture(autouse=True)
def small_products_count(monkeypatch):
    monkeypatch.setattr(sum_products, "FEWEST", 1)


def summed(build):
    """The program of build()'s tensors, whose placeholders are fed, before and after the pass."""
    with tf.Graph().as_default() as graph:
        fetches = build()
        feeds = [op.output for op in graph.get_operations() if op.type == "Placeholder"]
        program = specialise(build_program(fetches, feeds=feeds), {})
    program = optimise(program, Context(frozenset(LATER) - frozenset(EARLIER), verify=True))
    after = SumProducts().run(program, None)
    return program, after if after is program else EliminateDeadCode().run(after, None)


def count_products(program):
    """Of matrices, none of which is a vector."""
    products = (op for op in program.operations if op.definition.name == "dot_general")
    return sum(all(len(t.type.sizes) > 1 for t in op.inputs) for op in products)


def check_values(before, after):
    rng = np.random.default_rng(0)
    values = {p.tensor: rng.standard_normal(p.tensor.type.sizes).astype(np.float64) for p in before.parameters}
    expected, _ = interpret(before, values)
    result, _ = interpret(after, {a.tensor: values[b.tensor] for a, b in zip(after.parameters, before.parameters)})
    assert len(result) == len(expected) > 0
    for new, old in zip(result, expected):
        np.testing.assert_allclose(new, old, rtol=1e-9, atol=1e-9)


def first_layer(scale=True, shift=True, transposed=False, folded=True, also=()):
    """Gradients of a layer behind features * scale + shift, rows in two dimensions; `also` names what else is wanted."""

    def build():
        x = tf.placeholder(tf.float64, (4, 6, 5), "x")
        g, h = (tf.placeholder(tf.float64, (5,), name) for name in "gh")
        w = tf.placeholder(tf.float64, (7, 5) if transposed else (5, 7), "w")
        features = tf.tanh(x)
        y = features
        y = y * g if scale else y
        y = h + y if shift else y
        if folded:
            z = tf.matmul(tf.reshape(y, [24, 5]), w, transpose_b=transposed)
        else:
            z = tf.tensordot(y, w, [[2], [1 if transposed else 0]])
        loss = tf.reduce_sum(tf.square(tf.sin(z)))
        wanted = [t for t, use in ((w, True), (g, scale), (h, shift)) if use]
        named = {"x": x, "y": y}
        return tf.gradients(loss, [*wanted, *(named[name] for name in also)])

    return build


@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("scale", "shift"), [(True, True), (True, False), (False, True)])
def test_the_first_layer_has_two_products(scale, shift, transposed, folded):
    before, after = summed(first_layer(scale, shift, transposed, folded))
    assert (count_products(before), count_products(after)) == (3, 2)
    check_values(before, after)


@pytest.mark.parametrize("also", ["x", "y"])
def test_a_gradient_that_is_wanted_is_made(also):
    before, after = summed(first_layer(also=(also,)))
    assert after is before and count_products(before) == 3


def test_sums_alone_need_no_other_product():
    def build():
        d, w = tf.placeholder(tf.float64, (6, 5)), tf.placeholder(tf.float64, (4, 5))
        product = tf.matmul(d, w, transpose_b=True)
        return [tf.reduce_sum(product, 0), tf.reduce_sum(tf.reshape(product, [2, 3, 4]), [0, 1], keepdims=True)]

    before, after = summed(build)
    assert (count_products(before), count_products(after)) == (1, 0)
    check_values(before, after)


def other_weights(d, w, x):
    """The weighted sum has no product of the same features beside it."""
    return [tf.reduce_sum(tf.matmul(d, w) * x, 0), tf.matmul(tf.exp(x), d, transpose_a=True)]


def part_of_rows(d, w, x):
    return [tf.reduce_sum(tf.reshape(tf.matmul(d, w), [2, 3, 4]), 1)]


def columns(d, w, x):
    return [tf.reduce_sum(tf.matmul(d, w), 1)]


def square(d, w, x):
    return [tf.reduce_sum(tf.square(tf.matmul(d, w)), 0)]


def fetched(d, w, x):
    product = tf.matmul(d, w)
    return [tf.reduce_sum(product, 0), product]


def weighted_and_fetched(d, w, x):
    weighted = tf.matmul(d, w) * x
    return [tf.reduce_sum(weighted, 0), weighted, tf.matmul(x, d, transpose_a=True)]


def broadcast_weights(d, w, x):
    return [tf.reduce_sum(tf.matmul(d, w) * x[:1], 0), tf.matmul(x, d, transpose_a=True)]


@pytest.mark.parametrize(
    "build", [other_weights, part_of_rows, columns, square, fetched, weighted_and_fetched, broadcast_weights]
)
def test_what_needs_the_product_keeps_it(build):
    def declare():
        shapes = {"d": (6, 5), "w": (5, 4), "x": (6, 4)}
        return build(*(tf.placeholder(tf.float64, shape, name) for name, shape in shapes.items()))

    before, after = summed(declare)
    assert after is before


def test_small_products_stay(monkeypatch):
    monkeypatch.setattr(sum_products, "FEWEST", 24 * 7 * 5 + 1)
    before, after = summed(first_layer())
    assert after is before
    monkeypatch.setattr(sum_products, "FEWEST", 24 * 7 * 5)
    before, after = summed(first_layer())
    assert after is not before


@pytest.mark.parametrize("transposed", [False, True])
def test_training_a_normalised_first_layer(transposed):
    """Whole steps, compiled, against the same steps without the pass: variables are read before they are updated."""

    def losses(disabled: str):
        rng = np.random.default_rng(1)
        with tf.Graph().as_default(), pytest.MonkeyPatch.context() as patch:
            patch.setenv("GRAPHC_DISABLE", disabled)
            x = tf.placeholder(tf.float32, [8, 16, 32])
            mean, variance = tf.nn.moments(x, [2], keep_dims=True)
            scale = tf.get_variable("scale", initializer=rng.standard_normal(32).astype(np.float32))
            shift = tf.get_variable("shift", initializer=rng.standard_normal(32).astype(np.float32))
            normal = (x - mean) * tf.rsqrt(variance + 1e-5) * scale + shift
            weight = rng.standard_normal((48, 32) if transposed else (32, 48)).astype(np.float32)
            w = tf.get_variable("weight", initializer=weight)
            hidden = tf.matmul(tf.reshape(normal, [128, 32]), w, transpose_b=transposed)
            loss = tf.reduce_mean(tf.square(tf.tanh(hidden) - 0.5))
            train = tf.train.AdamOptimizer(0.01).minimize(loss)
            feed = rng.standard_normal((8, 16, 32)).astype(np.float32)
            with tf.Session() as session:
                session.run(tf.global_variables_initializer())
                seen = [session.run([loss, train], {x: feed})[0] for _ in range(5)]
                return seen, session.run([scale, shift, w])

    (seen, variables), (expected, wanted) = losses(""), losses("sum_products")
    np.testing.assert_allclose(seen, expected, rtol=1e-5)
    for new, old in zip(variables, wanted):
        np.testing.assert_allclose(new, old, rtol=1e-3, atol=1e-4)
