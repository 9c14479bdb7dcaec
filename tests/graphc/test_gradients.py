import numpy as np
import pytest
from numpy_session import evaluate, numeric_gradient

from graphc.dtypes import float32, float64, int32
from graphc.errors import InvalidArgumentError
from graphc.gradients import UnconnectedGradients, gradients, hessians
from graphc.graph import Graph
from graphc.operation import OpDef, apply
from graphc.ops import strided_slices  # noqa: F401 - defines subscripts
from graphc.ops.constants import constant, placeholder
from graphc.ops.conversion import cast
from graphc.ops.elementwise import exp, floor, multiply, sin, square
from graphc.ops.linear_algebra import matmul
from graphc.ops.movement import identity, stop_gradient
from graphc.ops.reduce import reduce_sum
from graphc.scopes import control_dependencies, name_scope
from graphc.variable_functions import global_variables_initializer
from graphc.variables import Variable


@pytest.fixture(autouse=True)
def graph():
    with Graph().as_default() as graph:
        yield graph


def test_simple_derivatives():
    x = constant([1.0, 2.0])
    (found,) = gradients(square(x) * 3.0, x)
    assert found.name == "gradients:0"
    assert found.shape == [2]
    np.testing.assert_allclose(evaluate(found), [6, 12])


def test_names_are_scoped_and_unique():
    x = constant(1.0)
    with name_scope("train"):
        assert gradients(x * x, x)[0].op.name == "train/gradients"
        assert gradients(x * x, x)[0].op.name == "train/gradients_1"
        assert gradients(x * x, x, name="mine")[0].op.name == "train/mine"


def test_several_ys_and_xs():
    a, b = constant(3.0), constant(5.0)
    found = gradients([a * b, a * a], [a, b])
    assert evaluate(found) == [5 + 6, 3]
    assert evaluate(gradients((a * b,), (b,))) == [3]


def test_weights():
    x = constant([1.0, 2.0])
    y, z = x * x, x * 3.0
    weighted = gradients([y, z], x, grad_ys=[constant([1.0, 10.0]), None])
    np.testing.assert_allclose(evaluate(weighted[0]), [2 + 3, 40 + 3])
    with pytest.raises(ValueError, match="Passed 1 grad_ys for 2 ys"):
        gradients([y, z], x, grad_ys=[None])
    with pytest.raises(ValueError, match=r"grad_ys\[0\] is f32\[3\], its y is f32\[2\]"):
        gradients(y, x, grad_ys=[constant([1.0, 2.0, 3.0])])


def test_what_is_not_connected():
    x, y = constant(1.0), constant(2.0)
    other = constant(3.0)
    found = gradients(x * y, [x, other, y])
    assert found[1] is None
    assert evaluate([found[0], found[2]]) == [2, 1]
    assert gradients(floor(x), x) == [None]
    assert gradients(cast(cast(x, int32), float32), x) == [None]
    assert gradients(stop_gradient(x) * 2.0, x) == [None]
    assert gradients(x * y, []) == []
    zeros = gradients(x * y, [other], unconnected_gradients=UnconnectedGradients.ZERO)
    assert evaluate(zeros) == [0]


def test_stop_gradients_are_constants():
    a = constant(2.0)
    b = a * 2.0
    found = gradients(a + b, [a, b], stop_gradients=[a, b])
    assert evaluate(found) == [1, 1]
    assert evaluate(gradients(a + b, [a, b])) == [3, 1]
    assert evaluate(gradients(a + b, [a], stop_gradients=[b])) == [1]


def test_variables():
    w, unused = Variable([1.0, 2.0], name="w"), Variable(1.0)
    found = gradients(w * w + w[0], [w, unused])
    assert found[1] is None
    np.testing.assert_allclose(evaluate(found[0], initializer=global_variables_initializer()), [4, 4])


def test_reads_at_different_times_add_up():
    w = Variable(3.0)
    early = w * 2.0
    with control_dependencies([w.assign_add(1.0)]):
        late = square(w)
    (found,) = gradients(early + late, w)
    assert evaluate(found, initializer=w.initializer) == 2 + 2 * 4


