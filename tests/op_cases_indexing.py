"""Samples of indexing, order, and shapes that depend on data."""

import numpy as np
from op_cases import booleans, case, floats, integers

from graphc.ops import cumulative, data_dependent, indexing, sequences

# -- indices

_ROWS = np.array([[2, 0], [1, 2]])
for axis in (0, 1, -1):
    case(
        "gather",
        lambda x, i, axis=axis: indexing.gather(x, i, axis=axis),
        [
            (floats((3, 4, 5)), _ROWS),
            (integers((3, 3, 3)), np.array([1, 1, 0], np.int32)),
            (floats((3, 3, 4)), np.int32(2)),
            (booleans((3, 3, 3)), np.zeros((0,), np.int64)),
        ],
        lambda x, i, axis=axis: np.take(x, i, axis),
        gradient=True,
        label=str(axis),
    )
case(
    "gather_batched",
    lambda x, i: indexing.gather(x, i, axis=2, batch_dims=1),
    [(floats((2, 3, 4, 5)), np.array([[3, 0, 0], [1, 2, 3]]))],
    lambda x, i: np.stack([np.take(a, b, 1) for a, b in zip(x, i)]),
    gradient=True,
    known_rank=True,
)
case(
    "gather_batched",
    lambda x, i: indexing.batch_gather(x, i),
    [
        (floats((2, 3, 5)), np.array([[[0, 4], [1, 1], [2, 3]]] * 2, np.int32)),
        (integers((3, 2)), np.zeros((3, 0), np.int64)),
    ],
    lambda x, i: np.take_along_axis(x, i, -1),
    gradient=True,
    known_rank=True,
    label="last",
)


def take_places(x, indices):
    depth = indices.shape[-1]
    result = np.zeros(indices.shape[:-1] + x.shape[depth:], x.dtype)
    for place in np.ndindex(indices.shape[:-1]):
        result[place] = x[tuple(indices[place])]
    return result


_PLACES = [
    (floats((3, 4, 5)), np.array([[2, 0], [1, 3]])),
    (integers((3, 4)), np.array([[[0, 1]], [[2, 2]]], np.int32)),
    (floats((3, 4)), np.array([[1]])),
    (floats((3,)), np.zeros((2, 0), np.int32)),
    (booleans((5,)), np.zeros((0, 1), np.int32)),
]
case("gather_nd", indexing.gather_nd, _PLACES, take_places, gradient=True)


def scatter(indices, updates, shape):
    result = np.zeros(shape, updates.dtype)
    for place, update in zip(indices.reshape(-1, indices.shape[-1]), updates.reshape(-1, *shape[indices.shape[-1] :])):
        result[tuple(place)] += update
    return result


for shape, places, updates in (
    ((5,), [[1], [3], [1]], floats((3,))),
    ((4, 3), [[1], [3], [1]], integers((3, 3))),
    ((4, 3), [[[0, 1]], [[3, 2]]], floats((2, 1))),
    ((3,), np.zeros((0, 1), int), floats((0,))),
):
    case(
        "scatter_nd",
        lambda i, u, shape=shape: indexing.scatter_nd(i, u, shape),
        [(np.array(places), updates)],
        lambda i, u, shape=shape: scatter(i, u, shape),
        gradient=updates.dtype == np.float32 and updates.size > 0,
        label=f"{list(shape)}{list(updates.shape)}",
    )
for axis in (-1, 0, 1):
    case(
        "one_hot",
        lambda i, axis=axis: indexing.one_hot(i, 5, axis=axis),
        [(np.array([[0, 4], [-1, 7]], np.int32),), (np.arange(3),)],
        lambda i, axis=axis: np.moveaxis((i[..., None] == np.arange(5)).astype(np.float32), -1, axis),
        label=str(axis),
    )
case(
    "one_hot",
    lambda i, a, b: indexing.one_hot(i, 3, a, b),
    [(np.array([0, 2, 5], np.uint8), np.float64(2), np.float64(-1))],
    lambda i, a, b: np.where(i[:, None] == np.arange(3), a, b),
    gradient=True,
    label="values",
)

# -- order

