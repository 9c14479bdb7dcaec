"""What lowering makes of one operation: kernels with the tensors that are their operands."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.operation import Tensor
from graphc.runtime.kernel import Kernel


@dataclass(frozen=True, eq=False)
class Temporary:
    """Memory that only the steps of one operation share."""

    nbytes: int


@dataclass(frozen=True)
class Argument:
    """An operand of a kernel: a tensor or a temporary, from `offset` bytes on."""

    source: Tensor | Temporary
    offset: int = 0


@dataclass(frozen=True)
class LoweredStep:
    """One kernel on its operands, without workspace and status, which the executable adds."""

    kernel: Kernel
    arguments: tuple[Argument, ...]
    label: str = ""


def arguments_of(tensors: tuple[Tensor, ...]) -> tuple[Argument, ...]:
    return tuple(Argument(t) for t in tensors)
