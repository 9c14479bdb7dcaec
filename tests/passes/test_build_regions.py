"""Regions as fused operations: nothing is left that no one takes."""

import pytest
from random_programs import random_gradient, random_program

from graphc.passes.base import Context
from graphc.passes.eliminate_dead_code import EliminateDeadCode
from graphc.passes.pipeline import optimise
from graphc.passes.specialise import specialise


@pytest.mark.parametrize("make", [random_program, random_gradient])
@pytest.mark.parametrize("seed", range(12))
def test_nothing_is_left_without_use(make, seed):
    program = optimise(specialise(make(seed).program, {}), Context(frozenset(), verify=True))
    assert EliminateDeadCode().run(program, None) is program
    for operation in program.operations:
        if operation.definition.name == "fused":
            body = operation.attributes["body"]
            assert EliminateDeadCode().run(body, None) is body
