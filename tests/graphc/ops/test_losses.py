import numpy as np
import pytest
from numpy_session import evaluate
from op_cases import floats

import graphc as tf
from graphc.errors import DTypeError, ShapeError
from graphc.ops.losses import Reduction


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


LABELS, PREDICTIONS = floats((3, 4), 0.1, 0.9), floats((3, 4), 0.1, 0.9, seed=1)
WEIGHTS = np.array([[1], [0], [2]], np.float32)
ERROR = PREDICTIONS.astype(np.float64) - LABELS
DISTANCE = np.abs(ERROR)

ELEMENTS = {
    "mean_squared_error": ERROR**2,
    "absolute_difference": DISTANCE,
    "huber_loss": np.where(DISTANCE <= 1, ERROR**2 / 2, DISTANCE - 0.5),
    "hinge_loss": np.maximum(1 - (2 * LABELS - 1) * PREDICTIONS, 0),
    "log_loss": -LABELS * np.log(PREDICTIONS + 1e-7) - (1 - LABELS) * np.log(1 - PREDICTIONS + 1e-7),
    "sigmoid_cross_entropy": np.logaddexp(0, PREDICTIONS) - LABELS * PREDICTIONS,
}


def reduce(elements, weights, reduction):
    weights = np.broadcast_to(weights, elements.shape)
    weighted = elements * weights
    return {
        Reduction.NONE: weighted,
        Reduction.SUM: weighted.sum(),
        Reduction.MEAN: weighted.sum() / weights.sum(),
        Reduction.SUM_OVER_BATCH_SIZE: weighted.mean(),
        Reduction.SUM_BY_NONZERO_WEIGHTS: weighted.sum() / max((weights != 0).sum(), 1),
    }[reduction]


@pytest.mark.parametrize("reduction", Reduction.all())
@pytest.mark.parametrize("weights", [1.0, 2.5, WEIGHTS], ids=["one", "number", "rows"])
@pytest.mark.parametrize("name", ELEMENTS)
def test_losses(name, weights, reduction):
    found = getattr(tf.losses, name)(LABELS, PREDICTIONS, weights=weights, reduction=reduction)
    np.testing.assert_allclose(evaluate(found), reduce(ELEMENTS[name], weights, reduction), rtol=1e-5)


@pytest.mark.parametrize("weights", [0.0, np.zeros((3, 1), np.float32)], ids=["number", "rows"])
def test_a_loss_without_any_weight_is_zero(weights):
    assert evaluate(tf.losses.mean_squared_error(LABELS, PREDICTIONS, weights)) == 0


def log_soft(x):
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def test_softmax_losses():
    onehot, logits = np.eye(4, dtype=np.float32)[[1, 3, 0]], floats((3, 4), -3, 3)
    smooth = 0.9 * onehot + 0.1 / 4
    found = evaluate([
        tf.losses.softmax_cross_entropy(onehot, logits, label_smoothing=0.1),
        tf.losses.softmax_cross_entropy(onehot, logits, weights=WEIGHTS[:, 0]),
        tf.losses.sparse_softmax_cross_entropy([1, 3, 0], logits),
        tf.losses.sparse_softmax_cross_entropy([[1], [3], [0]], logits, weights=WEIGHTS),
    ])  # fmt: skip
    rows = -(onehot * log_soft(logits)).sum(-1)
    weighted = (rows * [1, 0, 2]).sum() / 2
    np.testing.assert_allclose(found, [-(smooth * log_soft(logits)).sum(-1).mean(), weighted, rows.mean(), weighted], rtol=1e-5)


def test_mean_pairwise_squared_error_goes_over_all_pairs():
    total = 0.0
    for row in ERROR:
        pairs = [(a - b) ** 2 for i, a in enumerate(row) for b in row[i + 1 :]]
        total += 2 * np.mean(pairs) / 2
    np.testing.assert_allclose(evaluate(tf.losses.mean_pairwise_squared_error(LABELS, PREDICTIONS)), total, rtol=1e-5)


def test_cosine_distance():
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (LABELS, PREDICTIONS))
    np.testing.assert_allclose(evaluate(tf.losses.cosine_distance(a, b, axis=1)), (1 - (a * b).sum(1)).mean(), rtol=1e-4)


