"""Sessions used from many threads at once, and the lock that orders their runs."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import graphc as tf
from graphc.runtime.bounded_cache import BoundedCache
from graphc.runtime.threads.pool import shared_pool

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


def test_the_configuration_says_how_many_threads_compute(monkeypatch):
    monkeypatch.delenv("GRAPHC_SCHEDULE", raising=False)
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((700, 300)).astype(np.float32), rng.standard_normal((300, 500)).astype(np.float32)

    def train(threads):
        with tf.Graph().as_default():
            v = tf.Variable(w)
            loss = tf.reduce_mean(tf.square(tf.nn.softmax(tf.matmul(tf.constant(x), v))))
            step = tf.train.AdamOptimizer(0.1).minimize(loss)
            config = tf.ConfigProto(intra_op_parallelism_threads=threads)
            with tf.Session(config=config) as session:
                session.run(tf.global_variables_initializer())
                losses = [session.run([loss, step])[0] for _ in range(3)]
                program, _ = session.find_compiled([loss, step])
                parallel = any(step.parallel and step.chunks > 1 for step in program.executable.steps)
                return program.executable.pool.threads, parallel, np.array(losses).tobytes() + session.run(v).tobytes()

    default = train(0)
    runs = {threads: train(threads) for threads in (1, 2, 4)}
    assert default[0] == shared_pool().threads
    assert {threads: run[0] for threads, run in runs.items()} == {1: 1, 2: 2, 4: 4}
    assert [run[1] for run in runs.values()] == [False, True, True]
    assert len({run[2] for run in [default, *runs.values()]}) == 1


def test_more_threads_than_a_pool_has_are_refused():
    with pytest.raises(ValueError, match="threads"):
        tf.Session(graph=tf.Graph(), config=tf.ConfigProto(intra_op_parallelism_threads=1000))
