"""Routines compiled ahead: what is not on disk begins in the background, and nothing of that is lost, left over or hidden."""

import ctypes
import os
import subprocess
import sys
import threading

import pytest

from graphc.runtime.jit import routines, workers
from graphc.runtime.jit.routines import load_own_routines, start_own_routines
from graphc.runtime.jit.target import CompileError
from graphc.runtime.schedule.machine import host_machine

SCRIPT = """
import os, sys, threading
import graphc as tf
x = tf.placeholder(tf.float32, [3])
y = tf.reduce_sum(x * 2.0)
session = tf.Session()
{body}
"""


@pytest.fixture
def cache_folder(monkeypatch, tmp_path):
    """An empty cache on disk and no routine under way; two cores, wherever the test runs."""
    host_machine()
    monkeypatch.setenv("GRAPHC_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(routines, "_STARTED", {})
    monkeypatch.setattr(routines, "available_cores", lambda: 2)
    return tmp_path


def run_script(folder, body: str, **settings: str) -> str:
    environment = {**os.environ, "GRAPHC_CACHE_DIR": str(folder), "GRAPHC_VERIFY": "0", **settings}
    command = [sys.executable, "-c", SCRIPT.format(body=body)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def answer(number: int) -> str:
    return f"define i64 @answer() nounwind {{\n  ret i64 {number}\n}}\n"


def call(addresses: dict[str, int]) -> int:
    return ctypes.CFUNCTYPE(ctypes.c_int64)(addresses["answer"])()


def test_what_was_started_is_built_once(cache_folder):
    built = []

    def build() -> str:
        built.append(threading.current_thread())
        return answer(7)

    assert start_own_routines({"one": build})
    assert not start_own_routines({"one": build})
    workers.wait_for_all()
    assert call(load_own_routines("one", build)) == 7
    assert [thread is not threading.main_thread() for thread in built] == [True]


def test_what_is_on_disk_is_not_started(cache_folder, monkeypatch):
    monkeypatch.setattr(routines, "known_host_machine", host_machine)
    assert call(load_own_routines("two", lambda: answer(8))) == 8
    assert not start_own_routines({"two": lambda: answer(9)})
    assert call(load_own_routines("two", lambda: answer(9))) == 8


def test_one_core_compiles_when_it_is_time(cache_folder, monkeypatch):
    monkeypatch.setattr(routines, "available_cores", lambda: 1)
    assert not start_own_routines({"three": lambda: answer(3)})
    assert call(load_own_routines("three", lambda: answer(3))) == 3


def test_a_failure_is_raised_where_the_routine_is_needed(cache_folder):
    def refuse() -> str:
        raise KeyError("no text")

    start_own_routines({"refused": refuse, "broken": lambda: "define void @f() {\n  oops\n}"})
    workers.wait_for_all()
    with pytest.raises(KeyError, match="no text"):
        load_own_routines("refused", refuse)
    with pytest.raises(CompileError, match="oops"):
        load_own_routines("broken", refuse)


def test_what_has_not_begun_is_not_waited_for(cache_folder):
    gate = threading.Event()

    def wait() -> str:
        gate.wait(60)
        return answer(1)

    start_own_routines({"first": wait, "second": lambda: answer(2)})
    try:
        assert call(load_own_routines("second", lambda: answer(2))) == 2
        assert call(load_own_routines("second", lambda: answer(2))) == 2
    finally:
        gate.set()
    assert call(load_own_routines("first", wait)) == 1


def test_the_switch_interval_is_given_back():
    before = sys.getswitchinterval()
    with workers.sharing_the_interpreter():
        with workers.sharing_the_interpreter():
            assert sys.getswitchinterval() <= workers.SWITCH_SECONDS * 1.01
        assert sys.getswitchinterval() <= workers.SWITCH_SECONDS * 1.01
    assert sys.getswitchinterval() == pytest.approx(before)


def test_a_process_may_end_at_once(cache_folder):
    assert run_script(cache_folder, "") == ""


def test_a_process_may_fork_at_once(cache_folder):
    body = """
child = os.fork()
result = session.run(y, {x: [1.0, 2.0, 3.0]})
if child == 0:
    os._exit(0 if result == 12.0 else 1)
print(result, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run_script(cache_folder, body, PYTHONWARNINGS="ignore::DeprecationWarning") == "12.0 0\n"


def test_a_process_that_finds_everything_starts_no_thread(cache_folder):
    body = """
print(session.run(y, {x: [1.0, 2.0, 3.0]}))
names = [thread.name for thread in threading.enumerate() if thread.name.startswith("graphc-compile")]
from graphc.runtime.jit.llvm import is_loaded
print(len(names) > 0, is_loaded(), "graphc.runtime.compiler" in sys.modules)
"""
    run_script(cache_folder, body)
    assert run_script(cache_folder, body) == "12.0\nFalse False False\n"


def test_the_call_path_is_compiled_for_what_runs_again(cache_folder):
    body = """
from graphc.runtime.calls.native_path import path_is_at_hand
from graphc.runtime.jit.workers import wait_for_all

feed = {x: [1.0, 2.0, 3.0]}
print(session.run(y, feed), path_is_at_hand(), session._fast.run)
print(session.run(y, feed), session._fast.run)
wait_for_all()
print(session.run(y, feed), path_is_at_hand(), type(session._fast.run).__name__, session.run(y, feed))
"""
    expected = "12.0 False None\n12.0 None\n12.0 True builtin_function_or_method 12.0\n"
    assert run_script(cache_folder, body, GRAPHC_GUARD="0", GRAPHC_CALL_PATH="native") == expected


def test_a_callable_waits_for_the_call_path(cache_folder):
    body = """
call = session.make_callable(y, [x])
print(call([1.0, 2.0, 3.0]), call([2.0, 2.0, 3.0]))
"""
    assert run_script(cache_folder, body) == "12.0 14.0\n"
