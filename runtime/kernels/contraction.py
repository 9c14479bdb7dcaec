"""A contraction of two arrays as data: what is multiplied and how it lies in memory."""

from __future__ import annotations

import math
from typing import Any, Protocol

from graphc import dtypes
from graphc.dtypes import DType
from graphc.records import record
from graphc.runtime.emit.function import Function, Value
from graphc.runtime.emit.vectors import TypedValue

Strides = tuple[int, ...]


class Prologue(Protocol):
    """Turns elements of an operand as they lie in memory, of type `dtype`, into those that are multiplied.

    `emit` takes any number of lanes in the type that `dtype` computes in.
    """

    @property
    def dtype(self) -> DType: ...

    def emit(self, function: Function, value: TypedValue) -> Value: ...


@record
class Contraction:
    """C[batch..., m, n] (+)= sum over k of A[batch..., m, k] * B[batch..., k, n].

    Strides are in elements of the array that they belong to and may be anything that is not negative; a batch stride of
    0 repeats the operand. `dtype` is that of A and B and `result` that of C (the same where it is None);
    f16 and bf16 are summed in f32. `accumulate` adds to what stands in C. `precision` "bf16" rounds f32
    operands to bf16, with sums in f32. With several `terms`, A and B are as many pairs of arrays, each with its share of
    `depth`. A prologue computes the elements of A or B, then of `dtype`, from those that lie in memory.
    The C fields are used where the kernel has no epilogue of its own.
    """

    rows: int
    columns: int
    depth: int
    a_row: int
    a_column: int
    b_row: int
    b_column: int
    c_row: int
    c_column: int = 1
    batch: tuple[int, ...] = ()
    a_batch: Strides = ()
    b_batch: Strides = ()
    c_batch: Strides = ()
    dtype: DType = dtypes.float32
    result: DType | None = None
    accumulate: bool = False
    precision: str = ""
    terms: int = 1
    prologues: tuple[Prologue | None, Prologue | None] = (None, None)

    def __post_init__(self) -> None:
        for name in ("a_batch", "b_batch", "c_batch"):
            if len(getattr(self, name)) != len(self.batch):
                raise ValueError(f"{name} has {len(getattr(self, name))} strides for {len(self.batch)} batch sizes")
        if self.result_dtype.compute != self.dtype.compute:
            raise ValueError(f"sums of {self.dtype.name} cannot be stored as {self.result_dtype.name}")
        if self.depth % self.terms:
            raise ValueError(f"{self.terms} terms cannot share {self.depth} steps evenly")
        if self.precision not in ("", "bf16"):
            raise ValueError(f"precision is '' or 'bf16', not {self.precision!r}")
        if self.precision and self.dtype != dtypes.float32:
            raise ValueError("precision 'bf16' is for f32 operands; bf16 operands have it by their type")

    @property
    def batches(self) -> int:
        return math.prod(self.batch)

    @property
    def flops(self) -> int:
        return 2 * self.batches * self.rows * self.columns * self.depth

    @property
    def result_dtype(self) -> DType:
        return self.result or self.dtype


def dense_contraction(
    rows: int,
    columns: int,
    depth: int,
    transpose_a: bool = False,
    transpose_b: bool = False,
    batch: tuple[int, ...] = (),
    **fields: Any,
) -> Contraction:
    """The product of contiguous matrices, each with all batch dimensions."""

    def batch_strides(size: int) -> Strides:
        return tuple(size * math.prod(batch[i + 1 :]) for i in range(len(batch)))

    return Contraction(
        rows,
        columns,
        depth,
        a_row=1 if transpose_a else depth,
        a_column=rows if transpose_a else 1,
        b_row=1 if transpose_b else columns,
        b_column=depth if transpose_b else 1,
        c_row=columns,
        batch=batch,
        a_batch=batch_strides(rows * depth),
        b_batch=batch_strides(depth * columns),
        c_batch=batch_strides(rows * columns),
        **fields,
    )


@record
class ContractionOptions:
    """Choices that the plan makes by itself where they are None; no choice changes the bits of a result.

    tile           rows and vectors of the register tile
    swap           compute tiles of C^T and transpose them in registers
    left_packing   "direct", "rows" or "interleaved"
    right_packing  "direct", "fused" (by the first tile that reads it), "packed" (before), "prepacked" (B comes
                   packed, or A with swap)
    depth_block    steps of k between two visits of a tile
    row_block      tiles of rows that are swept over the packed panels together
    panel_block    panels of columns that are packed together
    grid           parts in which batches, rows and panels are cut
    """

    tile: tuple[int, int] | None = None
    swap: bool | None = None
    left_packing: str | None = None
    right_packing: str | None = None
    depth_block: int | None = None
    row_block: int | None = None
    panel_block: int | None = None
    grid: tuple[int, int, int] | None = None
    unroll: int = 1
    prefetch: int = 8


@record
class Side:
    """One operand of a contraction: along the result (`extent`, `stride`) and along k (`depth_stride`)."""

    extent: int
    stride: int
    depth_stride: int
    batch: Strides
    operand: int  # its place among the kernel's operands
    dtype: DType  # in memory
    prologue: Prologue | None = None

    @property
    def is_converted(self) -> bool:
        """Whether what is multiplied is something else than what lies in memory."""
        return self.prologue is not None or self.dtype.compute != self.dtype


def sides(contraction: Contraction) -> tuple[Side, Side]:
    """The operand that goes down the rows of C, and the one that goes along its columns."""
    c = contraction
    a, b = c.prologues
    return (
        Side(c.rows, c.a_row, c.a_column, c.a_batch, 0, a.dtype if a else c.dtype, a),
        Side(c.columns, c.b_column, c.b_row, c.b_batch, 1, b.dtype if b else c.dtype, b),
    )
