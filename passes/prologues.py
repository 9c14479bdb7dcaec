"""Operands of matrix products computed where they are read, instead of written to memory by a kernel of their own.

A product brings the operand whose elements lie along its vectors, or that it packs, into registers a vector at a time; what
makes it from one array (a conversion, a scale, an activation) can be done on the way. A product with many columns is not
bound by memory, and packs for that what it would read where it lies, so nothing is gained. One with few columns does little
more than read its operand, and so gains about all that the other kernel costs.
"""

from __future__ import annotations

from graphc.dtypes import float32, float64
from graphc.operation import Operation, Tensor
from graphc.passes.regions import CHEAP, CHECKED, Region, cost_of, is_inline, is_scalar_constant
from graphc.program import Program
from graphc.shapes import count_elements

LEAST_BYTES = 64 << 10  # of an operand; smaller ones stay in the first caches
LEAST_ROWS = 16
FEW_COLUMNS = 12  # that one register tile holds; a single one is a sum of its own kind
MOST_READERS = 2  # products that each compute the operand, such as a layer and the gradient of its weights
LARGE_BYTES = 16 << 20  # that come from memory whoever reads them
LARGE_BUDGET = 12.0  # instructions for a vector of such an operand, in all products that compute it; CHEAP for others
LARGE_COLUMNS = 64  # for which waiting for such an operand costs more than packing it, if little is read to compute it


def share_prologues(program: Program, region_of: dict[Operation, Region]) -> None:
    """Gives regions of products copies of the operations that make an operand, where no region then needs it in memory."""
    consumers, results = program.consumers(), set(program.results)
    copied = {t for region in set(region_of.values()) for op in region.copies for t in (*op.inputs, *op.outputs)}
    for operation in program.operations:
        region = region_of.get(operation)
        if region is None or region.opaque or operation.definition.scalar is None:
            continue
        if region.anchor is not None or region.axes is not None or {operation.output} & (results | copied):
            continue
        readers = consumers[operation.output]
        if not 1 <= len(readers) <= MOST_READERS or not all(_may_compute(r, operation.output, region_of) for r in readers):
            continue
        cone = _find_cone(operation, region, region_of)
        if cone is None or not _is_worthwhile(operation.output, *cone, readers):
            continue
        for reader in readers:
            region_of[reader].copies.update(dict.fromkeys(cone[0]))


def _may_compute(reader: Operation, tensor: Tensor, region_of: dict[Operation, Region]) -> bool:
    """Whether an operation is a plain product of matrices that takes a tensor once."""
    if reader.definition.name != "dot_general" or reader.attributes.get("precision") or reader.attributes["batch"][0]:
        return False
    if len(reader.inputs) != 2 or reader.inputs.count(tensor) != 1 or region_of[reader].opaque:
        return False
    if tensor.dtype not in (float32, float64):
        return False
    return _count_free(reader, tensor) >= LEAST_ROWS and _count_columns(reader, tensor) > 1


def _count_columns(product: Operation, tensor: Tensor) -> int:
    """How many results of a product read one element of an operand."""
    other = product.inputs[1 - product.inputs.index(tensor)]
    return _count_free(product, other)


def _count_free(product: Operation, tensor: Tensor) -> int:
    """The extent of an operand's dimensions that are not summed."""
    side = product.inputs.index(tensor)
    contracted = product.attributes["contract"][side]
    return count_elements([s for axis, s in enumerate(product.inputs[side].type.sizes) if axis not in contracted])


def _find_cone(
    root: Operation, region: Region, region_of: dict[Operation, Region]
) -> tuple[list[Operation], Tensor] | None:
    """The elementwise operations of a region that compute a result, and the one array that lies in memory for them."""
    operations: dict[Operation, None] = {}
    leaves: dict[Tensor, None] = {}
    pending = [root.output]
    while pending:
        tensor = pending.pop()
        operation = tensor.operation
        if operation in operations or is_scalar_constant(tensor):
            continue
        if operation in region.copies:
            return None
        if tensor.type.sizes != root.output.type.sizes or is_inline(operation):
            return None
        if region_of.get(operation) is not region:
            leaves[tensor] = None
            continue
        if operation.definition.scalar is None or operation.definition.name in CHECKED and tensor.dtype.is_integer:
            return None
        operations[operation] = None
        pending += operation.inputs
    return (list(operations), next(iter(leaves))) if len(leaves) == 1 else None


def _is_worthwhile(tensor: Tensor, operations: list[Operation], leaf: Tensor, readers: list[Operation]) -> bool:
    """Whether the readers wait for the tensor longer than they would for computing it."""
    nbytes, read = tensor.type.nbytes, leaf.type.nbytes
    large = nbytes >= LARGE_BYTES
    if nbytes < LEAST_BYTES or read * (len(readers) if large else 1) > nbytes:
        return False
    most = LARGE_COLUMNS if large and read * 2 <= nbytes else FEW_COLUMNS
    if any(_count_columns(reader, tensor) > most for reader in readers):
        return False
    return len(readers) * sum(map(cost_of, operations)) <= (LARGE_BUDGET if large else CHEAP)
