import numpy as np
import pytest
from numpy_session import evaluate, numpy_session

from graphc.collections import GraphKeys
from graphc.dtypes import float32, int32
from graphc.errors import DTypeError, FailedPreconditionError, ShapeError
from graphc.graph import Graph
from graphc.indexed_slices import IndexedSlices
from graphc.ops import strided_slices  # noqa: F401 - defines subscripts
from graphc.ops.constants import constant, placeholder
from graphc.ops.elementwise import add, multiply
from graphc.ops.movement import identity
from graphc.scopes import control_dependencies, name_scope
from graphc.variable_functions import (
    assign,
    assign_add,
    assign_sub,
    global_variables,
    global_variables_initializer,
    is_variable_initialized,
    local_variables,
    local_variables_initializer,
    report_uninitialized_variables,
    trainable_variables,
    variables_initializer,
)
from graphc.variables import Variable


@pytest.fixture(autouse=True)
def graph():
    with Graph().as_default() as graph:
        yield graph


def names(graph):
    return [operation.name for operation in graph.get_operations()]


def test_the_operations_of_a_variable(graph):
    variable = Variable(1.0, name="w")
    assert names(graph) == ["w/initial_value", "w", "w/Assign", "w/read"]
    assert variable.name == "w:0"
    assert variable.op.name == "w"
    assert variable.key == "w"
    assert variable.initializer.name == "w/Assign"
    assert variable.dtype == float32
    assert variable.shape == []
    assert variable.graph is graph
    assert graph.as_graph_element(variable).name == "w:0"


def test_names_are_uniquified_and_scoped(graph):
    first, second = Variable(1), Variable(2)
    with name_scope("s"):
        third = Variable(lambda: [1, 2, 3])
    assert [v.op.name for v in (first, second, third)] == ["Variable", "Variable_1", "s/Variable"]
    assert "s/Variable/Initializer/initial_value" in names(graph)
    assert third.dtype == int32


def test_a_function_gives_the_initial_value():
    variable = Variable(lambda: constant([1.0, 2.0]) * 2.0, name="w")
    np.testing.assert_array_equal(evaluate(variable, initializer=variable.initializer), [2, 4])


def test_arguments_that_are_wrong():
    with pytest.raises(ValueError, match="initial_value must be specified"):
        Variable()
    with pytest.raises(ValueError, match="collections argument to Variable constructor must be a list"):
        Variable(1.0, collections="mine")
    with pytest.raises(ValueError, match="initial_value must have a shape specified"):
        Variable(placeholder(float32, [None, 2]))
    with pytest.raises(ValueError, match="constraint"):
        Variable(1.0, constraint=3)


def test_collections():
    trained, kept, local = Variable(1.0), Variable(1.0, trainable=False), Variable(1.0, False, [GraphKeys.LOCAL_VARIABLES])
    assert global_variables() == [trained, kept]
    assert trainable_variables() == [trained]
    assert local_variables() == [local]
    assert global_variables("Variable_1") == [kept]
    mine = Variable(1.0, collections=["mine"])
    assert global_variables() == [trained, kept]
    assert trainable_variables() == [trained, mine]


def test_reads_share_one_operation_where_nothing_waits(graph):
    variable = Variable(1.0, name="w")
    total = variable + variable * 2.0
    assert {t.name for op in (total.op, total.op.inputs[1].op) for t in op.inputs} >= {"w/read:0"}
    before = constant(1.0)
    with control_dependencies([before]):
        read = identity(variable)
    assert read.op.inputs[0].op.control_inputs == (before.op,)
    assert read.op.inputs[0].name == "w/read_1:0"


def test_a_read_after_a_write_sees_it():
    variable = Variable(1.0)
    before = variable * 10.0
    with control_dependencies([variable.assign(5.0)]):
        after = variable * 10.0
    assert evaluate([before, after, variable.value()], initializer=variable.initializer) == [10, 50, 1]


def test_assignments():
    variable = Variable([1.0, 2.0])
    with numpy_session() as session:
        session.run(variable.initializer)
        np.testing.assert_array_equal(session.run(variable.assign([3, 4])), [3, 4])
        np.testing.assert_array_equal(session.run(variable.assign_add([1.0, 1.0])), [4, 5])
        np.testing.assert_array_equal(session.run(variable.assign_sub([3.0, 3.0])), [1, 2])
        np.testing.assert_array_equal(session.run(assign(variable, [7.0, 8.0])), [7, 8])
        np.testing.assert_array_equal(session.run(assign_add(variable, [1, 1])), [8, 9])
        np.testing.assert_array_equal(session.run(assign_sub(variable, [8, 8])), [0, 1])
        assert session.run(variable.assign([3.0, 3.0], read_value=False)) is None
        np.testing.assert_array_equal(session.run(variable), [3, 3])


