"""Functions that are put together from operations, against NumPy."""

import numpy as np
import pytest
from interpreting import value_of

from graphc.errors import ShapeError
from graphc.gradients import gradients
from graphc.graph import Graph
from graphc.operation import Operation
from graphc.ops import (
    activations,
    conversion,
    data_dependent,
    diagonals,
    elementwise,
    filling,
    grouping,
    indexing,
    joining,
    movement,
    reduce,
    sequences,
    shape_ops,
    slicing,
    special,
    statistics,
)
from graphc.ops.constants import constant, placeholder
from graphc.shapes import TensorShape

X = np.linspace(-3, 4, 24, dtype=np.float32).reshape(2, 3, 4)


@pytest.fixture(autouse=True)
def graph():
    with Graph().as_default() as graph:
        yield graph


FUNCTIONS = {
    "reduce_variance": (lambda x: statistics.reduce_variance(x, 1), X.var(1)),
    "reduce_std": (lambda x: statistics.reduce_std(x, [0, -1], keepdims=True), X.std((0, -1), keepdims=True)),
    "reduce_euclidean_norm": (lambda x: statistics.reduce_euclidean_norm(x), np.sqrt((X**2).sum())),
    "count_nonzero": (lambda x: statistics.count_nonzero(x > 0, 2), (X > 0).sum(2)),
    "count_nonzero int32": (
        lambda x: statistics.count_nonzero(elementwise.floor(x), dtype="int32"),
        np.floor(X).astype(bool).sum(),
    ),
    "norm": (lambda x: statistics.norm(x), np.sqrt((X**2).sum())),
    "norm 1": (lambda x: statistics.norm(x, 1, axis=1, keepdims=True), np.abs(X).sum(1, keepdims=True)),
    "norm inf": (lambda x: statistics.norm(x, np.inf, axis=-1), np.abs(X).max(-1)),
    "norm 3": (lambda x: statistics.norm(x, 3, axis=0), (np.abs(X) ** 3).sum(0) ** (1 / 3)),
    "norm fro": (lambda x: statistics.norm(x, "fro", [1, 2]), np.linalg.norm(X, axis=(1, 2))),
    "norm 1 of matrices": (lambda x: statistics.norm(x, 1, [-2, -1]), np.linalg.norm(X, 1, (-2, -1))),
    "norm inf of matrices": (
        lambda x: statistics.norm(x, np.inf, [1, 2], True),
        np.linalg.norm(X, np.inf, (1, 2), True),
    ),
    "crelu": (activations.crelu, np.concatenate([np.maximum(X, 0), np.maximum(-X, 0)], -1)),
    "leaky_relu of integers": (
        lambda x: activations.leaky_relu(conversion.cast(x, "int32"), 2),
        np.where(X <= -1, 2, 1) * X.astype(int),
    ),
    "matrix_transpose": (movement.matrix_transpose, X.swapaxes(1, 2)),
    "identity_n": (lambda x: movement.identity_n([x, x])[1], X),
    "trace": (diagonals.trace, np.trace(X, axis1=1, axis2=2)),
    "polyval": (lambda x: elementwise.polyval([1.0, -2.0, 3.0], x), X**2 - 2 * X + 3),
    "scalar_mul": (lambda x: elementwise.scalar_mul(2, x), 2 * X),
    "accumulate_n": (lambda x: elementwise.accumulate_n([x, x, x]), 3 * X),
    "saturate to uint8": (
        lambda x: elementwise.saturate_cast(x * 100.0, "uint8"),
        np.clip(X * 100, 0, 255).astype(np.uint8),
    ),
    "saturate to int32": (
        lambda x: elementwise.saturate_cast(x * 1e10, "int32"),
        np.clip(X * 1e10, -(2**31), 2147483520).astype(np.int32),
    ),
    "saturate to float16": (
        lambda x: elementwise.saturate_cast(x * 1e6, "float16"),
        np.clip(X * 1e6, -65504, 65504).astype(np.float16),
    ),
    "saturate integers": (
        lambda x: elementwise.saturate_cast(conversion.cast(x * 99, "int32"), "int8"),
        np.clip((X * 99).astype(int), -128, 127),
    ),
    "fill": (lambda x: filling.fill([2, 2], 3), np.full((2, 2), 3)),
    "eye": (lambda x: filling.eye(2, 3, dtype="int64"), np.eye(2, 3)),
    "eye of a batch": (lambda x: filling.eye(2, batch_shape=[2, 1]), np.broadcast_to(np.eye(2), (2, 1, 2, 2))),
    "eye of unknown size": (lambda x: filling.eye(shape_ops.shape(x)[1]), np.eye(3)),
    "zeros of bool": (lambda x: filling.zeros([2], "bool"), np.zeros(2, bool)),
    "range of numbers": (lambda x: filling.range(0, 1, 0.25), np.arange(0, 1, 0.25)),
    "range int64": (lambda x: filling.range(3, dtype="int64"), np.arange(3)),
    "meshgrid": (
        lambda x: joining.stack(sequences.meshgrid([1, 2], [3, 4, 5])),
        np.stack(np.meshgrid([1, 2], [3, 4, 5])),
    ),
    "meshgrid ij": (
        lambda x: joining.stack(sequences.meshgrid([1.0, 2.0], [3.0], x[0, 0], indexing="ij")),
        np.stack(np.meshgrid([1, 2], [3], X[0, 0], indexing="ij")),
    ),
    "sequence_mask": (
        lambda x: sequences.sequence_mask([[1, 3], [0, 2]], dtype="float32"),
        np.arange(3) < [[[1], [3]], [[0], [2]]],
    ),
    "argsort along another axis": (lambda x: sequences.argsort(x, 1, "DESCENDING"), np.argsort(-X, 1)),
    "sort along another axis": (lambda x: sequences.sort(-x, 0), np.sort(-X, 0)),
    "invert_permutation": (lambda x: sequences.invert_permutation([2, 0, 1]), [1, 2, 0]),
    "gather_nd with batches": (lambda x: indexing.gather_nd(x, [[1], [2]], batch_dims=1), X[[0, 1], [1, 2]]),
    "depth_to_space NCHW": (
        lambda x: joining.depth_to_space(movement.reshape(x[:, :, :], [1, 4, 2, 3]), 2, data_format="NCHW"),
        X.reshape(1, 2, 2, 2, 3).transpose(0, 3, 1, 4, 2).reshape(1, 1, 4, 6),
    ),
    "boolean_mask along an axis": (lambda x: data_dependent.boolean_mask(x, [True, False, True], axis=1), X[:, [0, 2]]),
    "dynamic_partition": (lambda x: data_dependent.dynamic_partition(x, [1, 0], 2)[1], X[:1]),
    "pad with a tensor": (
        lambda x: slicing.pad(x[0], [[0, 1], [2, 0]], constant_values=x[0, 0, 0]),
        np.pad(X[0], ((0, 1), (2, 0)), constant_values=-3),
    ),
    "broadcast_dynamic_shape": (lambda x: shape_ops.broadcast_dynamic_shape([2, 1], [3]), [2, 3]),
    "shape_n": (lambda x: shape_ops.shape_n([x, x[0]])[1], [3, 4]),
    "mean of narrow floats": (lambda x: reduce.reduce_mean(filling.fill([5000], constant(60.0, "float16"))), 60),
    "mean of integers": (lambda x: reduce.reduce_mean(constant([-1, -2, -2])), -1),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("shape", [(2, 3, 4), (None, None, None)], ids=str)
def test_functions(name, shape):
    function, expected = FUNCTIONS[name]
    x = placeholder("float32", shape)
    found = value_of(function(x), {x: X})
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found.astype(np.float64), np.asarray(expected, np.float64), rtol=2e-5, atol=1e-6)


