"""Matrix products whose results are wanted transposed, or whose operands are transposes that lie in memory."""

import itertools

import numpy as np
import pytest

import graphc as tf
from graphc.passes.pipeline import optimise
from graphc.passes.specialise import specialise
from graphc.program import build_program


def run(build, *shapes):
    """Results of native code, and the operations of the optimised program."""
    rng = np.random.default_rng(1)
    with tf.Graph().as_default():
        feeds = [tf.placeholder(tf.float32, shape) for shape in shapes]
        values = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
        fetches = build(*feeds)
        with tf.Session() as session:
            results = session.run(fetches, dict(zip(feeds, values)))
        program = optimise(specialise(build_program(fetches, feeds=feeds), {}))
    return results, values, [op for op in program.operations if op.definition.name != "constant"]


@pytest.mark.parametrize("perm", list(itertools.permutations(range(4))))
@pytest.mark.parametrize("sizes", [(2, 3, 5, 7), (3, 2, 17, 64)])
def test_products_are_stored_transposed(perm, sizes):
    b, h, m, n = sizes

    def build(x, y, c):
        product = tf.nn.relu(tf.matmul(x, y) + c)
        wide = tf.transpose(product, perm)
        return [tf.reshape(wide, [-1]), tf.transpose(tf.matmul(x, y), perm)]

    (flat, plain), (x, y, c), operations = run(build, (b, h, m, 9), (b, h, 9, n), (n,))
    expected = x.astype(np.float64) @ y
    np.testing.assert_allclose(plain, expected.transpose(perm), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(flat, np.maximum(expected + c, 0).transpose(perm).ravel(), rtol=1e-4, atol=1e-5)
    if perm[-1] == 3:
        assert {op.attributes.get("region", "view") for op in operations} <= {"contraction", "view"}


def test_a_product_and_its_transpose_come_from_one_kernel():
    def build(x, y):
        product = tf.matmul(x, y)
        return [product, tf.transpose(product, [1, 0, 2])]

    (plain, turned), (x, y), operations = run(build, (3, 20, 8), (3, 8, 33))
    np.testing.assert_allclose(plain, x.astype(np.float64) @ y, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(turned, plain.transpose(1, 0, 2))
    assert len(operations) == 1


def test_contracted_dimensions_of_a_transpose_in_memory_are_not_copied():
    """Heads are merged by a transpose that two products read: neither needs a copy of its own."""

    def build(heads, w, gradient):
        merged = tf.reshape(tf.transpose(heads, [0, 2, 1, 3]), [6, 24])
        return [tf.matmul(merged, w), tf.matmul(merged, gradient, transpose_a=True)]

    (forward, backward), (heads, w, gradient), operations = run(build, (2, 4, 3, 6), (24, 5), (6, 5))
    merged = heads.transpose(0, 2, 1, 3).reshape(6, 24).astype(np.float64)
    np.testing.assert_allclose(forward, merged @ w, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(backward, merged.T @ gradient, rtol=1e-4, atol=1e-5)
    assert sorted(op.attributes["region"] for op in operations if op.definition.name == "fused") == [
        "contraction", "contraction", "loops",
    ]  # fmt: skip


@pytest.mark.parametrize(("rows", "kernels"), [(70, 1), (2000, 4)])
def test_columns_of_a_long_concatenation_are_summed_apart_from_it(rows, kernels):
    def build(x, y):
        whole = tf.concat([x + 1.0, y * 2.0], axis=1)
        return [whole, tf.reduce_sum(whole, axis=0)]

    (whole, total), (x, y), operations = run(build, (rows, 30), (rows, 50))
    expected = np.concatenate([x + 1.0, y * 2.0], axis=1).astype(np.float64)
    np.testing.assert_allclose(whole, expected, rtol=1e-5)
    np.testing.assert_allclose(total, expected.sum(axis=0), rtol=1e-4, atol=1e-3)
    assert len(operations) == kernels
