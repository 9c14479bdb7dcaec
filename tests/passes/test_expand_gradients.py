import numpy as np
import pytest

from graphc.dtypes import float32, float64
from graphc.gradients import GRADIENT, gradients
from graphc.graph import Graph
from graphc.operation import OpDef, apply, infer_types
from graphc.ops.constants import constant, placeholder
from graphc.ops.elementwise import exp, multiply, square
from graphc.ops.joining import split
from graphc.ops.linear_algebra import matmul
from graphc.ops.movement import broadcast_to
from graphc.ops.reduce import reduce_sum
from graphc.passes.base import Context
from graphc.passes.expand_gradients import ExpandGradients
from graphc.passes.specialise import specialise
from graphc.program import build_program
from graphc.runtime.interpreter import interpret
from graphc.variables import Variable
from graphc.verifier import verify_program


@pytest.fixture(autouse=True)
def graph():
    with Graph().as_default() as graph:
        yield graph


def expand(fetches, feeds=()):
    program = specialise(build_program(fetches, feeds=feeds), {})
    result = ExpandGradients().run(program, Context())
    verify_program(result)
    assert not any(operation.definition is GRADIENT for operation in result.operations)
    return result


def test_a_program_without_gradients_is_unchanged():
    program = build_program([constant(1.0) * 2.0])
    assert ExpandGradients().run(program, Context()) is program


def test_names_and_locations_come_from_the_forward_operations():
    x = constant([1.0, 2.0], name="x")
    y = multiply(x, x, name="product")
    program = expand(gradients(exp(y, name="e"), x))
    made = [operation for operation in program.operations if operation.name.startswith("gradients/")]
    assert {name.split("/")[1] for name in (op.name for op in made)} == {"grad_ys_0", "e_grad", "product_grad"}
    (inside,) = {op.location for op in made if op.name.startswith("gradients/product_grad")}
    assert inside.source == 'y = multiply(x, x, name="product")'


def test_uses_add_up_one_after_the_other():
    x = constant([1.0, 2.0], name="x")
    uses = [x * float(i) for i in range(1, 6)]
    total = uses[0]
    for use in uses[1:]:
        total = total + use
    program = expand(gradients(total, x))
    (value,), _ = interpret(program, {})
    np.testing.assert_array_equal(value, [15, 15])
    sums = [op for op in program.operations if op.definition.name == "add" and op.name.startswith("gradients/")]
    assert len(sums) == 4
    for before, after in zip(sums, sums[1:]):
        assert after.inputs[0] is before.output


def test_outputs_without_gradient_count_as_none():
    x = placeholder(float32, [6])
    parts = split(x, 3)
    program = expand(gradients(square(parts[1]), x), [x])
    (value,), _ = interpret(program, {"Placeholder:0": np.arange(6.0)})
    np.testing.assert_array_equal(value, [0, 0, 4, 6, 0, 0])


def scaled_and_squared(operation):
    scaled = operation.inputs[0] * 3.0
    return [square(scaled), scaled]


def make_composite(**options):
    return OpDef("two_for_test", infer=lambda types: [types[0], types[0]], composite=scaled_and_squared, **options)


def test_composites_are_opened():
    x = placeholder(float64, [2], name="x")
    first, second = apply(make_composite(), [x])
    outer = OpDef("outer_for_test", infer=lambda types: types[0], composite=lambda op: apply(make_composite(), op.inputs)[0])
    nested = apply(outer, [x])
    program = expand(gradients(first + second + nested, x), [x])
    at = np.array([1.0, 2.0])
    (value,), _ = interpret(program, {"x:0": at})
    np.testing.assert_allclose(value, 18 * at + 3 + 18 * at)


def test_an_own_gradient_goes_before_opening():
    x = constant(2.0)
    definition = make_composite(gradient=lambda operation, a, b: [a * 100.0 if b is None else b])
    first, _ = apply(definition, [x])
    (value,), _ = interpret(expand(gradients(first, x)), {})
    assert value == 100


def test_a_missing_gradient_inside_a_composite_is_an_error():
    opaque = OpDef("opaque_inside", infer=lambda types: types[0], kernel="none")
    outer = OpDef("hides_opaque", infer=lambda types: types[0], composite=lambda op: apply(opaque, op.inputs))
    x = constant(1.0)
    with pytest.raises(LookupError, match="No gradient defined for operation 'hides_opaque/opaque_inside'"):
        expand(gradients(apply(outer, [x]), x))


def test_derivatives_have_the_types_of_what_they_are_derivatives_of():
    wrong = OpDef(
        "wrong_for_test", infer=lambda types: types[0], kernel="none", gradient=lambda op, g: [broadcast_to(g, [2, 3])]
    )
    x = constant([1.0, 2.0, 3.0], name="x")
    with pytest.raises(ValueError, match=r"x is f32\[3\], but its derivative is f32\[2,3\]"):
        expand(gradients(apply(wrong, [x]), x))


def test_a_path_that_carries_nothing_gives_zeros():
    x = constant([1.0, 2.0])
    (first,) = gradients(3.0 * x, x)
    (value,), _ = interpret(expand(gradients(first, x)), {})
    np.testing.assert_array_equal(value, [0, 0])


def test_variables_are_parameters():
    w = Variable([[1.0, 2.0]], name="w")
    program = expand(gradients(reduce_sum(matmul(w, w, transpose_b=True)), w))
    (value,), _ = interpret(program, {"w": [[1.0, 2.0]]})
    np.testing.assert_array_equal(value, [[2, 4]])


def test_gradients_of_gradients_of_gradients():
    x = placeholder(float64, [], name="x")
    derivatives = [square(x) * square(x) * x]
    for _ in range(5):
        derivatives += gradients(derivatives[-1], x)
    values, _ = interpret(expand(derivatives, [x]), {"x:0": 2.0})
    assert values == [32, 80, 160, 240, 240, 120]


def test_type_rule():
    x, w = constant([1.0]), constant([[2.0]])
    inputs = [x, w, w, x, x]
    (found,) = infer_types(GRADIENT, inputs, {"ys": 1, "groups": (2,), "stops": 1}, None)
    assert found == w.type
