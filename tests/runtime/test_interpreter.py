"""The NumPy interpreter of programs."""

import numpy as np
import pytest

import graphc  # noqa: F401 - defines all operations
from graphc.parser import parse_program
from graphc.runtime.interpreter import interpret

PROGRAM = parse_program("""program step(%x: f32[?,2] feed, %w: f32[2] variable, %key: i64[2] run) {
  %y = mul(%x, %w) : f32[?,2]
  %top, %place = top_k(%y) {k=1} : f32[?,1], i32[?,1]
  %new = sub(%w, %w) : f32[2]
  update "w" = %new
  fetch %place
  fetch %y
  fetch %w
}""")


def test_fetches_and_updates():
    bindings = {"x:0": [[1, 2], [3, 1]], "w": [1, 2], "key": [0, 0]}
    (position, product, weights), updates = interpret(PROGRAM, bindings)
    assert product.tolist() == [[1, 4], [3, 2]] and product.dtype == np.float32
    assert position.tolist() == [[1], [0]] and weights.tolist() == [1, 2]
    assert {key: value.tolist() for key, value in updates.items()} == {"w": [0, 0]}


def test_values_may_be_given_by_tensor():
    x, w, key = (p.tensor for p in PROGRAM.parameters)
    fetches, _ = interpret(PROGRAM, {x: np.ones((1, 2)), w: [1, 2], key: [0, 0]})
    assert fetches[1].tolist() == [[1, 2]]


def test_missing_and_misshapen_values():
    with pytest.raises(KeyError, match="w"):
        interpret(PROGRAM, {"x:0": np.ones((1, 2)), "key": [0, 0]})
    with pytest.raises(ValueError, match=r"x:0 is f32\[\?,2\], its value has shape \[3\]"):
        interpret(PROGRAM, {"x:0": np.ones(3), "w": [1, 2], "key": [0, 0]})
