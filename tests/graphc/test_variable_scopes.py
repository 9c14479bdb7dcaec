import numpy as np
import pytest
from numpy_session import evaluate

from graphc.collections import GraphKeys, get_collection
from graphc.dtypes import float32, float64, int32
from graphc.graph import Graph
from graphc.initializers import constant_initializer, ones_initializer, zeros_initializer
from graphc.ops.constants import constant
from graphc.ops.reduce import reduce_sum
from graphc.scopes import control_dependencies, name_scope
from graphc.variable_functions import local_variables, trainable_variables
from graphc.variable_scopes import (
    AUTO_REUSE,
    get_local_variable,
    get_variable,
    get_variable_scope,
    make_template,
    no_regularizer,
    variable_op_scope,
    variable_scope,
)
from graphc.variables import Variable


@pytest.fixture(autouse=True)
def graph():
    with Graph().as_default() as graph:
        yield graph


def test_names():
    with variable_scope("a") as scope:
        assert scope.name == "a"
        assert scope.original_name_scope == "a/"
        assert get_variable("w", [2]).name == "a/w:0"
        with variable_scope("b"), name_scope("ignored"):
            assert get_variable("w", [2]).name == "a/b/w:0"
            assert constant(1).op.name == "a/b/ignored/Const"
    with variable_scope("a", reuse=True) as again:
        assert again.original_name_scope == "a_1/"


def test_a_variable_is_made_once():
    first = get_variable("w", [2])
    with pytest.raises(ValueError) as error:
        get_variable("w", [2])
    text = str(error.value)
    assert text.startswith(
        "Variable w already exists, disallowed. Did you mean to set reuse=True or reuse=tf.AUTO_REUSE in VarScope? "
        "Originally defined at:"
    )
    assert "test_variable_scopes.py" in text
    assert 'first = get_variable("w", [2])' in text
    with variable_scope(get_variable_scope(), reuse=True):
        assert get_variable("w", [2]) is first
        assert get_variable("w") is first


def test_reuse_of_what_does_not_exist():
    Variable(1.0, name="w")
    with variable_scope("", reuse=True), pytest.raises(ValueError) as error:
        get_variable("w", [])
    assert str(error.value) == (
        "Variable w does not exist, or was not created with tf.get_variable(). "
        "Did you mean to set reuse=tf.AUTO_REUSE in VarScope?"
    )


def test_reuse_checks_shape_and_type():
    get_variable("w", [2, 3])
    with variable_scope("", reuse=True):
        with pytest.raises(ValueError, match=r"specified shape \(3, 2\) and found shape \(2, 3\)"):
            get_variable("w", [3, 2])
        with pytest.raises(ValueError, match="specified dtype float64 and found dtype float32"):
            get_variable("w", [2, 3], float64)


def test_reuse_is_inherited_and_ends_with_the_scope():
    with variable_scope("a"):
        with variable_scope("b"):
            first = get_variable("w", [2])
    with variable_scope("a", reuse=True), variable_scope("b"):
        assert get_variable("w", [2]) is first
    with variable_scope("a", reuse=AUTO_REUSE) as scope:
        assert get_variable("v", [2]) is get_variable("v", [2])
        assert scope.reuse is AUTO_REUSE
    with variable_scope("c") as scope:
        made = get_variable("w", [2])
        assert scope.reuse is False
        scope.reuse_variables()
        assert get_variable("w", [2]) is made
    assert get_variable_scope().reuse is False


def test_a_scope_is_entered_again():
    with variable_scope("a") as scope:
        first = get_variable("w", [2])
    with variable_scope("other"), variable_scope(scope, reuse=True) as again:
        assert again.name == "a"
        assert get_variable("w", [2]) is first
        assert constant(1).op.name == "other/a/Const"
    with variable_scope(scope, auxiliary_name_scope=False), name_scope(scope.original_name_scope):
        assert constant(1).op.name == "a/Const"


def test_default_names_are_unique():
    names = []
    for _ in range(2):
        with variable_scope(None, "d") as scope:
            names.append((scope.name, scope.original_name_scope, get_variable("w", [1]).name))
    assert names == [("d", "d/", "d/w:0"), ("d_1", "d_1/", "d_1/w:0")]
    for _ in range(2):
        with variable_scope("outer", reuse=AUTO_REUSE), variable_scope(None, "d") as scope:
            assert scope.name == "outer/d"
    with variable_op_scope([constant(1)], None, "d") as scope:
        assert scope.name == "d_2"


