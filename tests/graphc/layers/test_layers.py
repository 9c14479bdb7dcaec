import numpy as np
import pytest
from numpy_session import evaluate, numpy_session
from op_cases import floats

import graphc as tf


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        tf.set_random_seed(1)
        yield graph


def variable_names():
    return [v.name for v in tf.global_variables()]


def run(fetches, feeds=None):
    return evaluate(fetches, feeds, tf.global_variables_initializer())


IMAGE = (2, 7, 8, 3)

# -- dense, and what all layers share


def test_dense():
    x = floats((5, 3))
    y = tf.layers.dense(x, 4, tf.nn.relu, bias_initializer=tf.constant_initializer(0.5), name="fc")
    assert variable_names() == ["fc/kernel:0", "fc/bias:0"] and y.name == "fc/Relu:0"
    kernel, found = run([tf.global_variables()[0], y])
    assert abs(kernel).max() <= np.sqrt(6 / 7)
    np.testing.assert_allclose(found, np.maximum(x @ kernel + 0.5, 0), rtol=1e-5)


def test_dense_on_more_axes_and_unknown_batch():
    x = tf.placeholder(tf.float32, [None, None, 3])
    y = tf.layers.dense(x, 4, use_bias=False, kernel_initializer=tf.ones_initializer())
    assert y.get_shape().as_list() == [None, None, 4]
    value = floats((2, 5, 3))
    np.testing.assert_allclose(run(y, {x: value}), np.repeat(value.sum(-1, keepdims=True), 4, -1), rtol=1e-5)


def test_names_of_layers_without_names():
    x = tf.zeros([2, 3])
    names = [tf.layers.dense(x, 3).name, tf.layers.dense(x, 3).name]
    with tf.variable_scope("outer"):
        names.append(tf.layers.dense(x, 3).name)
    assert names == ["dense/BiasAdd:0", "dense_1/BiasAdd:0", "outer/dense/BiasAdd:0"]
    assert variable_names()[::2] == ["dense/kernel:0", "dense_1/kernel:0", "outer/dense/kernel:0"]


def test_reuse():
    x = tf.zeros([2, 3])
    first = tf.layers.dense(x, 3, name="fc")
    second = tf.layers.dense(x, 3, name="fc", reuse=True)
    with tf.variable_scope("", reuse=tf.AUTO_REUSE):
        tf.layers.dense(x, 3, name="fc")
    assert variable_names() == ["fc/kernel:0", "fc/bias:0"] and (first.name, second.name) == ("fc/BiasAdd:0", "fc_1/BiasAdd:0")
    with pytest.raises(ValueError, match="Variable fc/kernel already exists"):
        tf.layers.dense(x, 3, name="fc")


def test_a_layer_called_twice_has_its_variables_once():
    layer = tf.layers.Dense(4, name="fc")
    with pytest.raises(ValueError, match="has not been used yet"):
        _ = layer.scope_name
    first, second = layer(tf.zeros([2, 3])), layer.apply(tf.ones([5, 3]))
    assert [v.name for v in layer.weights] == variable_names() == ["fc/kernel:0", "fc/bias:0"]
    assert (first.name, second.name, layer.scope_name) == ("fc/BiasAdd:0", "fc/BiasAdd_1:0", "fc")
    assert layer.kernel is layer.trainable_weights[0] and layer.count_params() == 16 and layer.dtype == "float32"


def test_layers_that_are_not_trained():
    layer = tf.layers.Dense(4, trainable=False)
    layer(tf.zeros([2, 3]))
    assert tf.trainable_variables() == [] == layer.trainable_weights and len(layer.non_trainable_weights) == 2


def test_regularizers():
    def square(w):
        return 0.5 * tf.reduce_sum(w * w)

    layer = tf.layers.Dense(
        4, kernel_regularizer=square, kernel_initializer=tf.ones_initializer(), activity_regularizer=lambda y: tf.reduce_sum(y)
    )
    layer(tf.ones([2, 3]))
    layer(tf.ones([2, 3]))
    assert len(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)) == 3 and len(layer.losses) == 2
    assert run(tf.losses.get_regularization_loss()) == 6 + 2 * 24
    assert len(tf.losses.get_regularization_losses("dense/kernel")) == 1


def test_activations_by_name():
    x = floats((2, 3))
    layer = tf.layers.Dense(3, activation="tanh", kernel_initializer="identity", use_bias=False)
    np.testing.assert_allclose(run(layer(x)), np.tanh(x), rtol=1e-5)
    with pytest.raises(ValueError, match="Unknown activation function: bumpy"):
        tf.layers.Dense(3, activation="bumpy")


def test_a_layer_of_the_user():
    class Scale(tf.layers.Layer):
        def build(self, input_shape):
            self.factor = self.add_weight("factor", [input_shape[-1]], initializer=tf.constant_initializer(3.0))

        def call(self, inputs):
            return inputs * self.factor

    found = Scale()(tf.ones([2, 2], tf.float64))
    assert variable_names() == ["scale/factor:0"] and found.dtype == tf.float64
    np.testing.assert_array_equal(run(found), np.full((2, 2), 3.0))


