"""Where the elements of a tensor lie, as an affine function of the dimensions that a kernel walks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphc.operation import Tensor
from graphc.records import record
from graphc.runtime.loops.nodes import Index
from graphc.runtime.lower.values import flatten_index, split_index


@record
class Access:
    """The element of `source` at `index`, an offset in elements."""

    source: Tensor
    index: Index


def find_access(tensor: Tensor, index: Sequence[Index], sources: Mapping[Tensor, object]) -> Access:
    """The place in memory of an element seen through movements. `sources` are the tensors that lie in memory.

    Raises ValueError where a movement is not affine.
    """
    position = tuple(index)
    while tensor not in sources:
        operation = tensor.operation
        definition, source = operation.definition, operation.inputs[0]
        if definition.name == "reshape":
            moved = split_index(source.type.sizes, list(zip(position, tensor.type.sizes)))
            if moved is None:
                return _find_flat(tensor, position, sources)
            position = moved
        elif callable(definition.movement):
            position = tuple(definition.movement(operation.attributes, source.type.sizes, tensor.type.sizes, position))
        else:
            raise ValueError(f"{operation.name} is no movement")
        tensor = source
    return Access(tensor, flatten_index(tensor.type.sizes, position))


def _find_flat(tensor: Tensor, position: Sequence[Index], sources: Mapping[Tensor, object]) -> Access:
    offset = flatten_index(tensor.type.sizes, position)
    while tensor not in sources and tensor.operation.definition.name == "reshape":
        tensor = tensor.operation.inputs[0]
    if tensor not in sources:
        raise ValueError(f"{tensor.operation.name}: a reshape of a moved value is not affine")
    return Access(tensor, offset)


def broadcast_index(tensor: Tensor, index: Sequence[Index]) -> tuple[Index, ...]:
    """The index of an elementwise operand for an index of the result."""
    sizes = tensor.type.sizes
    aligned = index[len(index) - len(sizes) :]
    return tuple(Index() if size == 1 else i for size, i in zip(sizes, aligned))


def can_merge(outer: str, inner: str, extent: int, indices: Sequence[Index]) -> bool:
    """Whether two dimensions may be walked as one: all indices move `extent` inner steps for an outer one."""
    return all(i.coefficient(outer) == i.coefficient(inner) * extent for i in indices)
