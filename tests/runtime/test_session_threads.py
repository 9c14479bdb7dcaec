"""Sessions used from many threads at once, and the lock that orders their runs."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import graphc as tf
from graphc.runtime.bounded_cache import BoundedCache

THREADS = 8
ROUNDS = 25


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def run_in_threads(work):
    with ThreadPoolExecutor(THREADS) as pool:
        for future in [pool.submit(work, number) for number in range(THREADS)]:
            future.result()


def test_no_write_is_lost():
    w = tf.Variable(np.zeros(100, np.float32))
    x = tf.placeholder(tf.float32, [])
    add = w.assign_add(x * tf.constant(np.ones(100, np.float32)))
    session = tf.Session()
    session.run(w.initializer)

    def work(number):
        for _ in range(ROUNDS):
            seen = session.run(w)
            assert (seen == seen[0]).all()  # no run sees half of a write
            session.run(add, {x: 1.0})

    run_in_threads(work)
    np.testing.assert_array_equal(session.run(w), THREADS * ROUNDS)


def test_many_shapes_and_fetches_at_once():
    x = tf.placeholder(tf.float32, [None])
    outputs = [x * float(i) for i in range(5)]
    session = tf.Session()

    def work(number):
        for round_ in range(ROUNDS):
            size, which = (number * round_) % 7, round_ % 5
            result = session.run(outputs[which], {x: np.full(size, number)})
            np.testing.assert_array_equal(result, np.full(size, number * which))

    run_in_threads(work)


def test_defaults_belong_to_the_thread():
    found = []
    with tf.Session(graph=tf.Graph()):
        thread = threading.Thread(target=lambda: found.append(tf.get_default_session()))
        thread.start()
        thread.join()
    assert found == [None]


def test_a_cache_forgets_what_was_not_used_for_longest():
    cache = BoundedCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert [cache.get(key) for key in "abc"] == [1, None, 3]
    assert len(cache) == 2 and cache.values() == [1, 3]
