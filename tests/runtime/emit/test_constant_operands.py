"""Constants as operands of scalar meanings that compute with one operand alone."""

import numpy as np
import pytest
from native_running import run_native

import graphc as tf
from graphc.passes.pipeline import optimise
from graphc.passes.specialise import specialise
from graphc.program import build_program


@pytest.mark.parametrize(
    ("build", "reference"),
    [
        (lambda x: tf.div_no_nan(x, tf.constant(4.0)), lambda x: x / 4),
        (lambda x: tf.div_no_nan(x, tf.constant(0.0)), lambda x: 0 * x),
        (lambda x: tf.nn.sigmoid_cross_entropy_with_logits(logits=tf.fill([3], 2.0), labels=x),
         lambda x: np.logaddexp(0, 2) - 2 * x),
        (lambda x: tf.maximum(x, 0.5), lambda x: np.maximum(x, 0.5)),
    ],
    ids=["divisor", "zero", "logits", "bound"],
)  # fmt: skip
def test_constant_operands(build, reference):
    value = np.array([1.0, -2.0, 0.5], np.float32)
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [3])
        program = specialise(build_program([build(tf.exp(x))], feeds=[x]), {})
    (found,) = run_native(optimise(program), {x.name: value})
    np.testing.assert_allclose(found, reference(np.exp(value)), rtol=1e-6)
