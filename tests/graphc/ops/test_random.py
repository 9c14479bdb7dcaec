import numpy as np
import pytest
from numpy_session import evaluate, numpy_session
from op_cases import floats
from scipy import stats

import graphc as tf
from graphc.errors import ShapeError
from graphc.ops.philox import derive_key, philox, random_words
from graphc.ops.random import DEFAULT_GRAPH_SEED

COUNT = 40_000


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


@pytest.mark.parametrize(
    ("counter", "key", "block"),
    [
        ([0] * 4, (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ([0xFFFFFFFF] * 4, (0xFFFFFFFF, 0xFFFFFFFF), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        ([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], (0xA4093822, 0x299F31D0),
         (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
    ],
)  # fmt: skip
def test_known_answers_of_philox(counter, key, block):
    """The vectors that the authors publish with Random123."""
    found = philox([np.array([word], np.uint64) for word in counter], key)
    assert [int(word[0]) for word in found] == list(block)


def test_the_layout_of_words():
    """Element e of n is word e // nb of block e % nb."""
    key = derive_key(1, 2)
    zero = np.zeros(3, np.uint64)
    block = philox([np.arange(3, dtype=np.uint64), zero, zero + np.uint64(9), zero], key)
    np.testing.assert_array_equal(random_words(10, key, 9), np.concatenate(block)[:10])


# -- seeds


def draw(op_seed=None, graph_seed=None, runs=1, before=0):
    with tf.Graph().as_default():
        tf.set_random_seed(graph_seed)
        for _ in range(before):
            tf.constant(0)
        numbers = tf.random_uniform([5], seed=op_seed)
        with numpy_session() as session:
            return [session.run(numbers).tolist() for _ in range(runs)]


def test_equal_seeds_give_equal_numbers_and_every_run_others():
    first, second = draw(4, runs=2)
    assert draw(4, runs=2) == [first, second] and first != second
    assert draw(5) != [first]
    assert draw(4, graph_seed=DEFAULT_GRAPH_SEED) == [first]
    assert draw(4, graph_seed=1) != [first]


def test_with_the_seed_of_the_graph_operations_differ_by_their_place():
    assert draw(graph_seed=7) == draw(graph_seed=7) != draw(graph_seed=7, before=1)


def test_without_seeds_every_session_draws_others():
    assert draw() != draw()
    first, second = evaluate([tf.random_uniform([5]), tf.random_uniform([5])])
    assert not np.array_equal(first, second)


def test_get_seed(graph):
    assert tf.get_seed(None) == (None, None)
    assert tf.get_seed(3) == (DEFAULT_GRAPH_SEED, 3)
    tf.set_random_seed(9)
    assert tf.get_seed(3) == (9, 3)
    tf.constant(0)
    assert tf.get_seed(None) == (9, 1)


def test_one_use_is_one_draw():
    numbers = tf.random_uniform([5])
    np.testing.assert_array_equal(*evaluate([numbers + 0.0, numbers]))


def test_the_key_of_the_run_stands_outside_scopes_and_control_dependencies(graph):
    with tf.name_scope("inner"), tf.control_dependencies([tf.constant(0)]):
        tf.random_uniform([])
    key = graph.get_operation_by_name("run_key")
    assert not key.control_inputs
    tf.random_uniform([])
    assert sum(operation.definition.name == "run_key" for operation in graph.get_operations()) == 1


# -- distributions


@pytest.mark.parametrize(
    ("make", "distribution"),
    [
        (tf.random_uniform, stats.uniform()),
        (tf.random_normal, stats.norm()),
        (tf.truncated_normal, stats.truncnorm(-2, 2)),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_distributions(make, distribution, dtype):
    tf.set_random_seed(1)
    found = evaluate(make([COUNT], dtype=dtype))
    assert found.dtype == dtype and stats.kstest(found, distribution.cdf).pvalue > 1e-3
    assert abs(np.corrcoef(found[:-1], found[1:])[0, 1]) < 0.02


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_distributions_of_narrow_types(dtype):
    numbers = [make([COUNT], dtype=dtype, seed=1) for make in (tf.random_uniform, tf.random_normal, tf.truncated_normal)]
    uniform, normal, truncated = (v.astype(np.float64) for v in evaluate(numbers))
    assert 0 <= uniform.min() and uniform.max() < 1 and abs(uniform.mean() - 0.5) < 0.01
    assert abs(normal.std() - 1) < 0.02 and abs(truncated).max() <= 2


def test_scaled_distributions():
    low = tf.placeholder(tf.float32, [])
    found = evaluate([
        tf.random_uniform([COUNT], low, 3.0, seed=1),
        tf.random_normal([COUNT, 2], mean=[1.0, -1.0], stddev=[0.5, 2.0], seed=1),
        tf.truncated_normal([COUNT], 10.0, 0.5, seed=1),
    ], {low: -1})  # fmt: skip
    assert -1 <= found[0].min() < -0.99 and 2.99 < found[0].max() <= 3
    np.testing.assert_allclose(found[1].mean(0), [1, -1], atol=0.05)
    np.testing.assert_allclose(found[1].std(0), [0.5, 2], rtol=0.03)
    assert 9 <= found[2].min() < 9.01 and 10.99 < found[2].max() <= 11


def test_whole_numbers():
    tf.set_random_seed(2)
    wide = 1 << 40
    small, large, signed = evaluate([
        tf.random_uniform([COUNT], -5, 7, tf.int32), tf.random_uniform([COUNT], 0, wide, tf.int64),
        tf.random_uniform([COUNT], tf.int32.min, tf.int32.max, tf.int32),
    ])  # fmt: skip
    assert small.dtype == np.int32 and stats.chisquare(np.bincount(small + 5, minlength=12)).pvalue > 1e-3
    assert stats.kstest(large / wide, "uniform").pvalue > 1e-3
    assert stats.kstest(signed / 2.0**32 + 0.5, "uniform").pvalue > 1e-3


def test_bounds_of_whole_numbers_may_be_tensors():
    low, high = tf.placeholder(tf.int64, []), tf.placeholder(tf.int32, [3])
    first = tf.random_uniform([100], low, low + 3, tf.int64)
    second = tf.random_uniform([100, 3], 0, high, tf.int32)
    found = evaluate([first, second], {low: 1 << 50, high: [1, 2, 100]})
    assert set(found[0] - (1 << 50)) == {0, 1, 2}
    assert found[1].max(0)[:2].tolist() == [0, 1] and 80 < found[1][:, 2].max() < 100


def test_the_shape_may_be_a_tensor():
    x = tf.placeholder(tf.float32, [None, 3])
    numbers = tf.random_normal(tf.shape(x))
    assert numbers.get_shape().as_list() == [None, 3]
    assert evaluate(numbers, {x: np.zeros((4, 3))}).shape == (4, 3)
    assert evaluate(tf.random_uniform([tf.shape(x)[0], 2], dtype=tf.float64), {x: np.zeros((4, 3))}).shape == (4, 2)


# -- permutations and samples


def test_a_shuffle_is_a_permutation_of_rows():
    value = floats((50, 3))
    x = tf.placeholder(tf.float32, [None, 3])
    found = evaluate(tf.random_shuffle(x, seed=1), {x: value})
    assert not np.array_equal(found, value)
    np.testing.assert_array_equal(np.sort(found[:, 0]), np.sort(value[:, 0]))
    assert {tuple(row) for row in found} == {tuple(row) for row in value}


def test_all_permutations_are_about_as_likely():
    tf.set_random_seed(3)
    order = tf.random_shuffle(tf.range(3))
    with numpy_session() as session:
        found = [tuple(session.run(order).tolist()) for _ in range(600)]
    counts = [found.count(p) for p in sorted(set(found))]
    assert len(counts) == 6 and stats.chisquare(counts).pvalue > 1e-3


def test_crops():
    value = tf.reshape(tf.range(100), [10, 10])
    crop = tf.random_crop(value, [3, 10], seed=1)
    assert crop.get_shape().as_list() == [3, 10]
    with numpy_session() as session:
        found = [session.run(crop) for _ in range(40)]
    starts = {int(part[0, 0]) for part in found}
    assert all(np.array_equal(part, np.arange(100).reshape(10, 10)[part[0, 0] // 10 :][:3]) for part in found)
    assert {0, 70} <= starts <= set(range(0, 80, 10))
    with pytest.raises(ValueError, match="Need value.shape >= size, got 10 and 11 along axis 1"):
        tf.random_crop(value, [3, 11])


def test_multinomial():
    tf.set_random_seed(4)
    probabilities = np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 0]], np.float32)
    with np.errstate(divide="ignore"):
        logits = np.log(probabilities) + np.float32(3)
    found = evaluate(tf.multinomial(logits, COUNT))
    assert found.dtype == np.int64 and found.shape == (2, COUNT)
    np.testing.assert_allclose([np.bincount(row, minlength=3) / COUNT for row in found], probabilities, atol=0.02)
    assert evaluate(tf.random.categorical(logits, 5, tf.int32)).dtype == np.int32


# -- errors


def test_what_random_operations_refuse():
    with pytest.raises(ValueError, match="Must specify maxval for integer dtype"):
        tf.random_uniform([3], dtype=tf.int32)
    with pytest.raises(ValueError, match="Need minval < maxval, got 3 >= 3"):
        tf.random_uniform([3], 3, 3, tf.int32)
    with pytest.raises(ValueError, match="random numbers of bool are not supported"):
        tf.random_normal([3], dtype=tf.bool)
    with pytest.raises(ShapeError, match=r"random_bits: a size is negative in \[3, -1\]"):
        tf.random_uniform([3, -1])
