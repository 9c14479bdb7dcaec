"""Samples of reductions."""

import numpy as np
from op_cases import booleans, case, floats, integers
from scipy import special

from graphc.ops import reduce

_WAYS = ((None, False), ((1,), False), ((0, -1), True), ((), False), ((-2,), True))
_SHAPES = ((3, 17), (2, 3, 5), (33, 1))


def samples(low=-2.0, high=2.0, kinds="fi", empty=True):
    found = [(floats(shape, low, high),) for shape in (*_SHAPES, *[(0, 3)] * empty)]
    found += [(floats((3, 17), low, high, dtype),) for dtype in ("float64", "float16", "bfloat16")]
    found.append((np.array([[1, np.nan, 2], [np.inf, 3, -1], [-np.inf, 0, np.inf]], np.float32),))
    if "i" in kinds:
        found += [(integers((3, 17), dtype=dtype),) for dtype in ("int32", "int64", "uint8")]
    return found


def exact(function):
    """A reduction in float64 (of integers in their type), over axes."""

    def compute(x, axis, keepdims):
        wide = x if x.dtype.kind in "iu" else x.astype(np.float64)
        return function(wide, axis=axis, keepdims=keepdims)

    return compute


def wrapped(function):
    """As exact; integers wrap in their type."""
    return lambda x, axis, keepdims: (
        exact(function)(x, axis, keepdims).astype(x.dtype)
        if x.dtype.kind in "iu"
        else exact(function)(x, axis, keepdims)
    )


def _mean(x, axis, keepdims):
    if x.dtype.kind == "f" or x.dtype.name == "bfloat16":
        return np.mean(x.astype(np.float64), axis=axis, keepdims=keepdims)
    count = x.size // max(np.sum(x, axis=axis, keepdims=keepdims).size, 1)
    return np.trunc(np.sum(x, axis=axis, keepdims=keepdims, dtype=x.dtype) / count)


def _extreme(name):
    def compute(x, axis, keepdims):
        limit = {"max": -np.inf, "min": np.inf}[name] if x.dtype.kind not in "iu" else {"max": 0, "min": 255}[name]
        start = limit if x.size == 0 or axis == () else None
        options = {} if start is None else {"initial": start}
        wide = x if x.dtype.kind in "iu" else x.astype(np.float64)
        return wide if axis == () else getattr(np, name)(wide, axis=axis, keepdims=keepdims, **options)

    return compute


for axis, keepdims in _WAYS:
    label = f"{axis}{' keepdims' * keepdims}"
    options = {"axis": axis if axis is None else list(axis), "keepdims": keepdims}
    for name, function, reference, inputs in (
        ("reduce_sum", reduce.reduce_sum, wrapped(np.sum), samples()),
        ("reduce_prod", reduce.reduce_prod, wrapped(np.prod), samples()),
        ("reduce_mean", reduce.reduce_mean, _mean, samples()),
        ("reduce_max", reduce.reduce_max, _extreme("max"), samples()),
        ("reduce_min", reduce.reduce_min, _extreme("min"), samples()),
        ("reduce_logsumexp", reduce.reduce_logsumexp, exact(special.logsumexp), samples(kinds="f", empty=False)[:-1]),
    ):
        case(
            name,
            lambda x, f=function, options=options: f(x, **options),
            inputs,
            lambda x, f=reference, axis=axis, keepdims=keepdims: f(x, axis, keepdims),
            gradient=True,
            label=label,
            rounding=40,
        )
    for name, function, reference in (
        ("reduce_any", reduce.reduce_any, np.any),
        ("reduce_all", reduce.reduce_all, np.all),
    ):
        case(
            name,
            lambda x, f=function, options=options: f(x, **options),
            [(booleans((3, 17)),), (booleans((0, 3)),), (booleans((2, 2)),)],
            lambda x, f=reference, axis=axis, keepdims=keepdims: f(x, axis=axis, keepdims=keepdims),
            label=label,
        )

case(
    "reduce_prod",
    lambda x: reduce.reduce_prod(x, 1),
    [(np.array([[1.0, 0, 3], [0, 0, 2], [4, 5, 6]]),)],
    lambda x: np.prod(x, 1),
    gradient=[(np.array([[1.0, 0, 3], [4, 5, 6]]) + 0.25,)],
    label="zeros",
)
_POSITIONS = [
    *samples()[:3],
    *samples()[4:7],
    (integers((3, 17)),),
    (np.array([[1, 3, 3], [2, 0, 2]]),),
    (floats((1, 1)),),
]
for name, function, reference in (("argmax", reduce.argmax, np.argmax), ("argmin", reduce.argmin, np.argmin)):
    for axis in (0, 1):
        case(
            name,
            lambda x, f=function, axis=axis: f(x, axis),
            _POSITIONS,
            lambda x, f=reference, axis=axis: f(x, axis),
            label=str(axis),
        )
    case(
        name,
        lambda x, f=function: f(x, -1, output_type="int32"),
        [(floats((5,)),)],
        lambda x, f=reference: f(x).astype(np.int32),
        label="int32",
    )
