"""From declared types to the types of a run."""

import numpy as np
import pytest

from graphc.dtypes import float32, int32
from graphc.errors import InvalidArgumentError
from graphc.graph import Graph
from graphc.operation import Dynamic, TensorType, apply
from graphc.ops import elementwise, filling, movement, reduce, shape_ops, strided_slices  # noqa: F401 - indexing
from graphc.ops.constants import constant, placeholder
from graphc.ops.data_dependent import unique
from graphc.ops.linear_algebra import matmul
from graphc.ops.state import READ, VARIABLE
from graphc.passes.specialise import NeedsValues, specialise
from graphc.program import Program, build_program
from graphc.runtime.interpreter import interpret
from graphc.verifier import verify_program


@pytest.fixture(autouse=True)
def graph():
    with Graph().as_default() as graph:
        yield graph


def floats(*shape):
    return TensorType(float32, shape)


def specialised(fetches, feeds, types, known=None) -> Program:
    fetches = fetches if isinstance(fetches, (list, tuple)) else [fetches]
    program = specialise(build_program(fetches, (), feeds), types, known)
    verify_program(program)
    assert not any(isinstance(v, Dynamic) for op in program.operations for v in op.attributes.values())
    return program


def test_types_follow_from_the_feeds():
    x = placeholder(float32, [None, 3], name="x")
    y = elementwise.add(x, 1.0, name="y")
    program = specialised([y, reduce.reduce_sum(y, 1)], [x], {"x:0": floats(4, 3)})
    assert [t.type for t in program.fetches] == [floats(4, 3), floats(4)]
    assert program.parameters[0].tensor.type == floats(4, 3)
    assert program.fetches[0].operation.name == "y" and program.fetches[0].operation.location is not None


def test_known_programs_stay_as_they_are():
    x = placeholder(float32, [2, 3], name="x")
    program = build_program([elementwise.tanh(x)], (), [x])
    assert specialise(program, {"x:0": floats(2, 3)}) is program


def test_unknown_ranks_become_known():
    x = placeholder(float32, name="x")
    program = specialised(elementwise.tanh(x), [x], {"x:0": floats(2, 1, 5)})
    assert program.fetches[0].type == floats(2, 1, 5)


def test_shapes_sizes_and_ranks_become_constants():
    x = placeholder(float32, [None, None], name="x")
    fetches = [shape_ops.shape(x), shape_ops.size(x), shape_ops.rank(x)]
    program = specialised(fetches, [x], {"x:0": floats(4, 3)})
    assert [op.definition.name for op in program.operations] == ["constant"] * 3
    assert [a.tolist() for a in interpret(program, {"x:0": np.zeros((4, 3))})[0]] == [[4, 3], 12, 2]


def test_attributes_that_follow_from_shapes():
    x = placeholder(float32, [None, 6], name="x")
    flat = movement.reshape(x, [shape_ops.shape(x)[0] * 2, -1])
    tiled = movement.tile(flat, [1, shape_ops.shape(flat)[0]])
    filled = filling.fill(shape_ops.shape(tiled), 7.0)
    program = specialised([flat, tiled, filled], [x], {"x:0": floats(4, 6)})
    assert [t.type for t in program.fetches] == [floats(8, 3), floats(8, 24), floats(8, 24)]


def test_types_of_variables_and_what_is_assumed_of_feeds():
    x = placeholder(float32, [None], name="x")
    variable = apply(VARIABLE, [], "w", dtype=float32, shape=None, key="w")
    program = specialised(elementwise.add(x, apply(READ, [variable])), [x], {"x:0": floats(3), "w": floats(2, 1)})
    assert program.fetches[0].type == floats(2, 3)
    kinds = {p.key: (p.kind, p.tensor.operation.definition.name) for p in program.parameters}
    assert kinds == {"x:0": ("feed", "placeholder"), "w": ("variable", "variable")}


def test_any_tensor_may_be_fed():
    x = placeholder(float32, [None, 2], name="x")
    middle = elementwise.tanh(x, name="middle")
    program = specialised(elementwise.exp(middle), [middle], {"middle:0": floats(5, 2)})
    assert program.fetches[0].type == floats(5, 2) and len(program.operations) == 1


