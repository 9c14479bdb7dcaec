"""Running passes: order, leaving out, timing, dumps, verification, failures."""

from dataclasses import dataclass, field

import pytest

from graphc.ops import elementwise  # noqa: F401 - defines the operations of the texts
from graphc.parser import parse_program
from graphc.passes.base import Context
from graphc.passes.eliminate_dead_code import EliminateDeadCode
from graphc.passes.manager import format_records, run_passes
from graphc.program import Program
from graphc.verifier import VerificationError

PROGRAM = """program main(%x: f32[3] feed, %w: f32[3] variable) {
  %y = neg(%x) : f32[3]
  %dead = neg(%y) : f32[3]
  fetch %y
}"""


@dataclass(frozen=True)
class Apply:
    """A pass that does what it is told."""

    function: object
    name: str = "apply"
    seen: list = field(default_factory=list)

    def run(self, program: Program, context: Context) -> Program:
        self.seen.append(program)
        return self.function(program)


@pytest.fixture
def program() -> Program:
    return parse_program(PROGRAM)


def drop_last(program: Program) -> Program:
    return program.replace(operations=program.operations[:-1])


def test_passes_run_in_order_and_are_recorded(program):
    dumps = {}
    context = Context(dump=lambda stage, dumped: dumps.update({stage: dumped}))
    result = run_passes([Apply(lambda p: p, "nothing"), EliminateDeadCode()], program, context)
    assert [(r.name, r.changed, r.operations_before, r.operations_after) for r in context.records] == [
        ("nothing", False, 2, 2), ("eliminate_dead_code", True, 2, 1),
    ]  # fmt: skip
    assert dumps == {"01-eliminate_dead_code": result}
    assert [p.key for p in result.parameters] == ["x:0"]
    table = format_records(context.records).splitlines()
    assert table[1].endswith("unchanged") and "2 -> 1" in table[2]


def test_passes_are_left_out_by_name(program, monkeypatch):
    monkeypatch.setenv("GRAPHC_DISABLE", "other, eliminate_dead_code")
    assert run_passes([EliminateDeadCode()], program, Context()) is program
    assert run_passes([EliminateDeadCode()], program, Context(disabled=frozenset())) is not program


def test_verification_is_asked_for_by_the_environment(monkeypatch):
    monkeypatch.setenv("GRAPHC_VERIFY", "1")
    assert Context().verify
    monkeypatch.delenv("GRAPHC_VERIFY")
    assert not Context().verify


def test_malformed_programs_name_the_pass(program):
    bad = Apply(lambda p: p.replace(operations=p.operations[1:]), "careless")
    with pytest.raises(VerificationError, match="after the pass careless: dead takes y:0, which is not defined before it"):
        run_passes([bad], program, Context(verify=True))
    run_passes([bad], program, Context(verify=False))


def test_a_new_program_without_a_change_is_a_lie(program):
    with pytest.raises(VerificationError, match="the pass liar made a new program that is the same as before"):
        run_passes([Apply(lambda p: p.replace(), "liar")], program, Context(verify=True))


def test_failures_carry_the_name_of_the_pass(program):
    def fail(program):
        raise KeyError("lost")

    with pytest.raises(KeyError) as error:
        run_passes([Apply(fail, "clumsy")], program, Context())
    assert error.value.__notes__ == ["in the pass clumsy"]
