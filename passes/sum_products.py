"""Products that are only summed over their rows, without making them.

    P = D W^T    sum_r P[r, j]          =  sum_c W[j, c] s[c]            s = sum_r D[r, :]
                 sum_r P[r, j] X[r, j]  =  sum_c W[j, c] G[j, c]         G = X^T D

The first layer of a network often follows a normalisation, Y = X * g + h with a scale and a shift for every feature. Nobody
wants the gradient of what the network is fed, so the gradient behind the layer, P, is summed to those of g and h and not
used for anything else. G is then at hand: the gradient of the layer's weight is a product of the same shape,

    Q = Y^T D  =  g[:, None] * G + h[:, None] * s[None, :]

and one of three products of the layer is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from graphc.operation import DEFINITIONS, Operation, Tensor, apply
from graphc.ops.linear_algebra import DOT_GENERAL, dot_general
from graphc.passes.rules.building import reduce, reshape
from graphc.program import Program, replace_results
from graphc.records import record

FEWEST = 1 << 20  # multiplications of a product that is worth other operations in its place


@record
class SumProducts:
    """Replaces sums over the rows of a product by products of sums."""

    name: str = "sum_products"

    def run(self, program: Program, context: Any) -> Program:
        search = _Search(program)
        found = [rewrite for operation in program.operations if (rewrite := search.find(operation)) is not None]
        builders = [_Builder(rewrite) for rewrite in found]
        return replace_results(program, {op: partial(b.build, op) for b in builders for op in b.rewrite.replaces})


@record
class _Affine:
    """features * scale + shift, where scale and shift (one of them may be missing) have a value for every column."""

    features: Tensor
    scale: Tensor | None
    shift: Tensor | None


@record
class _Rewrite:
    """A product of `rows` and a matrix; `sums` and `weighted` are what is made of it, over its rows.

    `weight_gradient` is the product of the same rows with `affine`, whose features are what the sums are weighted by; None
    where no sum is. `column` is the axis of the matrix that becomes the columns of the product.
    """

    rows: Tensor
    matrix: Tensor
    column: int
    sums: tuple[Operation, ...]
    weighted: tuple[Operation, ...]
    weight_gradient: Operation | None
    affine: _Affine | None

    @property
    def replaces(self) -> tuple[Operation, ...]:
        return (*self.sums, *self.weighted, *([self.weight_gradient] if self.weight_gradient else []))


class _Search:
    """Looks for such products in one program."""

    def __init__(self, program: Program):
        self.consumers, self.results = program.consumers(), set(program.results)

    def find(self, product: Operation) -> _Rewrite | None:
        """What can be made in place of a product, where its rows are summed and nothing else."""
        if product.definition is not DOT_GENERAL or len(product.inputs) != 2 or not product.output.dtype.is_floating:
            return None
        rows, matrix = product.inputs
        (rows_axes, matrix_axes), last = product.attributes["contract"], len(rows.type.sizes) - 1
        if any(product.attributes["batch"]) or rows_axes != (last,) or last == 0 or len(matrix.type.sizes) != 2:
            return None
        if product.attributes["precision"] or rows.type.elements * product.output.type.sizes[-1] < FEWEST:
            return None
        users = self._sort_users(product.output)
        if users is None:
            return None
        sums, weighted = users
        column = 1 - matrix_axes[0]
        if not weighted:
            return _Rewrite(rows, matrix, column, tuple(sums), (), None, None) if sums else None
        features = {_base(weights) for weights in weighted.values()}
        for gradient in self.consumers[rows]:
            affine = self._match_gradient(gradient, rows, column, features)
            if affine is not None:
                return _Rewrite(rows, matrix, column, tuple(sums), tuple(weighted), gradient, affine)
        return None

    def _sort_users(self, product: Tensor) -> tuple[list[Operation], dict[Operation, Tensor]] | None:
        """The sums over all rows, and the weighted ones with their weights; None where there are other users."""
        sums: list[Operation] = []
        weighted: dict[Operation, Tensor] = {}
        views = [product]
        while views:
            view = views.pop()
            if view in self.results:
                return None
            for user in self.consumers[view]:
                if _keeps_columns(user):
                    views.append(user.output)
                elif _sums_rows(user):
                    sums.append(user)
                elif (total := self._weighted_sum(user, view)) is not None:
                    weighted[total] = next(t for t in user.inputs if t is not view)
                else:
                    return None
        return sums, weighted

    def _weighted_sum(self, user: Operation, view: Tensor) -> Operation | None:
        """The sum over the rows of a view times a tensor of the same type."""
        if user.definition.name != "mul" or user.inputs.count(view) != 1 or user.output in self.results:
            return None
        if any(t.type != view.type for t in user.inputs):
            return None
        users = self.consumers[user.output]
        return users[0] if len(users) == 1 and _sums_rows(users[0]) else None

    def _match_gradient(self, gradient: Operation, rows: Tensor, column: int, features: set[Tensor]) -> _Affine | None:
        """What is multiplied with the rows, where the result has the axes of the matrix and the features are the ones."""
        if gradient.definition is not DOT_GENERAL or len(gradient.inputs) != 2 or gradient.attributes["precision"]:
            return None
        other = gradient.inputs[column]
        if gradient.inputs[1 - column] is not rows or other is rows or any(gradient.attributes["batch"]):
            return None
        leading = tuple(range(len(rows.type.sizes) - 1))
        if gradient.attributes["contract"] != (leading, leading) or len(other.type.sizes) != len(rows.type.sizes):
            return None
        affine = _match_affine(_base(other))
        return affine if features == {_base(affine.features)} else None


def _match_affine(tensor: Tensor) -> _Affine:
    added = _split(tensor, "add")
    scaled = _split(added[0], "mul")
    return _Affine(scaled[0], scaled[1], added[1])


def _split(tensor: Tensor, name: str) -> tuple[Tensor, Tensor | None]:
    """The operand as large as the result, and the one with a value for every column."""
    operation = tensor.operation
    if operation.definition.name != name:
        return tensor, None
    columns = tensor.type.sizes[-1]
    for large, small in (operation.inputs, operation.inputs[::-1]):
        if large.type == tensor.type and small.type.elements == columns and small.type.sizes[-1:] == (columns,):
            return large, small
    return tensor, None


def _keeps_columns(operation: Operation) -> bool:
    if operation.definition.name != "reshape" or not operation.output.type.sizes or not operation.inputs[0].type.sizes:
        return False
    return operation.output.type.sizes[-1] == operation.inputs[0].type.sizes[-1]


def _sums_rows(operation: Operation) -> bool:
    if operation.definition.name != "reduce_sum":
        return False
    return operation.attributes["axes"] == tuple(range(len(operation.inputs[0].type.sizes) - 1))


def _base(tensor: Tensor) -> Tensor:
    """What a tensor is a view of with the same columns."""
    while _keeps_columns(tensor.operation):
        tensor = tensor.operation.inputs[0]
    return tensor


class _Builder:
    """Builds what takes the place of the operations of one rewrite; what they share is built for the first of them."""

    def __init__(self, rewrite: _Rewrite):
        self.rewrite = rewrite
        self._row_sums: Tensor | None = None
        self._feature_products: Tensor | None = None

    def build(self, operation: Operation, replaced: Mapping[Tensor, Tensor]) -> Tensor:
        """The result of an operation; `replaced` has the tensors of the program that were seen so far."""
        rewrite = self.rewrite
        if operation is rewrite.weight_gradient:
            return self._build_gradient(replaced)
        matrix = replaced[rewrite.matrix]
        if operation in rewrite.sums:
            contract = ((1 - rewrite.column,), (0,))
            total = dot_general(matrix, self._sum_rows(replaced), contract=contract)
        else:
            products = apply(DEFINITIONS["mul"], [matrix, self._multiply_features(replaced)])
            total = reduce("reduce_sum", products, [1 - rewrite.column])
        return reshape(total, operation.output.type.sizes)

    def _build_gradient(self, replaced: Mapping[Tensor, Tensor]) -> Tensor:
        affine, result = self.rewrite.affine, self._multiply_features(replaced)
        assert affine is not None
        if affine.scale is not None:
            result = apply(DEFINITIONS["mul"], [result, self._along_columns(replaced[affine.scale])])
        if affine.shift is None:
            return result
        sums = self._sum_rows(replaced)
        across = reshape(sums, (1, sums.type.sizes[0]) if self.rewrite.column == 0 else (sums.type.sizes[0], 1))
        shifted = apply(DEFINITIONS["mul"], [self._along_columns(replaced[affine.shift]), across])
        return apply(DEFINITIONS["add"], [result, shifted])

    def _along_columns(self, vector: Tensor) -> Tensor:
        """A value for every column of the product, along the matrix' axis of those."""
        count = vector.type.elements
        return reshape(vector, (count, 1) if self.rewrite.column == 0 else (1, count))

    def _sum_rows(self, replaced: Mapping[Tensor, Tensor]) -> Tensor:
        if self._row_sums is None:
            rows = _base(replaced[self.rewrite.rows])
            self._row_sums = reduce("reduce_sum", rows, range(len(rows.type.sizes) - 1))
        return self._row_sums

    def _multiply_features(self, replaced: Mapping[Tensor, Tensor]) -> Tensor:
        if self._feature_products is None:
            assert self.rewrite.affine is not None
            rows, features = replaced[self.rewrite.rows], replaced[self.rewrite.affine.features]
            leading = rows.type.sizes[:-1]
            features = reshape(features, (*leading, features.type.sizes[-1]))
            first, second = (features, rows) if self.rewrite.column == 0 else (rows, features)
            axes = tuple(range(len(leading)))
            self._feature_products = dot_general(first, second, contract=(axes, axes))
        return self._feature_products
