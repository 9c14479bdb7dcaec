"""Samples of operations that move elements, and of tensors made from nothing."""

import numpy as np
from op_cases import booleans, case, floats, integers

from graphc.operation import apply
from graphc.ops import (
    constants,
    diagonals,
    filling,
    fused,
    joining,
    movement,
    shape_ops,
    slicing,
)
from graphc.shapes import TensorShape

KINDS = ("float32", "float64", "int32", "uint8", "float16", "bfloat16")


def arrays(*shapes):
    """One sample for each shape, in one type after another; bool for the first again."""
    found = [
        (floats(shape, dtype=KINDS[i % 6]) if i % 6 not in (2, 3) else integers(shape, dtype=KINDS[i % 6]),)
        for i, shape in enumerate(shapes)
    ]
    return [*found, (booleans(shapes[0]),)]


# -- values as they are

_ANY = arrays((3, 17), (), (0, 3), (5,))
case("identity", movement.identity, _ANY, lambda x: x, gradient=True)
case("copy", lambda x: apply(fused.COPY, [x]), _ANY, lambda x: x, gradient=True)
case("stop_gradient", movement.stop_gradient, _ANY, lambda x: x)
case(
    "placeholder_with_default",
    lambda x: constants.placeholder_with_default(x, [3, 17]),
    _ANY[:1],
    lambda x: x,
    gradient=True,
)
case("ensure_shape", lambda x: shape_ops.ensure_shape(x, TensorShape([None, 17])), _ANY[:1], lambda x: x, gradient=True)
case(
    "constant", lambda: constants.constant([[1.5, -2], [3, 4]]), [()], lambda: np.array([[1.5, -2], [3, 4]], np.float32)
)

# -- shapes

case(
    "reshape",
    lambda x: movement.reshape(x, [-1, 3]),
    arrays((3, 17), (51,), (0, 3), (3, 5, 3)),
    lambda x: x.reshape(-1, 3),
    gradient=True,
)
case("reshape", lambda x: movement.reshape(x, []), arrays((1, 1), (1,)), lambda x: x.reshape(()), label="scalar")
case(
    "broadcast_to",
    lambda x: movement.broadcast_to(x, [2, 3, 17]),
    arrays((3, 17), (3, 1), (17,), (), (2, 1, 1)),
    lambda x: np.broadcast_to(x, (2, 3, 17)),
    gradient=True,
)
for perm in ((1, 0), (2, 0, 1), (0, 2, 1), (3, 1, 2, 0)):
    shape = (3, 5, 17, 2)[: len(perm)]
    case(
        "transpose",
        lambda x, perm=perm: movement.transpose(x, perm),
        arrays(shape, shape, shape[:-1] + (0,)),
        lambda x, perm=perm: x.transpose(perm),
        gradient=True,
        label=str(perm),
    )
case("transpose", movement.transpose, arrays((3, 5, 17), (), (5,), (0, 3)), lambda x: x.T, label="reverse")
case(
    "expand_dims",
    lambda x: movement.expand_dims(x, -2),
    arrays((3, 17), (5,), (0, 3)),
    lambda x: np.expand_dims(x, -2),
    gradient=True,
)
case(
    "squeeze",
    lambda x: movement.squeeze(x, [0, -1]),
    arrays((1, 17, 1), (1, 1), (1, 0, 1)),
    lambda x: x.squeeze((0, -1)),
    gradient=True,
)
case("squeeze", movement.squeeze, arrays((1, 17, 1), (1, 1), (3, 5)), np.squeeze, label="all")
case(
    "tile",
    lambda x: movement.tile(x, [2, 3]),
    arrays((3, 5), (1, 17), (0, 3)),
    lambda x: np.tile(x, (2, 3)),
    gradient=True,
)
case("shape", shape_ops.shape, _ANY, lambda x: np.array(x.shape, np.int32), label="")
case("size", shape_ops.size, _ANY, lambda x: np.int32(x.size))
case("rank", shape_ops.rank, _ANY, lambda x: np.int32(x.ndim))
case(
    "broadcast_shape",
    shape_ops.broadcast_dynamic_shape,
    [(np.array([3, 1]), np.array([2, 1, 17])), (np.array([], int), np.array([5]))],
    lambda a, b: np.array(np.broadcast_shapes(tuple(a), tuple(b))),
)

# -- slices

