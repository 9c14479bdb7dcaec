"""Python's operators and brackets on tensors."""

import numpy as np
import pytest
from interpreting import value_of

from graphc.graph import Graph
from graphc.operation import DEFINITIONS
from graphc.ops import elementwise, strided_slices  # noqa: F401 - they make the operators
from graphc.ops.constants import constant, placeholder
from graphc.ops.shape_ops import shape

A = np.array([[1, 2, 3], [4, 5, 6]], np.int32)


@pytest.fixture(autouse=True)
def graph():
    with Graph().as_default() as graph:
        yield graph


@pytest.mark.parametrize(
    ("function", "name", "expected"),
    [
        (lambda x: x + 1, "add", A + 1),
        (lambda x: 1 - x, "sub", 1 - A),
        (lambda x: x * x, "mul", A * A),
        (lambda x: x // 2, "floordiv", A // 2),
        (lambda x: -x % 4, "mod", -A % 4),
        (lambda x: 12 // x, "floordiv", 12 // A),
        (lambda x: x**2, "pow", A**2),
        (lambda x: x & 3, "and", A & 3),
        (lambda x: x | 8, "or", A | 8),
        (lambda x: x ^ 1, "xor", A ^ 1),
        (lambda x: ~x, "Invert", ~A),
        (lambda x: -x, "Neg", -A),
        (lambda x: abs(x), "Abs", A),
        (lambda x: +x, "x", A),
        (lambda x: x < 3, "Less", A < 3),
        (lambda x: 3 >= x, "LessEqual", A <= 3),
        (lambda x: x > 3, "Greater", A > 3),
        (lambda x: x >= 3, "GreaterEqual", A >= 3),
        (lambda x: x[1], "strided_slice", A[1]),
    ],
)
def test_operators_of_integers(function, name, expected):
    x = placeholder("int32", [None, 3], name="x")
    result = function(x)
    assert result.op.name == name
    np.testing.assert_array_equal(value_of(result, {x: A}), expected)


def test_a_number_takes_the_type_of_the_tensor():
    for dtype in ("uint8", "int64", "float16", "bfloat16", "float64"):
        assert (placeholder(dtype, []) + 1).dtype == dtype
        assert (1 + placeholder(dtype, [])).dtype == dtype
    assert (placeholder("float32", []) * np.float64(2)).dtype == "float32"
    with pytest.raises(TypeError, match="Expected int32, got 1.5"):
        placeholder("int32", []) + 1.5


def test_an_array_on_the_left_leaves_the_operator_to_the_tensor():
    x = placeholder("float32", [2])
    np.testing.assert_array_equal(value_of(np.array([1.0, 2.0]) - x, {x: [3, 3]}), [-2, -1])


@pytest.mark.parametrize(
    ("dtype", "quotient"),
    [("int8", "float32"), ("uint8", "float32"), ("int16", "float32"), ("int32", "float64"), ("int64", "float64")]
    + [(name, name) for name in ("float16", "bfloat16", "float32", "float64")],
)
def test_true_division_of_integers_gives_floats(dtype, quotient):
    x = placeholder(dtype, [2])
    result = x / 2
    assert result.dtype == quotient and result.op.name == "truediv"
    np.testing.assert_array_equal(value_of(result, {x: [7, 1]}).astype(float), [3.5, 0.5])


def test_div_of_integers_rounds_down():
    np.testing.assert_array_equal(value_of(elementwise.div(constant([-7, 7]), 2)), [-4, 3])
    np.testing.assert_array_equal(value_of(elementwise.div(constant([-7.0, 7.0]), 2)), [-3.5, 3.5])
    np.testing.assert_array_equal(value_of(elementwise.truncatediv(constant([-7, 7]), 2)), [-3, 3])


def test_logic_of_bools():
    a, b = constant([True, True, False]), constant([True, False, False])
    names = [t.op.definition.name for t in (a & b, a | b, a ^ b, ~a)]
    assert names == ["logical_and", "logical_or", "logical_xor", "logical_not"]
    np.testing.assert_array_equal(value_of(~(a & b) ^ a), [True, False, True])
    with pytest.raises(TypeError, match="operands have different types"):
        a & placeholder("int32", [3])


KEYS = (
    0, -1, np.int64(1), np.s_[1:], np.s_[:, ::-1], np.s_[..., 1], np.s_[None], np.s_[:, None, 0], np.s_[0, ...],
    np.s_[-3:9, 1:2], np.s_[..., None, :, :], np.s_[1::-1, 2:0:-1], (),
)  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=str)
@pytest.mark.parametrize("declared", [(2, 3), (None, 3), (None, None)], ids=str)
def test_brackets(key, declared):
    x = placeholder("int32", declared)
    part = x[key]
    assert part.shape.is_compatible_with(A[key].shape)
    np.testing.assert_array_equal(value_of(part, {x: A}), A[key])


def test_brackets_on_an_unknown_rank():
    x = placeholder("int32")
    assert x[0].shape.ndims is None
    np.testing.assert_array_equal(value_of(x[-1, 1:], {x: A}), A[-1, 1:])
    np.testing.assert_array_equal(value_of(x[..., 0], {x: A}), A[..., 0])


@pytest.mark.parametrize("index", [0, 1, -1, -2])
def test_an_index_known_at_run_time_only(index):
    x, i = placeholder("int32", [2, 3, 2]), placeholder("int64", [])
    values = np.arange(12).reshape(2, 3, 2)
    for part, expected in (
        (x[i], values[index]),
        (x[:, i], values[:, index]),
        (x[..., i], values[..., index]),
        (x[i, 1:, i], values[index, 1:, index]),
        (x[0, i], values[0, index]),
        (x[None, i], values[None, index]),
    ):
        assert part.shape == expected.shape
        np.testing.assert_array_equal(value_of(part, {x: values, i: index}), expected)


def test_bounds_known_at_run_time_only():
    x, i = placeholder("int32", [2, 3]), placeholder("int32", [])
    part = x[:, i : i + 2]
    assert part.shape.as_list() == [2, None]
    np.testing.assert_array_equal(value_of(part, {x: A, i: 1}), A[:, 1:3])
    np.testing.assert_array_equal(value_of(x[:, :i], {x: A, i: -1}), A[:, :-1])


def test_a_constant_tensor_is_an_index_like_a_number():
    x = placeholder("int32", [None, 3])
    assert x[:, constant(1)].op.definition.name == "strided_slice"
    assert x[: shape(x)[1]].shape.as_list() == [None, 3]
    np.testing.assert_array_equal(value_of(x[:, constant(1) : shape(x)[1]], {x: A}), A[:, 1:])


def test_a_mask_in_brackets():
    x = placeholder("int32", [None, 3])
    np.testing.assert_array_equal(value_of(x[x[:, 0] > 1], {x: A}), A[1:])


@pytest.mark.parametrize("key", [1.5, "a", [0, 1], np.s_[1.0:], {}], ids=str)
def test_what_is_no_index(key):
    x = placeholder("int32", [2, 3])
    with pytest.raises((TypeError, ValueError)):
        x[key]


def test_iteration_needs_a_known_first_dimension():
    assert len(list(placeholder("int32", [3, None]))) == 3
    with pytest.raises(TypeError, match="first dimension"):
        iter(placeholder("int32", [None, 3]))


def test_operators_leave_one_operation_each(graph):
    x = placeholder("float32", [3])
    before = graph.version
    x + x
    assert graph.version == before + 1
    assert graph.get_operations()[-1].definition is DEFINITIONS["add"]
