"""Random programs mean the same after every pass as before; a failure names the pass."""


import numpy as np
import pytest
from random_programs import Example, assert_same_results, random_program

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
    literals: dict = {}
    text = print_program(example.program, literals)
    assert print_program(parse_program(text, literals)) == text
    expected = results_of(example.program, example)
    program = specialise(example.program, {})
    assert_same_results(example, expected, results_of(program, example), "specialise")
    context = Context(verify=True)
    for item in PASSES:
        program = run_pass(item, program, context)
        assert_same_results(example, expected, results_of(program, example), item.name)
    literals = {}
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


@pytest.mark.long
@pytest.mark.parametrize("block", range(20))
def test_many_random_programs(block):
    for seed in range(1000 + 100 * block, 1100 + 100 * block):
        check(random_program(seed, 40))
