"""Convolutions and pooling as users call them; their values stand in the table of samples."""

import numpy as np
import pytest
from gradient_check import verify_gradient
from numpy_session import evaluate
from op_cases import floats

import graphc as tf
from graphc.errors import DTypeError, ShapeError


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


IMAGE, FILTER = (2, 7, 8, 3), (3, 3, 3, 4)


def test_a_known_image_makes_the_primitive_and_an_unknown_one_waits():
    known = tf.nn.conv2d(tf.placeholder(tf.float32, IMAGE), floats(FILTER), [1, 2, 2, 1], "SAME")
    assert known.op.definition.name == "conv2d" and known.op.name == "Conv2D"
    assert known.op.attributes["padding"] == ((1, 1), (0, 1))
    rows_unknown = tf.nn.conv2d(tf.placeholder(tf.float32, [None, None, 8, 3]), floats(FILTER), 1, "SAME")
    assert rows_unknown.op.definition.name == "windowed_conv2d"
    assert rows_unknown.get_shape().as_list() == [None, None, 8, 4]
    batch_unknown = tf.nn.conv2d(tf.placeholder(tf.float32, [None, *IMAGE[1:]]), floats(FILTER), 1, "VALID")
    assert batch_unknown.op.definition.name == "conv2d" and batch_unknown.get_shape().as_list() == [None, 5, 6, 4]


def test_both_names_of_the_filter():
    x, w = floats(IMAGE), floats(FILTER)
    other = tf.nn.conv2d(x, filters=w, strides=[1, 1, 1, 1], padding="valid")
    np.testing.assert_array_equal(*evaluate([tf.nn.conv2d(x, w, 1, "VALID"), other]))


def test_explicit_padding_is_padding():
    x, w = floats(IMAGE), floats(FILTER)
    pads = [[0, 0], [1, 2], [0, 3], [0, 0]]
    first, second = evaluate([tf.nn.conv2d(x, w, 2, pads), tf.nn.conv2d(np.pad(x, pads), w, 2, "VALID")])
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_a_transposed_convolution_of_unknown_batch(padding):
    x, w = tf.placeholder(tf.float32, [None, 7, 8, 3]), floats((3, 3, 4, 3))
    rows, columns = (14, 16) if padding == "SAME" else (15, 17)
    y = tf.nn.conv2d_transpose(x, w, tf.stack([tf.shape(x)[0], rows, columns, 4]), [1, 2, 2, 1], padding)
    assert y.get_shape().as_list() == [None, rows, columns, 4]
    value = floats(IMAGE)
    expected = tf.nn.conv2d_backprop_input([2, rows, columns, 4], w, value, 2, padding)
    np.testing.assert_array_equal(*evaluate([y, expected], {x: value}))


def test_a_transposed_convolution_has_gradients_to_any_order():
    verify_gradient(lambda x, w: tf.nn.conv2d_transpose(x, w, [1, 6, 7, 2], 2, "SAME"),
                    [floats((1, 3, 4, 3), dtype="float64"), floats((3, 2, 2, 3), dtype="float64")])  # fmt: skip


def test_convolutions_of_sequences_are_those_of_flat_images():
    x, w = floats((2, 9, 3)), floats((3, 3, 4))
    flat = tf.nn.conv2d(x[:, None], w[None], [1, 1, 2, 1], "SAME")[:, 0]
    turned = tf.transpose(tf.nn.conv1d(x.transpose(0, 2, 1), w, 2, "SAME", data_format="NCW"), [0, 2, 1])
    for other in (tf.nn.conv1d(x, w, 2, "SAME"), tf.nn.convolution(x, w, "SAME", strides=[2]), turned):
        np.testing.assert_allclose(*evaluate([other, flat]), rtol=1e-6)


def test_dilated_convolutions_are_those_with_spread_filters():
    x, w = floats(IMAGE), floats(FILTER)
    spread = np.zeros((5, 5, 3, 4), np.float32)
    spread[::2, ::2] = w
    wide = tf.nn.conv2d(x, spread, 1, "SAME")
    for other in (tf.nn.atrous_conv2d(x, w, 2, "SAME"), tf.nn.convolution(x, w, "SAME", dilation_rate=[2, 2])):
        np.testing.assert_allclose(*evaluate([other, wide]), rtol=1e-5, atol=1e-5)


