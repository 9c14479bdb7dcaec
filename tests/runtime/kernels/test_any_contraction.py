"""Contractions with any number of dimensions in any order, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as tf

LETTERS = "abcdefg"


def _random_contraction(seed):
    """An equation in which each letter is batch, free or contracted, its operands' letters in random order."""
    rng = np.random.default_rng(seed)
    sizes = dict(zip(LETTERS, rng.choice([1, 2, 3, 5], len(LETTERS))))
    kinds = rng.choice(["batch", "left", "right", "both"], rng.integers(2, len(LETTERS)))
    left = [c for c, kind in zip(LETTERS, kinds) if kind in ("batch", "left", "both")]
    right = [c for c, kind in zip(LETTERS, kinds) if kind in ("batch", "right", "both")]
    result = [c for c, kind in zip(LETTERS, kinds) if kind != "both"]
    for letters in (left, right, result):
        rng.shuffle(letters)
    arrays = [rng.standard_normal([sizes[c] for c in letters]).astype(np.float32) for letters in (left, right)]
    return f"{''.join(left)},{''.join(right)}->{''.join(result)}", arrays, kinds


def _check(equation, arrays, transposed):
    with tf.Graph().as_default(), tf.Session() as session:
        feeds = [tf.placeholder(tf.float32, a.shape) for a in arrays]
        operands = [tf.transpose(tf.transpose(t) * 1.5) / 1.5 for t in feeds] if transposed else feeds
        result = tf.einsum(equation, *operands)
        gradients = tf.gradients(tf.reduce_sum(result * result), feeds)
        found = session.run([result, *gradients], dict(zip(feeds, arrays)))
    expected = np.einsum(equation, *[a.astype(np.float64) for a in arrays])
    (left, right), out = equation.split("->")[0].split(","), equation.split("->")[1]
    wanted = [
        expected,
        2 * _derivative(f"{out},{right}->{left}", expected, arrays[1], arrays[0].shape),
        2 * _derivative(f"{out},{left}->{right}", expected, arrays[0], arrays[1].shape),
    ]
    for value, right_value in zip(found, wanted):
        np.testing.assert_allclose(value, right_value, rtol=1e-4, atol=1e-4, err_msg=equation)


def _derivative(equation, gradient, other, shape):
    return np.broadcast_to(np.einsum(equation, gradient, other.astype(np.float64)), shape)


def _run(seeds):
    for seed in seeds:
        equation, arrays, kinds = _random_contraction(seed)
        if {"batch", "both", "left"} & set(kinds) and {"batch", "both", "right"} & set(kinds):
            _check(equation, arrays, transposed=bool(seed % 2))


def test_random_contractions():
    _run(range(24))


@pytest.mark.long
def test_many_random_contractions():
    _run(range(24, 400))


@pytest.mark.parametrize("axes", [[[2, 1], [1, 0]], [[1, 2], [0, 1]]])
def test_contracted_dimensions_named_in_any_order(axes):
    a, b = np.random.default_rng(0).standard_normal((2, 3, 4)), np.random.default_rng(1).standard_normal((3, 4))
    with tf.Graph().as_default(), tf.Session() as session:
        result = session.run(tf.tensordot(tf.placeholder_with_default(a, a.shape), b, axes))
    np.testing.assert_allclose(result, np.tensordot(a, b, axes), rtol=1e-12)
