"""What is said of operands that do not fit: the first line says what, the rest who and where."""

import numpy as np
import pytest
from interpreting import value_of

from graphc.errors import DTypeError, InvalidArgumentError, ShapeError
from graphc.graph import Graph
from graphc.ops import (
    activations,
    compare,
    conversion,
    cumulative,
    data_dependent,
    diagonals,
    elementwise,
    filling,
    indexing,
    joining,
    movement,
    reduce,
    sequences,
    slicing,
    strided_slices,  # noqa: F401 - tensor[...]
)
from graphc.ops.constants import constant, placeholder


@pytest.fixture(autouse=True)
def graph():
    with Graph().as_default() as graph:
        yield graph


def images():
    return placeholder("float32", [None, 4], name="images")


def cube():
    return placeholder("float32", [2, 3, 4], name="cube")


def square():
    return placeholder("float32", [5, 5], name="square")


def counts():
    return placeholder("int32", [3], name="counts")


SHAPES = {
    lambda: images() + square(): "add: shapes [?,4] and [5,5] do not broadcast",
    lambda: movement.reshape(cube(), [5, -1]): "reshape: [2,3,4] has 24 elements, which do not divide into [5,?]",
    lambda: movement.reshape(cube(), [5]): "reshape: [2,3,4] has 24 elements, [5] has 5",
    lambda: movement.reshape(cube(), [-1, -1]): "reshape: only one size may be -1 in [-1, -1]",
    lambda: movement.broadcast_to(cube(), [2, 3]): "broadcast_to: shape [2,3,4] does not broadcast to [2,3]",
    lambda: movement.transpose(cube(), [0, 1]): "transpose: the permutation [0, 1] has 2 axes, the operand 3",
    lambda: movement.transpose(cube(), [0, 1, 1]): "transpose: [0, 1, 1] is not a permutation of 3 axes",
    lambda: movement.expand_dims(cube(), 5): "expand_dims: axis 5 is out of range for a result of rank 4",
    lambda: movement.squeeze(cube(), [0]): "squeeze: axis 0 has size 2, not 1",
    lambda: movement.tile(cube(), [1, 2]): "tile: 2 multiples for a tensor of rank 3",
    lambda: joining.concat([images(), cube()], 0): "concat: ranks differ: [?,4], [2,3,4]",
    lambda: joining.concat([cube(), cube()[:, :2]], 0): "concat: shapes [2,3,4], [2,2,4] differ in more than axis 0",
    lambda: joining.concat([cube(), cube()], 3): "concat: axis 3 is out of range for rank 3",
    lambda: joining.stack([cube(), images()]): "stack: shapes [2,3,4] and [?,4] differ",
    lambda: joining.split(cube(), 2, 1): "split: a size of 3 does not divide into 2 equal parts",
    lambda: joining.split(cube(), [1, 1], 1): "split: parts of sizes [1, 1] do not make up a size of 3",
    lambda: joining.unstack(cube(), 3): "unstack: axis 0 has size 2, not 3",
    lambda: joining.space_to_depth(cube(), 2): "space_depth: takes images of rank 4, not 3",
    lambda: slicing.slice(cube(), [0, 0, 0], [3, 1, 1]): "slice: axis 0 has size 2; 3 elements from 0 in steps of 1 leave it",
    lambda: slicing.pad(cube(), [[1, 1]]): "pad: 1 pairs of paddings for a tensor of rank 3",
    lambda: slicing.pad(images(), [[0, 0], [0, 4]], "REFLECT"):
        "mirror_pad: paddings 0 and 4 of axis 1 exceed 3, which is what REFLECT mode has to copy",
    lambda: slicing.reverse(cube(), [0, 0]): "reverse: axes [0, 0] are out of range for rank 3, or repeated",
    lambda: slicing.roll(cube(), [1, 2], [0]): "roll: 2 shifts for 1 axes",
    lambda: cube()[2]: "strided_slice: index 2 is out of bounds for axis 0 with size 2",
    lambda: cube()[0, 0, 0, 0]: "strided_slice: 4 indices for a tensor of rank 3",
    lambda: cube()[:, ::0]: "strided_slice: a stride is zero",
    lambda: cube()[..., ...]: "strided_slice: an index has more than one ellipsis",
    lambda: reduce.reduce_sum(cube(), 3): "reduce_sum: axis 3 is out of range for rank 3",
    lambda: reduce.reduce_sum(cube(), [1, -2]): "reduce_sum: an axis is given twice in [1, 1]",
    lambda: reduce.argmax(cube(), 4): "argmax: axis 4 is out of range for rank 3",
    lambda: cumulative.cumsum(cube(), 3): "cumulative: axis 3 is out of range for rank 3",
    lambda: indexing.gather(cube(), counts(), axis=3): "gather: axis 3 is out of range for rank 3",
    lambda: indexing.gather_nd(images(), counts()): "gather_nd: an index has 3 parts, the operand 2 axes",
    lambda: indexing.scatter_nd([[0]], [[1.0]], [4]): "scatter_nd: updates are [1,1], indices and result need [1]",
    lambda: indexing.one_hot(counts(), 3, axis=2): "one_hot: axis 2 is out of range for a result of rank 2",
    lambda: filling.range(0, 5, -1): "range: 5 cannot be reached from 0 in steps of -1",
    lambda: filling.range(0, 5, 0): "range: the step is zero",
    lambda: filling.fill([2], counts()): "fill: the value has rank 1, not 0",
    lambda: filling.zeros([2, -3]): "broadcast_to: a size is negative in [2, -3]",
    lambda: elementwise.add_n([cube(), images()]): "add_n: shapes [2,3,4] and [?,4] differ",
    lambda: compare.where(constant([True] * 3), cube(), cube()):
        "where: a condition of shape [3] does not choose rows of shape [2,3,4]",
    lambda: diagonals.diag_part(cube()): "diag_part: takes a tensor of even rank, not 3",
    lambda: diagonals.matrix_set_diag(cube(), constant([1.0])):
        "matrix_set_diag: matrices [2,3,4] have diagonals [2,3], not [1]",
    lambda: data_dependent.boolean_mask(cube(), [True]): "boolean_mask: a mask of shape [1] does not fit the sizes [2]",
    lambda: sequences.reverse_sequence(cube(), counts(), 1, 0): "reverse_sequence: 3 lengths for a batch of 2",
    lambda: sequences.sort(cube(), 3): "sort: axis 3 is out of range for rank 3",
}  # fmt: skip

