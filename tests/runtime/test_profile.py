"""Times of kernels, and what is said of them. Nothing is said about how long they are."""

import numpy as np
import pytest

import graphc as tf
from graphc.runtime.peaks import Peaks, Rates
from graphc.runtime.profile import CACHES, FMA, MEMORY, Limit, StepTime, format_profile, limit_of, profile_session_run

SLOW = Peaks(2, Rates(1e-9, 1e-9, 1e-9), Rates(2e-9, 1e-9, 2e-9))
TEN = Peaks(2, Rates(5.0, 5.0, 5.0), Rates(10.0, 8.0, 10.0))  # GFLOP/s and GB/s, so 10,000 of each in a microsecond


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


@pytest.fixture
def profile():
    x = tf.placeholder(tf.float32, [64, 32])
    w = tf.Variable(np.ones((32, 16), np.float32))
    loss = tf.reduce_sum(tf.square(tf.matmul(x, w)))
    train = tf.train.GradientDescentOptimizer(1e-6).minimize(loss)
    session = tf.Session()
    session.run(w.initializer)
    return profile_session_run(session, [train, loss], {x: np.ones((64, 32))}, repeat=3)


def make_step(flops=0, bytes_moved=0, microseconds=1.0, dtype=tf.float32, operations=0):
    operation = tf.zeros([2], dtype).operation
    times = (2 * microseconds, microseconds)
    return StepTime(0, operation, "step", "loops", 1, False, flops, bytes_moved, "", *times, operations)


def test_each_step_has_a_time_and_a_line(profile):
    steps = profile.steps
    assert [step.number for step in steps] == list(range(len(steps)))
    assert all(step.microseconds >= step.best >= 0 for step in steps)
    assert sum(step.flops for step in steps) >= 2 * 2 * 64 * 32 * 16
    assert any("test_profile.py:" in step.line for step in steps)
    assert all(step.schedule for step in steps if step.family == "contraction")


def test_moments_follow_one_another(profile):
    assert profile.moments.shape == (3, len(profile.steps) + 1)
    assert (np.diff(profile.moments.ravel()) >= 0).all()


def test_a_table_with_totals(profile):
    text = format_profile(profile)
    assert text.startswith(f"{len(profile.steps)} kernels, ") and "test_profile.py:" in text
    assert text.endswith(f"arena: {profile.arena_bytes:,} bytes for {profile.intermediate_bytes:,} bytes of intermediates")
    assert "of peak" not in text and "share: " not in text
    assert f"... and {len(profile.steps) - 1} more" in format_profile(profile, most=1).splitlines()


def test_peaks_add_shares(profile):
    lines = format_profile(profile, SLOW).splitlines()
    assert lines[1].split()[:7] == ["%", "us", "best", "GFLOP/s", "GB/s", "of", "peak"]
    assert any("% FMA" in line for line in lines)
    assert lines[-2].startswith("share: ") and lines[-1] == f"peaks: {SLOW}"


def test_schedules_stand_under_their_rows(profile):
    lines = format_profile(profile, schedules=True).splitlines()
    plain = format_profile(profile).splitlines()
    assert [line for line in lines if not line.startswith(14 * " ")] == plain
    for step in profile.steps:
        assert all(any(line.strip() == part for line in lines) for part in step.schedule.splitlines())


@pytest.mark.parametrize(
    "step, expected",
    [
        (dict(flops=5_000, bytes_moved=2_000), Limit(0.5, FMA)),
        (dict(flops=2_000, bytes_moved=5_000), Limit(0.5, MEMORY)),
        (dict(bytes_moved=5_000), Limit(0.5, MEMORY)),
        (dict(bytes_moved=50_000), Limit(0.0, CACHES)),
        (dict(flops=2_000, bytes_moved=50_000), Limit(0.2, FMA)),
        (dict(flops=2_000, dtype=tf.float64), Limit(0.4, FMA)),
        (dict(flops=2_000, operations=3_000), Limit(0.2, FMA)),
        (dict(operations=2_000, bytes_moved=50_000), Limit(0.2, FMA)),
        (dict(), Limit(0.0, "")),
    ],
)
def test_the_slower_of_work_and_memory_bounds_a_kernel(step, expected):
    found = limit_of(make_step(**step), TEN)
    assert found.bound == expected.bound and found.microseconds == pytest.approx(expected.microseconds)


def test_runs_with_parts_in_python_are_not_timed():
    y = tf.py_func(lambda: np.float32(1), [], tf.float32)
    with pytest.raises(ValueError, match="not one compiled program"):
        profile_session_run(tf.Session(), y)
