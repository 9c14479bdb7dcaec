import numpy as np
import pytest
from gradient_check import verify_gradient
from numpy_session import evaluate
from op_cases import floats

import graphc as tf
from graphc.errors import DTypeError, ShapeError
from graphc.gradients import gradients
from graphc.ops.linear_algebra import orthonormal_columns
from graphc.passes.base import Context
from graphc.passes.expand_composites import ExpandComposites
from graphc.passes.expand_gradients import ExpandGradients
from graphc.passes.specialise import specialise
from graphc.program import build_program


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


EQUATIONS = {
    "ij,jk->ik": ((2, 3), (3, 4)),
    "ij,jk": ((2, 3), (3, 4)),
    "bij,bjk->bik": ((2, 3, 4), (2, 4, 5)),
    "bhid,bhjd->bhij": ((2, 2, 3, 4), (2, 2, 5, 4)),
    "ij,jk,kl->il": ((2, 3), (3, 4), (4, 5)),
    "ij,jk,ik->": ((2, 3), (3, 4), (2, 4)),
    "ij->ji": ((2, 3),),
    "ij->": ((2, 3),),
    "ij->j": ((2, 3),),
    "ii->i": ((3, 3),),
    "ii": ((3, 3),),
    "iji->j": ((3, 2, 3),),
    "iii->i": ((3, 3, 3),),
    "ij,ij->": ((2, 3), (2, 3)),
    "ij,ij->ij": ((2, 3), (2, 3)),
    "i,j->ij": ((2,), (3,)),
    "i,i,i->i": ((3,), (3,), (3,)),
    "ijk,kl->jil": ((2, 3, 4), (4, 5)),
    "abc,c,b->a": ((2, 3, 4), (4,), (3,)),
    "ij,kj->": ((2, 3), (4, 3)),
    "ab,bc,cd,de->ae": ((2, 3), (3, 4), (4, 2), (2, 5)),
}


@pytest.mark.parametrize("equation", EQUATIONS)
def test_einsum(equation):
    arrays = [floats(shape, seed=i) for i, shape in enumerate(EQUATIONS[equation])]
    known = evaluate(tf.einsum(equation, *arrays))
    np.testing.assert_allclose(known, np.einsum(equation, *arrays), rtol=1e-5, atol=1e-5)
    unknown = [tf.placeholder(tf.float32, [None] * a.ndim) for a in arrays]
    np.testing.assert_array_equal(evaluate(tf.einsum(equation, *unknown), dict(zip(unknown, arrays))), known)


@pytest.mark.parametrize("equation", ["iji->j", "ij,jk,ik->", "bhid,bhjd->bhij", "ij,kj->"])
def test_einsum_has_gradients(equation):
    arrays = [floats(shape, dtype="float64", seed=i) for i, shape in enumerate(EQUATIONS[equation])]
    verify_gradient(lambda *tensors: tf.einsum(equation, *tensors), arrays)


@pytest.mark.parametrize(
    ("equation", "shapes", "problem"),
    [
        ("ij,jk->ik", [(2, 3), (4, 5)], "axis 'j' in 'ij,jk->ik' has sizes 3 and 4"),
        ("ij,jk->ik", [(2, 3)], "Got 1 arguments for equation 'ij,jk->ik', expecting 2"),
        ("ijk->i", [(2, 3)], "'ijk' in 'ijk->i' names 3 axes"),
        ("ij->ik", [(2, 3)], "must hold different axes of the operands"),
        ("ij->ii", [(2, 3)], "must hold different axes of the operands"),
        ("i...->i", [(2, 3)], "Indices have incorrect format"),
    ],
)
def test_equations_that_do_not_fit(equation, shapes, problem):
    with pytest.raises(ValueError, match=problem):
        tf.einsum(equation, *[np.zeros(shape, np.float32) for shape in shapes])


