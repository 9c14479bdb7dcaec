import numpy as np
import pytest
from numpy_session import numpy_session

from graphc.collections import GraphKeys, get_collection
from graphc.dtypes import float32
from graphc.graph import Graph
from graphc.indexed_slices import IndexedSlices
from graphc.ops.constants import constant, placeholder
from graphc.ops.elementwise import minimum, square
from graphc.ops.movement import identity
from graphc.ops.reduce import reduce_sum
from graphc.optimizers import (
    AdamOptimizer,
    GradientDescentOptimizer,
    MomentumOptimizer,
    Optimizer,
    get_or_create_global_step,
)
from graphc.scopes import control_dependencies, name_scope
from graphc.variable_functions import global_variables, global_variables_initializer
from graphc.variable_scopes import variable_scope
from graphc.variables import Variable


@pytest.fixture(autouse=True)
def graph():
    with Graph().as_default() as graph:
        yield graph


def run(fetches, times=1):
    with numpy_session() as session:
        session.run(global_variables_initializer())
        for _ in range(times - 1):
            session.run(fetches)
        return session.run(fetches)


def test_minimize_takes_a_step():
    w = Variable([1.0, 2.0])
    step = GradientDescentOptimizer(0.25).minimize(reduce_sum(square(w)))
    assert step.name == "GradientDescent"
    with numpy_session() as session:
        session.run(w.initializer)
        assert session.run(step) is None
        np.testing.assert_allclose(session.run(w), [0.5, 1.0])
    assert get_collection(GraphKeys.TRAIN_OP) == [step]


def test_the_loss_of_a_step_is_that_before_it():
    w = Variable(2.0)
    loss = square(w)
    step = GradientDescentOptimizer(0.25).minimize(loss)
    assert run([step, loss, w]) == [None, 4, 2]


def test_global_step_counts():
    w, count = Variable(2.0), get_or_create_global_step()
    step = GradientDescentOptimizer(0.25).minimize(square(w), global_step=count, name="train")
    assert step.name == "train"
    with numpy_session() as session:
        session.run(global_variables_initializer())
        for _ in range(3):
            session.run(step)
        assert session.run(count) == 3


def test_learning_rates_of_every_kind():
    fed = placeholder(float32, [])
    for rate in (0.25, constant(0.25), fed, lambda: 0.25, Variable(0.25, trainable=False), constant(0.25, "float64")):
        w = Variable(2.0)
        step = GradientDescentOptimizer(rate).minimize(square(w), var_list=[w])
        with numpy_session() as session:
            session.run(global_variables_initializer())
            session.run(step, {fed: 0.25})
            assert session.run(w) == 1


def test_compute_gradients_pairs_variables():
    a, b, other = Variable(2.0), Variable(3.0), Variable(1.0)
    pairs = GradientDescentOptimizer(0.1).compute_gradients(a * b)
    assert [variable for _, variable in pairs] == [a, b, other]
    assert pairs[2][0] is None
    assert run([pairs[0][0], pairs[1][0]]) == [3, 2]
    assert run([GradientDescentOptimizer(0.1).compute_gradients(a * b, grad_loss=constant(10.0))[0][0]]) == [30]
    assert run(GradientDescentOptimizer(0.1).compute_gradients(lambda: a * b, var_list=[b])[0][0]) == 2


def test_gradients_may_be_changed_before_they_are_applied():
    a, b = Variable(2.0), Variable(3.0)
    optimizer = GradientDescentOptimizer(1.0)
    pairs = [(minimum(gradient, 0.5), variable) for gradient, variable in optimizer.compute_gradients(a * b)]
    step = optimizer.apply_gradients([*pairs, (None, Variable(1.0))])
    with control_dependencies([step]):
        after = [identity(a), identity(b)]
    assert run(after) == [1.5, 2.5]


