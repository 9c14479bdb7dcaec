"""Matrix products in bf16 where that is asked for."""

import numpy as np
import pytest
from native_running import run_native

import graphc as tf
from graphc.passes.base import Context
from graphc.passes.lower_precision import LowerPrecision
from graphc.passes.manager import run_passes
from graphc.passes.pipeline import PASSES
from graphc.program import build_program


def product(dtype=tf.float32):
    with tf.Graph().as_default():
        x, y = tf.placeholder(dtype, [33, 70], name="x"), tf.placeholder(dtype, [70, 17], name="y")
        return build_program([tf.matmul(x, y)], feeds=[x, y])


def precisions(program):
    bodies = [op.attributes["body"].operations if op.definition.name == "fused" else [op] for op in program.operations]
    return [op.attributes["precision"] for body in bodies for op in body if op.definition.name == "dot_general"]


def test_only_where_asked_for():
    assert precisions(run_passes(PASSES, product(), Context(matmul_precision=""))) == [""]
    assert precisions(run_passes(PASSES, product(), Context(matmul_precision="bf16"))) == ["bf16"]
    assert precisions(run_passes(PASSES, product(tf.float64), Context(matmul_precision="bf16"))) == [""]


def test_unknown_precisions_are_refused():
    with pytest.raises(ValueError, match="'' or 'bf16', not 'fp8'"):
        LowerPrecision().run(product(), Context(matmul_precision="fp8"))


def test_native_products_round_operands_only(monkeypatch):
    monkeypatch.setenv("GRAPHC_MATMUL_PRECISION", "bf16")
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((33, 70)).astype(np.float32), rng.standard_normal((70, 17)).astype(np.float32)
    (found,) = run_native(product(), {"x:0": x, "y:0": y})
    rounded = x.astype(tf.bfloat16.numpy).astype(np.float64) @ y.astype(tf.bfloat16.numpy).astype(np.float64)
    np.testing.assert_allclose(found, rounded, rtol=1e-5, atol=1e-5)
    assert np.abs(found - x.astype(np.float64) @ y).max() > 1e-3
