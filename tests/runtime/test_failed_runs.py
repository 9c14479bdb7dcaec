"""A run that fails leaves all variables as they were, whatever part of it had been done."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as tf
from graphc.passes.place_results import CHECKED_INTEGERS
from graphc.runtime.lower.values import DIVISION_PROBLEMS


def _step_with_embedding(optimizer):
    """A loss in which the gradient of one variable is known as soon as the rows of the other are."""
    indices = tf.placeholder(tf.int32, [None])
    rows, factor = tf.Variable(tf.ones([5, 2])), tf.Variable(1.0)
    loss = tf.reduce_sum(tf.nn.embedding_lookup(rows, indices) ** 2) * factor
    return indices, [optimizer.minimize(loss), factor.assign_add(1.0).op], [0, 1], [0, 5]


def _update_declared_before_the_check():
    indices, count = tf.placeholder(tf.int32, [None]), tf.Variable(0)
    counted = count.assign_add(1)
    table = tf.Variable([1.0, 2.0, 3.0])
    return indices, [counted.op, tf.assign(table, table * tf.gather(table, indices))], [0, 1, 2], [0, 1, 3]


def _update_by_a_quotient():
    divisor, total = tf.placeholder(tf.int32, [None]), tf.Variable(5)
    return divisor, [total.assign_add(tf.reduce_sum(10 // divisor))], [1, 2], [1, 0]


def _rows_replaced():
    indices, table, count = tf.placeholder(tf.int32, [None]), tf.Variable(tf.zeros([4, 2])), tf.Variable(0)
    return indices, [tf.scatter_update(table, indices, tf.ones([2, 2])), count.assign_add(1)], [0, 3], [0, 4]


def _update_that_a_check_depends_on():
    indices, count = tf.placeholder(tf.int32, [None]), tf.Variable(1)
    with tf.control_dependencies([count.assign_add(1)]):
        return indices, [tf.gather(tf.range(10), indices * count.read_value())], [0, 1], [0, 9]


CASES = {
    "adam": lambda: _step_with_embedding(tf.train.AdamOptimizer(0.1)),
    "gradient_descent": lambda: _step_with_embedding(tf.train.GradientDescentOptimizer(0.1)),
    "declared_before": _update_declared_before_the_check,
    "quotient": _update_by_a_quotient,
    "rows": _rows_replaced,
    "dependent": _update_that_a_check_depends_on,
}


@pytest.mark.parametrize("case", CASES)
def test_failed_run_leaves_the_variables(case):
    with tf.Graph().as_default(), tf.Session() as session:
        fed, fetches, good, bad = CASES[case]()
        session.run(tf.global_variables_initializer())
        session.run(fetches, {fed: good})
        for _ in range(2):
            before = session.run(tf.global_variables())
            with pytest.raises(tf.errors.InvalidArgumentError):
                session.run(fetches, {fed: bad})
            for old, new in zip(before, session.run(tf.global_variables())):
                np.testing.assert_array_equal(new, old)
            session.run(fetches, {fed: good})
            after = session.run(tf.global_variables())
            assert any(not np.array_equal(old, new) for old, new in zip(before, after))


def test_passes_know_which_integer_operations_are_checked():
    assert set(CHECKED_INTEGERS) == set(DIVISION_PROBLEMS)
