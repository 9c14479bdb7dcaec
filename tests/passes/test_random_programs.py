"""Random programs mean the same after every pass as before; a failure names the pass."""


import numpy as np
import pytest
from random_programs import Example, assert_expected, random_gradient, random_program

from graphc.parser import parse_program
from graphc.passes.base import Context
from graphc.passes.manager import run_pass
from graphc.passes.pipeline import PASSES
from graphc.passes.specialise import specialise
from graphc.printer import print_program
from graphc.program import Program
from graphc.runtime.interpreter import interpret
from graphc.verifier import verify_program

SMALL_FLOATS = ("float16", "bfloat16", "float32")
INTEGERS = ("int8", "uint8", "int16", "int32", "int64", "uint32", "float32")


def results_of(program: Program, example: Example) -> list[np.ndarray]:
    """Fetches, then new values of variables in the order of the unchanged program."""
    fetches, updates = interpret(program, example.bindings)
    return fetches + [updates[key] for key, _ in example.program.updates]


def check(example: Example) -> None:
    verify_program(example.program)
    check_round_trip(example.program)
    program = specialise(example.program, {})
    context = Context(verify=True)
    for item in PASSES:
        program = run_pass(item, program, context)
        if not any(operation.definition.name == "gradient" for operation in program.operations):
            assert_expected(example, results_of(program, example), item.name)
    check_round_trip(program)


def check_round_trip(program: Program) -> None:
    literals: dict = {}
    text = print_program(program, literals)
    assert print_program(parse_program(text, literals)) == text


@pytest.mark.parametrize("seed", range(60))
def test_random_programs(seed):
    check(random_program(seed))


@pytest.mark.parametrize("seed", range(10))
def test_random_programs_of_small_floats(seed):
    check(random_program(seed, 12, SMALL_FLOATS))


@pytest.mark.parametrize("seed", range(20))
def test_random_programs_of_integers(seed):
    check(random_program(seed, 16, INTEGERS))


@pytest.mark.parametrize("seed", range(30))
def test_random_gradients(seed):
    check(random_gradient(seed))


@pytest.mark.long
@pytest.mark.parametrize("block", range(20))
def test_many_random_programs(block):
    for seed in range(1000 + 100 * block, 1100 + 100 * block):
        check(random_program(seed, 40))
        check(random_gradient(seed))
