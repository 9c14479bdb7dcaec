"""The rules of canonicalisation: that they name real operations, and what they do to special values."""

from pathlib import Path

import numpy as np
import pytest

import graphc  # noqa: F401 - defines all operations
from graphc.operation import DEFINITIONS
from graphc.parser import parse_program
from graphc.passes.base import Context
from graphc.passes.canonicalize import RULES, Canonicalize
from graphc.passes.patterns import OperationPattern
from graphc.runtime.interpreter import interpret

SPECIAL = np.array(
    [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 1.17e-38, 3.4e38, 1.0, -2.5, 0.3], np.float32
)  # fmt: skip
FOLDER = Path(__file__).parent.parent / "ir"


def patterns_in(pattern):
    if isinstance(pattern, OperationPattern):
        yield pattern
        for operand in pattern.operands or ():
            yield from patterns_in(operand)


def test_rules_name_operations_and_attributes_that_exist():
    for rule in RULES:
        for pattern in [*patterns_in(rule.pattern), *patterns_in(rule.replacement)]:
            if pattern.name.startswith("any "):
                continue
            definition = DEFINITIONS[pattern.name]
            assert {name for name, _ in pattern.attributes} <= set(definition.attributes), rule.name


def test_names_of_rules_tell_them_apart():
    alike = [rule.name for rule in RULES if sum(rule.name == other.name for other in RULES) > 1]
    assert set(alike) == {"mul(mul(x, c), d)"}  # one for integers, one for floats


def widened(text: str) -> str:
    """A golden program on vectors of 12 instead of 3."""
    return text.replace("[3]", "[12]").replace("(3,)", "(12,)")


@pytest.mark.parametrize("name", ["sums", "products", "powers", "choices_and_casts", "signs"])
@pytest.mark.parametrize("shift", range(4))
def test_special_values_stay(name, shift):
    """NaN, infinities and signs of zeros are the same before and after; other numbers up to a few units in the last place."""
    text = (FOLDER / f"{name}.ir").read_text().partition("\n")[2].partition("# after")[0]
    program = parse_program(widened(text))
    random = np.random.default_rng(shift)
    bindings = {}
    for parameter in program.parameters:
        dtype = parameter.tensor.dtype
        integers = random.integers(0, 200, 12)
        values = np.roll(SPECIAL, shift * (1 + len(bindings))) if dtype.is_floating else integers
        bindings[parameter.key] = values.astype(dtype.numpy)
    before, _ = interpret(program, bindings)
    after, _ = interpret(Canonicalize().run(program, Context()), bindings)
    for tensor, want, got in zip(program.fetches, before, after):
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want), tensor.name)
        number = ~np.isnan(want)
        np.testing.assert_array_equal(np.signbit(got[number]), np.signbit(want[number]), tensor.name)
        np.testing.assert_allclose(got[number], want[number], rtol=3e-7, atol=2e-45, err_msg=tensor.name)
