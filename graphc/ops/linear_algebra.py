"""Contractions: the primitive `dot_general`, and the products that are built from it.

`dot_general(a, b)` sums products over the contracted axes, for each index of the batch axes. Its result has the batch
dimensions, then the other dimensions of a, then those of b, each in the order in which the operand has them. Passes give it
further pairs of operands of the same shapes, whose products it adds.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import as_dtype
from ..errors import ShapeError
from ..operation import OPERATORS, OpDef, Operation, Tensor, TensorType, apply, define
from ..shapes import Shape, broadcast_shapes, format_shape, normalize_axis
from .constants import convert_operands, convert_to_tensor
from .elementwise import maximum, multiply, rsqrt, square
from .movement import broadcast_to, expand_dims, squeeze, sum_to_shape, transpose
from .reduce import reduce_sum
from .rules import FLOATS, NUMBERS, check_kind, check_same_dtype

AxisPair = tuple[tuple[int, ...], tuple[int, ...]]


# -- dot_general


def _free_axes(rank: int, *taken: Sequence[int]) -> list[int]:
    used = {axis for axes in taken for axis in axes}
    return [axis for axis in range(rank) if axis not in used]


def _dot_type(types: Sequence[TensorType], batch: AxisPair, contract: AxisPair, precision: str) -> TensorType:
    check_kind(check_same_dtype(types), NUMBERS)
    if len(types) % 2 or any(t.shape != types[i % 2].shape for i, t in enumerate(types)):
        raise ShapeError("operands come in pairs of the same shapes")
    a, b = types[0].shape, types[1].shape
    if a is None or b is None:
        return TensorType(types[0].dtype, None)
    for what, pair in (("batch", batch), ("contracted", contract)):
        for i, j in zip(*pair):
            if a[i] is not None and b[j] is not None and a[i] != b[j]:
                raise ShapeError(f"{what} dimensions differ, {a[i]} and {b[j]}")
    sizes = [a[i] if a[i] is not None else b[j] for i, j in zip(*batch)]
    sizes += [a[i] for i in _free_axes(len(a), batch[0], contract[0])]
    sizes += [b[j] for j in _free_axes(len(b), batch[1], contract[1])]
    return TensorType(types[0].dtype, tuple(sizes))


def _evaluate_dot(attributes: dict[str, Any], *operands: np.ndarray) -> np.ndarray:
    """The sum over the products of all pairs."""
    products = [_multiply_pair(attributes, a, b) for a, b in zip(operands[::2], operands[1::2])]
    return functools.reduce(np.add, products).astype(operands[0].dtype)


def _multiply_pair(attributes: dict[str, Any], a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Transposes both operands to (batch, free, contracted) and multiplies matrices, f16 and bf16 in f32."""
    batch, contract = attributes["batch"], attributes["contract"]
    compute = as_dtype(a.dtype).compute.numpy
    free_a = _free_axes(a.ndim, batch[0], contract[0])
    free_b = _free_axes(b.ndim, batch[1], contract[1])
    left = a.transpose([*batch[0], *free_a, *contract[0]]).astype(compute)
    right = b.transpose([*batch[1], *contract[1], *free_b]).astype(compute)
    batch_sizes = left.shape[: len(batch[0])]
    sizes_a = left.shape[len(batch[0]) : len(batch[0]) + len(free_a)]
    sizes_b = right.shape[right.ndim - len(free_b) :]
    depth = math.prod(left.shape[left.ndim - len(contract[0]) :])
    rows, columns, count = math.prod(sizes_a), math.prod(sizes_b), math.prod(batch_sizes)
    product = np.matmul(left.reshape(count, rows, depth), right.reshape(count, depth, columns))
    return product.reshape(batch_sizes + sizes_a + sizes_b)


def _dot_gradient(operation: Operation, gradient: Tensor) -> list[Tensor]:
    axes = operation.attributes["batch"], operation.attributes["contract"]
    pairs = zip(operation.inputs[::2], operation.inputs[1::2])
    return [found for a, b in pairs for found in dot_general_gradients(a, b, gradient, *axes)]


DOT_GENERAL = define(
    OpDef(
        "dot_general",
        infer=_dot_type,
        gradient=_dot_gradient,
        attributes={"batch": tuple, "contract": tuple, "precision": str},
        kernel="dot_general",
        evaluate=_evaluate_dot,
    )
)


def dot_general(a: Tensor, b: Tensor, batch: AxisPair = ((), ()), contract: AxisPair = ((), ()),
                name: str | None = None, precision: str = "") -> Tensor:  # fmt: skip
    """Sums products over pairs of axes.

    `batch` and `contract` are pairs of axes of a and of b, all non-negative. f16 and bf16 accumulate in f32, integers wrap.
    Raises ShapeError where sizes of paired axes differ, DTypeError where the types differ.
    """
    return apply(DOT_GENERAL, [a, b], name, batch=batch, contract=contract, precision=precision)


class _Axes(NamedTuple):
    """The axes of one operand of dot_general by their part in it; `result` says where the free ones stand in the result."""

    batch: tuple[int, ...]
    free: tuple[int, ...]
    contract: tuple[int, ...]
    result: tuple[int, ...]


