import pytest

from graphc.graph import Graph, get_default_graph
from graphc.operation import Collector, building_into
from graphc.ops.constants import constant
from graphc.ops.movement import identity
from graphc.scopes import colocate_with, control_dependencies, device, graph_of, init_scope, name_scope, op_scope


@pytest.fixture(autouse=True)
def graph():
    with Graph().as_default() as graph:
        yield graph


def test_name_scopes():
    with name_scope("a") as outer:
        assert outer == "a/"
        assert constant(1, name="x").op.name == "a/x"
        with name_scope(None, "b") as inner:
            assert inner == "a/b/"
        with name_scope(None, "b") as inner:
            assert inner == "a/b_1/"
        with name_scope(""):
            assert constant(1, name="x").op.name == "x"
        with name_scope(None):
            assert constant(1, name="x").op.name == "x_1"
    with name_scope("a") as again:
        assert again == "a_1/"
    with name_scope(outer) as same:
        assert same == "a/"
        assert constant(1, name="x").op.name == "a/x_1"


def test_op_scope_has_the_old_order():
    with op_scope([constant(1)], None, "default") as scope:
        assert scope == "default/"


def test_name_scopes_that_are_wrong():
    with pytest.raises(ValueError, match="At least one of name"):
        name_scope(None, None, [constant(1)])
    with pytest.raises(TypeError, match="default_name"):
        name_scope("a", [constant(1)])
    with pytest.raises(ValueError, match="not a valid scope name"), name_scope("a b"):
        pass


def test_scopes_do_nothing_inside_a_pass(graph):
    collector = Collector("op")
    x = constant(1)
    with building_into(collector), name_scope("a") as scope, control_dependencies([x]):
        assert scope == "a/"
        assert identity(x).op.name.startswith("op/")
    assert graph.get_name_scope() == ""
    assert collector.operations[0].control_inputs == ()


def test_control_dependencies():
    first, second = constant(1), constant(2)
    with control_dependencies([first]):
        assert constant(3).op.control_inputs == (first.op,)
        with control_dependencies([second.op]):
            assert constant(3).op.control_inputs == (first.op, second.op)
            with init_scope():
                assert constant(3).op.control_inputs == ()
        assert identity(first).op.control_inputs == ()
    assert not get_default_graph().has_control_dependencies


def test_places_are_accepted():
    with device("/gpu:0"), colocate_with(constant(1)):
        assert constant(1).device == ""


def test_the_graph_of_values(graph):
    x = constant(1)
    with Graph().as_default() as other:
        assert graph_of(1, x) is graph
        assert graph_of(1) is other