def test_derivatives_end_at_reads():
    w, q = Variable(1.0), Variable(5.0)
    written = q * 2.0
    with control_dependencies([w.assign(written)]):
        read = w.value()
    found = gradients(square(written) + read * 3.0, [q, w])
    assert evaluate(found, initializer=global_variables_initializer()) == [2 * 10 * 2, 3]


def test_a_fed_value_that_is_no_placeholder():
    x, w = constant(2.0), constant(3.0)
    middle = multiply(x, x, name="middle")
    result = middle * w
    by_x, by_w, by_middle = gradients(result, [x, w, middle])
    assert evaluate([by_w, by_middle], {middle: 10.0}) == [10, 3]
    with pytest.raises(InvalidArgumentError) as error:
        evaluate(by_x, {middle: 10.0})
    assert str(error.value).startswith("derivatives by 'Const:0' go through 'middle:0', which is fed")
    assert evaluate(gradients(middle, [x])[0], {result: 1.0}) == 4


def test_derivatives_of_an_intermediate_value():
    x = constant(2.0)
    middle = x * x
    result = middle * middle * x
    np.testing.assert_allclose(evaluate(gradients(result, [middle, x])), [2 * 4 * 2, 5 * 16])


def test_second_order():
    x = placeholder(float64, [3])
    y = reduce_sum(exp(x) * sin(x))
    (first,) = gradients(y, x)
    (second,) = gradients(first, x)
    (third,) = gradients(second, x)
    at = np.array([0.1, 0.5, -1.0])
    values = evaluate([first, second, third], {x: at})
    np.testing.assert_allclose(values[0], np.exp(at) * (np.sin(at) + np.cos(at)))
    np.testing.assert_allclose(values[1], 2 * np.exp(at) * np.cos(at))
    np.testing.assert_allclose(values[2], 2 * np.exp(at) * (np.cos(at) - np.sin(at)))


def test_a_penalty_on_a_gradient():
    x = placeholder(float64, [2, 3])
    w = Variable(np.arange(6.0).reshape(3, 2) / 10, name="w")
    y = reduce_sum(square(matmul(x, w)))
    penalty = reduce_sum(square(gradients(y, x)[0]))
    (found,) = gradients(penalty, w)
    at = np.array([[1.0, 2.0, 3.0], [0.5, -1.0, 2.0]])
    expected = numeric_gradient(lambda m: np.sum((2 * at @ m @ m.T) ** 2), [np.arange(6.0).reshape(3, 2) / 10], 0)
    np.testing.assert_allclose(evaluate(found, {x: at}, w.initializer), expected, rtol=1e-6)


def test_hessians():
    x = constant([1.0, 2.0, 3.0])
    (found,) = hessians(reduce_sum(x * x * x), x)
    np.testing.assert_allclose(evaluate(found), np.diag([6, 12, 18]))
    (linear,) = hessians(reduce_sum(x), x)
    np.testing.assert_allclose(evaluate(linear), np.zeros([3, 3]))
    with pytest.raises(ValueError, match="is not known"):
        hessians(reduce_sum(unknown := placeholder(float32, [None])), unknown)


OPAQUE = OpDef("opaque_for_test", infer=lambda types: types[0], kernel="none", evaluate=lambda attributes, x: x)


def test_an_operation_without_gradient_is_an_error():
    x = constant(1.0)
    hidden = apply(OPAQUE, [x], "hidden")
    with pytest.raises(LookupError) as error:
        gradients(hidden * 2.0, x)
    text = str(error.value)
    assert text.startswith("No gradient defined for operation 'hidden' (op type: opaque_for_test)")
    assert 'test_gradients.py' in text
    assert 'hidden = apply(OPAQUE, [x], "hidden")' in text
    y = constant(2.0)
    assert gradients(hidden * y, [y])[0] is not None


def test_values_that_are_no_tensors():
    x = constant(1.0)
    with pytest.raises(ValueError, match="another graph"):
        with Graph().as_default():
            gradients(constant(1.0), x)
    assert gradients(multiply(x, 2.0), identity(x)) == [None]


def test_gradients_join_the_graph_of_ys(graph):
    x = constant(1.0)
    y = x * x
    with Graph().as_default():
        assert gradients(y, x)[0].graph is graph