for axis, exclusive, reverse in ((0, False, False), (1, True, False), (-1, False, True), (0, True, True)):
    label = f"{axis}{' exclusive' * exclusive}{' reverse' * reverse}"

    def running(x, function, start, axis=axis, exclusive=exclusive, reverse=reverse):
        x = np.moveaxis(x, axis, 0)[:: -1 if reverse else 1]
        total = function(x, 0, dtype=x.dtype)
        total = np.concatenate([np.full_like(x[:1], start), total[:-1]]) if exclusive else total
        return np.moveaxis(total[:: -1 if reverse else 1], 0, axis)

    options = {"axis": axis, "exclusive": exclusive, "reverse": reverse}
    samples = [(floats((3, 17), dtype=d),) for d in ("float32", "float64")] + [
        (integers((5, 3)),),
        (floats((2, 1, 3)),),
        (floats((3, 0)),),
    ]
    case(
        "cumulative",
        lambda x, options=options: cumulative.cumsum(x, **options),
        samples,
        lambda x, f=running: f(x, np.cumsum, 0),
        gradient=True,
        label=f"sum {label}",
        rounding=20,
    )
    case(
        "cumulative",
        lambda x, options=options: cumulative.cumprod(x, **options),
        samples,
        lambda x, f=running: f(x, np.cumprod, 1),
        gradient=True,
        label=f"prod {label}",
        rounding=20,
    )
_SHUFFLED = [
    (floats((3, 17)),),
    (integers((33,), -3, 3),),
    (floats((1,)),),
    (floats((2, 0)),),
    (floats((17,), dtype="float64"),),
    (integers((5,), dtype="uint8"),),
]
case(
    "argsort",
    lambda x: sequences.argsort(x, stable=True),
    _SHUFFLED,
    lambda x: np.argsort(x, -1, kind="stable").astype(np.int32),
)
case(
    "argsort",
    lambda x: sequences.argsort(x, direction="DESCENDING"),
    _SHUFFLED,
    lambda x: np.argsort(-x.astype(np.float64), -1, kind="stable").astype(np.int32),
    label="descending",
)
case("sort", sequences.sort, _SHUFFLED, lambda x: np.sort(x, -1), gradient=True)
case(
    "sort",
    lambda x: sequences.sort(x, direction="DESCENDING"),
    _SHUFFLED,
    lambda x: np.sort(x, -1)[..., ::-1],
    gradient=True,
    label="descending",
)


def reverse_rows(x, lengths):
    result = x.copy()
    for row, length in enumerate(lengths):
        result[row, :length] = x[row, :length][::-1]
    return result


case(
    "reverse_sequence",
    lambda x, n: sequences.reverse_sequence(x, n, 1, 0),
    [(floats((3, 5)), np.array([0, 5, 3])), (integers((2, 3, 2)), np.array([1, 2], np.int32))],
    reverse_rows,
    gradient=True,
)
case(
    "reverse_sequence",
    lambda x, n: sequences.reverse_sequence(x, n, seq_axis=0, batch_axis=2),
    [(floats((5, 2, 3)), np.array([2, 5, 0]))],
    lambda x, n: reverse_rows(x.transpose(2, 0, 1), n).transpose(1, 2, 0),
    gradient=True,
    label="axes",
)

# -- shapes that depend on data

_MASKS = [
    (np.array([[True, False], [True, True]]),),
    (booleans((17,)),),
    (np.array([0.0, 2.0, np.nan], np.float32),),
    (booleans((0,)),),
]
case("true_indices", data_dependent.true_indices, _MASKS, np.argwhere)
case(
    "true_indices",
    data_dependent.boolean_mask,
    [(floats((3, 5)), np.array([True, False, True])), (integers((2, 3)), booleans((2, 3)))],
    lambda x, m: x[m],
    known_rank=True,
    label="boolean_mask",
)
case(
    "unique",
    data_dependent.unique_with_counts,
    [(np.array([3, 1, 3, 2, 1, 3]),), (np.zeros(0, np.int32),)],
    lambda x: [
        np.array(list(dict.fromkeys(x.tolist())), x.dtype),
        np.array([list(dict.fromkeys(x.tolist())).index(v) for v in x], np.int32),
        np.array([np.sum(x == v) for v in dict.fromkeys(x.tolist())], np.int32),
    ],
)
case(
    "setdiff1d",
    data_dependent.setdiff1d,
    [(np.array([5, 1, 4, 1]), np.array([1, 2])), (np.array([1]), np.array([1]))],
    lambda x, y: [x[~np.isin(x, y)], np.nonzero(~np.isin(x, y))[0].astype(np.int32)],
)
