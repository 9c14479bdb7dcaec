import numpy as np
import pytest
from numpy_session import evaluate

from graphc.custom_gradients import custom_gradient
from graphc.dtypes import float32
from graphc.gradients import gradients
from graphc.graph import Graph
from graphc.ops import strided_slices  # noqa: F401 - defines subscripts
from graphc.ops.constants import constant, placeholder
from graphc.ops.conversion import cast
from graphc.ops.elementwise import clip_by_value, exp
from graphc.ops.shape_ops import shape
from graphc.parser import parse_program
from graphc.program import build_program


@pytest.fixture(autouse=True)
def graph():
    with Graph().as_default() as graph:
        yield graph


@custom_gradient
def clipped(x):
    y = exp(x)
    return y, lambda dy: clip_by_value(dy * y, -1.0, 1.0) * cast(shape(x)[0], float32)


def test_the_function_decides_about_its_derivative():
    x = placeholder(float32, [None])
    y = clipped(x * 2.0)
    (first,) = gradients(y, x)
    (second,) = gradients(first, x)
    values = evaluate([y, first, second], {x: [-1.0, 0.5, 3.0]})
    e = np.exp(-2.0)
    np.testing.assert_allclose(values[0], np.exp([-2.0, 1.0, 6.0]), rtol=1e-6)
    np.testing.assert_allclose(values[1], [6 * e, 6, 6], rtol=1e-6)
    np.testing.assert_allclose(values[2], [12 * e, 0, 0], rtol=1e-6)


def test_several_arguments_and_results():
    @custom_gradient
    def swap(a, b, scale=2.0):
        return (a * scale, b), lambda da, db: (db * 10.0, da * 100.0)

    a, b = constant(1.0), constant(3.0)
    first, second = swap(a, b, scale=5.0)
    assert evaluate([first, second]) == [5, 3]
    assert evaluate(gradients([first, second * 2.0], [a, b])) == [20, 100]
    assert evaluate(gradients(first, [a, b])) == [0, 100]


def test_a_wrong_number_of_derivatives():
    @custom_gradient
    def wrong(a, b):
        return a * b, lambda dy: dy

    with pytest.raises(ValueError, match="the function has 2 arguments, but 1 derivatives"):
        wrong(constant(1.0), constant(2.0))


def test_nothing_is_left_in_the_graph(graph):
    x = constant([1.0])
    before = graph.version
    clipped(x)
    assert graph.version == before + 2


def test_it_prints_and_parses():
    x = placeholder(float32, [None])
    text = str(build_program(gradients(clipped(x), x), feeds=[x]))
    assert str(parse_program(text)) == text
