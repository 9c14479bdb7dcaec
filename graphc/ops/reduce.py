"""Reductions over axes: sums, products, extremes, logic, means, and positions of extremes.

The primitives reduce over `axes`, a tuple of axes counted from the front; what users give for axes is brought to that form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..dtypes import DType, as_dtype, int64
from ..errors import DTypeError, ShapeError
from ..evaluate import reduce_array
from ..operation import Dynamic, OpDef, Operation, Tensor, TensorType, apply, define
from .compare import equal, is_finite, select
from .constants import convert_to_tensor
from .conversion import cast
from .cumulative import cumprod
from .elementwise import exp, log, multiply, realdiv, truncatediv
from .filling import range as build_range
from .movement import broadcast_to, reshape, stop_gradient, transpose
from .rules import BOOL, NUMBERS, check_axis, check_kind, normalize, partial_sizes, size_list
from .shape_ops import rank as rank_of

# -- axes


def _axes_argument(tensor: Tensor, axis: Any, reduction_indices: Any = None) -> Any:
    """The axes counted from the front, as numbers where they are known, else as a tensor; all where none are given."""
    wanted = reduction_indices if axis is None else axis
    rank = tensor.type.rank
    if wanted is None:
        return tuple(range(rank)) if rank is not None else build_range(rank_of(tensor))
    axes = size_list(wanted)
    if isinstance(axes, tuple) and (rank is not None or all(item >= 0 for item in axes)):
        return tuple(sorted(normalize(item, rank) if rank is not None else item for item in axes))
    count = rank if rank is not None else rank_of(tensor)
    given = convert_to_tensor(axes, None if isinstance(axes, Tensor) else "int32")
    return (given + cast(convert_to_tensor(count), given.dtype)) % cast(convert_to_tensor(count), given.dtype)


def _keep(keepdims: Any, keep_dims: Any) -> bool:
    return bool(keep_dims if keepdims is None else keepdims)


def reduced_shape(source: TensorType, axes: Any, keepdims: bool) -> Any:
    """The shape after a reduction. Raises ShapeError for axes out of range or given twice."""
    wanted = partial_sizes(axes)
    if source.shape is None:
        return None
    rank = len(source.shape)
    if wanted is None or None in wanted:
        if keepdims:
            return (None,) * rank
        return None if wanted is None else (None,) * max(rank - len(wanted), 0)
    for axis in wanted:
        check_axis(axis, rank)  # type: ignore[arg-type]
    if len(set(wanted)) != len(wanted):
        raise ShapeError(f"an axis is given twice in {list(wanted)}")
    if keepdims:
        return tuple(1 if i in wanted else size for i, size in enumerate(source.shape))
    return tuple(size for i, size in enumerate(source.shape) if i not in wanted)


def _kept(operation: Operation, value: Tensor) -> Tensor:
    """A value of the shape of the result, with the reduced axes kept as axes of size 1."""
    if operation.attributes["keepdims"]:
        return value
    axes = operation.attributes["axes"]
    return reshape(value, [1 if i in axes else size for i, size in enumerate(operation.inputs[0].type.sizes)])


# -- primitives


def _define_reduction(name: str, monoid: str, kinds: str, gradient: Any) -> OpDef:
    def infer(types: Sequence[TensorType], axes: Any, keepdims: bool) -> TensorType:
        check_kind(types[0].dtype, kinds)
        return TensorType(types[0].dtype, reduced_shape(types[0], axes, keepdims))

    return define(
        OpDef(
            name,
            infer=infer,
            gradient=gradient,
            differentiable=gradient is not None,
            attributes={"axes": tuple, "keepdims": bool},
            reduce=monoid,
        )
    )


def _sum_gradient(operation: Operation, gradient: Tensor) -> list[Tensor]:
    return [broadcast_to(_kept(operation, gradient), operation.inputs[0].type.sizes)]


def _product_gradient(operation: Operation, gradient: Tensor) -> list[Tensor]:
    """The gradient times the product of all other elements, by running products from both sides: right for zeros too."""
    x, axes = operation.inputs[0], operation.attributes["axes"]
    sizes = x.type.sizes
    kept = [axis for axis in range(len(sizes)) if axis not in axes]
    order = [*kept, *axes]
    count = math.prod(sizes[axis] for axis in axes)
    rows = reshape(transpose(x, order), [math.prod(sizes[axis] for axis in kept), count])
    others = multiply(cumprod(rows, 1, exclusive=True), cumprod(rows, 1, exclusive=True, reverse=True))
    inverse = sorted(range(len(order)), key=lambda position: order[position])
    back = transpose(reshape(others, [sizes[axis] for axis in order]), inverse)
    return [multiply(_kept(operation, gradient), back)]


def _extreme_gradient(operation: Operation, gradient: Tensor) -> list[Tensor]:
    """Shared evenly by all elements that are the extreme."""
    x, axes = operation.inputs[0], operation.attributes["axes"]
    chosen = cast(equal(x, _kept(operation, operation.output)), gradient.dtype)
    count = apply(REDUCE_SUM, [chosen], axes=axes, keepdims=True)
    return [multiply(realdiv(chosen, count), _kept(operation, gradient))]


REDUCE_SUM = _define_reduction("reduce_sum", "sum", NUMBERS, _sum_gradient)
REDUCE_PROD = _define_reduction("reduce_prod", "prod", NUMBERS, _product_gradient)
REDUCE_MAX = _define_reduction("reduce_max", "max", NUMBERS, _extreme_gradient)
REDUCE_MIN = _define_reduction("reduce_min", "min", NUMBERS, _extreme_gradient)
REDUCE_ANY = _define_reduction("reduce_any", "any", BOOL, None)
REDUCE_ALL = _define_reduction("reduce_all", "all", BOOL, None)


def _public(definition: OpDef, default_name: str, doc: str) -> Callable[..., Tensor]:
    def function(
        input_tensor: Any, axis: Any = None, keepdims: bool | None = None, name: str | None = None,
        reduction_indices: Any = None, keep_dims: bool | None = None,
    ) -> Tensor:  # fmt: skip
        tensor = convert_to_tensor(input_tensor)
        axes = _axes_argument(tensor, axis, reduction_indices)
        keep = _keep(keepdims, keep_dims)
        result = apply(definition, [tensor], name or default_name, axes=axes, keepdims=keep)
        if axis is None and reduction_indices is None and not keep:
            result.set_shape([])  # of all axes, however many there are
        return result

    function.__name__ = function.__qualname__ = definition.name
    function.__doc__ = doc + (
        "\n\n    `axis` is a number, a list or a tensor, None for all axes; negative ones count from the end. `keepdims`\n"
        "    leaves the axes with size 1. `reduction_indices` and `keep_dims` are the old names.\n    "
    )
    return function


reduce_sum = _public(REDUCE_SUM, "Sum", "The sum over axes; 0 of no elements.")
reduce_prod = _public(REDUCE_PROD, "Prod", "The product over axes; 1 of no elements.")
reduce_max = _public(REDUCE_MAX, "Max", "The largest over axes, NaN where there is one; the type's smallest of no elements.")
reduce_min = _public(REDUCE_MIN, "Min", "The smallest over axes, NaN where there is one; the type's largest of no elements.")
reduce_any = _public(REDUCE_ANY, "Any", "Whether any is True over axes.")
reduce_all = _public(REDUCE_ALL, "All", "Whether all are True over axes.")


# -- means and what is built on sums


def _mean_type(types: Sequence[TensorType], axes: Any, keepdims: bool) -> TensorType:
    check_kind(types[0].dtype, NUMBERS)
    return TensorType(types[0].dtype, reduced_shape(types[0], axes, keepdims))


def _expand_mean(operation: Operation) -> Tensor:
    """Sums of 16-bit floats stay in float32 until they are divided; integers round towards zero, as in TensorFlow."""
    x, axes, keepdims = operation.inputs[0], operation.attributes["axes"], operation.attributes["keepdims"]
    dtype, count = x.dtype, math.prod(x.type.sizes[axis] for axis in axes)
    total = apply(REDUCE_SUM, [cast(x, dtype.compute)], axes=axes, keepdims=keepdims)
    if not dtype.is_floating:
        return truncatediv(total, max(count, 1))
    return cast(realdiv(total, float(count)), dtype)


def _mean_gradient(operation: Operation, gradient: Tensor) -> list[Tensor]:
    sizes = operation.inputs[0].type.sizes
    count = math.prod(sizes[axis] for axis in operation.attributes["axes"])
    return [broadcast_to(realdiv(_kept(operation, gradient), float(max(count, 1))), sizes)]


REDUCE_MEAN = define(
    OpDef(
        "reduce_mean",
        infer=_mean_type,
        gradient=_mean_gradient,
        attributes={"axes": tuple, "keepdims": bool},
        composite=_expand_mean,
    )
)
reduce_mean = _public(REDUCE_MEAN, "Mean", "The mean over axes; of integers rounded towards zero, NaN of no floats.")


def _log_sum_exp_type(types: Sequence[TensorType], axes: Any, keepdims: bool) -> TensorType:
    check_kind(types[0].dtype, "f")
    return TensorType(types[0].dtype, reduced_shape(types[0], axes, keepdims))


def _expand_log_sum_exp(operation: Operation) -> Tensor:
    x, axes = operation.inputs[0], operation.attributes["axes"]
    top = stop_gradient(apply(REDUCE_MAX, [x], axes=axes, keepdims=True))
    top = select(is_finite(top), top, 0)
    total = log(apply(REDUCE_SUM, [exp(x - top)], axes=axes, keepdims=True)) + top
    return total if operation.attributes["keepdims"] else reshape(total, operation.output.type.sizes)


def _log_sum_exp_gradient(operation: Operation, gradient: Tensor) -> list[Tensor]:
    weights = exp(operation.inputs[0] - _kept(operation, operation.output))
    return [multiply(_kept(operation, gradient), weights)]


REDUCE_LOGSUMEXP = define(
    OpDef(
        "reduce_logsumexp",
        infer=_log_sum_exp_type,
        gradient=_log_sum_exp_gradient,
        attributes={"axes": tuple, "keepdims": bool},
        composite=_expand_log_sum_exp,
    )
)
reduce_logsumexp = _public(REDUCE_LOGSUMEXP, "ReduceLogSumExp", "log(sum(exp(x))) over axes, without overflow.")


# -- positions


def _position_type(types: Sequence[TensorType], axes: Any, keepdims: bool, dtype: DType) -> TensorType:
    check_kind(types[0].dtype, NUMBERS)
    if dtype.name not in ("int32", "int64"):
        raise DTypeError(f"positions are int32 or int64, not {dtype.name}")
    if not isinstance(axes, Dynamic) and len(axes) != 1:
        raise ShapeError(f"takes one axis, not {list(axes)}")
    return TensorType(dtype, reduced_shape(types[0], axes, keepdims))


def _define_position(name: str) -> OpDef:
    return define(
        OpDef(
            name,
            infer=_position_type,
            differentiable=False,
            attributes={"axes": tuple, "keepdims": bool, "dtype": DType},
            reduce=name,
            evaluate=lambda attributes, x: reduce_array(name, x, attributes["axes"], attributes["keepdims"]),
        )
    )


ARGMAX, ARGMIN = _define_position("argmax"), _define_position("argmin")


def _position(definition: OpDef, input: Any, axis: Any, name: str, output_type: Any) -> Tensor:
    tensor = convert_to_tensor(input)
    axes = _axes_argument(tensor, 0 if axis is None else axis)
    return apply(definition, [tensor], name, axes=axes, keepdims=False, dtype=as_dtype(output_type))


def argmax(
    input: Any, axis: Any = None, name: str | None = None, dimension: Any = None, output_type: Any = int64
) -> Tensor:
    """The index of the largest along one axis (the first of several), by default axis 0, as int64."""
    return _position(ARGMAX, input, dimension if axis is None else axis, name or "ArgMax", output_type)


def argmin(
    input: Any, axis: Any = None, name: str | None = None, dimension: Any = None, output_type: Any = int64
) -> Tensor:
    """The index of the smallest along one axis (the first of several), by default axis 0, as int64."""
    return _position(ARGMIN, input, dimension if axis is None else axis, name or "ArgMin", output_type)


def arg_max(input: Any, dimension: Any, output_type: Any = int64, name: str | None = None) -> Tensor:
    """argmax with its old order of arguments."""
    return argmax(input, dimension, name, output_type=output_type)


def arg_min(input: Any, dimension: Any, output_type: Any = int64, name: str | None = None) -> Tensor:
    """argmin with its old order of arguments."""
    return argmin(input, dimension, name, output_type=output_type)


__all__ = [
    "reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_prod", "reduce_any", "reduce_all", "reduce_logsumexp",
    "argmax", "argmin", "arg_max", "arg_min",
]  # fmt: skip
