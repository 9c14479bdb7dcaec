"""Statistics, normalisation, dropout, look-ups and ranks; what stands in the table of samples is left out."""

import numpy as np
import pytest
from gradient_check import verify_gradient
from numpy_session import evaluate, numpy_session
from op_cases import floats

import graphc as tf
from graphc.errors import DTypeError, ShapeError


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


IMAGE = (2, 5, 4, 3)

# -- statistics and normalisation


def test_moments_of_narrow_floats_are_computed_in_float32():
    x = (floats((1000,)) + 100).astype(np.float16)
    mean, variance = evaluate(tf.nn.moments(x, [0]))
    assert mean.dtype == np.float16
    np.testing.assert_allclose(variance, x.astype(np.float32).var(), rtol=2e-3)


def test_moments_keep_dimensions_under_both_names():
    x = tf.zeros(IMAGE)
    assert tf.nn.moments(x, [0, -1], keep_dims=True)[0].shape == (1, 5, 4, 1)
    assert tf.nn.moments(x, [0, -1], keepdims=True)[1].shape == (1, 5, 4, 1)
    with pytest.raises(ShapeError, match=r"moments: axes \[4\] are out of range for rank 4"):
        tf.nn.moments(x, [4])


def test_gradient_of_the_mean_alone():
    verify_gradient(lambda x: tf.nn.moments(x, [0])[0], [floats((4, 3), dtype="float64")])


def normalize(x, mean, variance, offset, scale, epsilon=1e-3):
    return (x - mean) / np.sqrt(variance + epsilon) * scale + offset