def dot_general_gradients(a: Tensor, b: Tensor, gradient: Tensor, batch: AxisPair, contract: AxisPair) -> list[Tensor]:
    """Gradients of dot_general with respect to a and b, both of which have known ranks."""
    free_a = tuple(_free_axes(len(a.type.sizes), batch[0], contract[0]))
    free_b = tuple(_free_axes(len(b.type.sizes), batch[1], contract[1]))
    middle = len(batch[0]) + len(free_a)
    axes_a = _Axes(batch[0], free_a, contract[0], tuple(range(len(batch[0]), middle)))
    axes_b = _Axes(batch[1], free_b, contract[1], tuple(range(middle, middle + len(free_b))))
    return [_operand_gradient(gradient, axes_a, b, axes_b), _operand_gradient(gradient, axes_b, a, axes_a)]


def _operand_gradient(gradient: Tensor, own: _Axes, other: Tensor, others: _Axes) -> Tensor:
    """The gradient of the operand with the axes `own`.

    The product is taken in the order of operands that needs no transpose afterwards, where there is one.
    """
    batch = tuple(range(len(own.batch)))
    pairs = sorted(zip(others.contract, own.contract))  # the other's contracted axes come out in its own order
    contracted = [axis for _, axis in pairs]
    gradient_first = [*own.batch, *own.free, *contracted]
    other_first = [*own.batch, *contracted, *own.free]
    wanted = list(range(len(gradient_first)))
    if other_first == wanted and gradient_first != wanted:
        return dot_general(other, gradient, (others.batch, batch), (others.free, others.result))
    product = dot_general(gradient, other, (batch, others.batch), (others.result, others.free))
    if gradient_first == wanted:
        return product
    return transpose(product, [gradient_first.index(axis) for axis in wanted])


# -- matmul


def _matmul_type(types: Sequence[TensorType], transpose_a: bool, transpose_b: bool) -> TensorType:
    check_kind(check_same_dtype(types), NUMBERS)
    a, b = types[0].shape, types[1].shape
    for name, shape in (("a", a), ("b", b)):
        if shape is not None and len(shape) < 2:
            raise ShapeError(f"operand {name} has rank {len(shape)}, a matrix has at least 2")
    if a is None or b is None:
        return TensorType(types[0].dtype, None)
    rows, inner_a = (a[-1], a[-2]) if transpose_a else (a[-2], a[-1])
    inner_b, columns = (b[-1], b[-2]) if transpose_b else (b[-2], b[-1])
    if inner_a is not None and inner_b is not None and inner_a != inner_b:
        raise ShapeError(f"inner dimensions differ, {inner_a} and {inner_b}")
    try:
        batch = broadcast_shapes(a[:-2], b[:-2])
    except ValueError:
        raise ShapeError(f"batch dimensions differ, {format_shape(a[:-2])} and {format_shape(b[:-2])}") from None
    return TensorType(types[0].dtype, (*(batch or ()), rows, columns))


def _plan_matmul(operation: Operation) -> tuple[Tensor, Tensor, AxisPair, AxisPair]:
    """The operands and axes of the dot_general that a matmul with known shapes is."""
    a, b = operation.inputs
    transpose_a, transpose_b = operation.attributes["transpose_a"], operation.attributes["transpose_b"]
    batch_a, batch_b = a.type.sizes[:-2], b.type.sizes[:-2]
    if batch_b and batch_a != batch_b:
        both = broadcast_shapes(batch_a, batch_b)
        a, b = _with_batch(a, both), _with_batch(b, both)
    rank_a, rank_b = len(a.type.sizes), len(b.type.sizes)
    paired = tuple(range(rank_b - 2))
    contract = ((rank_a - 2 if transpose_a else rank_a - 1,), (rank_b - 1 if transpose_b else rank_b - 2,))
    return a, b, (paired, paired), contract


def _with_batch(tensor: Tensor, batch: Shape) -> Tensor:
    wanted = (*(batch or ()), *tensor.type.sizes[-2:])
    return tensor if tensor.type.sizes == wanted else broadcast_to(tensor, wanted)


def _open_matmul(operation: Operation) -> Tensor:
    return dot_general(*_plan_matmul(operation))


def _matmul_gradient(operation: Operation, gradient: Tensor) -> list[Tensor]:
    a, b, batch, contract = _plan_matmul(operation)
    gradients = dot_general_gradients(a, b, gradient, batch, contract)
    return [sum_to_shape(g, t.type.sizes) for g, t in zip(gradients, operation.inputs)]


MATMUL = define(
    OpDef(
        "matmul",
        infer=_matmul_type,
        gradient=_matmul_gradient,
        attributes={"transpose_a": bool, "transpose_b": bool},
        composite=_open_matmul,
    )
)


