"""Samples of contractions, softmax and its losses, and statistics."""

import numpy as np
from op_cases import case, floats, integers
from op_cases_windows import SMALL_FLOATS, quarters, wide

from graphc.ops import (
    cross_entropy,
    linear_algebra,
    normalization,
    softmax,
    top_k,
)

# -- contractions


def pairs(*shapes, integer=True):
    """Two operands for each pair of shapes in float32; the first pair in other types too."""
    found = [(quarters(a), quarters(b, seed=1)) for a, b in shapes]
    a, b = shapes[0]
    found += [(quarters(a, d), quarters(b, d, 1)) for d in SMALL_FLOATS]
    if integer:
        found += [(integers(a, dtype=d), integers(b, dtype=d, seed=1)) for d in ("int32", "int64")]
    return found


def multiply_matrices(transpose_a, transpose_b):
    def reference(a, b):
        a, b = wide(a), wide(b)
        return np.matmul(np.swapaxes(a, -1, -2) if transpose_a else a, np.swapaxes(b, -1, -2) if transpose_b else b)

    return reference


def turned(shape, turn):
    return (*shape[:-2], shape[-1], shape[-2]) if turn else shape


PLAIN = (((7, 5), (5, 9)), ((3, 4, 5), (3, 5, 2)), ((1, 1), (1, 1)), ((0, 3), (3, 4)), ((4, 0), (0, 3)), ((2, 33), (33, 17)))
STRETCHED = (((2, 3, 4, 5), (5, 6)), ((4, 5), (3, 5, 6)), ((3, 1, 4, 5), (2, 5, 6)))

for turn_a in (False, True):
    for turn_b in (False, True):
        case(
            "matmul",
            lambda a, b, ta=turn_a, tb=turn_b: linear_algebra.matmul(a, b, transpose_a=ta, transpose_b=tb),
            pairs(*[(turned(a, turn_a), turned(b, turn_b)) for a, b in PLAIN + STRETCHED]),
            multiply_matrices(turn_a, turn_b),
            gradient=[(floats(turned(a, turn_a), dtype="float64"), floats(turned(b, turn_b), dtype="float64"))
                      for a, b in PLAIN[:2] + STRETCHED],
            label=f"{turn_a:d}{turn_b:d}",
        )  # fmt: skip



def spoiled(array):
    """An array with NaN and infinities in its last rows and columns."""
    found = array.copy()
    found[-1, -1], found[0, -1], found[-1, 0] = np.nan, np.inf, -np.inf
    return found


case("matmul", linear_algebra.matmul,
     [(spoiled(quarters(a, d)), spoiled(quarters(b, d, 1))) for a, b in (((7, 5), (5, 9)), ((33, 17), (17, 19))) for d in
      ("float32", "float64")], multiply_matrices(False, False), label="special")  # fmt: skip

CONTRACTIONS = {
    "ab,bc->ac": (((), ()), ((1,), (0,)), (3, 4), (4, 5)),
    "abc,dbae->cde": (((), ()), ((0, 1), (2, 1)), (3, 4, 2), (5, 4, 3, 2)),
    "abc,cab->bac": (((1,), (2,)), ((), ()), (2, 3, 4), (4, 2, 3)),
    "abcd,badc->ab": (((0, 1), (1, 0)), ((2, 3), (3, 2)), (2, 3, 4, 5), (3, 2, 5, 4)),
    "a,b->ab": (((), ()), ((), ()), (3,), (4,)),
    "a,a->": (((), ()), ((0,), (0,)), (5,), (5,)),
    "bca,ad->bcd": (((), ()), ((2,), (0,)), (2, 3, 4), (4, 5)),
}


def contract(batch, axes):
    """The definition of dot_general by einsum's subscripts."""

    def reference(a, b):
        letters = iter("ABCDEFGHIJ")
        of_a, of_b = [next(letters) for _ in a.shape], [""] * b.ndim
        for i, j in (*zip(*batch), *zip(*axes)):
            of_b[j] = of_a[i]
        free_b = [j for j in range(b.ndim) if not of_b[j]]
        for j in free_b:
            of_b[j] = next(letters)
        free_a = [i for i in range(a.ndim) if i not in batch[0] and i not in axes[0]]
        result = "".join([of_a[i] for i in (*batch[0], *free_a)] + [of_b[j] for j in free_b])
        return np.einsum(f"{''.join(of_a)},{''.join(of_b)}->{result}", wide(a), wide(b))

    return reference


for subscripts, (batch, axes, shape_a, shape_b) in CONTRACTIONS.items():
    case(
        "dot_general", lambda a, b, batch=batch, axes=axes: linear_algebra.dot_general(a, b, batch, axes),
        pairs((shape_a, shape_b)), contract(batch, axes), label=subscripts,
        gradient=[(floats(shape_a, dtype="float64"), floats(shape_b, dtype="float64"))],
    )  # fmt: skip

case("l2_loss", linear_algebra.l2_loss,
     [(floats(s),) for s in ((33,), (3, 5, 2), (), (0,))] + [(floats((9,), dtype="float64"),)],
     lambda x: np.sum(x.astype(np.float64) ** 2) / 2, gradient=True, rounding=4)  # fmt: skip


def factor(matrix):
    q, r = np.linalg.qr(matrix)
    return q * np.sign(np.diagonal(r))


case("orthonormal_columns", linear_algebra.orthonormal_columns, [(floats((5, 3), dtype=d),) for d in ("float64", "float32")],
     factor, known_shapes=True, rounding=10)  # fmt: skip


# -- softmax and losses


def soft(x, axis=-1):
    exponentials = np.exp(x.astype(np.float64) - np.max(x.astype(np.float64), axis, keepdims=True))
    return exponentials / exponentials.sum(axis, keepdims=True)


