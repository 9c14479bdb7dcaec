import numpy as np
import pytest
from numpy_session import numpy_session

from graphc.dtypes import float32, int32
from graphc.errors import DTypeError, ShapeError
from graphc.graph import Graph
from graphc.ops.constants import placeholder
from graphc.ops.scatter_updates import (
    scatter_add,
    scatter_nd_add,
    scatter_nd_sub,
    scatter_nd_update,
    scatter_sub,
    scatter_update,
)
from graphc.variables import Variable

START = np.arange(12, dtype=np.float32).reshape(4, 3)
ROWS = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.float32)


def after(write, start=START, feeds=None):
    with Graph().as_default():
        variable = Variable(start)
        fetched = write(variable)
        with numpy_session() as session:
            session.run(variable.initializer)
            found = session.run(fetched, feeds)
            np.testing.assert_array_equal(session.run(variable), found)
            return found


def test_rows():
    expected = START.copy()
    np.add.at(expected, [1, 3, 1], ROWS)
    np.testing.assert_array_equal(after(lambda v: scatter_add(v, [1, 3, 1], ROWS)), expected)
    expected = START.copy()
    np.subtract.at(expected, [1, 3, 1], ROWS)
    np.testing.assert_array_equal(after(lambda v: scatter_sub(v, [1, 3, 1], ROWS)), expected)
    expected = START.copy()
    expected[[1, 3]] = ROWS[[2, 1]]
    np.testing.assert_array_equal(after(lambda v: scatter_update(v, [1, 3, 1], ROWS)), expected)


def test_single_elements():
    expected = START.copy()
    expected[0, 1], expected[3, 2] = -2, -3
    places = [[0, 1], [3, 2], [0, 1]]
    np.testing.assert_array_equal(after(lambda v: scatter_nd_update(v, places, [-1.0, -3.0, -2.0])), expected)
    expected = START.copy()
    expected[0, 1] += 3
    np.testing.assert_array_equal(after(lambda v: scatter_nd_add(v, [[0, 1], [0, 1]], [1.0, 2.0])), expected)
    expected = START.copy()
    expected[2] -= 1
    np.testing.assert_array_equal(after(lambda v: scatter_nd_sub(v, [[2]], [[1.0, 1.0, 1.0]])), expected)


def test_indices_of_other_shapes():
    expected = START.copy()
    expected[2] = 5
    np.testing.assert_array_equal(after(lambda v: scatter_update(v, 2, [5.0, 5.0, 5.0])), expected)
    expected[3] = 5
    np.testing.assert_array_equal(after(lambda v: scatter_update(v, [[2], [3]], 5.0)), expected)
    np.testing.assert_array_equal(
        after(lambda v: scatter_update(v, np.zeros([0], np.int32), np.zeros([0, 3], "f"))), START
    )
    assert after(lambda v: scatter_update(v, [1, 1], [8, 9]), np.array([1, 2, 3], np.int32)).tolist() == [1, 9, 3]


def test_sizes_that_are_known_when_it_runs():
    with Graph().as_default():
        variable = Variable(START)
        indices, rows = placeholder(int32, [None]), placeholder(float32, [None, 3])
        writes = scatter_update(variable, indices, rows)
        with numpy_session() as session:
            session.run(variable.initializer)
            expected = START.copy()
            expected[0] = ROWS[1]
            np.testing.assert_array_equal(session.run(writes, {indices: [0, 0], rows: ROWS[:2]}), expected)


def test_what_does_not_fit():
    with Graph().as_default():
        variable = Variable(START)
        with pytest.raises(ShapeError, match=r"updates have shape \[2,2\], \[2,3\] is needed"):
            scatter_add(variable, [0, 1], [[1.0, 2.0], [3.0, 4.0]])
        with pytest.raises(ShapeError, match=r"updates have shape \[2\], \[1\] is needed"):
            scatter_nd_add(variable, [[0, 1]], [1.0, 2.0])
        with pytest.raises(DTypeError, match="indices are integers, not float32"):
            scatter_add(variable, [0.0], [[1.0, 2.0, 3.0]])