def test_defaults_of_a_scope():
    regularizer = lambda w: reduce_sum(w)  # noqa: E731
    with variable_scope("a", initializer=constant_initializer(3.0), regularizer=regularizer, dtype=float64) as scope:
        variable = get_variable("w", [2])
        plain = get_variable("plain", [2], regularizer=no_regularizer)
        scope.set_initializer(ones_initializer())
        one = get_variable("one", [2], float32)
        with variable_scope("b"):
            get_variable("w", [2])
    assert variable.dtype == float64
    assert one.dtype == float32
    losses = get_collection(GraphKeys.REGULARIZATION_LOSSES)
    assert [loss.op.name.split("/Regularizer/")[0] for loss in losses] == ["a/w", "a/one", "a/b/w"]
    values = evaluate([variable, plain, one, losses[0]], initializer=[v.initializer for v in trainable_variables()])
    assert [v.tolist() for v in values] == [[3, 3], [3, 3], [1, 1], 6]


def test_initial_values():
    assert get_variable("ints", [2], int32).initial_value.dtype == int32
    assert get_variable("list", initializer=[1.0, 2.0]).shape == [2]
    assert get_variable("array", initializer=np.zeros([3, 4])).dtype == float64
    assert get_variable("tensor", initializer=constant([[1.0]])).shape == [1, 1]
    assert get_variable("class", [2], initializer=zeros_initializer).shape == [2]
    assert get_variable("own", [2], initializer=lambda shape, dtype: constant([5.0] * shape[0])).shape == [2]
    assert get_variable("short", [2], initializer=lambda shape: constant([5.0] * shape[0])).shape == [2]
    assert get_variable("free", initializer=lambda: constant([5.0] * 4)).shape == [4]
    assert get_variable("number", 3).shape == [3]


def test_initial_values_that_are_wrong():
    with pytest.raises(ValueError, match="do not specify shape"):
        get_variable("a", [2], initializer=[1.0, 2.0])
    with pytest.raises(ValueError, match=r"Shape of a new variable \(b\) must be fully defined, but instead was \(\?, 3\)"):
        get_variable("b", [None, 3])
    with pytest.raises(ValueError, match="The initializer passed is not valid"):
        get_variable("c")
    with pytest.raises(ValueError, match="Initializer type .*float32.* and explicit dtype .*int32.* don't match"):
        get_variable("d", dtype=int32, initializer=[1.0])


def test_scopes_that_are_wrong():
    with pytest.raises(TypeError, match="name_or_scope is required"):
        variable_scope(None)
    with pytest.raises(TypeError, match="must be a string or VariableScope"):
        variable_scope(3)
    with pytest.raises(ValueError, match="reuse"):
        variable_scope("a", reuse="yes")
    with pytest.raises(ValueError, match="reuse=True cannot be used without a name_or_scope"):
        variable_scope(None, "d", reuse=True)


def test_collections():
    kept = get_variable("kept", [1], trainable=False)
    trained = get_variable("trained", [1])
    local = get_local_variable("local", [1])
    assert trainable_variables() == [trained]
    assert local_variables() == [local]
    with variable_scope("a") as scope:
        inner = get_variable("w", [1])
        assert scope.trainable_variables() == [inner]
        assert scope.global_variables() == [inner]
        assert scope.local_variables() == []
    assert get_variable_scope().global_variables() == [kept, trained, inner]


def test_custom_getters_nest():
    seen = []

    def outer(getter, name, *args, **options):
        seen.append(("outer", name))
        return getter(name, *args, **options)

    def inner(getter, name, **options):
        seen.append(("inner", name))
        return getter(name + "_own", **options) * 2.0

    with variable_scope("a", custom_getter=outer):
        with variable_scope("b", custom_getter=inner):
            doubled = get_variable("w", [2])
        get_variable("v", [2])
    assert seen == [("inner", "a/b/w"), ("outer", "a/b/w_own"), ("outer", "a/v")]
    assert doubled.op.inputs[0].op.name == "a/b/w_own/read"


def test_control_dependencies_do_not_reach_initial_values():
    with control_dependencies([constant(1.0)]):
        variable = get_variable("w", [2])
    assert variable.initializer.control_inputs == ()
    assert variable.initial_value.op.control_inputs == ()


def test_templates():
    def scale(x, by):
        return x * get_variable("factor", [], initializer=constant_initializer(by))

    template = make_template("scale", scale, by=3.0)
    results = [template(constant(1.0)), template(constant(2.0))]
    assert [v.op.name for v in trainable_variables()] == ["scale/factor"]
    assert evaluate(results, initializer=[v.initializer for v in template.variables]) == [3, 6]
    other = make_template("scale", scale, by=3.0)
    other(constant(1.0))
    assert other.variable_scope.name == "scale_1"


def test_graphs_have_their_own_variables():
    first = get_variable("w", [2])
    with Graph().as_default():
        assert get_variable("w", [2]) is not first
