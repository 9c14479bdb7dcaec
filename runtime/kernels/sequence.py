"""Work that takes several kernels, one after the other, with memory of their own in between."""

from __future__ import annotations

from dataclasses import replace

from graphc.records import record
from graphc.runtime.kernel import Kernel


@record
class SequenceStep:
    """One kernel and its operands: numbers of the sequence's operands, or, from their count on, of its temporaries.

    One that `prepares` takes one operand and makes another form of it in a temporary, and nothing else, so that a program may
    keep that from run to run where the operand stays the same.
    """

    kernel: Kernel
    operands: tuple[int, ...]
    prepares: bool = False


@record
class KernelSequence:
    """Kernels to be run in order over `operand_count` operands and temporaries of the given sizes in bytes.

    Each step may be run in parallel by itself; the next one starts when all its chunks are done. Temporaries need no
    contents before and keep none after; a workspace that a kernel asks for comes in addition, as always.
    """

    operand_count: int
    steps: tuple[SequenceStep, ...]
    temporaries: tuple[int, ...] = ()

    def with_operations(self, count: int) -> KernelSequence:
        """The sequence whose last kernel, which writes the results, does so many floating-point operations more."""
        *first, last = self.steps
        kernel = replace(last.kernel, operations=last.kernel.operations + count)
        return replace(self, steps=(*first, replace(last, kernel=kernel)))


def single(kernel: Kernel, operand_count: int) -> KernelSequence:
    return KernelSequence(operand_count, (SequenceStep(kernel, tuple(range(operand_count))),))