def test_separable_convolution():
    x, depth, point = floats(IMAGE), floats((3, 3, 3, 2)), floats((1, 1, 6, 5))
    whole = np.einsum("hwcm,cmo->hwco", depth, point.reshape(3, 2, 5))
    first = tf.nn.separable_conv2d(x, depth, point, [1, 2, 2, 1], "SAME")
    np.testing.assert_allclose(*evaluate([first, tf.nn.conv2d(x, whole, 2, "SAME")]), rtol=1e-4, atol=1e-4)


def test_pooling_by_name():
    x = floats(IMAGE)
    pairs = [
        (tf.nn.pool(x, [2, 3], "MAX", "SAME", strides=[2, 1]), tf.nn.max_pool(x, [1, 2, 3, 1], [1, 2, 1, 1], "SAME")),
        (tf.nn.pool(x[:, 0], [3], "AVG", "VALID", strides=[2]), tf.nn.avg_pool(x[:, :1], [1, 3], [1, 2], "VALID")[:, 0]),
    ]
    for pair in pairs:
        np.testing.assert_array_equal(*evaluate(list(pair)))


def test_a_maximum_that_is_nan_has_no_gradient():
    x = tf.placeholder(tf.float32, [1, 2, 4, 1])
    y = tf.nn.max_pool(x, 2, 2, "VALID")
    value = np.array([[1, 2, np.nan, 1], [2, 0, 1, 1]], np.float32).reshape(1, 2, 4, 1)
    pooled, slope = evaluate([y, tf.gradients(y, x)[0]], {x: value})
    np.testing.assert_array_equal(pooled.ravel(), [2, np.nan])
    np.testing.assert_array_equal(slope.reshape(2, 4), [[0, 1, 0, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        (lambda x: tf.nn.conv2d(x, tf.zeros([3, 3, 4, 2]), 1, "VALID"), "conv2d: the input has 3 channels, the filter takes 4"),
        (lambda x: tf.nn.conv2d(x, tf.zeros([9, 3, 3, 2]), 1, "VALID"),
         "conv2d: the window spans 9 elements, the padded input has 7"),
        (lambda x: tf.nn.conv2d(x[0], tf.zeros([3, 3, 3, 2]), 1, "SAME"), "conv2d: images have 4 dimensions, not 3"),
        (lambda x: tf.nn.conv2d(x, tf.zeros([3, 3, 3]), 1, "SAME"), "conv2d: the filter has 3 dimensions, not 4"),
        (lambda x: tf.nn.max_pool(x, 8, 1, "VALID"), "max_pool: the window spans 8 elements, the padded input has 7"),
        (lambda x: tf.nn.conv2d_backprop_input([2, 9, 9, 3], np.zeros((3, 3, 3, 3), np.float32), x, 1, "SAME"),
         r"the gradient of the output has shape \[2, 7, 8, 3\], the output \[2, 9, 9, 3\]"),
    ],
)  # fmt: skip
def test_shapes_that_do_not_fit(build, problem):
    with pytest.raises(ShapeError, match=problem):
        build(tf.placeholder(tf.float32, IMAGE))


def test_types_that_do_not_fit():
    with pytest.raises(DTypeError, match="conv2d: operands have different types, float32 and float64"):
        tf.nn.conv2d(tf.zeros(IMAGE), tf.zeros(FILTER, tf.float64), 1, "SAME")
    with pytest.raises(DTypeError, match="avg_pool: the input is int32; an average takes floating-point numbers"):
        tf.nn.avg_pool(tf.zeros(IMAGE, tf.int32), 2, 2, "SAME")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"strides": [2, 1, 1, 1], "padding": "SAME"}, "strides over batch or channels is not supported"),
        ({"strides": 1, "padding": "FULL"}, "padding must be 'SAME', 'VALID' or a list of pairs"),
        ({"strides": 0, "padding": "SAME"}, "strides must be positive"),
        ({"strides": 1, "padding": "SAME", "data_format": "CHWN"}, "data_format must be 'NHWC' or 'NCHW'"),
        ({"strides": 1, "padding": [[0, 0], [1, 1], [1, 1], [1, 1]]}, "explicit padding of batch or channels"),
        ({"strides": 1}, "padding must be given"),
    ],
)
def test_arguments_that_make_no_sense(arguments, problem):
    with pytest.raises(ValueError, match=problem):
        tf.nn.conv2d(np.zeros(IMAGE, np.float32), np.zeros(FILTER, np.float32), **arguments)
