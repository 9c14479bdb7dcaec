"""The types of operations as TensorFlow names them: the expected ones are what TensorFlow 2's v1 interface gives."""

import pytest

import graphc as tf
from graphc.operation import DEFINITIONS
from graphc.tensorflow_names import TENSORFLOW_NAMES


def floats(*shape):
    return tf.placeholder(tf.float32, shape)


def integers(*shape):
    return tf.placeholder(tf.int32, shape)


def booleans(*shape):
    return tf.placeholder(tf.bool, shape)


ONE_OPERAND = {
    "abs": "Abs",
    "negative": "Neg",
    "sign": "Sign",
    "square": "Square",
    "sqrt": "Sqrt",
    "rsqrt": "Rsqrt",
    "exp": "Exp",
    "log": "Log",
    "log1p": "Log1p",
    "expm1": "Expm1",
    "sin": "Sin",
    "tanh": "Tanh",
    "erf": "Erf",
    "floor": "Floor",
    "rint": "Rint",
    "is_nan": "IsNan",
    "is_finite": "IsFinite",
    "identity": "Identity",
    "stop_gradient": "StopGradient",
    "sigmoid": "Sigmoid",
    "reduce_sum": "Sum",
    "reduce_mean": "Mean",
    "reduce_max": "Max",
    "reduce_prod": "Prod",
    "shape": "Const",
    "transpose": "Transpose",
}

BUILT = {
    "Placeholder": lambda: floats(2),
    "PlaceholderWithDefault": lambda: tf.placeholder_with_default(1.0, []),
    "Const": lambda: tf.constant([1.0, 2.0]),
    "VariableV2": lambda: tf.Variable([1.0]),
    "Assign": lambda: tf.Variable([1.0]).initializer,
    "AssignAdd": lambda: tf.assign_add(tf.Variable([1.0]), [2.0]),
    "ScatterUpdate": lambda: tf.scatter_update(tf.Variable([1.0]), [0], [2.0]),
    "AddV2": lambda: floats(2) + floats(2),
    "Sub": lambda: floats(2) - floats(2),
    "Mul": lambda: floats(2) * 2.0,
    "RealDiv": lambda: floats(2) / floats(2),
    "FloorDiv": lambda: integers(2) // 2,
    "FloorMod": lambda: integers(2) % 2,
    "Pow": lambda: floats(2) ** 2.0,
    "Neg": lambda: -floats(2),
    "Less": lambda: floats(2) < 1.0,
    "LogicalAnd": lambda: booleans(2) & booleans(2),
    "Maximum": lambda: tf.maximum(floats(2), 0.0),
    "SquaredDifference": lambda: tf.squared_difference(floats(2), 0.0),
    "MatMul": lambda: tf.matmul(floats(2, 3), floats(3, 4)),
    "AddN": lambda: tf.add_n([floats(2), floats(2)]),
    "Conv2D": lambda: tf.nn.conv2d(floats(1, 5, 5, 2), floats(3, 3, 2, 4), [1, 1, 1, 1], "SAME"),
    "DepthwiseConv2dNative": lambda: tf.nn.depthwise_conv2d(
        floats(1, 5, 5, 2), floats(3, 3, 2, 4), [1, 1, 1, 1], "SAME"
    ),
    "MaxPool": lambda: tf.nn.max_pool(floats(None, None, None, 2), [1, 2, 2, 1], [1, 2, 2, 1], "SAME"),
    "AvgPool": lambda: tf.nn.avg_pool(floats(1, 4, 4, 2), [1, 2, 2, 1], [1, 2, 2, 1], "SAME"),
    "BiasAdd": lambda: tf.nn.bias_add(floats(2, 3), floats(3)),
    "Relu": lambda: tf.nn.relu(floats(2)),
    "Relu6": lambda: tf.nn.relu6(floats(2)),
    "LeakyRelu": lambda: tf.nn.leaky_relu(floats(2)),
    "Softmax": lambda: tf.nn.softmax(floats(2, 3)),
    "LogSoftmax": lambda: tf.nn.log_softmax(floats(2, 3)),
    "L2Loss": lambda: tf.nn.l2_loss(floats(2)),
    "SparseSoftmaxCrossEntropyWithLogits": lambda: tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=integers(2), logits=floats(2, 3)
    ),
    "Reshape": lambda: tf.reshape(floats(2, 3), [3, 2]),
    "ExpandDims": lambda: tf.expand_dims(floats(2), 0),
    "Squeeze": lambda: tf.squeeze(floats(1, 3)),
    "ConcatV2": lambda: tf.concat([floats(2), floats(2)], 0),
    "Pack": lambda: tf.stack([floats(2), floats(2)]),
    "Unpack": lambda: tf.unstack(floats(2, 3))[0],
    "Split": lambda: tf.split(floats(2, 3), 3, 1)[0],
    "Slice": lambda: tf.slice(floats(2, 3), [0, 0], [1, 2]),
    "StridedSlice": lambda: floats(2, 3)[:, 1],
    "GatherV2": lambda: tf.gather(floats(2, 3), [0]),
    "GatherNd": lambda: tf.gather_nd(floats(2, 3), [[0, 1]]),
    "Tile": lambda: tf.tile(floats(2), [2]),
    "Pad": lambda: tf.pad(floats(2), [[1, 1]]),
    "ReverseV2": lambda: tf.reverse(floats(2), [0]),
    "OneHot": lambda: tf.one_hot(integers(3), 4),
    "Cast": lambda: tf.cast(floats(2), tf.int32),
    "Range": lambda: tf.range(integers()),
    "ArgMax": lambda: tf.argmax(floats(2, 3), 1),
    "TopKV2": lambda: tf.nn.top_k(floats(2, 3), 2)[0],
    "Where": lambda: tf.where(booleans(2, 3)),
    "Select": lambda: tf.where(booleans(2), floats(2), floats(2)),
    "All": lambda: tf.reduce_all(booleans(2)),
    "Any": lambda: tf.reduce_any(booleans(2)),
    "RandomUniform": lambda: tf.random_uniform([3]),
    "NoOp": lambda: tf.no_op(),
    "PyFunc": lambda: tf.py_func(lambda a: a, [floats(2)], tf.float32),
}


def type_of(made):
    return made.type if isinstance(made, tf.Operation) else made.op.type


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


@pytest.mark.parametrize("name, expected", ONE_OPERAND.items())
def test_functions_of_one_operand(name, expected):
    assert type_of(getattr(tf, name)(floats(2, 3))) == expected


@pytest.mark.parametrize("expected", BUILT)
def test_types_are_those_of_tensorflow(expected):
    assert type_of(BUILT[expected]()) == expected


def test_every_name_belongs_to_a_definition():
    assert TENSORFLOW_NAMES.keys() <= DEFINITIONS.keys()


def test_what_tensorflow_does_not_have_is_called_as_its_definition(graph):
    x = floats(2)
    assert tf.gradients(x * x, x)[0].op.type == "gradient"
    assert [op.type for op in graph.get_operations()][:2] == ["Placeholder", "Mul"]
    assert "type=Placeholder" in repr(x.op)
