"""Copies and fills by the kernels that serve every size and type."""

import numpy as np
import pytest

import graphc as tf
from graphc.runtime.loops.nodes import Buffer, Index, Let, Load, Local, Loop, LoopNest, Store
from graphc.runtime.lower import bulk

TYPES = [np.float32, np.float64, np.float16, np.int32, np.int64, np.int8, np.uint8, np.bool_]
SIZES = [1, 2, 3, 15, 16, 17, 63, 64, 65, 127, 1000, 65_537, 300_001]


@pytest.fixture(autouse=True)
def usual_schedule(monkeypatch):
    monkeypatch.delenv("GRAPHC_SCHEDULE", raising=False)


def families_of(session, fetches, feeds=None) -> list[str]:
    native, _ = session.find_compiled(fetches, feeds)
    return [step.kernel.family for _, step in native.compilation.steps]


def sample(size: int, dtype: type) -> np.ndarray:
    return np.random.default_rng(size).integers(0, 2 if dtype is np.bool_ else 100, size).astype(dtype)


@pytest.mark.parametrize("dtype", TYPES)
def test_variables_get_their_first_values(dtype):
    """All sizes of a type as one program, with two kernels at most for those that do not fill a variable by hand."""
    values = {f"v{size}": sample(size, dtype) for size in SIZES}
    with tf.Graph().as_default(), tf.Session() as session:
        variables = {name: tf.get_variable(name, initializer=value) for name, value in values.items()}
        filled = {size: tf.get_variable(f"f{size}", initializer=np.full(size, 1, dtype)) for size in SIZES}
        initializer = tf.global_variables_initializer()
        session.run(initializer)
        assert set(families_of(session, initializer)) == {"copy", "fill"}
        assert len({step.kernel.name for _, step in session.find_compiled(initializer)[0].compilation.steps}) == 2
        for name, value in values.items():
            np.testing.assert_array_equal(session.run(variables[name]), value)
        for size, variable in filled.items():
            np.testing.assert_array_equal(session.run(variable), np.full(size, 1, dtype))


@pytest.mark.parametrize("value", [0.0, -0.0, 1.5, np.inf, np.nan, -1e-45, 3.4e38])
def test_fills_keep_every_bit(value):
    with tf.Graph().as_default(), tf.Session() as session:
        filled = tf.fill([777], np.float32(value))
        result = session.run(filled)
        assert families_of(session, filled) == ["fill"]
    np.testing.assert_array_equal(result.view(np.int32), np.full(777, value, np.float32).view(np.int32))


def test_a_fetched_variable_is_a_copy():
    with tf.Graph().as_default(), tf.Session() as session:
        variable = tf.get_variable("v", initializer=np.arange(300_000, dtype=np.float32).reshape(300, 1000))
        session.run(tf.global_variables_initializer())
        result = session.run(variable)
        assert families_of(session, variable) == ["copy"]
        result[:] = 0
        np.testing.assert_array_equal(session.run(variable), np.arange(300_000, dtype=np.float32).reshape(300, 1000))


@pytest.mark.parametrize(
    "build",
    [
        lambda x: tf.transpose(x),
        lambda x: x[:, 1:],
        lambda x: tf.reverse(x, [1]),
        lambda x: tf.pad(x, [[0, 0], [1, 0]]),
        lambda x: x + 1.0,
        lambda x: tf.cast(x, tf.float64),
        lambda x: tf.concat([x, x], 1),
        lambda x: tf.broadcast_to(x[:1], [40, 30]),
    ],
)
def test_what_is_no_plain_copy_is_none(build):
    array = np.random.default_rng(0).standard_normal((40, 30)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [40, 30])
        y = build(x)
        result = session.run(y, {x: array})
        assert families_of(session, y, {x: array}) == ["loops"]
        with tf.Session(graph=tf.get_default_graph()) as other:
            np.testing.assert_array_equal(other.run(y, {x: array}), result)


def test_rows_of_an_array_are_copied():
    array = np.arange(4000, dtype=np.float32).reshape(100, 40)
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [100, 40])
        rows = x[7:60]
        np.testing.assert_array_equal(session.run(rows, {x: array}), array[7:60])
        assert families_of(session, rows, {x: array}) == ["copy"]


def test_large_copies_are_shared_by_threads(monkeypatch):
    monkeypatch.setattr(bulk, "SERIAL_BYTES", 100)
    for size in (1, 25, 26, 100, 257, 4099):
        with tf.Graph().as_default(), tf.Session() as session:
            variable = tf.get_variable("v", initializer=sample(size, np.float32))
            session.run(tf.global_variables_initializer())
            np.testing.assert_array_equal(session.run(variable), sample(size, np.float32))
            native, _ = session.find_compiled(variable)
            chunks = [step.kernel.chunks for _, step in native.compilation.steps]
            assert chunks == [1] if size * 4 <= 100 or native.executable.pool.threads == 1 else chunks[0] > 1


def test_forced_schedules_have_loops(monkeypatch):
    monkeypatch.setenv("GRAPHC_SCHEDULE", "serial")
    with tf.Graph().as_default(), tf.Session() as session:
        filled = tf.fill([100], 2.5)
        np.testing.assert_array_equal(session.run(filled), np.full(100, 2.5, np.float32))
        assert families_of(session, filled) == ["loops"]


def test_the_array_that_is_copied_is_found_among_others():
    """A region may have operands that none of its results needs any more."""
    first, second = (Buffer(name, tf.float32, 20, "input") for name in "ab")
    target = Buffer("c", tf.float32, 20, "output")
    value, place = Local("v", tf.float32), Index(0, (("i", 1),))
    body = (Let(value, Load(second, place)), Store(target, place, value))
    nest = LoopNest("region", (first, second, target), (Loop("i", 20, body),))
    found = bulk.lower_bulk(nest, threads=1)
    assert found is not None and found.source == 1
    shifted = LoopNest("region", (first, second, target), (Loop("i", 20, (Let(value, Load(second, place + 1)), body[1])),))
    assert bulk.lower_bulk(shifted, threads=1) is None
