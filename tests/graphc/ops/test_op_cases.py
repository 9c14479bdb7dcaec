"""Every operation of the table: values against NumPy and SciPy, partly known shapes, gradients."""

import numpy as np
import pytest
from gradient_check import verify_gradient
from op_cases import Case, Sample, all_cases, all_definitions, assert_same

from graphc.gradients import gradients
from graphc.graph import Graph
from graphc.operation import DEFINITIONS
from graphc.ops.constants import placeholder
from graphc.ops.conversion import cast
from graphc.passes.base import Context
from graphc.passes.expand_gradients import ExpandGradients
from graphc.passes.specialise import NeedsValues, specialise
from graphc.program import build_program
from graphc.runtime.interpreter import interpret
from graphc.shapes import are_compatible

CASES = all_cases()


def test_every_definition_has_a_case():
    assert sorted(set(all_definitions()) - {c.name for c in CASES}) == []


@pytest.mark.parametrize("item", CASES, ids=str)
def test_case_builds_what_it_says(item: Case):
    """The operation stands in the graph, at least where sizes are not known."""
    names = set()
    for known in ["shapes"] if item.known_shapes else ["shapes", "rank"] if item.known_rank else ["shapes", "nothing"]:
        program = Sample(item, item.samples[0]).declare(known).program
        names |= {operation.definition.name for operation in program.operations}
    assert item.name in names


def test_every_differentiable_definition_has_its_gradient_checked():
    without = {
        name for name in all_definitions()
        if name != "cast" and DEFINITIONS[name].gradient is not None
        and not any(c.gradient_samples for c in CASES if c.name == name)
    }  # fmt: skip
    assert sorted(without) == []


@pytest.mark.parametrize("item", CASES, ids=str)
def test_values(item: Case):
    for arrays in item.samples:
        sample = Sample(item, arrays)
        declared = sample.declare()
        found, _ = interpret(declared.program, declared.bindings)
        for value, tensor in zip(found, declared.outputs):
            assert are_compatible(tensor.type.shape, value.shape), (
                f"{sample}: declared as {tensor.type}, is {value.shape}"
            )
        expected = sample.expected()
        if expected is not None:
            for value, wanted, tensor in zip(found, expected, declared.outputs, strict=True):
                assert_same(value, wanted, tensor.dtype, item.rounding, str(sample))


@pytest.mark.parametrize("known", ["rank", "nothing"])
@pytest.mark.parametrize("item", [c for c in CASES if not c.known_shapes], ids=str)
def test_partly_known_shapes(item: Case, known: str):
    """What is declared without sizes gives the same as with them, once they are known."""
    if known == "nothing" and item.known_rank:
        pytest.skip("needs the rank")
    for arrays in item.samples:
        sample = Sample(item, arrays)
        exact, partial = sample.declare(), sample.declare(known)
        types = {t.name: e.type for t, e in zip(partial.feeds, exact.feeds)}
        values, _ = interpret(exact.program, exact.bindings)
        for tensor, value in zip(partial.outputs, values):
            assert are_compatible(tensor.type.shape, value.shape), (
                f"{sample}: declared as {tensor.type}, is {value.shape}"
            )
        try:
            program = specialise(partial.program, types)
        except NeedsValues:
            program = partial.program
        found, _ = interpret(program, partial.bindings)
        for value, again, tensor in zip(values, found, partial.outputs, strict=True):
            assert_same(again, value, tensor.dtype, 0.0, str(sample))


@pytest.mark.parametrize("item", [c for c in CASES if c.gradient_samples], ids=str)
def test_gradients(item: Case):
    for arrays in item.gradient_samples:
        verify_gradient(item.build, arrays)


def test_gradient_of_cast_takes_the_type_of_the_operand():
    """Apart from the others: differences of rounded values say nothing."""
    with Graph().as_default():
        x = placeholder("float32", [3])
        wide = cast(x, "float64") * np.array([1.0, 2.0, 3.0])
        (gradient,) = gradients([wide, cast(x, "int32")], [x])
        program = specialise(build_program([gradient], feeds=[x]), {})
    (found,), _ = interpret(ExpandGradients().run(program, Context()), {x.name: np.zeros(3)})
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [1, 2, 3])