def test_assignments_that_do_not_fit():
    variable = Variable([1.0, 2.0], name="w")
    with pytest.raises(ShapeError, match=r"the variable has shape \[2\], the value \[3\]"):
        variable.assign([1.0, 2.0, 3.0])
    with pytest.raises(DTypeError, match="the variable holds float32"):
        variable.assign(constant([1, 2]))
    with pytest.raises((DTypeError, TypeError), match="float32"):
        variable.assign("text")
    free = Variable([1.0, 2.0], validate_shape=False)
    with numpy_session() as session:
        session.run(free.initializer)
        session.run(free.assign([1.0, 2.0, 3.0]))
        np.testing.assert_array_equal(session.run(free), [1, 2, 3])


def test_load_and_eval():
    variable = Variable([1.0, 2.0])
    with numpy_session() as session:
        session.run(variable.initializer)
        variable.load([5.0, 6.0], session)
        np.testing.assert_array_equal(variable.eval(), [5, 6])
    with pytest.raises(ValueError, match="default session"):
        variable.load([1.0, 2.0])


def test_an_uninitialised_variable_is_an_error():
    variable = Variable(1.0, name="w")
    with pytest.raises(FailedPreconditionError, match="w"):
        evaluate(variable * 2.0)


def test_initialisers():
    first, second = Variable(1.0), Variable(2.0)
    local = Variable(3.0, collections=[GraphKeys.LOCAL_VARIABLES])
    with numpy_session() as session:
        session.run(variables_initializer([second]))
        assert list(session.run([is_variable_initialized(first), is_variable_initialized(second)])) == [False, True]
        session.run([global_variables_initializer(), local_variables_initializer()])
        assert session.run([first, second, local]) == [1, 2, 3]


def test_initialized_value():
    first = Variable(2.0)
    second = Variable(first.initialized_value() * 3.0)
    with numpy_session() as session:
        session.run(global_variables_initializer())
        assert session.run(second) == 6
        session.run(first.assign(10.0))
        session.run(second.initializer)
        assert session.run(second) == 30


def test_an_initial_value_may_read_another_variable(graph):
    first = Variable(2.0, name="first")
    second = Variable(add(multiply(first, 3.0), 1.0), name="second")
    assert "Mul_second" in names(graph)
    with numpy_session() as session:
        session.run(global_variables_initializer())
        assert session.run([first, second]) == [2, 7]


def test_operators():
    variable = Variable([2.0, 3.0])
    values = [variable + 1.0, 1.0 - variable, variable * variable, 6.0 / variable, variable**2.0, -variable, abs(variable),
              variable[1], variable > 2.5, constant([1.0, 1.0]) + variable]  # fmt: skip
    expected = [[3, 4], [-1, -2], [4, 9], [3, 2], [4, 9], [-2, -3], [2, 3], 3, [False, True], [3, 4]]
    for value, right in zip(evaluate(values, initializer=variable.initializer), expected):
        np.testing.assert_array_equal(value, right)


def test_what_a_variable_is_not():
    variable = Variable([2.0, 3.0])
    with pytest.raises(TypeError, match="not iterable"):
        list(variable)
    with pytest.raises(TypeError, match="Python `bool`"):
        bool(variable)
    assert variable != Variable([2.0, 3.0])
    assert len({variable, variable}) == 1


def test_names_of_what_has_no_value():
    first, second = Variable(1.0, name="first"), Variable(2.0, name="second")
    report, of_one = report_uninitialized_variables(), report_uninitialized_variables([second])
    with numpy_session() as session:
        assert session.run(report).tolist() == [b"first", b"second"]
        session.run(first.initializer)
        assert session.run(report).tolist() == [b"second"]
        session.run(second.initializer)
        assert session.run([report, of_one])[0].tolist() == []


def test_scattered_writes():
    variable = Variable(np.zeros([3, 2], np.float32))
    rows = IndexedSlices(constant([[1.0, 2.0], [3.0, 4.0]]), constant([2, 0]))
    writes = [variable.scatter_add(rows), variable.scatter_sub(rows), variable.scatter_update(rows),
              variable.scatter_nd_add([[1, 1]], [5.0]), variable.scatter_nd_sub([[1, 1]], [1.0]),
              variable.scatter_nd_update([[1, 0]], [7.0])]  # fmt: skip
    with numpy_session() as session:
        session.run(variable.initializer)
        for write in writes:
            session.run(write)
        np.testing.assert_array_equal(session.run(variable), [[3, 4], [7, 4], [1, 2]])


@pytest.mark.parametrize("write", [assign, assign_add, assign_sub, Variable.assign, Variable.assign_add])
def test_tensor_of_another_type_cannot_be_assigned(write):
    with pytest.raises(DTypeError, match="the variable holds float32, the value is int32"):
        write(Variable(1.0), constant(1))