case(
    "slice",
    lambda x: slicing.slice(x, [1, 2], [2, 1]),
    arrays((3, 17), (4, 3), (3, 5)),
    lambda x: x[1:3, 2:3],
    gradient=True,
)
case(
    "open_slice",
    lambda x: slicing.slice(x, [1, 2], [2, -1]),
    arrays((3, 17), (4, 3), (3, 2)),
    lambda x: x[1:3, 2:],
    gradient=True,
)
case("slice", lambda x: slicing.slice(x, [0], [0]), arrays((3,), (0,)), lambda x: x[0:0], label="empty")
case(
    "slice",
    lambda x: slicing.take_slice(x, [2, 16], [2, 6], [-1, -3]),
    arrays((3, 17)),
    lambda x: x[2:0:-1, 16::-3],
    gradient=True,
    label="strides",
    known_shapes=True,
)
case(
    "reverse",
    lambda x: slicing.reverse(x, [0, -1]),
    arrays((3, 17), (1, 5, 3), (0, 3)),
    lambda x: np.flip(x, (0, -1)),
    gradient=True,
)
case(
    "pad",
    lambda x: slicing.pad(x, [[1, 0], [2, 3]]),
    arrays((3, 17), (0, 3), (5, 1)),
    lambda x: np.pad(x, [(1, 0), (2, 3)]),
    gradient=True,
)
case(
    "pad",
    lambda x: slicing.pad(x, [[1, 2]], constant_values=7),
    [(floats((5,)),), (integers((5,)),), (floats((0,)),)],
    lambda x: np.pad(x, [(1, 2)], constant_values=7),
    label="value",
)
for mode in ("REFLECT", "SYMMETRIC"):
    case(
        "mirror_pad",
        lambda x, mode=mode: slicing.pad(x, [[1, 2], [0, 3]], mode),
        arrays((3, 17), (4, 5), (3, 4)),
        lambda x, mode=mode: np.pad(x, [(1, 2), (0, 3)], mode.lower()),
        gradient=True,
        label=mode,
    )
case(
    "roll",
    lambda x: slicing.roll(x, [2, -1], [0, 1]),
    arrays((3, 17), (1, 5), (0, 3)),
    lambda x: np.roll(x, (2, -1), (0, 1)),
    gradient=True,
)

_KEYS = (
    np.s_[1],
    np.s_[-1, 2],
    np.s_[:, 1:9:3],
    np.s_[::-1, ::-2],
    np.s_[..., 0],
    np.s_[None, :, -3:],
    np.s_[1:2, None, ..., 4],
    np.s_[5:1:-1],
    np.s_[2:-1, 16:0:-5],
    np.s_[0:0],
    np.s_[:100, -100:],
)
for key in _KEYS:
    case(
        "strided_slice",
        lambda x, key=key: x[key],
        arrays((3, 17), (3, 18)),
        lambda x, key=key: x[key],
        gradient=np.zeros((3, 17))[key].size > 0,
        label=str(key),
    )
case("strided_slice", lambda x: x[4, :], arrays((5, 3), (6, 0)), lambda x: x[4], label="[5, 3]")
case(
    "pick",
    lambda x, i: x[:, i],
    [(floats((3, 17)), np.int32(4)), (integers((2, 5, 3)), np.int64(-1)), (floats((3, 5)), np.uint8(0))],
    lambda x, i: x[:, i],
    gradient=True,
)
case(
    "pick",
    lambda x, i, j: x[i, 1:, j],
    [(floats((3, 4, 5)), np.int32(-3), np.int32(2))],
    lambda x, i, j: x[i, 1:, j],
    label="two",
)

# -- joints

case(
    "concat",
    lambda *xs: joining.concat(list(xs), -1),
    [
        (floats((3, 17)), floats((3, 1), seed=1)),
        (integers((3, 2)), integers((3, 0)), integers((3, 5), seed=1)),
        (booleans((5,)), booleans((1,))),
    ],
    lambda *xs: np.concatenate(xs, -1),
    gradient=True,
)
case(
    "concat",
    lambda *xs: joining.concat(list(xs), 0),
    [(floats((3, 17)), floats((1, 17), seed=1), floats((0, 17)))],
    lambda *xs: np.concatenate(xs, 0),
    gradient=True,
    label="rows",
)
for axis in (0, -1, 1):
    case(
        "stack",
        lambda *xs, axis=axis: joining.stack(list(xs), axis),
        [(floats((3, 17)), floats((3, 17), seed=1)), (integers((5,)),)],
        lambda *xs, axis=axis: np.stack(xs, axis),
        gradient=True,
        label=str(axis),
    )
case(
    "unstack",
    lambda x: joining.unstack(x, 3, 1),
    arrays((2, 3, 5), (5, 3), (0, 3)),
    lambda x: list(np.moveaxis(x, 1, 0)),
    gradient=True,
)
case(
    "split",
    lambda x: joining.split(x, 3, -1),
    arrays((2, 9), (3,), (0, 6)),
    lambda x: np.split(x, 3, -1),
    gradient=True,
)
case(
    "split",
    lambda x: joining.split(x, [2, -1, 3]),
    arrays((17, 2), (5,)),
    lambda x: np.split(x, [2, len(x) - 3]),
    gradient=True,
    label="sizes",
)


