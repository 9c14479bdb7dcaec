import pytest
from numpy_session import numpy_session

from graphc.collections import GraphKeys, add_to_collection, get_collection
from graphc.graph import Graph
from graphc.optimizers import create_global_step, get_global_step, get_or_create_global_step, global_step
from graphc.scopes import name_scope
from graphc.variable_functions import global_variables, trainable_variables
from graphc.variables import Variable


@pytest.fixture(autouse=True)
def graph():
    with Graph().as_default() as graph:
        yield graph


def test_it_is_made_once():
    assert get_global_step() is None
    with name_scope("ignored"):
        step = get_or_create_global_step()
    assert step.name == "global_step:0"
    assert step.dtype.name == "int64"
    assert get_or_create_global_step() is step
    assert get_global_step() is step
    assert get_collection(GraphKeys.GLOBAL_STEP) == [step]
    assert global_variables() == [step]
    assert trainable_variables() == []
    with pytest.raises(ValueError, match="already exists"):
        create_global_step()
    with numpy_session() as session:
        session.run(step.initializer)
        assert global_step(session, step) == 0


def test_a_variable_of_that_name_counts():
    step = Variable(3, name="global_step", trainable=False)
    assert get_global_step() is step._as_graph_element()


def test_what_cannot_be_a_global_step():
    Variable(3.0, name="global_step")
    with pytest.raises(TypeError, match="does not have integer type"):
        get_global_step()
    add_to_collection(GraphKeys.GLOBAL_STEP, Variable([3]))
    with pytest.raises(TypeError, match="is not scalar"):
        get_global_step()
    add_to_collection(GraphKeys.GLOBAL_STEP, Variable(3))
    with pytest.raises(RuntimeError, match="Multiple items"):
        get_global_step()


def test_of_another_graph():
    with Graph().as_default() as other:
        step = create_global_step()
    assert get_global_step() is None
    assert get_global_step(other) is step
