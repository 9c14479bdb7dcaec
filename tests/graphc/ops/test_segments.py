"""Sums by index, against NumPy."""

import numpy as np
import pytest
from interpreting import value_of

from graphc.gradients import gradients
from graphc.graph import Graph
from graphc.ops import elementwise, segments, strided_slices  # noqa: F401 - operators and brackets
from graphc.ops.constants import placeholder

X = np.arange(1, 13, dtype=np.float32).reshape(3, 4)
IDS = np.array([1, 0, 1])
SUMS = np.stack([X[1], X[0] + X[2], np.zeros(4)])


@pytest.fixture(autouse=True)
def graph():
    with Graph().as_default() as graph:
        yield graph


FUNCTIONS = {
    "unsorted_segment_sum": (lambda x: segments.unsorted_segment_sum(x, IDS, 3), SUMS),
    "negative ids": (lambda x: segments.unsorted_segment_sum(x, [0, -1, 0], 1), (X[0] + X[2])[None]),
    "ids of two axes": (lambda x: segments.unsorted_segment_sum(x, np.arange(12).reshape(3, 4) % 2, 2), [36, 42]),
    "unsorted_segment_mean": (lambda x: segments.unsorted_segment_mean(x, IDS, 3), SUMS / [[1], [2], [1]]),
    "unsorted_segment_sqrt_n": (lambda x: segments.unsorted_segment_sqrt_n(x, IDS, 3), SUMS / np.sqrt([[1], [2], [1]])),
    "segment_sum": (lambda x: segments.segment_sum(x, [0, 0, 1]), [X[0] + X[1], X[2]]),
    "segment_mean": (lambda x: segments.segment_mean(x, [0, 2, 2]), [X[0], X[0] * 0, (X[1] + X[2]) / 2]),
    "sparse_to_dense": (lambda x: segments.sparse_to_dense([[0, 1], [2, 0]], [3, 2], x[0, :2]), [[0, 1], [0, 0], [2, 0]]),
    "sparse_to_dense of one value": (lambda x: segments.sparse_to_dense([1, 3], [5], 1.0, 0.5), [0.5, 1, 0.5, 1, 0.5]),
    "sparse_to_dense of one index": (lambda x: segments.sparse_to_dense(2, [4], 7), [0, 0, 7, 0]),
    "tensor_scatter_add": (lambda x: segments.tensor_scatter_add(x, [[0], [0]], x[:2]), [X[0] * 2 + X[1], X[1], X[2]]),
    "tensor_scatter_sub": (lambda x: segments.tensor_scatter_sub(x, [[2, 3]], [5.0])[2], [9, 10, 11, 7]),
    "tensor_scatter_update": (lambda x: segments.tensor_scatter_update(x, [[0, 1], [2, 3]], [0.0, -1.0])[0], [1, 0, 3, 4]),
    "dynamic_stitch": (lambda x: segments.dynamic_stitch([[0, 2], 1], [x[:2], x[2]]), X[[0, 2, 1]]),
    "bincount": (lambda x: segments.bincount([1, 1, 3]), [0, 2, 0, 1]),
    "bincount of nothing": (lambda x: segments.bincount(np.zeros(0, int)), []),
    "bincount with limits": (lambda x: segments.bincount([1, 1, 3], minlength=2, maxlength=3), [0, 2, 0]),
    "bincount with weights": (lambda x: segments.bincount([1, 1, 3], weights=x[0, :3]), [0, 3, 0, 3]),
    "confusion_matrix": (lambda x: segments.confusion_matrix([1, 2, 0], [1, 0, 0]), [[1, 0, 0], [0, 1, 0], [1, 0, 0]]),
    "confusion_matrix with weights": (
        lambda x: segments.confusion_matrix([1, 1], [0, 0], 2, "float32", weights=x[0, :2]), [[0, 0], [3, 0]]
    ),
    "histogram_fixed_width": (lambda x: segments.histogram_fixed_width(x, [2.0, 8.0], 4), [3, 1, 2, 6]),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("shape", [(3, 4), (None, None)], ids=str)
def test_functions(name, shape):
    function, expected = FUNCTIONS[name]
    x = placeholder("float32", shape)
    found = value_of(function(x), {x: X})
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_sums_by_id_have_gradients():
    x = placeholder("float32", [3, 4])
    total = segments.unsorted_segment_sum(x, [1, 0, -1], 2)
    (gradient,) = gradients(total * total, [x])
    np.testing.assert_allclose(value_of(gradient, {x: X}), 2 * X * [[1], [1], [0]])
