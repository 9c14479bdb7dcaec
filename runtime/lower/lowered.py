"""What lowering makes of one operation: kernels with the tensors that are their operands."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.operation import Tensor
from graphc.records import identity_record, record
from graphc.runtime.kernel import Kernel
from graphc.runtime.preparation import Offer


@identity_record
class Temporary:
    """Memory that only the steps of one operation share."""

    nbytes: int


@identity_record
class Prepared:
    """Memory for another form of a tensor, which steps of several operations read.

    With `origin`, a constant or a variable that the program does not write, it stays from run to run, and is made again only
    when that has been written; without, it is made in every run.
    """

    nbytes: int
    origin: Tensor | None = None


@record
class Immediate:
    """Bytes that are known when the program is compiled, but no part of the kernel, so that others may share it."""

    data: bytes


@record
class Argument:
    """An operand of a kernel: a tensor, memory between steps or bytes that are known, from `offset` bytes on."""

    source: Tensor | Temporary | Prepared | Immediate
    offset: int = 0


@record
class LoweredStep:
    """One kernel on its operands, without workspace and status, which the executable adds.

    `offers` are what it could read prepared. A step that `prepares` takes one tensor and makes another form of it, in its
    second argument, and nothing else: where it can be, that is shared and kept.
    """

    kernel: Kernel
    arguments: tuple[Argument, ...]
    label: str = ""
    offers: tuple[Offer, ...] = ()
    prepares: bool = False


def arguments_of(tensors: Sequence[Tensor]) -> tuple[Argument, ...]:
    return tuple(Argument(t) for t in tensors)
