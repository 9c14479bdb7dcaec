"""Exceptions: TensorFlow 1's classes, and messages that show the operands with the user's lines.

    ShapeError: matmul: inner dimensions differ, 784 and 128
        images   f32[64,784]   train.py:8    images = tf.placeholder(tf.float32, [64, 784])
        w        f32[128,10]   train.py:11   w = tf.Variable(init)
    at train.py:12:  logits = tf.matmul(images, w)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .location import SourceLocation
    from .operation import Tensor


class ShapeError(ValueError):
    """Shapes that do not go together, where the user declared them."""


class DTypeError(TypeError):
    """Element types that do not go together, where the user declared them."""


class OpError(Exception):
    """What goes wrong when a graph runs. `op` is the operation at fault, `message` the text.

    Constructed as in TensorFlow, OpError(node_def, op, message), or with the message alone.
    """

    code = 2

    def __init__(self, *args: Any):
        self.node_def, self.op, self.message = args[:3] if len(args) >= 3 else (None, None, args[0] if args else "")
        super().__init__(self.message)

    @property
    def error_code(self) -> int:
        return self.code


class CancelledError(OpError):
    code = 1


class UnknownError(OpError):
    code = 2


class InvalidArgumentError(OpError):
    """A value that an operation cannot take, or a placeholder that was not fed."""

    code = 3


class DeadlineExceededError(OpError):
    code = 4


class NotFoundError(OpError):
    code = 5


class AlreadyExistsError(OpError):
    code = 6


class PermissionDeniedError(OpError):
    code = 7


class ResourceExhaustedError(OpError):
    code = 8


class FailedPreconditionError(OpError):
    """Use of a variable that was not initialised."""

    code = 9


class AbortedError(OpError):
    code = 10


class OutOfRangeError(OpError):
    code = 11


class UnimplementedError(OpError):
    code = 12


class InternalError(OpError):
    code = 13


class UnavailableError(OpError):
    code = 14


class DataLossError(OpError):
    code = 15


class UnauthenticatedError(OpError):
    code = 16


def describe_operands(tensors: Iterable[Tensor]) -> list[str]:
    """One line a tensor: its name, its type, where it was declared and that line of source; columns aligned."""
    rows = []
    for tensor in tensors:
        location = tensor.operation.location
        where, source = (str(location), location.source) if location else ("", "")
        name = tensor.operation.name if len(tensor.operation.outputs) == 1 else tensor.name
        rows.append((name, str(tensor.type), where, source))
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
    return ["    " + "   ".join([*(t.ljust(w) for t, w in zip(row, widths)), row[3]]).rstrip() for row in rows]


def format_error(problem: str, operands: Sequence[Tensor] = (), location: SourceLocation | None = None) -> str:
    """The first line says what is wrong; then the operands; last the line at fault."""
    lines = [problem, *describe_operands(operands)]
    if location is not None:
        lines.append(f"at {location}:  {location.source}".rstrip())
    return "\n".join(lines)