def test_polygamma_has_derivatives_of_every_order():
    x = placeholder("float64", [3])
    value, at = special.lgamma(x), np.array([0.7, 2.5, 9.0])
    for order in range(4):
        (value,) = gradients(value, x)
        np.testing.assert_allclose(value_of(value, {x: at}), value_of(special.polygamma(order, x), {x: at}))


def test_where_without_choices_gives_indices():
    from graphc.ops.compare import where

    x = placeholder("float32", [None, 3])
    places = where(x > 0)
    assert places.dtype == "int64" and places.shape.as_list() == [None, 2]
    np.testing.assert_array_equal(value_of(places, {x: [[0, 1, 2], [3, 0, 0]]}), [[0, 1], [0, 2], [1, 0]])


def test_group_waits_for_all_that_it_is_given(graph):
    a, b, c = (placeholder("float32", [], name=n) for n in "abc")
    operation = grouping.group(a, [b.op, None], {"c": c}, name="all")
    assert isinstance(operation, Operation) and operation.name == "all"
    assert [op.name for op in operation.control_inputs] == ["a", "b", "c"]
    assert grouping.no_op().type == "NoOp"
    with pytest.raises(TypeError, match="Tensors or Operations"):
        grouping.group(3)
    with pytest.raises(TypeError, match="Unknown keyword"):
        grouping.group(a, label="x")


