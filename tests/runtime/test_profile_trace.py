"""Traces have the fields that Perfetto wants, and the times that were measured."""

import json

import numpy as np
import pytest

import graphc as tf
from graphc.runtime.peaks import Peaks, Rates
from graphc.runtime.profile import profile_session_run, share_of_peak
from graphc.runtime.trace import make_trace, write_trace

RUNS = 4


@pytest.fixture
def profile():
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [256, 1024], name="x")
        y = tf.nn.softmax(tf.matmul(x, tf.constant(np.ones((1024, 64), np.float32))), name="y")
        yield profile_session_run(tf.Session(), y, {x: np.ones((256, 1024))}, RUNS)


def test_a_file_holds_what_perfetto_wants(profile, tmp_path):
    path = tmp_path / "trace.json"
    assert write_trace(path, profile) == str(path)
    trace = json.loads(path.read_text())
    assert [p.name for p in tmp_path.iterdir()] == ["trace.json"]
    events = trace["traceEvents"]
    assert {event["ph"] for event in events} == {"M", "X"}
    assert {event["pid"] for event in events} == {1}
    for event in events:
        assert isinstance(event["name"], str) and isinstance(event["tid"], int) and isinstance(event["args"], dict)
        if event["ph"] == "X":
            assert event["ts"] >= 0 and event["dur"] >= 0 and event["cat"]
    named = {event["tid"] for event in events if event["name"] == "thread_name"}
    assert {event["tid"] for event in events} == named
    assert sum(event["name"] == "process_name" for event in events) == 1


def test_events_are_the_steps_of_all_runs_at_their_times(profile):
    events = [event for event in make_trace(profile)["traceEvents"] if event["ph"] == "X"]
    runs = [event for event in events if event["cat"] == "run"]
    kernels = [event for event in events if event["cat"] != "run"]
    assert len(runs) == RUNS and len(kernels) == RUNS * len(profile.steps)
    ends = [event["ts"] + event["dur"] for event in kernels]
    starts = [event["ts"] for event in kernels]
    moments = (profile.moments - profile.moments[0, 0]) / 1e3
    np.testing.assert_allclose(np.reshape(starts, (RUNS, -1)), moments[:, :-1], atol=1e-3)
    np.testing.assert_allclose(np.reshape(ends, (RUNS, -1)), moments[:, 1:], atol=1e-3)
    for event, step in zip(kernels, profile.steps):
        assert event["name"] == step.label and event["cat"] == step.family
        assert event["args"]["line"] == step.line and event["args"]["schedule"] == step.schedule
        assert [event["args"][key] for key in ("flops", "bytes", "chunks")] == [step.flops, step.bytes_moved, step.chunks]
        assert event["args"]["other_operations"] == step.operations and event["args"]["kernel"] == step.family


def test_peaks_add_the_shares_of_the_table(profile):
    peaks = Peaks(2, Rates(5.0, 5.0, 5.0), Rates(10.0, 10.0, 10.0))
    events = [event for event in make_trace(profile, peaks)["traceEvents"] if event["ph"] == "X" and event["cat"] != "run"]
    for event, step in zip(events, profile.steps):
        assert event["args"]["of peak"] == share_of_peak(step, peaks)
        assert event["args"]["GFLOP/s"] * step.best == pytest.approx(step.work / 1e3, abs=step.best / 1e3)


def test_events_of_one_lane_do_not_overlap(profile):
    lanes = {}
    for event in make_trace(profile)["traceEvents"]:
        if event["ph"] == "X":
            lanes.setdefault(event["tid"], []).append(event)
    for events in lanes.values():
        for first, second in zip(events, events[1:]):
            assert first["ts"] + first["dur"] <= second["ts"] + 1e-6


def test_a_trace_that_cannot_be_written_leaves_nothing(profile, tmp_path):
    with pytest.raises(OSError):
        write_trace(tmp_path / "nowhere" / "trace.json", profile)
    assert not list(tmp_path.iterdir())
