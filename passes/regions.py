"""Regions of a program that become one kernel each, and how they read through movements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from graphc.operation import Operation, Tensor
from graphc.scalars import issue_cost
from graphc.shapes import count_elements, is_affine_reshape

CONTRACTIONS = {
    "dot_general": "contraction", "conv2d": "convolution", "conv2d_input_gradient": "convolution",
    "conv2d_filter_gradient": "convolution", "depthwise_conv2d": "convolution",
    "depthwise_conv2d_input_gradient": "convolution", "depthwise_conv2d_filter_gradient": "convolution",
}  # fmt: skip
LONGEST_ROW = 1 << 14  # elements that may be walked several times
CHEAP = 6.0  # vector instructions; a smaller producer that costs no more is computed again for every element
SHIFTING = frozenset(("pad", "concat", "gather", "gather_nd"))  # read elements at other indices than their own
CHECKED = frozenset(("floordiv", "floormod", "truncdiv", "truncmod", "pow"))  # of integers: their operands are checked
INLINE = frozenset(("transpose", "slice", "broadcast_to", "reshape", "iota"))


@dataclass(eq=False)
class Region:
    """Operations that run as one kernel. `domain` is the shape that it walks, `axes` those that it reduces.

    An operation that is not fused is an `opaque` region of its own. `copies` are operations of other regions that this one
    carries out again for itself.
    """

    operations: list[Operation]
    domain: tuple[int, ...] = ()
    axes: tuple[int, ...] | None = None
    anchor: Operation | None = None
    opaque: bool = False
    reads: set[Region] = field(default_factory=set)
    readers: set[Region] = field(default_factory=set)
    copies: dict[Operation, None] = field(default_factory=dict)

    @property
    def kept(self) -> tuple[int, ...]:
        axes = self.axes or ()
        return tuple(s for d, s in enumerate(self.domain) if d not in axes)

    @property
    def is_row(self) -> bool:
        """Whether the innermost dimensions are reduced and few, so that a row may be walked several times in cache."""
        if self.axes is None or self.axes != tuple(range(len(self.domain) - len(self.axes), len(self.domain))):
            return False
        return count_elements([self.domain[d] for d in self.axes]) <= LONGEST_ROW


def is_inline(operation: Operation) -> bool:
    """Whether an operation is only arithmetic on indices."""
    return operation.definition.name in INLINE


def read_through(tensor: Tensor) -> tuple[Tensor, ...]:
    """What a region reads in the place of an inline tensor.

    A reshape that is not affine needs its operand in memory, where the flat offset tells the element; of such reshapes the
    first operand that is none is read.
    """
    operation = tensor.operation
    if operation.definition.name != "reshape":
        return operation.inputs
    source = operation.inputs[0]
    if is_affine_reshape(source.type.sizes, tensor.type.sizes):
        return (source,)
    while source.operation.definition.name == "reshape":
        source = source.operation.inputs[0]
    return (source,)


def needs_memory(tensor: Tensor) -> bool:
    """Whether a region that reads through an inline tensor must find its operand in memory."""
    operation = tensor.operation
    if operation.definition.name != "reshape":
        return False
    return not is_affine_reshape(operation.inputs[0].type.sizes, tensor.type.sizes)


def is_scalar_constant(tensor: Tensor) -> bool:
    return tensor.operation.definition.name == "constant" and tensor.type.elements == 1


def drop_units(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(s for s in shape if s != 1)


UNIT = -1
Dimensions = tuple[int, ...]


def dimensions_of(shape: Sequence[int], region: Region) -> Dimensions | None:
    """Which dimension of the region's domain each dimension of a tensor in it stands for; UNIT for size 1.

    None for a tensor that is neither of the domain's shape nor of that of the kept dimensions.
    """
    axes, everything = region.axes or (), range(len(region.domain))
    long = tuple(1 if d in axes else s for d, s in enumerate(region.domain))
    if tuple(shape) in (region.domain, long):
        return tuple(d if s != 1 else UNIT for d, s in zip(everything, shape))
    if tuple(shape) == region.kept:
        return tuple(d if region.domain[d] != 1 else UNIT for d in everything if d not in axes)
    return None


def follow_movements(tensor: Tensor, start: Dimensions, source: Tensor) -> Dimensions | None:
    """The dimensions by which `source` is read from an operand of a result at the dimensions `start`.

    None where the way from the operand to the source does more than add, drop or spread dimensions of size 1.
    """
    place = _spread(tensor.type.sizes, start)
    while tensor is not source:
        operation = tensor.operation
        if operation.definition.name not in ("reshape", "broadcast_to"):
            return None
        inner = operation.inputs[0]
        if operation.definition.name == "broadcast_to":
            place = _spread(inner.type.sizes, place)
        elif drop_units(inner.type.sizes) != drop_units(tensor.type.sizes):
            return None
        else:
            named = iter([d for d, s in zip(place, tensor.type.sizes) if s != 1])
            place = tuple(next(named) if s != 1 else UNIT for s in inner.type.sizes)
        tensor = inner
    return place


def _spread(shape: Sequence[int], place: Dimensions) -> Dimensions:
    """The dimensions of an operand that is broadcast to a result at `place`."""
    return tuple(d if s != 1 else UNIT for s, d in zip(shape, place[len(place) - len(shape) :]))


def start_region(operation: Operation) -> Region:
    """The region of an operation by itself."""
    definition = operation.definition
    if definition.name in CONTRACTIONS:
        return Region([operation], operation.output.type.sizes, anchor=operation)
    if definition.reduce is not None:
        source = operation.inputs[0].type.sizes
        return Region([operation], source, tuple(operation.attributes["axes"]))
    if definition.scalar is not None or definition.name in SHIFTING:
        return Region([operation], operation.output.type.sizes)
    return Region([operation], opaque=True)


def cost_of(operation: Operation) -> float:
    if operation.definition.scalar is None:
        return 1.0
    return issue_cost(operation.definition.scalar, [t.dtype for t in operation.inputs], operation.attributes)