def test_tuple_gates_every_tensor_on_all():
    a, b = placeholder("float32", []), placeholder("int32", [2])
    gated = grouping.tuple([a, None, b])
    assert gated[1] is None and [t.dtype.name for t in gated if t is not None] == ["float32", "int32"]
    (gate,) = gated[0].op.control_inputs
    assert set(gate.control_inputs) == {a.op, b.op} and gated[2].op.control_inputs == (gate,)
    with pytest.raises(ValueError, match="at least one Tensor"):
        grouping.tuple([None])


def test_unique_keeps_the_order_of_first_occurrence():
    x = placeholder("int32", [None])
    values, places, counts = data_dependent.unique_with_counts(x)
    assert data_dependent.unique(x, out_idx="int64")[1].dtype == "int64"
    found = value_of([values, places, counts], {x: [5, 1, 5, 0, 1, 5]})
    assert [v.tolist() for v in found] == [[5, 1, 0], [0, 1, 0, 2, 1, 0], [3, 2, 1]]


def test_static_shapes_broadcast():
    assert shape_ops.broadcast_static_shape(TensorShape([2, 1]), TensorShape([3])).as_list() == [2, 3]
    with pytest.raises(ValueError, match="do not broadcast"):
        shape_ops.broadcast_static_shape(TensorShape([2]), TensorShape([3]))


def test_constants_of_known_shapes_do_not_depend_on_the_tensor():
    x = placeholder("float32", [2, 3])
    for tensor in (
        shape_ops.shape(x),
        shape_ops.size(x),
        shape_ops.rank(x),
        filling.zeros_like(x),
        filling.ones_like(x),
    ):
        assert tensor.op.definition.name in ("constant", "broadcast_to")
        value_of(tensor)


def test_old_orders_of_arguments():
    x = constant([[1.0, 2.0]])
    assert joining.concat(0, [x, x]).shape.as_list() == [2, 2]
    assert [t.shape.as_list() for t in joining.split(1, 2, x)] == [[1, 1]] * 2
    assert reduce.reduce_sum(x, reduction_indices=[1], keep_dims=True).shape.as_list() == [1, 1]
    assert reduce.argmax(x, dimension=1).shape.as_list() == [1]
    assert movement.expand_dims(x, dim=0).shape.as_list() == [1, 1, 2]
    assert movement.squeeze(x, squeeze_dims=[0]).shape.as_list() == [2]


def test_limits_that_do_not_fit():
    with pytest.raises(ShapeError, match="clip: limits of shapes"):
        elementwise.clip_by_value(constant([1.0, 2.0]), [[0.0], [1.0]], 5.0)
