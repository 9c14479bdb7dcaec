"""Operands in another form: bytes that a kernel makes of one tensor, so that other kernels find them in the order they read.

A kernel that would bring an operand into that order itself, in every run and for every use, may offer to read it prepared.
Whether that pays depends on the program: the bytes of an operand that stays the same are made once over many runs, those of
one with several uses once in a run. `lower/preparing.py` decides.
"""

from __future__ import annotations

from typing import Protocol

from graphc.records import record
from graphc.runtime.kernel import Kernel
from graphc.runtime.schedule.machine import Machine


class Preparation(Protocol):
    """What is made of a tensor. Equal preparations of the same tensor make the same bytes, so they are hashable data."""

    @property
    def nbytes(self) -> int: ...

    @property
    def cycles(self) -> float:
        """What making the bytes costs."""

    def build(self, machine: Machine, threads: int) -> Kernel:
        """The kernel [tensor, bytes]. The bytes begin on a cache line."""

    def __hash__(self) -> int: ...


@record
class Offer:
    """A step could read its argument `operand` prepared, and would take so many cycles less then."""

    operand: int
    preparation: Preparation
    saves: float
