"""Sizes, axes and bounds that are given as tensors: known, known in part, and known at run time only."""

import numpy as np
import pytest
from interpreting import value_of

from graphc.graph import Graph
from graphc.operation import Dynamic
from graphc.ops import (
    cumulative,
    diagonals,
    elementwise,
    filling,
    indexing,
    joining,
    movement,
    reduce,
    sequences,
    slicing,
    strided_slices,
)
from graphc.ops.constants import constant, placeholder
from graphc.ops.shape_ops import shape, size

X = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture(autouse=True)
def graph():
    with Graph().as_default() as graph:
        yield graph


FUNCTIONS = {
    "reshape": (movement.reshape, [2, -1], X.reshape(2, -1)),
    "broadcast_to": (movement.broadcast_to, [2, 3, 4], np.broadcast_to(X, (2, 3, 4))),
    "transpose": (movement.transpose, [1, 0], X.T),
    "expand_dims": (movement.expand_dims, -1, X[..., None]),
    "tile": (movement.tile, [2, 1], np.tile(X, (2, 1))),
    "reverse": (slicing.reverse, [-1], X[:, ::-1]),
    "roll": (lambda x, n: slicing.roll(x, n, [0]), [2], np.roll(X, 2, 0)),
    "pad": (slicing.pad, [[1, 0], [0, 2]], np.pad(X, ((1, 0), (0, 2)))),
    "slice begin": (lambda x, n: slicing.slice(x, n, [1, 2]), [1, 2], X[1:2, 2:4]),
    "slice size": (lambda x, n: slicing.slice(x, [1, 0], n), [2, 3], X[1:3, :3]),
    "slice rest": (lambda x, n: slicing.slice(x, n, [-1, 2]), [1, 2], X[1:, 2:4]),
    "strided_slice": (lambda x, n: strided_slices.strided_slice(x, [0, 0], n), [2, 3], X[:2, :3]),
    "concat": (lambda x, n: joining.concat([x, x], n), 1, np.concatenate([X, X], 1)),
    "split": (lambda x, n: joining.split(x, n, 1, num=2)[1], [1, 3], X[:, 1:]),
    "split axis": (lambda x, n: joining.split(x, 2, n)[1], 1, X[:, 2:]),
    "reduce_sum": (reduce.reduce_sum, [-1], X.sum(-1)),
    "reduce_mean": (lambda x, n: reduce.reduce_mean(x, n, keepdims=True), 0, X.mean(0, keepdims=True)),
    "argmax": (reduce.argmax, 1, X.argmax(1)),
    "cumsum": (cumulative.cumsum, 1, X.cumsum(1)),
    "gather axis": (lambda x, n: indexing.gather(x, [1], axis=n), 1, X[:, 1:2]),
    "one_hot": (lambda x, n: indexing.one_hot([0, 2], n), 3, np.eye(3)[[0, 2]]),
    "fill": (lambda x, n: filling.fill(n, 7.0), [2, 2], np.full((2, 2), 7)),
    "zeros": (lambda x, n: filling.zeros(n), [2, 0], np.zeros((2, 0))),
    "eye": (lambda x, n: filling.eye(n), 3, np.eye(3)),
    "range": (lambda x, n: filling.range(1, n), 5, np.arange(1, 5)),
    "linspace": (lambda x, n: filling.linspace(0.0, 1.0, n), 5, np.linspace(0, 1, 5)),
    "scatter_nd": (lambda x, n: indexing.scatter_nd([[1]], [5.0], n), [3], np.array([0, 5, 0])),
    "band": (lambda x, n: diagonals.matrix_band_part(x, n, 0), 1, np.tril(X) - np.tril(X, -2)),
    "sequence_mask": (lambda x, n: sequences.sequence_mask([1, 2], n), 3, np.array([[1, 0, 0], [1, 1, 0]]) > 0),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("how", ["number", "constant", "fed"])
@pytest.mark.parametrize("rank", ["rank", "no rank"])
def test_arguments(name, how, rank):
    function, argument, expected = FUNCTIONS[name]
    x = placeholder("float32", [None, 4] if rank == "rank" else None)
    feeds = {x: X}
    given = argument
    if how == "constant":
        given = constant(argument)
    elif how == "fed":
        given = placeholder("int32", np.shape(argument))
        feeds[given] = argument
    result = function(x, given)
    assert result.shape.is_compatible_with(expected.shape)
    if how == "constant" and rank == "rank":
        assert not any(isinstance(v, Dynamic) for v in result.op.attributes.values())
    found = value_of(result, feeds)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_shapes_known_in_part():
    x = placeholder("float32", [None, 7, 5])
    batch = shape(x)[0]
    for tensor, expected in (
        (movement.reshape(x, [-1, 35]), [None, 35]),
        (movement.reshape(x, [batch, 35]), [None, 35]),
        (movement.reshape(x, [batch, shape(x)[1], 5]), [None, 7, 5]),
        (movement.reshape(x, shape(x)), [None, 7, 5]),
        (movement.reshape(x, joining.concat([shape(x)[:1], [35]], 0)), [None, 35]),
        (filling.zeros([batch, 3]), [None, 3]),
        (filling.zeros(joining.stack([batch, shape(x)[2]])), [None, 5]),
        (filling.ones(shape(x)), [None, 7, 5]),
        (movement.tile(x, [1, 2, batch]), [None, 14, None]),
        (movement.broadcast_to(constant([[1.0]]), [batch, 4]), [None, 4]),
        (slicing.slice(x, [0, 1, 0], [batch, 2, -1]), [None, 2, 5]),
        (slicing.slice(x, [0, 1, 0], [-1, -1, -1]), [None, 6, 5]),
        (indexing.one_hot(placeholder("int32", [None]), shape(x)[1]), [None, 7]),
        (reduce.reduce_sum(x, [1]), [None, 5]),
        (movement.expand_dims(x, 1), [None, 1, 7, 5]),
        (indexing.gather(x, [0, 1]), [2, 7, 5]),
        (indexing.scatter_nd([[0]], x[:1], shape(x)), [None, 7, 5]),
        (filling.range(batch), [None]),
        (joining.concat([x, x], 0), [None, 7, 5]),
        (joining.concat([x, x], 1), [None, 14, 5]),
        (joining.stack([x, x], -1), [None, 7, 5, 2]),
        (elementwise.add(x, constant([[1.0]])), [None, 7, 5]),
        (slicing.pad(x, [[0, 1], [2, 2], [0, 0]]), [None, 11, 5]),
    ):
        assert tensor.shape.as_list() == expected, tensor.op.definition.name


def test_an_unknown_dimension_meets_a_known_one():
    x, y = placeholder("float32", [None, 4]), placeholder("float32", [3, None])
    assert (x + y).shape.as_list() == [3, 4]
    assert joining.stack([x, y]).shape.as_list() == [2, 3, 4]
    assert joining.concat([x, y], 0).shape.as_list() == [None, 4]


def test_unknown_rank_is_no_obstacle():
    x = placeholder("float32")
    for tensor in (
        x + 1.0, x[0], movement.transpose(x), movement.squeeze(x), movement.reshape(x, [-1]), movement.expand_dims(x, -1),
        reduce.reduce_sum(x), reduce.reduce_mean(x, -1), reduce.argmax(x, -1), slicing.reverse(x, [-1]), size(x), shape(x),
        joining.concat([x, x], -1), joining.stack([x, x]), joining.unstack(x, 3)[0], joining.split(x, 2, -1)[0],
        filling.zeros_like(x), cumulative.cumsum(x, -1), movement.matrix_transpose(placeholder("float32", [None, None])),
    ):  # fmt: skip
        assert tensor.op.definition.name
    assert movement.reshape(x, [-1, 3]).shape.as_list() == [None, 3]
    np.testing.assert_allclose(value_of(movement.transpose(x), {x: X}), X.T)
    np.testing.assert_allclose(value_of(reduce.reduce_sum(x, [0, -1]), {x: X}), X.sum())
