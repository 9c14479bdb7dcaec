"""Compiled programs kept on disk: what the next process need not do, and when it must not take what lies there."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import graphc as tf
from graphc.operation import TensorType
from graphc.program import build_program
from graphc.runtime.compiled_record import Binding, CompiledRecord, Constant, record_from_bytes, record_to_bytes
from graphc.runtime.executor import Operand, Step
from graphc.runtime.native_backend import NativeBackend
from graphc.runtime.program_store import program_key
from graphc.runtime.schedule.machine import host_machine
from graphc.runtime.variable_store import VariableStore

SCRIPT = """
import hashlib, json, sys
import numpy as np
import graphc as tf
from graphc.runtime.jit.llvm import is_loaded

rng = np.random.default_rng(0)
x = tf.placeholder(tf.float32, [None, 20], name="x")
labels = tf.placeholder(tf.int64, [None])
table = tf.constant(rng.random((300, 100)), tf.float32)
w = tf.Variable(rng.random((20, 5)).astype(np.float32))
bias = tf.constant(rng.random((5, 4)).sum(1), tf.float32)
logits = tf.matmul(tf.nn.dropout(x, 0.9, seed=3), w) + tf.gather(table, labels)[:, :5] + bias
loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))
train = tf.train.AdamOptimizer(0.01).minimize(loss)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    feed = {x: rng.random((8, 20)), labels: np.arange(8) % 5}
    fetches = [loss, logits, train]
    runs = [session.run(tf.gradients(loss, w), feed)] + [session.run([loss, train], feed)[0] for _ in range(3)]
    value = session.run(w)
    seconds = session.find_compiled([loss, train], feed)[0].seconds
modules = [m for m in ("graphc.passes.fuse", "graphc.runtime.lower.operation") if m in sys.modules]
report = {"heavy": ["llvm"] * is_loaded() + modules, "value": hashlib.sha256(value.tobytes()).hexdigest(),
          "found": "optimise" not in seconds}
print(json.dumps(report))
"""

CHECKED = """
import graphc as tf
{blank}
indices = tf.placeholder(tf.int32, [None])
rows = tf.gather(tf.constant([1.0, 2.0, 3.0]), indices, name="rows") * 2.0
with tf.Session() as session:
    try:
        session.run(rows, {{indices: [0, 7]}})
    except tf.errors.InvalidArgumentError as error:
        print(error.op.name)
        print(error)
