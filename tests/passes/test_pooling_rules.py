"""Masks and sums of what windows give their gradients to are taken over the windows."""

import numpy as np
import pytest

import graphc as tf
from graphc.passes.base import Context
from graphc.passes.canonicalize import Canonicalize
from graphc.passes.eliminate_dead_code import EliminateDeadCode
from graphc.passes.pipeline import PASSES, optimise
from graphc.passes.specialise import specialise
from graphc.program import build_program
from graphc.runtime.interpreter import interpret

FIRST = next(number for number, item in enumerate(PASSES) if item.name == "canonicalize")
LATER = {item.name for item in PASSES[FIRST:]} - {item.name for item in PASSES[:FIRST]}


def make_program(build):
    """The program of build(image, bias)'s tensors as the rules find it, and as they leave it."""
    with tf.Graph().as_default():
        image, bias = tf.placeholder(tf.float32, (3, 7, 8, 5), "image"), tf.placeholder(tf.float32, (5,), "bias")
        program = specialise(build_program(build(image, bias), feeds=[image, bias]), {})
    before = optimise(program, Context(frozenset(LATER), verify=True))
    after = EliminateDeadCode().run(Canonicalize().run(before, Context()), Context())
    return before, after


def pooled_gradients(activation, size=2, stride=2, padding="VALID"):
    def build(image, bias):
        activated = activation(image + bias)
        pooled = tf.nn.max_pool(activated, [1, size, size, 1], [1, stride, stride, 1], padding)
        weights = tf.constant(np.random.default_rng(3).standard_normal(pooled.shape.as_list()), tf.float32)
        return tf.gradients(tf.reduce_sum(pooled * weights), [image, bias])

    return build


def names_of(program) -> list[str]:
    return [operation.definition.name for operation in program.operations]


def is_of_windows(program) -> bool:
    """Whether no mask and no sum is as large as the image."""
    image = program.parameters[0].tensor.type.elements
    masks = (op for op in program.operations if op.definition.name in ("select", "reduce_sum"))
    return all(op.inputs[-1 if op.definition.name == "select" else 0].type.elements < image for op in masks)


def check_values(before, after, exact):
    rng = np.random.default_rng(1)
    for ties in (False, True):  # whole numbers make many, at zero and above
        values = [
            (rng.integers(-2, 3, p.tensor.type.sizes) if ties else rng.standard_normal(p.tensor.type.sizes)).astype(np.float32)
            for p in before.parameters
        ]
        expected, result = (
            interpret(program, {p.key: value for p, value in zip(program.parameters, values)})[0] for program in (before, after)
        )
        for number, (old, new) in enumerate(zip(expected, result, strict=True)):
            if number in exact:
                np.testing.assert_array_equal(new, old)
            np.testing.assert_allclose(new, old, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("window", [(2, 2, "VALID"), (2, 2, "SAME"), (3, 2, "SAME"), (3, 1, "SAME"), (2, 3, "VALID")])
def test_masks_and_sums_are_taken_over_windows(window):
    before, after = make_program(pooled_gradients(tf.nn.relu, *window))
    assert "max_pool_gradient" in names_of(after)
    assert window[1] == 1 or (is_of_windows(after) and not is_of_windows(before))
    check_values(before, after, exact={0})


def test_without_a_mask_the_sum_alone_is():
    before, after = make_program(pooled_gradients(tf.identity))
    assert is_of_windows(after)
    check_values(before, after, exact={0})


def test_other_masks_stay():
    before, after = make_program(pooled_gradients(tf.nn.relu6))
    assert not is_of_windows(after)
    check_values(before, after, exact={0, 1})


def test_a_gradient_that_is_also_wanted_before_the_mask_stays():
    def build(image, bias):
        activated = tf.nn.relu(image + bias)
        loss = tf.reduce_sum(tf.square(tf.nn.max_pool(activated, [1, 2, 2, 1], [1, 2, 2, 1], "VALID")))
        return tf.gradients(loss, [image, bias, activated])

    before, after = make_program(build)
    assert not is_of_windows(after)
    check_values(before, after, exact={0, 1, 2})


def test_sums_over_parts_of_images_stay():
    def build(image, bias):
        pooled = tf.nn.max_pool(image + bias, [1, 2, 2, 1], [1, 2, 2, 1], "VALID")
        gradient = tf.gradients(tf.reduce_sum(tf.square(pooled)), image)[0]
        return [tf.reduce_sum(gradient, [0, 1]), tf.reduce_sum(gradient, [1, 2, 3])]

    before, after = make_program(build)
    sums = [op for op in after.operations if op.definition.name == "reduce_sum" and op.name.startswith("Sum")]
    assert sorted(op.inputs[0].type.sizes for op in sums) == [(3, 3, 4, 5), (3, 7, 8, 5)]
    check_values(before, after, exact={0})
