"""Matrix products with what follows them: `dot_general` regions as contraction kernels.

The dimensions of the product are grouped: those of A alone are rows, those of B alone are columns, contracted ones are the
depth. Neighbours in a group that every array walks evenly become one; what is left over besides the innermost becomes a batch
dimension, along which an array that does not have it stands still.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graphc.operation import Operation, Tensor
from graphc.program import Program
from graphc.records import record
from graphc.runtime.kernels.contraction import Contraction
from graphc.runtime.kernels.gemm import build_contraction, lanes_along_rows
from graphc.runtime.kernels.gemm_prepacking import offer_preparations, read_prepared
from graphc.runtime.loops.nodes import Index, variable
from graphc.runtime.lower.access import Access, broadcast_index, can_merge, find_access
from graphc.runtime.lower.epilogue import RegionEpilogue, TileAccess, count_elementwise
from graphc.runtime.lower.given import find_given, given_arguments
from graphc.runtime.lower.lowered import Argument, LoweredStep, arguments_of
from graphc.runtime.lower.prologue import find_prologue
from graphc.runtime.lower.values import flatten_index
from graphc.runtime.schedule.machine import Machine


@record
class Dimension:
    name: str
    extent: int


def lower_contraction(body: Program, inputs: Sequence[Tensor], outputs: Sequence[Tensor], machine: Machine, threads: int,
                      label: str, prepared: int | None = None) -> list[LoweredStep]:  # fmt: skip
    """The step of a region around one `dot_general`; `inputs` and `outputs` stand for its parameters and fetches.

    `prepared` is the operand (0 or 1) that it reads prepared; without, it offers that.
    """
    return _ContractionLowering(body, machine, threads, label).lower(inputs, outputs, prepared)


class _ContractionLowering:
    def __init__(self, body: Program, machine: Machine, threads: int, label: str):
        self.body, self.machine, self.threads, self.label = body, machine, threads, label
        self.anchor = next(op for op in body.operations if op.definition.name == "dot_general")
        self.sources = {p.tensor: i for i, p in enumerate(body.parameters)}
        self.batch, self.rows, self.columns, self.depth = _name_dimensions(self.anchor)
        left, right = (find_prologue(body, t, self.sources, machine) for t in self.anchor.inputs[:2])
        self.prologues = (left, right)  # of a single pair of operands

    def lower(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], prepared: int | None) -> list[LoweredStep]:
        pairs = self._operand_accesses()
        a, b = pairs[0]
        index = [variable(d.name) for d in (*self.batch, *self.rows, *self.columns)]
        given = find_given(self.body, "contraction")
        read = self._extra_accesses(index)
        extras = {t: access.index for t, access in read.items()} | {op.output: Index() for op in given}
        results = {t: flatten_index(t.type.sizes, _transpose_index(t, index)) for t in self.body.fetches}
        walked = [a.index, b.index, *extras.values(), *results.values()]
        rows, outer_rows = self._merge(self.rows, walked)
        columns, outer_columns = self._merge(self.columns, walked)
        depth, outer_depth = self._merge(self.depth, [a.index, b.index])
        if outer_depth:
            raise ValueError(f"{self.anchor.name}: the contracted dimensions cannot be walked as one")
        batch = [*self._merge_all(self.batch, walked), *outer_rows, *outer_columns]

        def strides(i: Index) -> tuple[int, ...]:
            return tuple(i.coefficient(d.name) for d in batch)

        def tile_access(i: Index) -> TileAccess:
            return TileAccess(i.coefficient(rows.name), i.coefficient(columns.name), strides(i))

        (result, *_) = (tile_access(i) for i in results.values())
        contraction = Contraction(
            rows.extent, columns.extent, depth.extent * len(pairs),
            a_row=a.index.coefficient(rows.name), a_column=a.index.coefficient(depth.name),
            b_row=b.index.coefficient(depth.name), b_column=b.index.coefficient(columns.name),
            c_row=result.row, c_column=result.column,
            batch=tuple(d.extent for d in batch), a_batch=strides(a.index), b_batch=strides(b.index), c_batch=result.batch,
            dtype=self.anchor.inputs[0].dtype, result=self.anchor.output.dtype,
            precision=self.anchor.attributes.get("precision", ""), terms=len(pairs), prologues=self.prologues,
        )  # fmt: skip
        epilogue = None
        if tuple(_before_transpose(t) for t in self.body.fetches) != (self.anchor.output,):
            accesses = {t: tile_access(i) for t, i in extras.items()}
            targets = [(_before_transpose(t), tile_access(i)) for t, i in results.items()]
            epilogue = RegionEpilogue(self.body, self.anchor, accesses, targets, self.machine)
        options = None if prepared is None else read_prepared(prepared)
        kernel = build_contraction(contraction, self.machine, self.threads, epilogue, options)
        kernel = replace(kernel, operations=count_elementwise(self.body))
        along_rows = lanes_along_rows(contraction, epilogue)
        arrays = epilogue.operand_count if epilogue else 1
        offers = () if prepared is not None else offer_preparations(contraction, self.machine, self.threads, along_rows, arrays)
        actual = dict(zip(self.sources, inputs))
        arguments = [Argument(actual[x.source], x.index.constant * x.source.dtype.size) for x in (a, b, *read.values())]
        arguments += [*given_arguments(given), *arguments_of(outputs)]
        for pair in pairs[1:]:
            arguments += [Argument(actual[x.source], x.index.constant * x.source.dtype.size) for x in pair]
        return [LoweredStep(kernel, tuple(arguments), self.label, offers)]

    def _operand_accesses(self) -> list[tuple[Access, Access]]:
        """Where the elements of every A and B lie, in terms of the named dimensions. All pairs lie alike."""
        inputs = self.anchor.inputs
        pairs = [self._pair_access(a, b) for a, b in zip(inputs[::2], inputs[1::2])]
        for pair in pairs[1:]:
            if any(set(access.index.terms) != set(first.index.terms) for access, first in zip(pair, pairs[0])):
                raise ValueError(f"{self.anchor.name}: the terms of a sum of products lie in different ways")
        return pairs

    def _pair_access(self, a: Tensor, b: Tensor) -> tuple[Access, Access]:
        (a_batch, b_batch), (a_depth, b_depth) = self.anchor.attributes["batch"], self.anchor.attributes["contract"]
        found = []
        a, b = (prologue.source if prologue else t for prologue, t in zip(self.prologues, (a, b)))
        for tensor, batch_axes, depth_axes, free in ((a, a_batch, a_depth, self.rows), (b, b_batch, b_depth, self.columns)):
            names: dict[int, Dimension] = dict(zip(batch_axes, self.batch)) | dict(zip(depth_axes, self.depth))
            rest = [axis for axis in range(len(tensor.type.sizes)) if axis not in names]
            names |= dict(zip(rest, free))
            index = [variable(names[axis].name) for axis in range(len(names))]
            found.append(find_access(tensor, index, self.sources))
        return found[0], found[1]

    def _extra_accesses(self, index: Sequence[Index]) -> dict[Tensor, Access]:
        """What the epilogue reads besides the product, some of it through movements."""
        extras: dict[Tensor, Access] = {}
        needed = set(self.body.fetches)
        for operation in reversed(self.body.operations):
            if operation is not self.anchor and operation.output in needed:
                needed.update(operation.inputs)
        for operation in self.body.operations:
            if operation.definition.scalar is None or operation.output not in needed:
                continue
            for tensor in operation.inputs:
                if tensor in self.sources or tensor.operation.definition.movement:
                    extras[tensor] = find_access(tensor, broadcast_index(tensor, index), self.sources)
        return extras

    def _merge_all(self, dimensions: Sequence[Dimension], walked: Sequence[Index]) -> list[Dimension]:
        merged: list[Dimension] = []
        for dimension in dimensions:
            if dimension.extent == 1:
                continue
            if merged and can_merge(merged[-1].name, dimension.name, dimension.extent, walked):
                dimension = Dimension(dimension.name, merged.pop().extent * dimension.extent)
            merged.append(dimension)
        return merged

    def _merge(self, dimensions: Sequence[Dimension], walked: Sequence[Index]) -> tuple[Dimension, list[Dimension]]:
        """The innermost dimension of a group after merging, and those outside it."""
        merged = self._merge_all(dimensions, walked)
        if not merged:
            return Dimension(dimensions[0].name if dimensions else "none", 1), []
        return merged[-1], merged[:-1]


def _before_transpose(tensor: Tensor) -> Tensor:
    """What a result of the region is in the order of the product's dimensions: it may be stored transposed."""
    return tensor.operation.inputs[0] if tensor.operation.definition.name == "transpose" else tensor


def _transpose_index(tensor: Tensor, index: Sequence[Index]) -> list[Index]:
    """Where a result of the region has the element of the product at `index`."""
    if tensor.operation.definition.name != "transpose":
        return list(index)
    return [index[axis] for axis in tensor.operation.attributes["perm"]]


def _name_dimensions(anchor: Operation) -> tuple[list[Dimension], list[Dimension], list[Dimension], list[Dimension]]:
    a, b = (t.type.sizes for t in anchor.inputs[:2])
    (a_batch, b_batch), (a_depth, b_depth) = anchor.attributes["batch"], anchor.attributes["contract"]
    batch = [Dimension(f"b{i}", a[axis]) for i, axis in enumerate(a_batch)]
    depth = [Dimension(f"k{i}", a[axis]) for i, axis in enumerate(a_depth)]
    rows = [Dimension(f"m{i}", s) for i, s in enumerate(a) if i not in a_batch and i not in a_depth]
    columns = [Dimension(f"n{i}", s) for i, s in enumerate(b) if i not in b_batch and i not in b_depth]
    return batch, rows, columns, depth