def test_nothing_to_train():
    w = Variable(1.0, trainable=False)
    optimizer = GradientDescentOptimizer(0.1)
    with pytest.raises(ValueError, match="No variables to optimize"):
        optimizer.minimize(square(w))
    with pytest.raises(ValueError, match="No gradients provided for any variable, check your graph"):
        optimizer.minimize(constant(1.0), var_list=[w])
    with pytest.raises(ValueError, match=r"No gradients provided for any variable: \[.*Variable:0"):
        optimizer.apply_gradients([(None, w)])
    with pytest.raises(ValueError, match="No variables provided"):
        optimizer.apply_gradients([])
    with pytest.raises(TypeError, match="Variable must be a tf.Variable"):
        optimizer.apply_gradients([(constant(1.0), constant(1.0))])
    with pytest.raises(ValueError, match="gate_gradients"):
        optimizer.minimize(square(w), var_list=[w], gate_gradients=7)
    with pytest.raises(ValueError, match="optimizer name"):
        Optimizer(name="")


def test_slots():
    w = Variable([1.0, 2.0], name="w")
    optimizer = MomentumOptimizer(0.1, 0.9, name="mine")
    assert optimizer.get_slot(w, "momentum") is None
    optimizer.minimize(reduce_sum(square(w)))
    assert optimizer.get_name() == "mine"
    assert optimizer.get_slot_names() == ["momentum"]
    assert optimizer.get_slot(w, "momentum").op.name == "w/mine"
    assert optimizer.get_slot(w, "momentum").shape == [2]


def test_slots_follow_variable_scopes_and_not_name_scopes():
    with variable_scope("model"):
        w = Variable(1.0, name="w")
    with name_scope("train"):
        AdamOptimizer().minimize(square(w))
    with variable_scope("second"):
        step = AdamOptimizer().minimize(square(w))
    names = [v.op.name for v in global_variables()]
    assert names == [
        "model/w", "train/beta1_power", "train/beta2_power", "model/w/Adam", "model/w/Adam_1",
        "second/beta1_power", "second/beta2_power", "second/model/w/Adam", "second/model/w/Adam_1",
    ]  # fmt: skip
    assert step.name == "second/Adam"


def test_one_optimizer_in_two_calls_keeps_its_slots():
    a, b = Variable(1.0, name="a"), Variable(1.0, name="b")
    optimizer = AdamOptimizer()
    optimizer.minimize(square(a), var_list=[a])
    optimizer.minimize(square(a * b), var_list=[a, b])
    assert len(global_variables()) == 2 + 2 + 2 * 2


def test_constraints_hold_after_an_update():
    w = Variable(2.0, constraint=lambda value: minimum(value, 0.75))
    step = GradientDescentOptimizer(0.25).minimize(square(w))
    with numpy_session() as session:
        session.run(w.initializer)
        session.run(step)
        assert session.run(w) == 0.75


def test_rows_as_gradients():
    w = Variable([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    rows = IndexedSlices(constant([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]), constant([0, 2, 0]), constant([3, 2]))
    step = GradientDescentOptimizer(1.0).apply_gradients([(rows, w)])
    with numpy_session() as session:
        session.run(w.initializer)
        session.run(step)
        np.testing.assert_array_equal(session.run(w), [[-3, -2], [3, 4], [3, 4]])


def test_an_optimizer_of_the_users():
    class SignDescent(Optimizer):
        def __init__(self, rate):
            super().__init__(name="SignDescent")
            self.rate = rate

        def _create_slots(self, var_list):
            for variable in var_list:
                self._zeros_slot(variable, "count", self._name)

        def _apply_dense(self, grad, var):
            with control_dependencies([self.get_slot(var, "count").assign_add(grad * 0.0 + 1.0)]):
                return var.assign_sub(grad / abs(grad) * self.rate)

    w = Variable([1.0, -3.0], name="w")
    optimizer = SignDescent(0.5)
    step = optimizer.minimize(reduce_sum(square(w)))
    with numpy_session() as session:
        session.run(global_variables_initializer())
        session.run(step)
        session.run(step)
        np.testing.assert_array_equal(session.run(w), [0, -2])
        np.testing.assert_array_equal(session.run(optimizer.get_slot(w, "count")), [2, 2])
