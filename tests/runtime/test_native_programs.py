"""Random programs: what NumPy makes of the unoptimised program, native code makes after the whole pipeline."""

import numpy as np
import pytest
from native_running import run_native
from random_programs import assert_expected, random_gradient, random_program

import graphc as tf

SMALL_FLOATS = ("float16", "bfloat16", "float32")
INTEGERS = ("int8", "uint8", "int16", "int32", "int64", "uint32", "float32")


def check(example, **options):
    assert_expected(example, run_native(example.program, example.bindings, **options), "native")


@pytest.mark.parametrize("seed", range(120))
def test_random_programs(seed):
    check(random_program(seed))


@pytest.mark.parametrize("seed", [*range(40), 4462])  # the last one: a way between regions that goes back in the program
def test_random_gradients(seed):
    check(random_gradient(seed))


@pytest.mark.parametrize("seed", range(20))
def test_random_programs_of_small_floats(seed):
    check(random_program(seed, 12, SMALL_FLOATS))


@pytest.mark.parametrize("seed", range(30))
def test_random_programs_of_integers(seed):
    check(random_program(seed, 16, INTEGERS))


@pytest.mark.parametrize("schedule", ["serial", "parallel", "scalar"])
@pytest.mark.parametrize("seed", range(200, 212))
def test_every_schedule(seed, schedule, monkeypatch):
    monkeypatch.setenv("GRAPHC_SCHEDULE", schedule)
    check(random_program(seed))


@pytest.mark.parametrize("machine", ["avx2", "sse"])
@pytest.mark.parametrize("seed", range(220, 232))
def test_every_vector_width(seed, machine, monkeypatch):
    monkeypatch.setenv("GRAPHC_MACHINE", machine)
    check(random_program(seed))


@pytest.mark.parametrize("seed", range(240, 252))
def test_misaligned_feeds(seed):
    check(random_program(seed), misaligned=True)


@pytest.mark.parametrize("seed", range(260, 268))
def test_the_same_bits_at_any_number_of_threads(seed, monkeypatch):
    monkeypatch.setenv("GRAPHC_SCHEDULE", "parallel")
    example = random_program(seed)
    results = [run_native(example.program, example.bindings, threads=threads) for threads in (1, 2, 4)]
    for other in results[1:]:
        for a, b in zip(results[0], other):
            np.testing.assert_array_equal(a, b)


@pytest.mark.long
@pytest.mark.parametrize("block", range(40))
def test_many_random_programs(block):
    for seed in range(1000 + 100 * block, 1100 + 100 * block):
        check(random_program(seed))
        check(random_gradient(seed))


def test_a_chain_of_ten_thousand_operations():
    start = np.linspace(-2, 2, 64, dtype=np.float32)
    expected = start.astype(np.float64)
    with tf.Graph().as_default() as graph, tf.Session() as session:
        x = tf.placeholder(tf.float32, [64])
        value = x
        for number in range(3334):
            value = tf.sin(value + float(number % 7)) * 0.5
            expected = np.sin(expected + number % 7) * 0.5
        assert len(graph.get_operations()) > 10_000
        np.testing.assert_allclose(session.run(value, {x: start}), expected, rtol=1e-4, atol=1e-6)