def blocks(x, block):
    n, h, w, c = x.shape
    return (
        x.reshape(n, h // block, block, w // block, block, c)
        .transpose(0, 1, 3, 2, 4, 5)
        .reshape(n, h // block, w // block, -1)
    )


def unblocks(x, block):
    n, h, w, c = x.shape
    return x.reshape(n, h, w, block, block, -1).transpose(0, 1, 3, 2, 4, 5).reshape(n, h * block, w * block, -1)


case(
    "space_depth",
    lambda x: joining.space_to_depth(x, 2),
    arrays((2, 4, 6, 3), (1, 2, 2, 1)),
    lambda x: blocks(x, 2),
    gradient=True,
    label="to depth",
)
case(
    "space_depth",
    lambda x: joining.depth_to_space(x, 2),
    arrays((2, 3, 1, 8), (1, 1, 1, 4)),
    lambda x: unblocks(x, 2),
    gradient=True,
    label="to space",
)

# -- from nothing

case("zeros_like", filling.zeros_like, _ANY, np.zeros_like)
case("ones_like", filling.ones_like, _ANY, np.ones_like)
for dtype in ("float32", "int64", "uint8", "float16"):
    case(
        "iota",
        lambda dtype=dtype: filling.iota([3, 17], 1, dtype),
        [()],
        lambda dtype=dtype: np.broadcast_to(np.arange(17).astype(dtype), (3, 17)),
        label=dtype,
    )
case(
    "iota",
    lambda: filling.iota([5, 2, 3], 0),
    [()],
    lambda: np.broadcast_to(np.arange(5).reshape(5, 1, 1), (5, 2, 3)),
    label="rows",
)
for bounds in ((17,), (3, 18, 3), (5, -5, -2), (0,), (0.0, 1.0, 0.1), (2, 2)):
    dtype = np.float32 if isinstance(bounds[0], float) else np.int32
    case(
        "range",
        lambda bounds=bounds: filling.range(*bounds),
        [()],
        lambda bounds=bounds, dtype=dtype: np.arange(*bounds).astype(dtype),
        label=str(bounds),
    )
for count in (1, 2, 7):
    case(
        "linspace",
        lambda a, b, count=count: filling.linspace(a, b, count),
        [(np.float32(-1), np.float32(4)), (np.float64(3), 0.0)],
        lambda a, b, count=count: np.linspace(a, b, count),
        gradient=True,
        label=str(count),
    )
case(
    "matrix_diag",
    diagonals.matrix_diag,
    arrays((3, 5), (1,), (2, 0)),
    lambda x: x[..., None] * np.eye(x.shape[-1], dtype=x.dtype),
    gradient=True,
)
case(
    "matrix_diag_part",
    diagonals.matrix_diag_part,
    arrays((2, 3, 5), (5, 3), (1, 1)),
    lambda x: np.diagonal(x, 0, -2, -1),
    gradient=True,
)


def set_diagonals(x, d):
    result = x.copy()
    i = np.arange(min(x.shape[-2:]))
    result[..., i, i] = d
    return result


case(
    "matrix_set_diag",
    diagonals.matrix_set_diag,
    [(floats((2, 3, 5)), floats((2, 3), seed=1)), (integers((5, 3)), integers((3,), seed=1))],
    set_diagonals,
    gradient=True,
)
for lower, upper in ((0, 0), (1, -1), (-1, 2), (-1, 0)):
    case(
        "matrix_band_part",
        lambda x, lower=lower, upper=upper: diagonals.matrix_band_part(x, lower, upper),
        arrays((2, 4, 5), (5, 3)),
        lambda x, lower=lower, upper=upper: np.where(
            np.tri(*x.shape[-2:], x.shape[-1] if upper < 0 else upper, dtype=bool)
            & np.tri(*x.shape[:-3:-1], x.shape[-2] if lower < 0 else lower, dtype=bool).T,
            x,
            np.zeros((), x.dtype),
        ),
        gradient=True,
        label=f"{lower},{upper}",
    )
case("diag", diagonals.diag, arrays((2, 3), (5,)), lambda x: np.diag(x.ravel()).reshape(x.shape * 2), gradient=True)
case(
    "diag_part",
    diagonals.diag_part,
    arrays((2, 3, 2, 3), (5, 5)),
    lambda x: np.diagonal(x.reshape([int(x.size**0.5)] * 2)).reshape(x.shape[: x.ndim // 2]),
    gradient=True,
)
