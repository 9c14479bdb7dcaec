"""IndexedSlices: some rows of a larger tensor."""

from __future__ import annotations

from typing import Any

from .dtypes import DType
from .graph import Graph
from .operation import Operation, Tensor
from .shapes import TensorShape


class IndexedSlices:
    """`values[i]` stands for row `indices[i]` of a tensor of `dense_shape`; equal indices add up, other rows are zeros.

    Stands for the whole tensor wherever a tensor is wanted, if `dense_shape` is given.
    """

    def __init__(self, values: Any, indices: Any, dense_shape: Any = None):
        self.values, self.indices, self.dense_shape = values, indices, dense_shape

    def __repr__(self) -> str:
        return f"IndexedSlices(indices={self.indices!r}, values={self.values!r}, dense_shape={self.dense_shape!r})"

    def _as_tensor(self) -> Tensor:
        from .ops.indexing import scatter_nd
        from .ops.movement import expand_dims

        if self.dense_shape is None:
            raise ValueError(
                "Tensor conversion requested for IndexedSlices without dense_shape: "
                f"IndexedSlices(indices={self.indices!r}, values={self.values!r})"
            )
        return scatter_nd(expand_dims(self.indices, -1), self.values, self.dense_shape)

    @property
    def dtype(self) -> DType:
        return self.values.dtype

    @property
    def shape(self) -> TensorShape:
        """The shape of the whole tensor, as far as it is known."""
        from .static_values import partial_value

        sizes = None if self.dense_shape is None else partial_value(self.dense_shape)
        return TensorShape(sizes)

    @property
    def name(self) -> str:
        return self.values.name

    @property
    def op(self) -> Operation:
        return self.values.op

    @property
    def graph(self) -> Graph:
        return self.values.graph


__all__ = ["IndexedSlices"]