@pytest.mark.parametrize(("axes", "shapes"), [(1, ((2, 3), (3, 4))), (2, ((2, 3, 4), (3, 4, 5))), (0, ((2,), (3,))),
                                              ([[2, 0], [1, -1]], ((2, 3, 4), (5, 4, 2))), ([1, 0], ((2, 3), (3, 4))),
                                              ([[], []], ((2,), (3,)))])  # fmt: skip
def test_tensordot(axes, shapes):
    a, b = (floats(shape, seed=i) for i, shape in enumerate(shapes))
    np.testing.assert_allclose(evaluate(tf.tensordot(a, b, axes)), np.tensordot(a, b, axes), rtol=1e-5, atol=1e-6)


def test_tensordot_of_unequal_lists_of_axes():
    with pytest.raises(ValueError, match="Different number of contraction axes"):
        tf.tensordot(np.zeros((2, 3)), np.zeros((3, 2)), [[0, 1], [0]])


def test_matvec():
    a, b = floats((2, 3, 5)), floats((2, 5), seed=1)
    np.testing.assert_allclose(evaluate(tf.linalg.matvec(a, b)), np.einsum("bij,bj->bi", a, b), rtol=1e-5)
    found = evaluate(tf.linalg.matvec(a[0], np.ones(3, np.float32), transpose_a=True))
    np.testing.assert_allclose(found, a[0].sum(0), rtol=1e-5)


def test_operator_takes_arrays_on_either_side():
    a, b = floats((2, 3)), floats((3, 4), seed=1)
    np.testing.assert_array_equal(evaluate(tf.constant(a) @ b), evaluate(a @ tf.constant(b)))


def test_l2_normalize():
    x = floats((3, 4))
    found = evaluate(tf.nn.l2_normalize(x, 1))
    np.testing.assert_allclose(found, x / np.linalg.norm(x, axis=1, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(evaluate(tf.nn.l2_normalize(x)), x / np.linalg.norm(x), rtol=1e-5)
    np.testing.assert_array_equal(evaluate(tf.nn.l2_normalize(np.zeros((2, 2), np.float32), dim=0)), np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("a", "b", "problem"),
    [
        ((64, 784), (128, 10), "matmul: inner dimensions differ, 784 and 128"),
        ((2, 3, 4), (3, 4, 5), r"matmul: batch dimensions differ, \[2\] and \[3\]"),
        ((3,), (3, 4), "matmul: operand a has rank 1, a matrix has at least 2"),
    ],
)
def test_shapes_that_do_not_fit(a, b, problem):
    with pytest.raises(ShapeError, match=problem):
        tf.matmul(tf.placeholder(tf.float32, a), tf.placeholder(tf.float32, b))


def test_types_that_do_not_fit():
    with pytest.raises(DTypeError, match="matmul: operands have different types, float32 and int32"):
        tf.matmul(tf.placeholder(tf.float32, [2, 2]), tf.placeholder(tf.int32, [2, 2]))
    with pytest.raises(ValueError, match="Only one of transpose_a and adjoint_a can be True"):
        tf.matmul(np.eye(2), np.eye(2), transpose_a=True, adjoint_a=True)


@pytest.mark.parametrize("transposes", [(False, False), (False, True), (True, False), (True, True)])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_gradients_of_a_product_are_two_products_without_transposes(transposes, batch):
    turn_a, turn_b = transposes
    a = tf.placeholder(tf.float32, [*batch, *((5, 4) if turn_a else (4, 5))])
    b = tf.placeholder(tf.float32, [*batch, *((6, 5) if turn_b else (5, 6))])
    found = gradients(tf.matmul(a, b, transpose_a=turn_a, transpose_b=turn_b), [a, b])
    program = specialise(build_program(found, feeds=[a, b]), {})
    opened = ExpandComposites().run(ExpandGradients().run(program, Context()), Context())
    kinds = [operation.definition.name for operation in opened.operations]
    assert kinds.count("dot_general") <= 3 and "transpose" not in kinds


def test_orthonormal_columns_of_a_wide_matrix():
    with pytest.raises(ShapeError, match=r"takes a matrix with at least as many rows as columns, not \[2,3\]"):
        orthonormal_columns(tf.zeros([2, 3]))
