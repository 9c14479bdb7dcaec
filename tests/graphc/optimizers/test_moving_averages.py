import numpy as np
import pytest
from numpy_session import numpy_session

from graphc.collections import GraphKeys, get_collection
from graphc.dtypes import float32
from graphc.graph import Graph
from graphc.ops.constants import placeholder
from graphc.optimizers import ExponentialMovingAverage, assign_moving_average
from graphc.scopes import control_dependencies
from graphc.variable_functions import global_variables, global_variables_initializer
from graphc.variables import Variable


@pytest.fixture(autouse=True)
def graph():
    with Graph().as_default() as graph:
        yield graph


def test_shadows_of_variables():
    v = Variable([1.0, 2.0], name="v")
    average = ExponentialMovingAverage(0.9)
    with control_dependencies([v.assign_add([1.0, 1.0])]):
        update = average.apply([v])
    assert average.average(v).op.name == "v/ExponentialMovingAverage" == average.average_name(v)
    assert get_collection(GraphKeys.MOVING_AVERAGE_VARIABLES) == [v]
    shadow, value = np.array([1.0, 2.0]), np.array([1.0, 2.0])
    with numpy_session() as session:
        session.run(global_variables_initializer())
        for _ in range(3):
            session.run(update)
            value += 1
            shadow -= (shadow - value) * 0.1
        np.testing.assert_allclose(session.run(average.average(v)), shadow, rtol=1e-6)


def test_the_decay_grows_with_the_number_of_updates():
    v, count = Variable(10.0), Variable(2, trainable=False)
    average = ExponentialMovingAverage(0.9, num_updates=count)
    update = average.apply([v])
    with numpy_session() as session:
        session.run(global_variables_initializer())
        session.run(v.assign(0.0))
        session.run(update)
        np.testing.assert_allclose(session.run(average.average(v)), 10 * 3 / 12, rtol=1e-6)


def test_tensors_begin_at_zero():
    x = placeholder(float32, [], name="x")
    plain, unbiased = ExponentialMovingAverage(0.9), ExponentialMovingAverage(0.9, zero_debias=True, name="Unbiased")
    updates = [plain.apply([x]), unbiased.apply([x])]
    with numpy_session() as session:
        session.run(global_variables_initializer())
        for value in (1.0, 3.0):
            session.run(updates, {x: value})
        mean = (0.1 * 0.9 * 1 + 0.1 * 3)
        np.testing.assert_allclose(session.run(plain.average(x)), mean, rtol=1e-6)
        np.testing.assert_allclose(session.run(unbiased.average(x)), mean / (1 - 0.9**2), rtol=1e-6)


def test_variables_to_restore():
    v, other = Variable(1.0, name="v"), Variable(1.0, name="other", trainable=False)
    average = ExponentialMovingAverage(0.9)
    average.apply([v])
    assert average.variables_to_restore() == {"v/ExponentialMovingAverage": v, "other": other}
    assert average.average(other) is None
    assert average.average_name(other) == "other/ExponentialMovingAverage"


def test_moving_average_of_a_variable():
    v = Variable(1.0, name="v", trainable=False)
    update = assign_moving_average(v, 3.0, 0.5, zero_debias=False)
    assert len(global_variables()) == 1
    with numpy_session() as session:
        session.run(v.initializer)
        assert session.run(update) == 2


def test_integers_have_no_average():
    with pytest.raises(TypeError, match="must be half, float, or double"):
        ExponentialMovingAverage(0.9).apply([Variable(1, name="v")])
