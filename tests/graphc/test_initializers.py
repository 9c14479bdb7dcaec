import math

import numpy as np
import pytest
from numpy_session import evaluate

import graphc as tf
from graphc.initializers import GlorotUniform, Zeros, compute_fans, get

SHAPE = (60, 80)


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        tf.set_random_seed(1)
        yield graph


@pytest.mark.parametrize(
    ("initializer", "shape", "expected"),
    [
        (tf.zeros_initializer(), [2, 3], np.zeros((2, 3))),
        (tf.ones_initializer(), [2], np.ones(2)),
        (tf.constant_initializer(2.5), [2, 2], np.full((2, 2), 2.5)),
        (tf.constant_initializer([1, 2, 3]), [2, 3], [[1, 2, 3], [3, 3, 3]]),
        (tf.constant_initializer(np.eye(2)), [4], [1, 0, 0, 1]),
        (tf.initializers.identity(3.0), [2, 3], [[3, 0, 0], [0, 3, 0]]),
    ],
)
def test_fixed_values(initializer, shape, expected):
    found = evaluate(initializer(shape))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


def test_types():
    assert evaluate(tf.zeros_initializer()([2], tf.int32)).dtype == np.int32
    assert evaluate(tf.zeros_initializer(tf.bool)([2])).dtype == bool
    assert evaluate(tf.random_normal_initializer()([2], dtype=tf.float64)).dtype == np.float64
    assert evaluate(tf.random_uniform_initializer(0, 9, dtype=tf.int32)([99])).max() == 8


LIMITS = {
    "glorot_uniform": math.sqrt(6 / 140),
    "he_uniform": math.sqrt(6 / 60),
    "lecun_uniform": math.sqrt(3 / 60),
    "uniform_unit_scaling": math.sqrt(3 / 60),
}
DEVIATIONS = {
    "glorot_normal": math.sqrt(2 / 140),
    "he_normal": math.sqrt(2 / 60),
    "lecun_normal": math.sqrt(1 / 60),
    "random_normal": 1.0,
    "truncated_normal": 0.87962566103423978,
}


@pytest.mark.parametrize("name", LIMITS)
def test_uniform_initializers(name):
    found = evaluate(getattr(tf.initializers, name)()(SHAPE))
    assert 0.99 * LIMITS[name] < abs(found).max() <= LIMITS[name] * (1 + 1e-6)
    assert abs(found.std() - LIMITS[name] / math.sqrt(3)) < 0.02 * LIMITS[name]


@pytest.mark.parametrize("name", DEVIATIONS)
def test_normal_initializers(name):
    found = evaluate(getattr(tf.initializers, name)()(SHAPE))
    assert abs(found.std() / DEVIATIONS[name] - 1) < 0.04 and abs(found.mean()) < 0.05 * DEVIATIONS[name]


@pytest.mark.parametrize(("shape", "fans"), [((), (1, 1)), ((5,), (5, 5)), ((3, 4), (3, 4)), ((2, 3, 4, 5), (24, 30))])
def test_fans(shape, fans):
    assert compute_fans(shape) == fans


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
def test_variance_scaling(mode):
    n = {"fan_in": 60, "fan_out": 80, "fan_avg": 70}[mode]
    for distribution in ("normal", "uniform", "truncated_normal", "untruncated_normal"):
        found = evaluate(tf.variance_scaling_initializer(3.0, mode, distribution)(SHAPE))
        assert abs(found.var() / (3 / n) - 1) < 0.08


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 3, 4)])
def test_orthogonal(shape):
    found = evaluate(tf.orthogonal_initializer(2.0)(shape)).reshape(-1, shape[-1])
    gram = found @ found.T if found.shape[0] < found.shape[1] else found.T @ found
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-5)


def test_seeds():
    first, second, other = evaluate([tf.glorot_uniform_initializer(seed=s)([3, 3]) for s in (5, 5, 6)])
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("made", [
    tf.constant_initializer(3.0), tf.random_uniform_initializer(-1.0, 1.0, 4), tf.variance_scaling_initializer(2.0, "fan_out"),
    tf.glorot_normal_initializer(seed=2), tf.orthogonal_initializer(0.5, seed=1), tf.initializers.he_normal(3),
])  # fmt: skip
def test_an_initializer_is_built_again_from_its_arguments(made):
    again = type(made).from_config(made.get_config())
    assert again.get_config() == made.get_config()
    np.testing.assert_array_equal(*evaluate([again([4, 4]), made([4, 4])]) if made.get_config().get("seed", 0) else (1, 1))


def test_initializers_by_name():
    assert isinstance(get("glorot_uniform"), GlorotUniform)
    assert isinstance(get("Zeros"), Zeros)
    assert get(None) is None
    with pytest.raises(ValueError, match="Unknown initializer: nothing"):
        get("nothing")


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: tf.random_normal_initializer(dtype=tf.int32), "Expected floating point type"),
        (lambda: tf.variance_scaling_initializer(-1.0), "`scale` must be positive"),
        (lambda: tf.variance_scaling_initializer(mode="fan"), "Invalid `mode` argument: fan"),
        (lambda: tf.variance_scaling_initializer(distribution="t"), "Invalid `distribution` argument: t"),
        (lambda: tf.orthogonal_initializer()([3]), "must be at least two-dimensional"),
        (lambda: tf.initializers.identity()([3]), "can only be used for 2D matrices"),
        (lambda: tf.constant_initializer([1, 2, 3])([2]), "Too many elements provided"),
    ],
)
def test_what_initializers_refuse(make, problem):
    with pytest.raises(ValueError, match=problem):
        make()
    with pytest.raises(TypeError, match="Invalid type for initial value"):
        tf.constant_initializer(object())
    with pytest.raises(TypeError, match="Expected Tensor's shape"):
        tf.constant_initializer([1, 2], verify_shape=True)([3])