def test_what_layers_refuse():
    with pytest.raises(ValueError, match="channel dimension of the inputs to layer dense should be defined"):
        tf.layers.dense(tf.placeholder(tf.float32, [2, None]), 3)
    with pytest.raises(ValueError, match="expected ndim=4, found ndim=3"):
        tf.layers.conv2d(tf.zeros([2, 3, 4]), 3, 1)
    with pytest.raises(ValueError, match="`kernel_size` argument must be a tuple of 2 integers"):
        tf.layers.conv2d(tf.zeros(IMAGE), 3, (1, 2, 3))
    with pytest.raises(ValueError, match="`padding` argument must be one of"):
        tf.layers.conv2d(tf.zeros(IMAGE), 3, 1, padding="full")
    with pytest.raises(ValueError, match="`data_format` argument must be one of"):
        tf.layers.max_pooling2d(tf.zeros(IMAGE), 2, 2, data_format="NHWC")
    with pytest.raises(TypeError, match="Keyword argument not understood"):
        tf.layers.Dense(3, colour="red")


# -- convolution, pooling, flatten


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_conv2d(padding):
    x = floats(IMAGE)
    y = tf.layers.conv2d(x, 4, (3, 2), strides=2, padding=padding, activation=tf.nn.relu)
    assert variable_names() == ["conv2d/kernel:0", "conv2d/bias:0"] and y.name == "conv2d/Relu:0"
    kernel = tf.global_variables()[0]
    assert kernel.shape.as_list() == [3, 2, 3, 4]
    np.testing.assert_array_equal(*run([y, tf.nn.relu(tf.nn.conv2d(x, kernel, 2, padding.upper()))]))


def test_channels_first():
    x = floats(IMAGE)
    with tf.variable_scope("", reuse=tf.AUTO_REUSE):
        first = tf.layers.conv2d(x.transpose(0, 3, 1, 2), 4, 3, name="c", data_format="channels_first", padding="same")
        last = tf.layers.conv2d(x, 4, 3, name="c", padding="same")
    pooled = tf.layers.average_pooling2d(first, 2, 2, data_format="channels_first")
    flat = tf.layers.flatten(pooled, data_format="channels_first")
    other = tf.layers.flatten(tf.layers.average_pooling2d(last, 2, 2))
    np.testing.assert_allclose(*run([flat, other]), rtol=1e-5, atol=1e-6)


def test_conv1d_looks_back_only_where_causal():
    x = tf.placeholder(tf.float32, [1, 9, 2])
    y = tf.layers.conv1d(x, 3, 3, padding="causal", dilation_rate=2, use_bias=False)
    slope = tf.gradients(y[:, 4], x)[0]
    assert y.get_shape().as_list() == [1, 9, 3]
    np.testing.assert_array_equal(run(slope, {x: floats((1, 9, 2))})[0].any(-1), [i in (0, 2, 4) for i in range(9)])


@pytest.mark.parametrize(("padding", "sizes"), [("valid", [15, 17]), ("same", [14, 16])])
def test_conv2d_transpose(padding, sizes):
    x = tf.placeholder(tf.float32, [None, 7, 8, 3])
    y = tf.layers.conv2d_transpose(x, 4, 3, strides=2, padding=padding)
    assert y.get_shape().as_list() == [None, *sizes, 4]
    assert tf.global_variables()[0].shape.as_list() == [3, 3, 4, 3]
    assert run(y, {x: floats(IMAGE)}).shape == (2, *sizes, 4)


def test_separable_conv2d():
    y = tf.layers.separable_conv2d(floats(IMAGE), 5, 3, depth_multiplier=2)
    assert [v.shape.as_list() for v in tf.global_variables()] == [[3, 3, 3, 2], [1, 1, 6, 5], [5]]
    assert variable_names()[0] == "separable_conv2d/depthwise_kernel:0" and run(y).shape == (2, 5, 6, 5)


def test_pooling():
    x = floats(IMAGE)
    pairs = [
        (tf.layers.max_pooling2d(x, (2, 3), 2), tf.nn.max_pool(x, (2, 3), 2, "VALID")),
        (tf.layers.average_pooling2d(x, 2, 1, "same"), tf.nn.avg_pool(x, 2, 1, "SAME")),
        (tf.layers.max_pooling1d(x[:, 0], 2, 2), tf.nn.max_pool(x[:, :1], (1, 2), (1, 2), "VALID")[:, 0]),
        (tf.layers.average_pooling1d(x[:, 0], 3, 1), tf.nn.avg_pool(x[:, :1], (1, 3), 1, "VALID")[:, 0]),
    ]
    for pair in pairs:
        np.testing.assert_array_equal(*evaluate(list(pair)))


