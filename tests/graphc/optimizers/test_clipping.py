import numpy as np
import pytest
from numpy_session import evaluate

from graphc.gradients import gradients
from graphc.graph import Graph
from graphc.indexed_slices import IndexedSlices
from graphc.ops.constants import constant
from graphc.optimizers import clip_by_average_norm, clip_by_global_norm, clip_by_norm, global_norm


@pytest.fixture(autouse=True)
def graph():
    with Graph().as_default() as graph:
        yield graph


def test_clip_by_norm():
    x = constant([[3.0, 4.0], [0.3, 0.4]])
    np.testing.assert_allclose(evaluate(clip_by_norm(x, 100.0)), [[3, 4], [0.3, 0.4]])
    whole = np.sqrt(25.25)
    np.testing.assert_allclose(evaluate(clip_by_norm(x, 1.0)), np.array([[3, 4], [0.3, 0.4]]) / whole, rtol=1e-6)
    np.testing.assert_allclose(evaluate(clip_by_norm(x, 1.0, axes=[1])), [[0.6, 0.8], [0.3, 0.4]], rtol=1e-6)
    zero = constant([0.0, 0.0])
    clipped = clip_by_norm(zero, 1.0)
    np.testing.assert_array_equal(evaluate(clipped), [0, 0])
    assert np.isfinite(evaluate(gradients(clipped, zero)[0])).all()


def test_clip_by_average_norm():
    np.testing.assert_allclose(evaluate(clip_by_average_norm(constant([3.0, 4.0]), 1.0)), [1.2, 1.6], rtol=1e-6)
    np.testing.assert_allclose(evaluate(clip_by_average_norm(constant([3.0, 4.0]), 10.0)), [3, 4], rtol=1e-6)


def test_global_norm():
    tensors = [constant([3.0]), None, constant([[4.0]])]
    assert evaluate(global_norm(tensors)) == 5
    clipped, norm = clip_by_global_norm(tensors, 2.5)
    assert clipped[1] is None
    values = evaluate([clipped[0], clipped[2], norm])
    np.testing.assert_allclose([values[0][0], values[1][0, 0], values[2]], [1.5, 2, 5])
    clipped, _ = clip_by_global_norm(tensors, 50.0)
    np.testing.assert_allclose(evaluate(clipped[0]), [3])
    clipped, _ = clip_by_global_norm(tensors, 1.0, use_norm=constant(10.0))
    np.testing.assert_allclose(evaluate(clipped[0]), [0.3], rtol=1e-6)


def test_a_norm_that_is_not_finite_is_seen():
    clipped, norm = clip_by_global_norm([constant([1.0]), constant([np.inf], "float32")], 1.0)
    first, found = evaluate([clipped[0], norm])
    assert np.isnan(first).all()
    assert np.isinf(found)


def test_rows_keep_their_indices():
    rows = IndexedSlices(constant([[3.0, 4.0]]), constant([1]), constant([2, 2]))
    (clipped,), norm = clip_by_global_norm([rows], 2.5)
    assert clipped.indices is rows.indices
    np.testing.assert_allclose(evaluate([clipped.values, norm])[0], [[1.5, 2]])
    np.testing.assert_allclose(evaluate(clip_by_norm(rows, 2.5).values), [[1.5, 2]])


def test_what_is_no_list():
    with pytest.raises(TypeError, match="t_list should be a sequence"):
        clip_by_global_norm(constant([1.0]), 1.0)
    with pytest.raises(TypeError, match="t_list should be a sequence"):
        global_norm(constant([1.0]))
