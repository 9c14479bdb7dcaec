"""Brings programs into a plainer form by tables of rules."""

from __future__ import annotations

from typing import ClassVar

from graphc.passes.base import Context
from graphc.passes.rewriter import index_rules, rewrite
from graphc.passes.rules import arithmetic, comparison, linear_algebra, movement, pooling, reductions, sinking
from graphc.program import Program
from graphc.records import record

RULES = (
    *arithmetic.RULES, *comparison.RULES, *movement.RULES, *pooling.RULES, *reductions.RULES, *linear_algebra.RULES,
    *sinking.RULES,
)  # fmt: skip
_INDEXED = index_rules(RULES)


@record
class Canonicalize:
    """Applies the rules of `graphc.passes.rules`.

    They keep every result of finite operands to the last bits: exactly, but where a comment at a rule says how it rounds
    differently. NaN stays NaN and infinities stay infinite.
    """

    name: ClassVar[str] = "canonicalize"

    def run(self, program: Program, context: Context) -> Program:
        return rewrite(program, _INDEXED)