@pytest.mark.parametrize("data_format", ["NHWC", "NCHW"])
def test_fused_batch_norm(data_format):
    x, scale, offset = floats(IMAGE).astype(np.float64), floats((3,), 1, 2), floats((3,), seed=1)
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    fed = x.astype(np.float32) if data_format == "NHWC" else x.transpose(0, 3, 1, 2).astype(np.float32)
    y, batch_mean, batch_variance = evaluate(tf.nn.fused_batch_norm(fed, scale, offset, data_format=data_format))
    y = y if data_format == "NHWC" else y.transpose(0, 2, 3, 1)
    np.testing.assert_allclose(y, normalize(x, mean, variance, offset, scale), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(batch_mean, mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(batch_variance, variance * 40 / 39, rtol=1e-4)
    given = tf.nn.fused_batch_norm(fed, scale, offset, mean.astype("f4") + 1, variance.astype("f4"), 0.1, data_format, False)
    y = evaluate(given[0])
    y = y if data_format == "NHWC" else y.transpose(0, 2, 3, 1)
    np.testing.assert_allclose(y, normalize(x, mean + 1, variance, offset, scale, 0.1), rtol=1e-4, atol=1e-5)


def test_batch_normalization_has_gradients_to_any_order():
    def build(x, offset, scale):
        mean, variance = tf.nn.moments(x, [0])
        return tf.nn.batch_normalization(x, mean, variance, offset, scale, 1e-3)

    verify_gradient(build, [floats(s, dtype="float64", seed=i) for i, s in enumerate(((5, 3), (3,), (3,)))])


def test_batch_normalization_without_scale_or_offset():
    x, one = floats((5, 3)), np.ones(3, np.float32)
    first = tf.nn.batch_normalization(x, one, one, None, None, 0.0)
    second = tf.nn.batch_norm_with_global_normalization(x, one, one, 0 * one, 5 * one, 0.0, False)
    np.testing.assert_array_equal(*evaluate([first, second]))


def test_local_response_normalization():
    x = floats((2, 3, 3, 8)).astype(np.float64)
    sums = np.stack([(x[..., max(c - 2, 0) : c + 3] ** 2).sum(-1) for c in range(8)], -1)
    expected = x / (1.5 + 0.7 * sums) ** 0.6
    found = tf.nn.lrn(tf.placeholder_with_default(x.astype(np.float32), [None] * 4), 2, bias=1.5, alpha=0.7, beta=0.6)
    np.testing.assert_allclose(evaluate(found), expected, rtol=1e-4, atol=1e-6)
    verify_gradient(lambda t: tf.nn.local_response_normalization(t, 1), [x[:1, :2, :2, :4]])


def test_zero_fraction():
    assert evaluate(tf.nn.zero_fraction([0.0, 1.0, -0.0, 2.0])) == 0.5


def test_layers_of_functions():
    x, w, b = floats((2, 3)), floats((3, 4)), floats((4,))
    first, second = evaluate([tf.nn.xw_plus_b(x, w, b), tf.nn.relu_layer(x, w, b)])
    np.testing.assert_allclose(first, x @ w + b, rtol=1e-5)
    np.testing.assert_array_equal(second, np.maximum(first, 0))


def test_bias_that_does_not_fit():
    with pytest.raises(ShapeError, match="bias_add: the bias has 4 entries, the value 3 channels"):
        tf.nn.bias_add(tf.zeros([2, 3]), tf.zeros([4]))
    with pytest.raises(ShapeError, match="bias_add: the bias has rank 2, not 1"):
        tf.nn.bias_add(tf.zeros([2, 3]), tf.zeros([1, 3]))
    with pytest.raises(ShapeError, match="softmax: axis 2 is out of range for rank 2"):
        tf.nn.softmax(tf.zeros([2, 3]), axis=2)


# -- dropout


def test_dropout_keeps_the_mean():
    x = np.ones((100, 100), np.float32)
    found = evaluate(tf.nn.dropout(x, rate=0.25, seed=1))
    assert set(np.unique(found)) == {0, np.float32(1 / 0.75)}
    assert abs((found == 0).mean() - 0.25) < 0.02
    kept = evaluate(tf.nn.dropout(x, 0.75, seed=1))
    assert abs((kept == 0).mean() - 0.25) < 0.02


def test_dropout_by_a_fed_probability():
    keep = tf.placeholder(tf.float32, [])
    dropped = tf.nn.dropout(np.ones((50, 50), np.float32), keep_prob=keep)
    with numpy_session() as session:
        assert abs((session.run(dropped, {keep: 0.5}) == 0).mean() - 0.5) < 0.05
        np.testing.assert_array_equal(session.run(dropped, {keep: 1.0}), np.ones((50, 50)))


def test_dropout_of_whole_rows():
    found = evaluate(tf.nn.dropout(np.ones((40, 7), np.float32), 0.5, noise_shape=[40, 1], seed=2))
    assert (found == found[:, :1]).all() and 5 < (found[:, 0] == 0).sum() < 35


def test_the_gradient_of_dropout_has_the_same_places():
    x = tf.placeholder(tf.float32, [20, 20])
    y = tf.nn.dropout(x, rate=0.5)
    value, slope = evaluate([y, tf.gradients(y, x)[0]], {x: np.ones((20, 20))})
    np.testing.assert_array_equal(value, slope)


def test_dropout_of_nothing():
    x = tf.placeholder(tf.float32, [3])
    assert tf.nn.dropout(x, 1.0).op.definition.name == "identity"


def test_what_dropout_refuses():
    with pytest.raises(ValueError, match="You must provide a rate to dropout"):
        tf.nn.dropout(tf.zeros([3]))
    with pytest.raises(ValueError, match="only one of keep_prob and rate"):
        tf.nn.dropout(tf.zeros([3]), 0.5, rate=0.5)
    with pytest.raises(ValueError, match=r"rate must be a scalar tensor or a float in the range \[0, 1\), got 1"):
        tf.nn.dropout(tf.zeros([3]), rate=1)
    with pytest.raises(ValueError, match="x has to be a floating point tensor"):
        tf.nn.dropout([1, 2], 0.5)


# -- look-ups


def test_embedding_lookup():
    table, ids = floats((7, 3)), np.array([[1, 6], [0, 1]])
    np.testing.assert_array_equal(evaluate(tf.nn.embedding_lookup(table, ids)), table[ids])
    np.testing.assert_array_equal(evaluate(tf.nn.embedding_lookup([table], ids)), table[ids])


@pytest.mark.parametrize("strategy", ["mod", "div"])
def test_embedding_lookup_in_parts(strategy):
    table = floats((7, 3))
    parts = [table[::2], table[1::2]] if strategy == "mod" else [table[:4], table[4:]]
    ids = np.arange(7)[::-1].copy()
    np.testing.assert_array_equal(evaluate(tf.nn.embedding_lookup(parts, ids, strategy)), table[ids])
    with pytest.raises(ValueError, match="Unrecognized partition strategy: hash"):
        tf.nn.embedding_lookup(parts, ids, "hash")


def test_embedding_lookup_shortens_rows():
    table = np.array([[3, 4], [0.3, 0.4], [0, 0]], np.float32)
    found = evaluate(tf.nn.embedding_lookup(table, [[0], [1], [2]], max_norm=1.0))
    np.testing.assert_allclose(found[:, 0], [[0.6, 0.8], [0.3, 0.4], [0, 0]], rtol=1e-6)


# -- ranks


def test_top_k_takes_the_first_of_equal_elements_and_nan_first_of_all():
    x = np.array([[1, 3, 3, 2], [np.nan, np.inf, 5, np.nan]], np.float32)
    values, indices = tf.nn.top_k(x, 3)
    found_values, found_indices = evaluate([values, indices])
    np.testing.assert_array_equal(found_indices, [[1, 2, 3], [0, 3, 1]])
    np.testing.assert_array_equal(found_values, [[3, 3, 2], [np.nan, np.nan, np.inf]])


def test_k_may_be_a_tensor():
    k = tf.placeholder(tf.int32, [])
    found = tf.nn.top_k(tf.placeholder_with_default(floats((2, 5)), [2, None]), k)
    assert found.values.get_shape().as_list() == [2, None]
    np.testing.assert_array_equal(evaluate(found.values, {k: 2}), -np.sort(-floats((2, 5)))[:, :2])


def test_in_top_k():
    predictions = np.array([[1, 2, 3, 4], [9, 8, 7, 1], [1, 1, 1, 1], [np.nan, 0, 1, 2], [1, 2, 3, 4]], np.float32)
    found = evaluate(tf.nn.in_top_k(predictions, [1, 1, 3, 3, 7], 2))
    np.testing.assert_array_equal(found, [False, True, True, False, False])


def test_what_ranks_refuse():
    with pytest.raises(ShapeError, match="top_k: the input has 3 columns, k is 4"):
        tf.nn.top_k(tf.zeros([2, 3]), 4)
    with pytest.raises(ShapeError, match="top_k: the input is a scalar"):
        tf.nn.top_k(1.0)
    with pytest.raises(DTypeError, match="in_top_k: takes float32 and int32 or int64, not int32 and int32"):
        tf.nn.in_top_k([[1, 2]], [0], 1)
