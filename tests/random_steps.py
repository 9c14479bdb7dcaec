"""The steps of random programs: each builds one operation on a tensor, or returns None where it does not fit.

A step gets the generator (see random_programs) and a tensor with a known value. Steps that are discontinuous decline where
rounding before them could decide.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.dtypes import as_dtype
from graphc.operation import Tensor
from graphc.ops import (
    activations,
    compare,
    conversion,
    convolution,
    cumulative,
    elementwise,
    indexing,
    joining,
    linear_algebra,
    movement,
    pooling,
    reduce,
    slicing,
    softmax,
    strided_slices,  # noqa: F401 - indexing of tensors
)

Step = Callable[[Any, Tensor], Any]

# -- elementwise

_SMOOTH = (
    elementwise.tanh, activations.sigmoid, elementwise.sin, elementwise.cos, elementwise.negative, elementwise.abs,
    elementwise.erf, elementwise.square, activations.softplus, activations.relu, elementwise.atan, movement.identity,
)  # fmt: skip
_BINARY = (
    elementwise.add, elementwise.subtract, elementwise.multiply, elementwise.maximum, elementwise.minimum,
    elementwise.squared_difference,
)  # fmt: skip
_COMPARISONS = (
    compare.less, compare.less_equal, compare.greater, compare.greater_equal, compare.equal, compare.not_equal,
)  # fmt: skip


def smooth(g: Any, x: Tensor) -> Any:
    if not x.dtype.is_floating:
        return elementwise.negative(x) if x.dtype.is_integer else None
    return g.pick(_SMOOTH)(x)


def smooth_function(g: Any, x: Tensor) -> Any:
    return g.pick((elementwise.tanh, elementwise.sin, elementwise.erf, elementwise.square, activations.softplus))(x)


def smooth_binary(g: Any, x: Tensor) -> Any:
    return g.pick((elementwise.add, elementwise.subtract, elementwise.multiply))(x, g.partner(x))


def restricted(g: Any, x: Tensor) -> Any:
    """Functions with a domain, or that grow fast."""
    if not x.dtype.is_floating:
        return None
    if g.is_between(x, 0.2, 100):
        return g.pick((elementwise.log, elementwise.sqrt, elementwise.rsqrt, elementwise.reciprocal, elementwise.log1p))(x)
    return elementwise.exp(x) if g.is_between(x, -20, 3) else None


def power(g: Any, x: Tensor) -> Any:
    if not x.dtype.is_floating:
        return None
    positive = g.is_between(x, 0.2, 10)
    return elementwise.pow(x, g.pick((0.5, -0.5, 1.5, -1) if positive else (0, 1, 2, 3)))


def stepped(g: Any, x: Tensor) -> Any:
    if not x.dtype.is_floating:
        return None
    values = g.value(x)
    if not g.steps_are_clear(x, np.abs(values * 2 - np.round(values * 2))):
        return None
    return g.pick((elementwise.floor, elementwise.ceil, elementwise.round, elementwise.sign))(x)


def binary(g: Any, x: Tensor) -> Any:
    if x.dtype.is_bool:
        return g.pick((compare.logical_and, compare.logical_or, compare.logical_xor))(x, g.partner(x))
    y = g.partner(x)
    return g.pick(_BINARY)(*((x, y) if g.random.random() < 0.5 else (y, x)))


def quotient(g: Any, x: Tensor) -> Any:
    y = g.partner(x)
    g.evaluate_new()
    if not x.dtype.is_numeric or not (g.is_between(y, 0.3, 100) or g.is_between(y, -100, -0.3)):
        return None
    return elementwise.realdiv(x, y) if x.dtype.is_floating else g.pick((elementwise.floordiv, elementwise.floormod))(x, y)


def comparison(g: Any, x: Tensor) -> Any:
    if x.dtype.is_bool:
        return compare.logical_not(x)
    y = g.partner(x)
    g.evaluate_new()
    if y is not x and not g.steps_are_clear(x, np.abs(g.value(x) - g.value(y))):
        return None
    return g.pick(_COMPARISONS)(x, y)


def choice(g: Any, x: Tensor) -> Any:
    conditions = [t for t in g.pool if t.dtype.is_bool and t.type.sizes == x.type.sizes]
    if not conditions:
        return None
    same = [t for t in g.pool if t.type == x.type]
    return compare.select(g.pick(conditions), x, g.pick(same))


def cast(g: Any, x: Tensor) -> Any:
    dtype = as_dtype(g.pick(g.kinds))
    values = g.value(x)
    distance = np.abs(values) if dtype.is_bool else np.abs(values - np.round(values))
    if not dtype.is_floating and not g.steps_are_clear(x, distance):
        return None
    return conversion.cast(x, dtype)


# -- reductions


def _axes(g: Any, x: Tensor) -> Any:
    rank = len(x.type.sizes)
    if g.random.random() < 0.25:
        return None
    return [int(axis) for axis in np.flatnonzero(g.random.random(rank) < 0.5)]


def reduction(g: Any, x: Tensor) -> Any:
    axes, keepdims = _axes(g, x), bool(g.random.random() < 0.4)
    if x.dtype.is_bool:
        return g.pick((reduce.reduce_any, reduce.reduce_all))(x, axes, keepdims=keepdims)
    functions = [reduce.reduce_sum, reduce.reduce_max, reduce.reduce_min]
    if x.dtype.is_floating:
        functions += [reduce.reduce_mean, reduce.reduce_logsumexp]
    if g.is_between(x, -2, 2):
        functions.append(reduce.reduce_prod)
    return g.pick(functions)(x, axes, keepdims=keepdims)


def position(g: Any, x: Tensor) -> Any:
    """argmax and argmin, where the extreme is clear."""
    sizes = x.type.sizes
    if not sizes or not x.dtype.is_numeric:
        return None
    axis = int(g.random.integers(len(sizes)))
    ordered = np.sort(g.value(x), axis=axis)
    if not g.steps_are_clear(x, np.abs(np.diff(ordered, axis=axis))):
        return None
    return g.pick((reduce.argmax, reduce.argmin))(x, axis)


def smooth_reduction(g: Any, x: Tensor) -> Any:
    if not x.dtype.is_floating:
        return None
    functions = (reduce.reduce_sum, reduce.reduce_mean, reduce.reduce_logsumexp)
    return g.pick(functions)(x, _axes(g, x), keepdims=bool(g.random.random() < 0.4))


def along_rows(g: Any, x: Tensor) -> Any:
    if not x.dtype.is_floating or not x.type.sizes:
        return None
    return g.pick((softmax.softmax, softmax.log_softmax))(x)


def running_sum(g: Any, x: Tensor) -> Any:
    if not x.dtype.is_numeric or not x.type.sizes:
        return None
    axis = int(g.random.integers(len(x.type.sizes)))
    return cumulative.cumsum(x, axis, exclusive=bool(g.random.random() < 0.5), reverse=bool(g.random.random() < 0.5))


# -- movements


def reshape(g: Any, x: Tensor) -> Any:
    """Merges or splits axes, or adds and drops those of size 1."""
    sizes = list(x.type.sizes)
    action = int(g.random.integers(4))
    if action == 0:
        return movement.reshape(x, [-1])
    if action == 1:
        return movement.expand_dims(x, int(g.random.integers(len(sizes) + 1)))
    if action == 2:
        return movement.squeeze(x)
    if len(sizes) < 2:
        return None
    axis = int(g.random.integers(len(sizes) - 1))
    return movement.reshape(x, [*sizes[:axis], sizes[axis] * sizes[axis + 1], *sizes[axis + 2 :]])


def transpose(g: Any, x: Tensor) -> Any:
    return movement.transpose(x, [int(axis) for axis in g.random.permutation(len(x.type.sizes))])


def slice_(g: Any, x: Tensor) -> Any:
    key = []
    for size in x.type.sizes:
        if size == 0 or g.random.random() < 0.4:
            key.append(slice(None))
        elif g.random.random() < 0.3:
            key.append(int(g.random.integers(-size, size)))
        else:
            low, high = sorted(int(i) for i in g.random.integers(0, size + 1, 2))
            stride = g.pick((1, 1, 2, -1))
            key.append(slice(low, high, stride) if stride > 0 else slice(None, None, stride))
    return x[tuple(key)] if key else None


def pad(g: Any, x: Tensor) -> Any:
    if not x.dtype.is_numeric or not x.type.sizes:
        return None
    return slicing.pad(x, [[int(g.pick((0, 0, 1, 2))), int(g.pick((0, 0, 1)))] for _ in x.type.sizes])


def join(g: Any, x: Tensor) -> Any:
    same = [t for t in g.pool if t.type == x.type]
    parts = [x, *(g.pick(same) for _ in range(int(g.random.integers(0, 3))))]
    if not x.type.sizes or g.random.random() < 0.3:
        return joining.stack(parts, axis=int(g.random.integers(len(x.type.sizes) + 1)))
    return joining.concat(parts, int(g.random.integers(len(x.type.sizes))))


def split(g: Any, x: Tensor) -> Any:
    even = [axis for axis, size in enumerate(x.type.sizes) if size % 2 == 0 and size]
    return joining.split(x, 2, g.pick(even)) if even else None


def spread(g: Any, x: Tensor) -> Any:
    sizes = tuple(g.pick((2, 3)) if size == 1 else size for size in x.type.sizes)
    if g.random.random() < 0.5:
        return movement.tile(x, [int(g.pick((1, 2))) for _ in sizes])
    return movement.broadcast_to(x, (g.pick((1, 2)), *sizes))


def picked(g: Any, x: Tensor) -> Any:
    """Rows by constant or computed indices."""
    sizes = x.type.sizes
    if not sizes or not sizes[0]:
        return None
    computed = [t for t in g.pool if t.dtype.name in ("int32", "int64") and g.is_between(t, 0, sizes[0] - 1)]
    if computed and g.random.random() < 0.5:
        return indexing.gather(x, g.pick(computed))
    indices = g.random.integers(0, sizes[0], g.random_shape(int(g.random.integers(0, 3))))
    return indexing.gather(x, g.constant(indices, as_dtype("int32")))


def marked(g: Any, x: Tensor) -> Any:
    return indexing.one_hot(x, int(g.pick((1, 3, 6)))) if x.dtype.name in ("int32", "int64") else None


def reverse(g: Any, x: Tensor) -> Any:
    return slicing.reverse(x, [int(g.random.integers(len(x.type.sizes)))]) if x.type.sizes else None


# -- products


def product(g: Any, x: Tensor) -> Any:
    """A matrix product with a tensor that fits, or with a constant."""
    sizes = x.type.sizes
    if not x.dtype.is_floating or len(sizes) < 2 or not g.is_between(x, -20, 20):
        return None
    flip = bool(g.random.random() < 0.4)
    fitting = [t for t in g.pool if t.dtype == x.dtype and t.type.rank == 2 and t.type.sizes[1 if flip else 0] == sizes[-1]]
    if fitting and g.random.random() < 0.6:
        return linear_algebra.matmul(x, g.pick(fitting), transpose_b=flip)
    columns = int(g.pick((1, 2, 5, 16)))
    shape = (columns, sizes[-1]) if flip else (sizes[-1], columns)
    return linear_algebra.matmul(x, g.constant(g.random_array(x.dtype, shape), x.dtype), transpose_b=flip)


def image(g: Any, x: Tensor) -> Any:
    """A convolution or pooling of what can be seen as an image."""
    sizes = x.type.sizes
    if x.dtype.name not in ("float32", "float64") or len(sizes) != 3 or 0 in sizes or not g.is_between(x, -20, 20):
        return None
    batch = movement.expand_dims(x, 0)
    stride, padding = g.pick((1, 1, 2)), g.pick(("SAME", "VALID"))
    window = [min(int(g.pick((1, 2, 3))), size) for size in sizes[:2]]
    if g.random.random() < 0.3:
        return pooling.avg_pool(batch, [1, *window, 1], [1, stride, stride, 1], padding)
    filters = g.constant(g.random_array(x.dtype, (*window, sizes[2], int(g.pick((1, 4, 5))))), x.dtype)
    return convolution.conv2d(batch, filters, [1, stride, stride, 1], padding)


SMOOTH_STEPS: tuple[Step, ...] = (
    smooth_function, smooth_function, restricted, power, smooth_binary, smooth_binary, quotient, smooth_reduction, along_rows,
    running_sum, reshape, transpose, slice_, pad, join, split, spread, picked, reverse, product, image,
)  # fmt: skip
"""Steps with a derivative that rounding does not change much."""

STEPS: tuple[Step, ...] = (
    smooth, smooth, restricted, power, stepped, binary, binary, binary, quotient, comparison, choice, cast, reduction,
    reduction, position, along_rows, running_sum, reshape, reshape, transpose, transpose, slice_, pad, join, split, spread,
    picked, marked, reverse, product, product, image,
)  # fmt: skip
