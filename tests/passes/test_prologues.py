"""Which operands of matrix products are computed where they are read, and that results stay what they were."""

from __future__ import annotations

import numpy as np
import pytest
from native_running import run_native
from random_programs import assert_expected, random_program

import graphc as tf
from graphc.ops.fused import find_prologues
from graphc.passes import prologues
from graphc.passes.base import Context
from graphc.passes.pipeline import optimise
from graphc.passes.plan_memory import may_overwrite
from graphc.passes.specialise import specialise
from graphc.program import Program, build_program
from graphc.runtime.interpreter import interpret

WITHOUT = Context(frozenset(("fuse", "place_results")))


def declare(build, dtype=tf.uint8, shape=(256, 100), columns=10):
    """The program of `build(x, w)`."""
    with tf.Graph().as_default():
        x, w = tf.placeholder(dtype, shape, "x"), tf.placeholder(tf.float32, (shape[1], columns), "w")
        fetches = build(x, w)
        return build_program(fetches if isinstance(fetches, list) else [fetches], feeds=[x, w])


def regions(program: Program):
    """The kinds of the regions of a program after all passes, and how many of them have a prologue."""
    fused = [op for op in optimise(specialise(program, {})).operations if op.definition.name == "fused"]
    return [op.attributes["region"] for op in fused], sum(bool(find_prologues(op.attributes["body"])) for op in fused)


def check(program: Program, seed=0):
    """Native code on several threads against the program without fusion, interpreted."""
    rng = np.random.default_rng(seed)
    feeds = {}
    for parameter in program.parameters:
        dtype, shape = parameter.tensor.dtype, parameter.tensor.type.sizes
        values = rng.standard_normal(shape) if dtype.is_floating else rng.integers(0, 256, shape)
        feeds[parameter.key] = values.astype(dtype.numpy)
    expected = interpret(optimise(specialise(program, {}), WITHOUT), feeds)[0]
    results = [run_native(program, feeds, threads, misaligned=threads == 2) for threads in (1, 2, 4)]
    for found, want in zip(results[0], expected, strict=True):
        np.testing.assert_allclose(found, want, rtol=2e-4, atol=2e-4 * np.abs(want).max())
    for other in results[1:]:
        for a, b in zip(results[0], other):
            np.testing.assert_array_equal(a, b)


def scaled(x):
    return tf.cast(x, tf.float32) * (1 / 255) - 0.5


def test_a_converted_feed_is_computed_by_the_layer_and_by_its_gradient():
    def build(x, w):
        logits = tf.matmul(scaled(x), w)
        return [tf.nn.relu(logits), *tf.gradients(tf.reduce_sum(tf.square(logits)), [w])]

    program = declare(build)
    kinds, count = regions(program)
    assert kinds == ["contraction", "contraction"] and count == 2
    check(program)


@pytest.mark.parametrize("dtype", [tf.uint8, tf.float16, tf.bool, tf.int32, tf.float32])
@pytest.mark.parametrize("shape", [(256, 100), (1000, 77), (64, 1024)])
@pytest.mark.parametrize("columns", [2, 3, 12])
def test_results_stay_what_they_were(dtype, shape, columns):
    program = declare(lambda x, w: tf.matmul(scaled(x), w) + 1.0, dtype, shape, columns)
    assert regions(program) == (["contraction"], 1)
    check(program)


def test_the_right_operand_is_computed():
    program = declare(lambda x, w: tf.matmul(w, scaled(x), transpose_a=True, transpose_b=True))
    assert regions(program) == (["contraction"], 1)
    check(program)


@pytest.mark.parametrize("build", [
    lambda x, w: [tf.matmul(scaled(x), w), scaled(x)],
    lambda x, w: [tf.matmul(scaled(x), w), tf.reduce_sum(tf.exp(scaled(x)) * scaled(x), axis=0)],
    lambda x, w: tf.matmul(tf.exp(scaled(x)), w),
    lambda x, w: tf.matmul(scaled(x) * tf.reduce_sum(w), w),
    lambda x, w: tf.matmul(scaled(x), tf.concat([w, w], axis=1)),
    lambda x, w: tf.matmul(scaled(x), w[:, :1]),
    lambda x, w: tf.matmul(scaled(x)[:100], w),
    lambda x, w: tf.matmul(scaled(x), tf.transpose(scaled(x))),
], ids=["fetched", "read elsewhere", "costly", "from two arrays", "many columns", "one column", "small", "both"])  # fmt: skip
def test_what_is_needed_or_gains_nothing_stays_a_kernel_of_its_own(build):
    program = declare(build)
    assert regions(program)[1] == 0
    check(program)


def test_numbers_of_a_prologue_belong_to_its_kernel():
    """Two layers that differ in their scale alone do not share a kernel that has one of the scales in its code."""
    def build(x, w):
        return [tf.matmul(tf.cast(x, tf.float32) * 0.3, w) * 0.7, tf.matmul(tf.cast(x, tf.float32) * 0.4, w) * 0.6]

    program = declare(build)
    assert regions(program)[1] == 2
    check(program)


def test_no_result_is_written_over_what_a_prologue_reads():
    """Every row of the result needs its whole row of the operand."""
    program = optimise(specialise(declare(lambda x, w: tf.matmul(x * 2.0, w), tf.float32, (2048, 10)), {}))
    (operation,) = (op for op in program.operations if op.definition.name == "fused")
    assert find_prologues(operation.attributes["body"])
    (x,) = (t for t in operation.inputs if t.type == operation.output.type)
    assert not may_overwrite(operation, x)


def test_a_variable_that_a_prologue_reads_is_updated_after():
    with tf.Graph().as_default():
        variable = tf.Variable(np.ones((2048, 10), np.float32))
        w = tf.constant(np.eye(10, dtype=np.float32) + 1)
        update = tf.assign(variable, tf.matmul(variable * 3.0, w))
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            session.run(update)
            np.testing.assert_allclose(session.run(variable), np.full((2048, 10), 33.0), rtol=1e-6)


def test_random_programs_with_every_prologue_that_is_possible(monkeypatch):
    """Without the limits that make it worth while: constants, broadcasts, batches of one, variables that are updated."""
    for name, limit in (("LEAST_BYTES", 0), ("LEAST_ROWS", 0), ("FEW_COLUMNS", 4096), ("CHEAP", 1000.0)):
        monkeypatch.setattr(prologues, name, limit)
    found = 0
    for seed in range(100):
        example = random_program(seed, 40, ("float32", "float32", "float64", "int32"))
        if regions(example.program)[1]:
            found += 1
            assert_expected(example, run_native(example.program, example.bindings), f"seed {seed}")
    assert found >= 3
