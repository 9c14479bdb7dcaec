"""What a graph says of its elements."""

from __future__ import annotations

import pytest

import graphc as tf


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default():
        yield


def test_name_of_a_tensor_is_no_name_of_an_operation():
    tf.constant(1, name="one")
    graph = tf.get_default_graph()
    assert graph.get_operation_by_name("one").outputs[0] is graph.get_tensor_by_name("one:0")
    with pytest.raises(ValueError, match="'one:0' appears to refer to a Tensor"):
        graph.get_operation_by_name("one:0")
    with pytest.raises(KeyError, match="not in the graph"):
        graph.get_operation_by_name("two")


def test_elements_can_be_fed_and_fetched():
    x = tf.constant(1.0)
    graph = x.graph
    assert graph.is_feedable(x) and graph.is_fetchable(x) and graph.is_fetchable(x.op) and not graph.is_feedable(x.op)
    with tf.Graph().as_default() as other, pytest.raises(ValueError, match="not an element of this graph"):
        other.is_fetchable(x)


def test_types_have_numbers():
    names = {1: "float32", 2: "float64", 3: "int32", 9: "int64", 10: "bool", 14: "bfloat16", 101: "float32"}
    assert {number: tf.as_dtype(number).name for number in names} == names


def test_unknown_numbers_of_types():
    with pytest.raises(TypeError, match="cannot convert 11"):
        tf.as_dtype(11)


def test_reduction_of_all_axes_is_a_number_whatever_the_rank():
    x = tf.placeholder(tf.float32)
    for reduce in (tf.reduce_sum, tf.reduce_mean, tf.reduce_max, tf.reduce_logsumexp):
        assert reduce(x).shape.as_list() == []
        assert reduce(x, keepdims=True).shape.ndims is None and reduce(x, 0).shape.ndims is None


def test_indices_of_what_is_not_zero():
    with tf.Session() as session:
        assert session.run(tf.where([0, 3, 4])).tolist() == [[1], [2]]
