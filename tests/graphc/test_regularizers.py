import numpy as np
import pytest
from numpy_session import evaluate

from graphc import contrib
from graphc.collections import GraphKeys, add_to_collection, get_collection
from graphc.graph import Graph
from graphc.ops.constants import constant
from graphc.regularizers import (
    apply_regularization,
    l1_l2_regularizer,
    l1_regularizer,
    l2_regularizer,
    sum_regularizer,
)
from graphc.variable_functions import global_variables_initializer
from graphc.variables import Variable


@pytest.fixture(autouse=True)
def graph():
    with Graph().as_default() as graph:
        yield graph


def test_values():
    w = constant([1.0, -2.0, 3.0])
    parts = [l1_regularizer(0.5)(w), l2_regularizer(0.5)(w), l1_l2_regularizer(1.0, 2.0)(w)]
    np.testing.assert_allclose(evaluate(parts), [3, 3.5, 6 + 14])
    assert parts[0].op.name == "l1_regularizer"


def test_nothing_to_add():
    w = constant([1.0])
    assert l1_regularizer(0.0)(w) is None
    assert l2_regularizer(0.0)(w) is None
    assert sum_regularizer([None, l2_regularizer(0.0)])(w) is None


def test_scales_that_are_wrong():
    with pytest.raises(ValueError, match="cannot be an integer"):
        l2_regularizer(1)
    with pytest.raises(ValueError, match="less than 0"):
        l1_regularizer(-0.1)


def test_apply_regularization():
    with pytest.raises(ValueError, match="No weights"):
        apply_regularization(l2_regularizer(1.0))
    weights = [Variable([2.0]), Variable([4.0])]
    total = apply_regularization(l2_regularizer(1.0), weights)
    assert get_collection(GraphKeys.REGULARIZATION_LOSSES) == [total]
    add_to_collection(GraphKeys.WEIGHTS, weights[0])
    again = apply_regularization(contrib.layers.l2_regularizer(1.0))
    assert evaluate([total, again], initializer=global_variables_initializer()) == [10, 2]


def test_xavier_initializers():
    uniform = evaluate(contrib.layers.xavier_initializer(seed=1)([300, 200]))
    assert abs(uniform).max() <= np.sqrt(6 / 500)
    np.testing.assert_allclose(uniform.std(), np.sqrt(2 / 500), rtol=0.02)
    normal = evaluate(contrib.layers.xavier_initializer(uniform=False, seed=1)([300, 200]))
    np.testing.assert_allclose(normal.std(), np.sqrt(2 / 500), rtol=0.02)
