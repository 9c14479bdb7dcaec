"""Programs before and after passes, as texts in tests/ir.

A file has the names of passes behind `# passes:`, a program, a line `# after`, and the program that is expected. With
--update-golden the expected texts are written anew; the difference is to be reviewed by hand.
"""

from pathlib import Path

import pytest

from graphc.ops import compare, conversion, elementwise, indexing, joining, softmax, top_k  # noqa: F401 - define what texts name
from graphc.parser import parse_program
from graphc.passes.base import Context
from graphc.passes.manager import run_passes
from graphc.passes.pipeline import PASSES
from graphc.printer import print_program
from graphc.verifier import verify_program

FOLDER = Path(__file__).parent.parent / "ir"
BY_NAME = {item.name: item for item in PASSES}
AFTER = "# after\n"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ir")), ids=lambda path: path.stem)
def test_golden(path, request):
    source, _, expected = path.read_text().partition(AFTER)
    head, _, text = source.partition("\n")
    assert head.startswith("# passes: "), f"{path.name} does not begin with the passes"
    names = head.removeprefix("# passes: ").split(", ")
    program = parse_program(text)
    verify_program(program)
    result = run_passes([BY_NAME[name] for name in names], program, Context(frozenset(), verify=True))
    found = print_program(result) + "\n"
    if request.config.getoption("--update-golden"):
        path.write_text(source + AFTER + found)
    else:
        assert found == expected, f"after {', '.join(names)}; --update-golden rewrites {path.name}"


def test_there_are_golden_programs():
    assert len(list(FOLDER.glob("*.ir"))) > 10
