"""What lowering makes of one operation: kernels with the tensors that are their operands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.operation import Tensor
from graphc.runtime.kernel import Kernel


@dataclass(frozen=True, eq=False)
class Temporary:
    """Memory that only the steps of one operation share."""

    nbytes: int


@dataclass(frozen=True)
class Immediate:
    """Bytes that are known when the program is compiled, but no part of the kernel, so that others may share it."""

    data: bytes


@dataclass(frozen=True)
class Argument:
    """An operand of a kernel: a tensor, a temporary or bytes that are known, from `offset` bytes on."""

    source: Tensor | Temporary | Immediate
    offset: int = 0


@dataclass(frozen=True)
class LoweredStep:
    """One kernel on its operands, without workspace and status, which the executable adds."""

    kernel: Kernel
    arguments: tuple[Argument, ...]
    label: str = ""


def arguments_of(tensors: Sequence[Tensor]) -> tuple[Argument, ...]:
    return tuple(Argument(t) for t in tensors)