"""


def run_script(text, folder, tmp_path, **options):
    """What a script prints in a process of its own, with its compiled code in `folder`."""
    path = tmp_path / "script.py"
    path.write_text(text)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GRAPHC_")}
    environment |= {"GRAPHC_CACHE_DIR": str(folder), "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **options}
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def report_of(folder, tmp_path, **options):
    return json.loads(run_script(SCRIPT, folder, tmp_path, **options))


def test_a_second_process_compiles_nothing(tmp_path):
    first = report_of(tmp_path / "cache", tmp_path)
    second = report_of(tmp_path / "cache", tmp_path)
    assert not first["found"] and second["found"]
    assert "llvm" in first["heavy"] and second["heavy"] == []
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


def test_damage_costs_a_compilation_and_nothing_else(tmp_path):
    folder = tmp_path / "cache"
    report_of(folder, tmp_path)
    for path in folder.iterdir():
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
    assert not report_of(folder, tmp_path)["found"]
    assert report_of(folder, tmp_path)["found"]


def test_options_do_not_meet(tmp_path):
    folder = tmp_path / "cache"
    report_of(folder, tmp_path)
    for options in ({"GRAPHC_DISABLE": "canonicalize"}, {"GRAPHC_SCHEDULE": "scalar"}, {"GRAPHC_MATMUL_PRECISION": "bf16"}):
        assert not report_of(folder, tmp_path, **options)["found"]
        assert report_of(folder, tmp_path, **options)["found"]


def test_nothing_is_kept_where_there_is_no_cache(tmp_path):
    for _ in range(2):
        assert not report_of(tmp_path / "cache", tmp_path, GRAPHC_CACHE="off")["found"]
    assert not (tmp_path / "cache").exists()


def test_verification_sees_every_compilation(tmp_path):
    report_of(tmp_path / "cache", tmp_path)
    assert "graphc.passes.fuse" in report_of(tmp_path / "cache", tmp_path, GRAPHC_VERIFY="1")["heavy"]


def test_errors_show_the_lines_of_the_script_that_runs(tmp_path):
    first = run_script(CHECKED.format(blank=""), tmp_path / "cache", tmp_path)
    second = run_script(CHECKED.format(blank="\n\n"), tmp_path / "cache", tmp_path)
    assert "script.py:5" in first and "script.py:7" in second
    assert first.replace("script.py:5", "script.py:7").replace("script.py:4", "script.py:6") == second
    assert "rows = tf.gather" in second


# -- in one process


@pytest.fixture
def plain(monkeypatch, tmp_path):
    """A cache of its own, and no verification, for which everything is compiled."""
    monkeypatch.delenv("GRAPHC_VERIFY", raising=False)
    monkeypatch.setenv("GRAPHC_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def compile_twice(tensor, shapes=None):
    program = build_program([tensor], feeds=list(shapes or {}))
    return [NativeBackend(2).compile(program, shapes or {}, {}) for _ in range(2)]


def run_alone(native, feeds=()):
    return native.run(list(feeds), VariableStore(), np.zeros(2, np.int64))[0]


def test_what_was_found_gives_the_same_bits(plain):
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [None, 7])
        y = tf.nn.softmax(tf.matmul(x, tf.constant(np.arange(49.0).reshape(7, 7) / 40, tf.float32)))
    first, second = compile_twice(y, {x: (3, 7)})
    value = np.linspace(-1, 1, 21, dtype=np.float32).reshape(3, 7)
    assert "find" in second.seconds and "optimise" not in second.seconds
    np.testing.assert_array_equal(run_alone(first, [value]), run_alone(second, [value]))
    assert first.record == second.record


def test_what_was_found_knows_how_it_was_made(plain):
    with tf.Graph().as_default():
        y = tf.nn.softmax(tf.random_uniform([4, 4], seed=1))
    first, second = compile_twice(y)
    assert [step.kernel.text for _, step in first.compilation.steps] == [k.kernel.text for _, k in second.compilation.steps]
    assert str(first.plan) == str(second.plan) and str(first.program) == str(second.program)


def test_large_constants_are_not_stored_twice(plain):
    table = np.random.default_rng(0).random((1000, 300)).astype(np.float32)
    with tf.Graph().as_default():
        y = tf.gather(tf.constant(table), tf.constant(np.arange(40) * 7)) + 1.0
    first, second = compile_twice(y)
    assert sum(path.stat().st_size for path in plain.iterdir()) < table.nbytes
    np.testing.assert_array_equal(run_alone(second), table[np.arange(40) * 7] + np.float32(1))
    np.testing.assert_array_equal(run_alone(first), run_alone(second))


def test_keys_tell_apart_what_decides_about_code(plain, monkeypatch):
    def key(value, threads=2):
        with tf.Graph().as_default():
            program = build_program([tf.constant(value) * 2.0])
        return program_key(program, host_machine(), threads)

    monkeypatch.delenv("GRAPHC_SCHEDULE", raising=False)
    large = np.arange(100, dtype=np.float32)
    keys = [key(1.0), key(2.0), key(1.0, 3), key(np.float64(1)), key(large), key(large + 1)]
    monkeypatch.setenv("GRAPHC_SCHEDULE", "serial")
    keys.append(key(1.0))
    assert len(set(keys)) == len(keys)
    assert key(1.0) == key(1.0)
    monkeypatch.setenv("GRAPHC_CACHE", "off")
    assert key(1.0) is None


def test_records_come_back_from_bytes():
    f32 = TensorType(tf.float32, (2, 3))
    record = CompiledRecord(
        feeds=(Binding("x:0", f32),), reads=("w",), variables=("w",), results=(TensorType(tf.int64, ()),),
        updates=(Binding("w", f32),), draws=True, steps=(Step("k", (Operand(0), Operand(3, 64)), 4, True, "add", True),),
        kernels=(("k", "abc"),), slot_count=8, status_slot=-1, remembered=("w",), arena_bytes=128, constant_bytes=192,
        constants=(Constant(0, 8), Constant(64, 12, "digest"), Constant(128, 3)), flops=5, bytes_moved=9,
    )  # fmt: skip
    memory = memoryview(bytearray(range(192)))
    data = record_to_bytes(record, memory)
    again, stored = record_from_bytes(data)
    assert again == record
    assert bytes(stored) == bytes([*range(8), *range(128, 131)])


@pytest.mark.parametrize("data", [b"", b"12345678", (4).to_bytes(8, "little") + b"{}xx", (2).to_bytes(8, "little") + b"{}"])
def test_other_bytes_are_no_records(data):
    with pytest.raises(ValueError):
        record_from_bytes(data)


def test_random_operations_of_one_size_share_a_kernel(plain):
    with tf.Graph().as_default():
        draws = [tf.random_uniform([50, 7], seed=seed) for seed in range(3)]
        unseeded = [tf.random_uniform([50, 7]) for _ in range(2)]
        y = tf.stack([*draws, *unseeded])
    first, second = compile_twice(y)
    names = [step.kernel for step in first.executable.steps if step.kernel.startswith("random_bits")]
    assert len(names) == 5 and len(set(names)) <= 2
    values = run_alone(first)
    np.testing.assert_array_equal(values, run_alone(second))
    assert len({value.tobytes() for value in values}) == 5
