"""What a pass is, and what it is given besides the program."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from graphc.program import Program
from graphc.records import record


class Pass(Protocol):
    """A step from program to program: a frozen dataclass whose fields are its options.

    `run` returns the same object where it changes nothing, and a new program otherwise; the program that it gets is never
    changed. A program is well formed before and after.
    """

    @property
    def name(self) -> str:
        """What the pass is disabled and shown by: the name of its module."""
        ...

    def run(self, program: Program, context: Context) -> Program: ...


@record
class PassRecord:
    """What one pass did: its time in seconds, and how many operations there were."""

    name: str
    seconds: float
    changed: bool
    operations_before: int
    operations_after: int


Dump = Callable[[str, Program], None]
"""dump(stage, program) keeps a program for whoever wants to see it; stages are numbered: "03-canonicalize"."""


def _disabled_by_environment() -> frozenset[str]:
    return frozenset(filter(None, os.environ.get("GRAPHC_DISABLE", "").replace(" ", "").split(",")))


def _verify_by_environment() -> bool:
    return os.environ.get("GRAPHC_VERIFY", "") not in ("", "0")


@dataclass
class Context:
    """Options of one compilation, and what is recorded of it.

    `disabled` names passes that are left out (from GRAPHC_DISABLE=name,name unless given); `verify` checks the program after
    every pass that changed it (GRAPHC_VERIFY=1); `dump` receives the program whenever it changed; `matmul_precision` "bf16"
    rounds the operands of float32 matrix products (GRAPHC_MATMUL_PRECISION).
    """

    disabled: frozenset[str] = field(default_factory=_disabled_by_environment)
    verify: bool = field(default_factory=_verify_by_environment)
    dump: Dump | None = None
    matmul_precision: str = field(default_factory=lambda: os.environ.get("GRAPHC_MATMUL_PRECISION", ""))
    records: list[PassRecord] = field(default_factory=list)
    stage: int = 0  # of the last dump
