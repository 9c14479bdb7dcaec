"""Prepared runs: what is compiled when, and how programs get on whose shapes depend on data."""

import threading

import numpy as np
import pytest

import graphc as tf
from graphc.program import build_program
from graphc.runtime.backends import InterpretedProgram, NeedsValues
from graphc.runtime.prepared import NativePart, PreparedRun
from graphc.runtime.variable_store import VariableStore

RUN_KEY = np.zeros(2, np.int64)


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


class RecordingBackend:
    """Interprets; keeps what it was asked for; wants the values and shapes of certain tensors first."""

    def __init__(self, values=(), shapes=()):
        self.values, self.shapes = values, shapes
        self.compiled = []

    def compile(self, program, shapes, known):
        produced = {t for operation in program.operations for t in operation.outputs}
        inside = [t for t in self.values if t in produced and t not in known and t not in program.fetches]
        cut = [t for t in self.shapes if t in produced]
        if inside or cut:
            raise NeedsValues(inside, cut)
        self.compiled.append((program, dict(shapes), dict(known)))
        return InterpretedProgram(program)


def make_part(backend, fetches, feeds):
    return NativePart(build_program(fetches, (), feeds), backend, threading.RLock())


def test_each_shape_is_compiled_once():
    x = tf.placeholder(tf.float32, [None])
    backend = RecordingBackend()
    part = make_part(backend, [x * 2.0], [x])
    for size in (3, 4, 3, 4):
        (result,) = part.run({x: np.ones(size, np.float32)}, VariableStore(), RUN_KEY)
        np.testing.assert_array_equal(result, np.full(size, 2))
    assert [shapes[x] for _, shapes, _ in backend.compiled] == [(3,), (4,)]


def test_variables_of_unknown_shape_count_as_shapes():
    w = tf.Variable([1.0, 2.0], validate_shape=False)
    store = VariableStore()
    backend = RecordingBackend()
    part = make_part(backend, [w * 2.0], [])
    for size in (2, 3, 2):
        store.assign(w.key, np.ones(size, np.float32))
        (result,) = part.run({}, store, RUN_KEY)
        assert result.shape == (size,)
    assert len(backend.compiled) == 2


def test_values_that_decide_about_shapes_are_computed_first():
    n = tf.placeholder(tf.int32, [1])
    x = tf.placeholder(tf.float32, [None, None])
    shape = n * 2
    y = tf.reshape(x, shape) + 1.0
    backend = RecordingBackend(values=[shape])
    part = make_part(backend, [y], [n, x])
    data = np.arange(4, dtype=np.float32).reshape(2, 2)
    for _ in range(2):
        (result,) = part.run({n: np.array([2], np.int32), x: data}, VariableStore(), RUN_KEY)
        np.testing.assert_array_equal(result, data.ravel() + 1)
    prefix, whole = backend.compiled
    assert prefix[0].fetches == (shape,) and [p.tensor for p in prefix[0].parameters] == [n]
    assert prefix[2] == {} and list(whole[2]) == [shape]
    part.run({n: np.array([3], np.int32), x: np.ones((2, 3), np.float32)}, VariableStore(), RUN_KEY)
    assert len(backend.compiled) == 3  # another shape of x, but the prefix stays


def test_the_same_shapes_with_other_values_are_compiled_again():
    n = tf.placeholder(tf.int32, [2])
    x = tf.constant(np.arange(6, dtype=np.float32))
    shape = n * 1
    y = tf.reshape(x, shape) * 2.0
    backend = RecordingBackend(values=[shape])
    part = make_part(backend, [y], [n])
    for sizes in ([2, 3], [3, 2], [2, 3]):
        (result,) = part.run({n: np.array(sizes, np.int32)}, VariableStore(), RUN_KEY)
        assert result.shape == tuple(sizes)
    assert len(backend.compiled) == 3  # the prefix, and the rest for two values


def test_operations_whose_shapes_depend_on_data_cut_the_program():
    x = tf.placeholder(tf.float32, [None])
    middle = x * 2.0
    y = (middle + 1.0) * middle
    backend = RecordingBackend(shapes=[middle])
    part = make_part(backend, [y], [x])
    (result,) = part.run({x: np.array([1, 2], np.float32)}, VariableStore(), RUN_KEY)
    np.testing.assert_array_equal(result, [6, 20])
    (_, shapes, _) = backend.compiled[-1]
    assert shapes == {middle: (2,)}


def test_assumptions_about_variables():
    w = tf.Variable([1.0, 2.0])
    store = VariableStore()
    program = build_program([w.initialized_value()], (), (), store.is_initialized)
    prepared = PreparedRun(program, RecordingBackend(), threading.RLock())
    assert prepared.holds_for(store)
    store.assign(w.key, np.zeros(2, np.float32))
    assert not prepared.holds_for(store)


def test_the_store_keeps_addresses_where_it_can():
    store = VariableStore()
    store.assign("w", np.ones((2, 3), np.float32))
    layout, address = store.layout, store.value("w").ctypes.data
    assert address % 64 == 0
    store.assign("w", np.zeros((2, 3), np.float32))
    assert store.layout == layout and store.value("w").ctypes.data == address
    store.assign("w", np.zeros((3, 3), np.float32))
    assert store.layout > layout
    big = np.ones((1024, 1024), np.float32)
    store.assign("big", big)
    np.testing.assert_array_equal(store.value("big"), big)
    store.buffer("new", (2,), np.dtype(np.float32))
    assert "new" not in store and "w" in store and set(store) == {"w", "big"}
    with pytest.raises(KeyError):
        store.value("new")
    store.mark_initialized(["new"])
    assert store.is_initialized("new")
