"""Long products with few results are cut into parts, the same for any number of threads."""

import numpy as np
import pytest
from native_running import run_native

import graphc as tf
from graphc.passes.pipeline import optimise
from graphc.passes.specialise import specialise
from graphc.program import build_program
from graphc.runtime.interpreter import interpret


def product_program(a, b, transpose_a=False, transpose_b=False):
    with tf.Graph().as_default():
        x, y = tf.placeholder(tf.float32, a, "x"), tf.placeholder(tf.float32, b, "y")
        product = tf.matmul(x, y, transpose_a=transpose_a, transpose_b=transpose_b)
        return specialise(build_program([product + 1.0], feeds=[x, y]), {})


def names(program):
    return [inner.definition.name for op in program.operations for inner in op.attributes["body"].operations]


CASES = [
    (((3, 8192), (8192, 5)), {}, True),
    (((9000, 4), (9000, 20)), {"transpose_a": True}, True),
    (((2, 2, 6000), (2, 7, 6000)), {"transpose_b": True}, True),
    (((3, 8191), (8191, 5)), {}, False),
    (((3, 1024), (1024, 5)), {}, False),
    (((300, 8192), (8192, 50)), {}, False),
    (((0, 8192), (8192, 5)), {}, False),
]


@pytest.mark.parametrize(("shapes", "options", "is_cut"), CASES)
def test_products_in_parts(shapes, options, is_cut):
    program = product_program(*shapes, **options)
    assert ("reduce_sum" in names(optimise(program))) == is_cut
    rng = np.random.default_rng(0)
    feeds = {p.key: rng.standard_normal(p.tensor.type.sizes).astype(np.float32) for p in program.parameters}
    wide = {key: value.astype(np.float64) for key, value in feeds.items()}
    results = [run_native(program, feeds, threads=threads)[0] for threads in (1, 2, 4)]
    (expected,) = interpret(program, wide)[0]
    np.testing.assert_allclose(results[0], expected, rtol=1e-4, atol=1e-3)
    assert all(np.array_equal(result, results[0]) for result in results)