@pytest.mark.parametrize("shape", [[None, 3, 4], [2, 3, 4], [None, None, 4], [2, None, 4], None])
def test_flatten(shape):
    x = tf.placeholder(tf.float32, shape)
    y = tf.layers.flatten(x)
    value = floats((2, 3, 4))
    np.testing.assert_array_equal(evaluate(y, {x: value}), value.reshape(2, 12))
    assert shape is None or None in shape[1:] or y.get_shape().as_list()[1] == 12


# -- what differs in training


def test_dropout():
    x = np.ones((50, 50), np.float32)
    training = tf.placeholder(tf.bool, [])
    fixed, fed = tf.layers.dropout(x, 0.4, training=True), tf.layers.dropout(x, 0.4, training=training)
    off = tf.layers.dropout(x)
    with numpy_session() as session:
        assert abs((session.run(fixed) == 0).mean() - 0.4) < 0.05
        np.testing.assert_array_equal(session.run(off), x)
        np.testing.assert_array_equal(session.run(fed, {training: False}), x)
        assert abs((session.run(fed, {training: True}) == 0).mean() - 0.4) < 0.05


def standardize(x, mean, variance):
    return (x - mean) / np.sqrt(variance + 1e-3)


@pytest.mark.parametrize("shape", [(6, 3), IMAGE], ids=["rows", "images"])
@pytest.mark.parametrize("flag", ["fixed", "fed"])
def test_batch_normalization(shape, flag):
    x = tf.placeholder(tf.float32, [None, *shape[1:]])
    training = tf.placeholder_with_default(False, [])
    y = tf.layers.batch_normalization(x, momentum=0.9, training=True if flag == "fixed" else training)
    names = ["gamma", "beta", "moving_mean", "moving_variance"]
    assert variable_names() == [f"batch_normalization/{name}:0" for name in names]
    assert [v.name for v in tf.trainable_variables()] == variable_names()[:2]
    updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    averages = tf.global_variables()[2:]
    value = 3 * floats(shape) + 1
    axes = tuple(range(len(shape) - 1))
    mean, variance, count = value.mean(axes), value.var(axes), value.size // 3
    moved = [0.1 * mean, 0.9 + 0.1 * variance * (count / (count - 1) if len(shape) == 4 else 1)]
    feeds = {x: value} if flag == "fixed" else {x: value, training: True}
    with numpy_session() as session:
        session.run(tf.global_variables_initializer())
        found, _ = session.run([y, updates], feeds)
        np.testing.assert_allclose(found, standardize(value, mean, variance), rtol=1e-3, atol=1e-4)
        for average, expected in zip(session.run(averages), moved):
            np.testing.assert_allclose(average, expected, rtol=1e-4)
        if flag == "fed":
            found, _ = session.run([y, updates], {x: value})
            np.testing.assert_allclose(found, standardize(value, *moved), rtol=1e-3, atol=1e-4)
            np.testing.assert_allclose(session.run(averages[0]), moved[0], rtol=1e-4)


def test_batch_normalization_in_inference_makes_no_updates():
    x = floats((4, 3))
    y = tf.layers.batch_normalization(x, center=False, scale=False, name="bn")
    assert variable_names() == ["bn/moving_mean:0", "bn/moving_variance:0"]
    assert tf.get_collection(tf.GraphKeys.UPDATE_OPS) == []
    np.testing.assert_allclose(run(y), x / np.sqrt(1 + 1e-3), rtol=1e-5)


def test_batch_normalization_along_another_axis():
    x = floats(IMAGE)
    with tf.variable_scope("", reuse=tf.AUTO_REUSE):
        first = tf.layers.batch_normalization(x.transpose(0, 3, 1, 2), axis=1, training=True, name="bn")
        last = tf.layers.batch_normalization(x, axis=[3], training=1, name="bn")
    np.testing.assert_allclose(*run([tf.transpose(first, [0, 2, 3, 1]), last]), rtol=1e-4, atol=1e-5)


def test_a_training_step_may_depend_on_the_updates():
    x = tf.placeholder(tf.float32, [8, 3])
    loss = tf.reduce_mean(tf.square(tf.layers.dense(tf.layers.batch_normalization(x, training=True), 1) - 1.0))
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        step = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    moving_mean = next(v for v in tf.global_variables() if "moving_mean" in v.name)
    with numpy_session() as session:
        session.run(tf.global_variables_initializer())
        before = session.run(loss, {x: floats((8, 3))})
        for _ in range(10):
            session.run(step, {x: floats((8, 3))})
        assert session.run(loss, {x: floats((8, 3))}) < before / 2
        np.testing.assert_allclose(session.run(moving_mean), floats((8, 3)).mean(0) * (1 - 0.99**10), rtol=1e-4)


def test_batch_normalization_without_renormalisation():
    with pytest.raises(ValueError, match="renorm, virtual_batch_size and adjustment are not supported"):
        tf.layers.batch_normalization(tf.zeros([2, 3]), renorm=True)