ROWS = [(floats(s, -9, 9),) for s in ((3, 17), (33,), (2, 3, 5), (0, 3), (4, 1))] + [
    (floats((3, 17), -9, 9, d),) for d in ("float64", "float16", "bfloat16")
]  # fmt: skip
INFINITE = [(np.array([[np.inf, 0], [-np.inf, 0], [np.nan, 0], [80.0, -80.0]], np.float32),)]
case("softmax", softmax.softmax, ROWS + INFINITE, soft, gradient=True, rounding=8)
case("softmax", lambda x: softmax.softmax(x, axis=1), [(floats((2, 5, 3)),)], lambda x: soft(x, 1), gradient=True,
     label="middle", rounding=4)  # fmt: skip
case("log_softmax", softmax.log_softmax, ROWS, lambda x: np.log(soft(x)), gradient=True, rounding=20)
case("log_softmax", lambda x: softmax.log_softmax(x, axis=0), [(floats((5, 3)),)], lambda x: np.log(soft(x, 0)), gradient=True,
     label="first", rounding=8)  # fmt: skip


def probabilities(shape, dtype="float32"):
    return soft(floats(shape, seed=7)).astype(dtype)


def cross_entropy_of(logits, labels):
    return -(labels.astype(np.float64) * np.log(soft(logits))).sum(-1)


SAMPLES = [(floats(s, -5, 5), probabilities(s)) for s in ((3, 17), (2, 3, 5), (0, 4))]
SAMPLES += [(floats((3, 17), -5, 5, d), probabilities((3, 17), d)) for d in ("float64",)]
case("softmax_cross_entropy", lambda z, l: cross_entropy.softmax_cross_entropy_with_logits_v2(labels=l, logits=z), SAMPLES,
     cross_entropy_of, gradient=True, rounding=20)  # fmt: skip
case("sigmoid_cross_entropy", lambda z, l: cross_entropy.sigmoid_cross_entropy_with_logits(labels=l, logits=z),
     [(floats(s, -9, 9), floats(s, 0, 1, seed=1)) for s in ((3, 17), (), (0,), (33,))]
     + [(floats((33,), -9, 9, d), floats((33,), 0, 1, d, seed=1)) for d in SMALL_FLOATS],
     lambda z, l: np.logaddexp(0, z.astype(np.float64)) - z.astype(np.float64) * l, gradient=True, rounding=8)  # fmt: skip


def pick_label(logits, labels):
    return -np.take_along_axis(np.log(soft(logits)), labels[..., None].astype(np.int64), -1)[..., 0]


case("sparse_softmax_cross_entropy", lambda z, l: cross_entropy.sparse_softmax_cross_entropy_with_logits(labels=l, logits=z),
     [(floats((3, 17), -5, 5, d), integers((3,), 0, 16, t)) for d, t in (("float32", "int32"), ("float64", "int64"))]
     + [(floats((2, 3, 5)), integers((2, 3), 0, 4)), (floats((0, 5)), integers((0,), 0, 4)), (floats((5,)), np.array(3))],
     pick_label, gradient=True, rounding=20)  # fmt: skip

case("bias_add", softmax.bias_add, pairs(((3, 17), (17,)), ((2, 3, 4, 5), (5,)), ((0, 3), (3,))),
     lambda x, b: wide(x) + wide(b), gradient=True)  # fmt: skip
case("bias_add", lambda x, b: softmax.bias_add(x, b, data_format="NCHW"), pairs(((2, 3, 4, 5), (3,)), ((4, 3), (3,))),
     lambda x, b: wide(x) + wide(b).reshape(-1, *(1,) * (x.ndim - 2)), gradient=True, label="NCHW")  # fmt: skip


# -- statistics and order

for axes, keepdims in (((0,), False), ((1, 2), True), ((0, 1, 2), False), ((-1,), True)):
    case(
        "moments", lambda x, axes=axes, keep=keepdims: normalization.moments(x, axes, keepdims=keep),
        [(floats((4, 5, 3)),), (floats((4, 5, 3), dtype="float64"),)],
        lambda x, a=axes, k=keepdims: [x.astype(np.float64).mean(a, keepdims=k), x.astype(np.float64).var(a, keepdims=k)],
        gradient=True, label=f"{axes}{keepdims}", rounding=8,
    )  # fmt: skip


def largest(x, k):
    order = np.argsort(-x.astype(np.float64), axis=-1, kind="stable")[..., :k]
    return [np.take_along_axis(x, order, -1), order]


for k in (1, 3, 0, 17):
    case(
        "top_k", lambda x, k=k: top_k.top_k(x, k),
        [(floats((3, 17), dtype=d),) for d in ("float32", *SMALL_FLOATS)] + [(integers((4, 33), -3, 3),), (floats((2, 3, 17)),)]
        + [(integers((3, 17), dtype="uint8"),), (floats((0, 17)),)],
        lambda x, k=k: largest(x, k), gradient=True, label=str(k),
    )  # fmt: skip

SPECIAL_ROWS = np.array([[1, np.nan, 3, 3, np.nan], [-np.inf, np.inf, 0.0, -0.0, np.inf], [np.nan] * 5], np.float32)
SPECIAL_ORDER = [[1, 4, 2, 3], [1, 4, 2, 3], [0, 1, 2, 3]]
case("top_k", lambda x: top_k.top_k(x, 4), [(SPECIAL_ROWS.astype(d),) for d in ("float32", "float64", "float16")],
     lambda x: [np.take_along_axis(x, np.array(SPECIAL_ORDER), -1), np.array(SPECIAL_ORDER)], label="special")  # fmt: skip
