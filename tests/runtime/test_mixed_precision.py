"""Matrix products in bfloat16 where a session asks for them."""

import ml_dtypes
import numpy as np
import pytest

import graphc as tf
from graphc.config import RewriterConfig


def product(config):
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((33, 70)).astype(np.float32), rng.standard_normal((70, 20)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session(config=config) as session:
        x, y = tf.placeholder(tf.float32, a.shape), tf.placeholder(tf.float32, b.shape)
        result = session.run(tf.matmul(x, y), {x: a, y: b})
    short = [m.astype(ml_dtypes.bfloat16).astype(np.float64) for m in (a, b)]
    return result, a.astype(np.float64) @ b, short[0] @ short[1]


@pytest.mark.parametrize(
    ("option", "environment", "is_short"),
    [(None, "", False), (RewriterConfig.ON, "", True), (None, "bf16", True), (RewriterConfig.OFF, "bf16", False)],
)
def test_precision_of_products(option, environment, is_short, monkeypatch):
    monkeypatch.setenv("GRAPHC_MATMUL_PRECISION", environment)
    config = tf.ConfigProto()
    if option is not None:
        config.graph_options.rewrite_options.auto_mixed_precision = option
    result, exact, rounded = product(config)
    expected, other = (rounded, exact) if is_short else (exact, rounded)
    np.testing.assert_allclose(result, expected, atol=1e-4)
    assert abs(result - other).max() > 1e-3