def matmul(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False, adjoint_a: bool = False,
           adjoint_b: bool = False, a_is_sparse: bool = False, b_is_sparse: bool = False,
           name: str | None = None) -> Tensor:  # fmt: skip
    """The product of matrices in the last two axes; axes before them are a batch and broadcast.

    The adjoint of a real matrix is its transpose; the flags for sparse operands change nothing. Raises ShapeError where
    the inner or the batch dimensions do not fit, ValueError where a matrix is to be transposed and adjoined.
    """
    if transpose_a and adjoint_a:
        raise ValueError("Only one of transpose_a and adjoint_a can be True.")
    if transpose_b and adjoint_b:
        raise ValueError("Only one of transpose_b and adjoint_b can be True.")
    a, b = convert_operands(a, b)
    return apply(MATMUL, [a, b], name or "MatMul", transpose_a=bool(transpose_a or adjoint_a),
                 transpose_b=bool(transpose_b or adjoint_b))  # fmt: skip


OPERATORS["matmul"] = lambda a, b: matmul(a, b)


def matvec(a: Any, b: Any, transpose_a: bool = False, adjoint_a: bool = False, a_is_sparse: bool = False,
           b_is_sparse: bool = False, name: str | None = None) -> Tensor:  # fmt: skip
    """The product of matrices a[..., m, n] and vectors b[..., n]."""
    a, b = convert_operands(a, b)
    product = matmul(a, expand_dims(b, -1), transpose_a=transpose_a, adjoint_a=adjoint_a, name=name or "MatVec")
    return squeeze(product, axis=[-1])


# -- tensordot


def tensordot(a: Any, b: Any, axes: Any, name: str | None = None) -> Tensor:
    """Sums products over axes of a and b: the last and first `axes` where that is a number, else two lists of axes.

    Raises ValueError for axes that are no such thing, ShapeError where sizes of paired axes differ.
    """
    a, b = convert_operands(a, b)
    if a.type.rank is None or b.type.rank is None:
        raise ValueError("tensordot: the ranks of both operands must be known")
    return dot_general(a, b, contract=_tensordot_axes(axes, a.type.rank, b.type.rank), name=name or "Tensordot")


def _tensordot_axes(axes: Any, rank_a: int, rank_b: int) -> AxisPair:
    if isinstance(axes, (int, np.integer)):
        count = int(axes)
        if not 0 <= count <= min(rank_a, rank_b):
            raise ValueError(f"'axes' must be between 0 and the ranks {rank_a} and {rank_b}, not {count}")
        return tuple(range(rank_a - count, rank_a)), tuple(range(count))
    if len(axes) != 2:
        raise ValueError("'axes' must be an integer or have length 2.")
    first, second = ([item] if isinstance(item, (int, np.integer)) else list(item) for item in axes)
    if len(first) != len(second):
        raise ValueError(f"Different number of contraction axes 'a' and 'b', {len(first)} != {len(second)}.")
    return tuple(normalize_axis(int(i), rank_a) for i in first), tuple(normalize_axis(int(j), rank_b) for j in second)


# -- factors


def _factor_columns(operation: Operation, matrix: np.ndarray) -> np.ndarray:
    q, r = np.linalg.qr(matrix.astype(as_dtype(matrix.dtype).compute.numpy))
    return (q * np.where(np.diagonal(r) < 0, -1, 1)).astype(matrix.dtype)


def _columns_type(types: Sequence[TensorType]) -> TensorType:
    check_kind(types[0].dtype, FLOATS)
    shape = types[0].shape
    if shape is not None and (len(shape) != 2 or types[0].is_known and types[0].sizes[0] < types[0].sizes[1]):
        raise ShapeError(f"takes a matrix with at least as many rows as columns, not {format_shape(shape)}")
    return types[0]


ORTHONORMAL_COLUMNS = define(
    OpDef("orthonormal_columns", infer=_columns_type, differentiable=False, host=_factor_columns)
)


def orthonormal_columns(matrix: Tensor) -> Tensor:
    """The orthogonal factor of a matrix that is not wider than high, the diagonal of the triangular one not being negative."""
    return apply(ORTHONORMAL_COLUMNS, [matrix])


# -- norms


def l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12, name: str | None = None, dim: Any = None) -> Tensor:
    """x divided by its Euclidean norm over `axis` (over everything where None), which counts as at least sqrt(epsilon)."""
    x = convert_to_tensor(x)
    total = reduce_sum(square(x), dim if axis is None else axis, keepdims=True)
    return multiply(x, rsqrt(maximum(total, epsilon)), name=name or "l2_normalize")


def l2_loss(t: Any, name: str | None = None) -> Tensor:
    """Half the sum of the squares of all elements, as a scalar."""
    return apply(L2_LOSS, [convert_to_tensor(t)], name or "L2Loss")


L2_LOSS = define(
    OpDef(
        "l2_loss",
        infer=lambda types: TensorType(types[0].dtype, ()),
        gradient=lambda operation, gradient: [multiply(operation.inputs[0], gradient)],
        composite=lambda operation: multiply(reduce_sum(square(operation.inputs[0])), 0.5),
    )
)


__all__ = ["dot_general", "l2_loss", "l2_normalize", "matmul", "matvec", "orthonormal_columns", "tensordot"]