def test_what_the_user_said_of_a_shape_is_kept():
    x = placeholder(float32, [None], name="x")
    values, _ = unique(x)
    values.set_shape([3])
    program = specialised(elementwise.exp(values), [x], {"x:0": floats(8)})
    assert program.fetches[0].type == floats(3)


def test_feeds_that_do_not_fit():
    x = placeholder(float32, [None, 3], name="x")
    message = r"Cannot feed value of type float32 and shape \(4, 5\) for Tensor 'x:0', .* shape '\(\?, 3\)'"
    with pytest.raises(ValueError, match=message):
        specialised(elementwise.tanh(x), [x], {"x:0": floats(4, 5)})


def test_shapes_that_do_not_go_together_say_where():
    a = placeholder(float32, [None, None], name="a")
    b = placeholder(float32, [None, None], name="b")
    product = matmul(a, b, name="product")
    with pytest.raises(InvalidArgumentError, match="inner dimensions differ, 3 and 4") as error:
        specialised(product, [a, b], {"a:0": floats(2, 3), "b:0": floats(4, 5)})
    lines = str(error.value).splitlines()
    assert lines[1].split()[:2] == ["a", "f32[2,3]"] and "placeholder(float32" in lines[1]
    assert lines[-1].startswith("at test_specialise.py:") and lines[-1].endswith('name="product")')
    assert error.value.op.name == "product"


def test_values_that_decide_about_shapes_are_asked_for():
    x = placeholder(float32, [None], name="x")
    shape = placeholder(int32, [2], name="shape")
    y = movement.reshape(x, shape)
    program = build_program([y], (), [x, shape])
    types = {"x:0": floats(6), "shape:0": TensorType(int32, (2,))}
    with pytest.raises(NeedsValues) as needed:
        specialise(program, types)
    assert needed.value.values == (shape,) and needed.value.shapes == ()
    found = specialise(program, types, {shape: np.array([3, 2], np.int32)})
    assert found.fetches[0].type == floats(3, 2)


def test_computed_values_are_asked_for_at_their_source():
    x = placeholder(float32, [None], name="x")
    count = placeholder(int32, [], name="count")
    rows = elementwise.multiply(count, constant(2), name="rows")
    first = movement.reshape(x, [rows, -1])
    program = build_program([movement.tile(first, [1, rows])], (), [x, count])
    types = {"x:0": floats(8), "count:0": TensorType(int32, ())}
    with pytest.raises(NeedsValues) as needed:
        specialise(program, types)
    feeds = {"x:0": np.zeros(8), "count:0": 2}
    known = {t: interpret(program.replace(fetches=(t,)), feeds)[0][0] for t in needed.value.values}
    assert specialise(program, types, known).fetches[0].type == floats(4, 8)


def test_shapes_that_depend_on_data_are_asked_for():
    x = placeholder(int32, [None], name="x")
    values, _ = unique(x)
    end = elementwise.negative(values)
    types = {"x:0": TensorType(int32, (5,))}
    with pytest.raises(NeedsValues) as needed:
        specialise(build_program([elementwise.negative(end)], (), [x]), types)
    assert needed.value.shapes == (values,) and needed.value.values == ()
    rest = build_program([elementwise.negative(end)], (), [values])
    assert specialise(rest, {values.name: TensorType(int32, (2,))}).fetches[0].type == TensorType(int32, (2,))


def test_results_of_unknown_shape_may_be_fetched():
    x = placeholder(int32, [None], name="x")
    values, _ = unique(x)
    program = specialise(build_program([values], (), [x]), {"x:0": TensorType(int32, (5,))})
    assert program.fetches[0].type == TensorType(int32, (None,))


def test_long_chains_of_static_values():
    x = placeholder(float32, [None], name="x")
    size = shape_ops.shape(x)
    for _ in range(3000):
        size = elementwise.add(size, 1)
    program = specialised(filling.fill(size, 1.0), [x], {"x:0": floats(5)})
    assert program.fetches[0].type == floats(3005)