def test_losses_join_their_collection(graph):
    first = tf.losses.mean_squared_error(LABELS, PREDICTIONS)
    with tf.name_scope("other"):
        second = tf.losses.absolute_difference(LABELS, PREDICTIONS)
    outside = tf.losses.huber_loss(LABELS, PREDICTIONS, loss_collection=None)
    regularization = tf.constant(3.0)
    tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, regularization)
    assert tf.losses.get_losses() == [first, second] and outside not in tf.losses.get_losses()
    assert tf.losses.get_losses("other") == [second]
    assert first.name == "mean_squared_error/value:0"
    values = evaluate([tf.losses.get_total_loss(), first, second, tf.losses.get_regularization_loss()])
    np.testing.assert_allclose(values[0], sum(values[1:]), rtol=1e-6)
    np.testing.assert_allclose(evaluate(tf.losses.get_total_loss(False)), values[1] + values[2], rtol=1e-6)


def test_losses_of_types_that_are_no_floats():
    assert evaluate(tf.losses.mean_squared_error([1, 2, 3], [1, 2, 5])) == np.float32(4 / 3)


def test_what_losses_refuse():
    with pytest.raises(ValueError, match=r"Shapes \[3,4\] and \[3\] are incompatible"):
        tf.losses.mean_squared_error(LABELS[:, 0], PREDICTIONS)
    with pytest.raises(ValueError, match="weights can not be broadcast to values"):
        tf.losses.mean_squared_error(LABELS, PREDICTIONS, weights=np.ones(3))
    with pytest.raises(ValueError, match="labels must not be None"):
        tf.losses.mean_squared_error(None, PREDICTIONS)
    with pytest.raises(ValueError, match="Invalid Reduction Key mean"):
        tf.losses.mean_squared_error(LABELS, PREDICTIONS, reduction="mean")


# -- cross entropies with logits


def test_weighted_cross_entropy():
    logits = floats((3, 4), -8, 8)
    sigmoid = 1 / (1 + np.exp(-logits.astype(np.float64)))
    expected = -LABELS * np.log(sigmoid) * 2.5 - (1 - LABELS) * np.log(1 - sigmoid)
    found = evaluate(tf.nn.weighted_cross_entropy_with_logits(LABELS, logits, 2.5))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_gradient_of_cross_entropy_is_softmax_minus_labels():
    logits, onehot = tf.placeholder(tf.float32, [3, 4]), np.eye(4, dtype=np.float32)[[1, 3, 0]]
    value = floats((3, 4), -3, 3)
    dense = tf.nn.softmax_cross_entropy_with_logits_v2(labels=onehot, logits=logits)
    sparse = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=np.array([1, 3, 0]), logits=logits)
    for loss in (dense, sparse):
        found = evaluate(tf.gradients(loss, logits)[0], {logits: value})
        np.testing.assert_allclose(found, np.exp(log_soft(value)) - onehot, rtol=1e-5, atol=1e-6)


def test_labels_have_gradients_in_the_second_version_only():
    labels, logits = tf.placeholder(tf.float32, [3, 4]), tf.placeholder(tf.float32, [3, 4])
    first = tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    second = tf.nn.softmax_cross_entropy_with_logits_v2(labels=labels, logits=logits)
    assert tf.gradients(first, labels) == [None]
    value = floats((3, 4))
    found = evaluate(tf.gradients(second, labels)[0], {labels: LABELS, logits: value})
    np.testing.assert_allclose(found, -log_soft(value), rtol=1e-5)


def test_large_logits_do_not_overflow():
    logits = np.array([[1000.0, -1000.0]], np.float32)
    losses = [
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[1], logits=logits),
        tf.nn.softmax_cross_entropy_with_logits(labels=[[0.0, 1.0]], logits=logits),
        tf.nn.sigmoid_cross_entropy_with_logits(labels=[[0.0, 1.0]], logits=logits),
    ]
    sparse, dense, sigmoid = evaluate(losses)
    assert sparse == dense == 2000
    np.testing.assert_array_equal(sigmoid, [[1000, 1000]])


def test_what_cross_entropies_refuse():
    with pytest.raises(ValueError, match="Only call `softmax_cross_entropy_with_logits` with named arguments"):
        tf.nn.softmax_cross_entropy_with_logits(LABELS, PREDICTIONS)
    with pytest.raises(ValueError, match="Both labels and logits must be provided"):
        tf.nn.sigmoid_cross_entropy_with_logits(labels=LABELS)
    with pytest.raises(ShapeError, match=r"sparse_softmax_cross_entropy: logits have shape \[3,4\], labels \[3,4\]"):
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=np.zeros((3, 4), np.int32), logits=PREDICTIONS)
    with pytest.raises(DTypeError, match="labels are class numbers, not float32"):
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=np.zeros(3, np.float32), logits=PREDICTIONS)
    with pytest.raises(ShapeError, match=r"logits have shape \[3,4\], labels \[3,2\]"):
        tf.nn.sigmoid_cross_entropy_with_logits(labels=LABELS[:, :2], logits=PREDICTIONS)