DTYPES = {
    lambda: counts() + constant([1.0]): "add: operands have different types, int32 and float32",
    lambda: elementwise.exp(counts()): "exp: takes floating-point numbers, not int32",
    lambda: activations.sigmoid(counts()): "sigmoid: takes floating-point numbers, not int32",
    lambda: compare.bitwise_and(cube(), cube()): "bitwise_and: takes integers, not float32",
    lambda: compare.logical_not(cube()): "logical_not: takes bool, not float32",
    lambda: compare.less(constant(True), constant(False)): "less: takes numbers, not bool",
    lambda: compare.select(counts(), counts(), counts()): "select: the condition is int32, not bool",
    lambda: reduce.reduce_sum(constant(True)): "reduce_sum: takes numbers, not bool",
    lambda: reduce.reduce_all(cube()): "reduce_all: takes bool, not float32",
    lambda: reduce.argmax(cube(), output_type="int16"): "argmax: positions are int32 or int64, not int16",
    lambda: indexing.gather(cube(), [0.5]): "gather: indices are integers, not float32",
    lambda: conversion.cast("a", "int32"): "cast: cannot convert string to int32",
    lambda: joining.concat([constant([1]), constant([1.0])], 0): "concat: operands have different types, int32 and float32",
    lambda: filling.linspace(0, 1, 5): "linspace: takes floating-point numbers, not int32",
}


@pytest.mark.parametrize(("build", "text"), SHAPES.items(), ids=SHAPES.values())
def test_shapes_that_do_not_fit(build, text):
    with pytest.raises(ShapeError) as raised:
        build()
    assert str(raised.value).splitlines()[0] == text
    assert str(raised.value).splitlines()[-1].startswith("at test_op_errors.py:")


@pytest.mark.parametrize(("build", "text"), DTYPES.items(), ids=DTYPES.values())
def test_types_that_do_not_fit(build, text):
    with pytest.raises(DTypeError) as raised:
        build()
    assert str(raised.value).splitlines()[0] == text
    assert str(raised.value).splitlines()[-1].startswith("at test_op_errors.py:")


def test_operands_are_shown_with_their_lines():
    x = images()
    w = constant(np.zeros([3, 2], np.float32), name="w")
    with pytest.raises(ShapeError) as raised:
        x * w
    first, left, right, last = str(raised.value).splitlines()
    assert first == "mul: shapes [?,4] and [3,2] do not broadcast"
    assert left.split("   ")[:2] == ["", " images"] and "f32[?,4]" in left and "test_op_errors.py" in left
    assert "f32[3,2]" in right and right.endswith('w = constant(np.zeros([3, 2], np.float32), name="w")')
    assert last.endswith(":  x * w")


@pytest.mark.parametrize(
    ("build", "feeds", "text"),
    [
        (lambda x, i: indexing.gather(x, i), 5, "index 5 is not in [0, 3)"),
        (lambda x, i: indexing.gather(x, i), -1, "index -1 is not in [0, 3)"),
        (lambda x, i: x[i], 3, "index 3 is not in [0, 3)"),
        (lambda x, i: indexing.gather_nd(x, [[i]]), 3, "index 3 is not in [0, 3)"),
        (lambda x, i: indexing.scatter_nd([[i]], [1.0], [2]), 2, "index 2 is not in [0, 2)"),
        (lambda x, i: 7 // i, 0, "Integer division by zero"),
        (lambda x, i: 7 % i, 0, "Integer division by zero"),
        (lambda x, i: 7**i, -1, "Integers to negative integer powers are not allowed"),
    ],
)
def test_values_that_do_not_fit_at_run_time(build, feeds, text):
    x, i = placeholder("float32", [3]), placeholder("int32", [])
    result = build(x, i)
    with pytest.raises((InvalidArgumentError, ShapeError)) as raised:
        value_of(result, {x: [1, 2, 3], i: feeds})
    assert text in str(raised.value).splitlines()[0]
