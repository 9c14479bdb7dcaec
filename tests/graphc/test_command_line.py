"""The command `graphc`: what it prints, writes and exits with."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import graphc as tf
from graphc.__main__ import main

SCRIPT = """
import sys
import numpy as np
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 3], name="x")
w = tf.Variable(tf.ones([3, 2]), name="w")
loss = tf.reduce_mean(tf.square(tf.matmul(x, w)), name="loss")
train = tf.train.GradientDescentOptimizer(0.1).minimize(loss, name="train")
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for _ in range(3):
        session.run(train, {x: np.ones((4, 3))})
    print("loss", session.run(loss, {x: np.ones((4, 3))}), sys.argv[1:])
"""


@pytest.fixture(autouse=True)
def graph():
    tf.reset_default_graph()
    yield
    tf.reset_default_graph()


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text(SCRIPT)
    return "train.py"


def run(*arguments):
    """The exit code of the command."""
    try:
        return main(list(arguments))
    except SystemExit as end:
        return end.code or 0


# -- run


def test_run(script, capsys):
    assert run("run", script, "--epochs", "3") == 0
    assert capsys.readouterr().out.startswith("loss ") and "tensorflow" not in sys.modules


def test_run_gives_the_script_its_arguments_and_exit_code(tmp_path, capsys):
    path = tmp_path / "leave.py"
    path.write_text("import sys, helper\nprint(sys.argv[1:], helper.name, __name__)\nsys.exit(7)\n")
    (tmp_path / "helper.py").write_text("name = 'beside the script'\n")
    before = sys.argv, list(sys.path), sys.modules["__main__"]
    assert run("run", str(path), "-v", "file") == 7
    assert capsys.readouterr().out == "['-v', 'file'] beside the script __main__\n"
    assert (sys.argv, list(sys.path), sys.modules["__main__"]) == before


def test_run_shows_the_scripts_own_traceback(tmp_path, capsys):
    path = tmp_path / "fail.py"
    path.write_text("def inner():\n    raise KeyError('here')\n\ninner()\n")
    assert run("run", str(path)) == 1
    text = capsys.readouterr().err
    assert text.splitlines()[1].startswith(f'  File "{path}", line 4') and text.endswith("KeyError: 'here'\n")
    assert "script_runner" not in text


def test_run_of_what_is_no_script(tmp_path, capsys):
    assert run("run", "nothing.py") == 2
    assert capsys.readouterr().err == "graphc: error: cannot read nothing.py: No such file or directory\n"
    path = tmp_path / "wrong.py"
    path.write_text("x = = 1\n")
    assert run("run", str(path)) == 1
    assert "SyntaxError" in capsys.readouterr().err


def test_as_a_program_of_its_own(script):
    environment = {**os.environ, "PYTHONPATH": str(Path(tf.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-m", "graphc", "run", script], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.startswith("loss ")


# -- draw


def test_draw_stops_the_script_before_its_first_run(script, capsys):
    assert run("draw", script) == 0
    assert capsys.readouterr().out == "graph.svg\n"
    picture = Path("graph.svg").read_text()
    assert ">reduce_mean<" in picture and "train.py:8" in picture


def test_draw_of_fetches_and_of_a_stage(script, capsys):
    assert run("draw", script, "loss:0", "-o", "loss.svg", "--title", "The loss", "--engine", "own") == 0
    picture = Path("loss.svg").read_text()
    assert "The loss" in picture and "assign_sub" not in picture
    assert run("draw", script, "loss", "train", "--stage", "fuse", "-o", "fused.dot") == 0
    assert "fused" in Path("fused.dot").read_text()
    assert run("draw", script, "--stage", "fuse") == 2
    assert "a stage needs the names of fetches" in capsys.readouterr().err


def test_draw_of_an_unknown_name(script, capsys):
    assert run("draw", script, "los") == 2
    assert capsys.readouterr().err.splitlines()[-1] == "graphc: error: the graph has no 'los'; is it one of loss?"


def test_draw_of_a_script_without_a_graph(tmp_path, capsys):
    path = tmp_path / "empty.py"
    path.write_text("import tensorflow\n")
    assert run("draw", str(path), "-o", str(tmp_path / "x.svg")) == 2
    assert "declares nothing" in capsys.readouterr().err
    assert run("draw", str(path), "-o", "/nowhere/x.svg", "--shape", "x") == 2
    assert "'x' is not of the form NAME=2,3" in capsys.readouterr().err


# -- dump


def test_dump_of_one_stage(script, capsys):
    assert run("dump", script, "loss", "--stage", "specialise", "--shape", "x=4,3") == 0
    text = capsys.readouterr().out
    assert text.startswith("program main(") and "%x: f32[4,3] feed" in text and '"train.py":7' in text


def test_dump_into_files_that_can_be_read_again(script, capsys):
    assert run("dump", script, "loss", "-o", "stages") == 0
    names = sorted(os.listdir("stages"))
    assert names[:3] == ["00-graph.txt", "01-program.txt", "02-specialise.txt"]
    assert {name.rpartition(".")[2] for name in names} >= {"txt", "ll", "s"}
    capsys.readouterr()
    assert run("dump", "stages/02-specialise.txt", "--stage", "memory_plan") == 0
    assert capsys.readouterr().out.startswith("arena ")
    assert run("draw", "stages/01-program.txt", "-o", "program.svg") == 0


def test_dump_says_what_is_wrong(script, capsys):
    assert run("dump", script) == 2
    assert run("dump", script, "loss", "--stage", "nothing") == 2
    assert "there is no stage 'nothing'; there are graph, program, " in capsys.readouterr().err
    Path("wrong.txt").write_text("program main( {\n")
    assert run("dump", "wrong.txt") == 2
    assert "wrong.txt: line 1: " in capsys.readouterr().err
    assert run("dump", "nothing.txt") == 2


# -- time


def test_time_of_the_training_step(script, capsys):
    assert run("time", script, "--repeat", "2") == 0
    lines = capsys.readouterr().out.splitlines()
    assert " kernels, " in lines[0] and lines[1].split()[:2] == ["%", "us"]
    assert any("train.py:" in line for line in lines[2:])
    assert [line.partition(":")[0] for line in lines[-4:]] == ["work", "arena", "share", "peaks"]


def test_time_shows_schedules_and_writes_a_trace(script, capsys):
    assert run("time", script, "--repeat", "2", "--schedules", "--trace", "trace.json") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "trace: trace.json" and any(line.startswith(14 * " ") for line in lines)
    events = json.loads(Path("trace.json").read_text())["traceEvents"]
    assert sum(event["name"].startswith("run ") for event in events) == 2
    assert run("time", script, "--repeat", "2", "--trace", "nowhere/trace.json") == 2
    assert "nowhere" in capsys.readouterr().err


def test_time_of_fetches_and_of_a_program(script, capsys):
    assert run("time", script, "loss", "--repeat", "2", "--rows", "1") == 0
    assert run("time", script, "w") == 2
    assert "never runs w" in capsys.readouterr().err
    assert run("dump", script, "loss", "-o", "stages") == 0
    assert run("time", "stages/01-program.txt", "--shape", "x=4,3", "--repeat", "2") == 0


# -- the rest


def test_passes(capsys):
    assert run("passes") == 0
    text = capsys.readouterr().out
    assert "  fuse  " in text and "memory_plan" in text


def test_help_says_all(capsys):
    assert run("--help") == 0
    text = capsys.readouterr().out
    for word in ("run", "draw", "dump", "time", "passes", "GRAPHC_DUMP", "GRAPHC_BACKEND"):
        assert word in text
    for command in ("run", "draw", "dump", "time", "passes"):
        assert run(command, "--help") == 0
    assert run() == 2
    assert run("--version") == 0
