"""Derivatives of variables that are only looked up in: IndexedSlices, and optimizers that touch those rows alone."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as tf

TABLE = np.arange(12, dtype=np.float32).reshape(6, 2) / 10


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default():
        yield


def _run(*fetches, feeds=None):
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        return session.run(list(fetches), feeds)


@pytest.mark.parametrize("picks", [[[1, 2], [1, 1]], np.zeros((0, 2))], ids=["several", "none"])
def test_derivative_has_a_row_for_each_look_up(picks):
    table, indices = tf.Variable(TABLE), tf.placeholder(tf.int32, [None, 2])
    (slices,) = tf.gradients(tf.reduce_sum(tf.nn.embedding_lookup(table, indices) ** 3), table)
    assert isinstance(slices, tf.IndexedSlices) and slices.shape.as_list() == [6, 2] and slices.dtype == tf.float32
    found, whole = _run(slices, tf.convert_to_tensor(slices), feeds={indices: picks})
    flat = np.asarray(picks, int).ravel()
    np.testing.assert_array_equal(found.indices, flat)
    np.testing.assert_allclose(found.values, 3 * TABLE[flat] ** 2, rtol=1e-6)
    np.testing.assert_array_equal(found.dense_shape, [6, 2])
    np.testing.assert_allclose(whole, 3 * TABLE**2 * np.bincount(flat, minlength=6)[:, None], rtol=1e-6)


def test_look_ups_in_several_places_come_together():
    table = tf.Variable(TABLE)
    loss = tf.reduce_sum(tf.gather(table, [1, 2]) ** 2) + tf.reduce_sum(tf.gather(table, tf.constant([[0]], tf.int64)))
    slices = tf.gradients(loss, table)[0]
    assert slices.indices.dtype == tf.int64
    (whole,) = _run(tf.convert_to_tensor(slices))
    np.testing.assert_allclose(whole, np.concatenate([[[1, 1]], 2 * TABLE[1:3], np.zeros((3, 2))]), rtol=1e-6)


@pytest.mark.parametrize("use", [lambda table: tf.reduce_sum(table), lambda table: tf.gather(table, 0, axis=1)])
def test_derivative_by_the_whole_table_is_a_tensor(use):
    table = tf.Variable(TABLE)
    loss = tf.reduce_sum(tf.gather(table, [1, 1])) + tf.reduce_sum(use(table))
    assert isinstance(tf.gradients(loss, table)[0], tf.Tensor)


def test_second_derivative():
    table = tf.Variable(TABLE)
    first = tf.gradients(tf.reduce_sum(tf.gather(table, [1, 2, 1]) ** 3), table)[0]
    second = tf.gradients(tf.reduce_sum(tf.convert_to_tensor(first)), table)[0]
    (whole,) = _run(tf.convert_to_tensor(second))
    np.testing.assert_allclose(whole, 6 * TABLE * np.array([0, 2, 1, 0, 0, 0])[:, None], rtol=1e-6)


def test_norm_counts_each_look_up():
    table = tf.Variable(TABLE)
    gradients = tf.gradients(tf.reduce_sum(tf.gather(table, [1, 1, 2]) ** 2), [table])
    (clipped,), norm = tf.clip_by_global_norm(gradients, 0.5)
    rows = 2 * TABLE[[1, 1, 2]]
    found, found_norm = _run(clipped, norm)
    np.testing.assert_allclose(found_norm, np.linalg.norm(rows), rtol=1e-6)
    np.testing.assert_allclose(found.values, rows * 0.5 / np.linalg.norm(rows), rtol=1e-6)


OPTIMIZERS = {
    "gradient_descent": lambda: tf.train.GradientDescentOptimizer(0.1),
    "adagrad": lambda: tf.train.AdagradOptimizer(0.1),
    "momentum": lambda: tf.train.MomentumOptimizer(0.1, 0.9),
    "nesterov": lambda: tf.train.MomentumOptimizer(0.1, 0.9, use_nesterov=True),
    "rmsprop": lambda: tf.train.RMSPropOptimizer(0.1, momentum=0.5),
    "rmsprop_centered": lambda: tf.train.RMSPropOptimizer(0.1, centered=True),
    "adadelta": lambda: tf.train.AdadeltaOptimizer(1.0),
    "ftrl": lambda: tf.train.FtrlOptimizer(0.1, l1_regularization_strength=0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("rank", [1, 2])
def test_rows_that_are_not_looked_up_stay_with_their_slots(name, rank):
    table, indices = tf.Variable(TABLE + 1 if rank == 2 else TABLE[:, 0] + 1), tf.placeholder(tf.int32, [None])
    train = OPTIMIZERS[name]().minimize(tf.reduce_sum(tf.gather(table, indices) ** 2))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train, {indices: [0, 1, 2, 3, 4, 5]})
        before = session.run(tf.global_variables())
        session.run(train, {indices: [1, 4, 1]})
        after = session.run(tf.global_variables())
    for old, new in zip(before, after):
        np.testing.assert_array_equal(new[[0, 2, 3, 5]], old[[0, 2, 3, 5]])
    assert np.all(after[0][[1, 4]] != before[0][[1, 4]])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_update_of_all_rows_is_that_of_the_whole_table(name):
    by_rows, whole = tf.Variable(TABLE + 1), tf.Variable(TABLE + 1)
    picked = tf.gather(by_rows, [5, 4, 3, 2, 1, 0, 0])
    loss = tf.reduce_sum(picked**2) + tf.reduce_sum(whole**2) + tf.reduce_sum(whole[0] ** 2)
    train = OPTIMIZERS[name]().minimize(loss)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(3):
            session.run(train)
        np.testing.assert_allclose(*session.run([by_rows, whole]), rtol=1e-5)


def test_adam_moves_rows_by_their_momentum_as_tensorflow_does():
    table, indices = tf.Variable(TABLE), tf.placeholder(tf.int32, [None])
    train = tf.train.AdamOptimizer(0.1).minimize(tf.reduce_sum(tf.gather(table, indices)))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train, {indices: [0]})
        before = session.run(table)
        session.run(train, {indices: [1]})
        assert np.all(session.run(table)[0] < before[0])


def test_optimizers_of_users_get_the_slices():
    seen = []

    class Mine(tf.train.Optimizer):
        def __init__(self):
            super().__init__(False, "Mine")

        def _apply_sparse(self, grad, var):
            seen.append(grad)
            return tf.scatter_sub(var, grad.indices, grad.values)

    table = tf.Variable(TABLE)
    train = Mine().minimize(tf.reduce_sum(tf.gather(table, [2])))
    found = _run(train, table.op)
    assert isinstance(seen[0], tf.IndexedSlices) and found == [None, None]
