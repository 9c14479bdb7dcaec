"""The works compute what they should on graphc, every framework has them, and the harness runs and reports them."""

import ast
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import graphc as tf

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
harness, works, works_data, works_report, works_session = (
    importlib.import_module(name) for name in ("harness", "works", "works_data", "works_report", "works_session")
)

TINY = {
    "dispatch": {"elements": 3},
    "linreg": {"points": 9},
    "mlp": {"batch": 4, "inputs": 12, "wide": 8, "narrow": 6, "classes": 3},
    "cnn": {"batch": 2, "side": 22, "few": 3, "many": 4, "dense": 5, "classes": 3},
    "lstm": {"batch": 3, "steps": 2, "units": 4},
    "vae": {"batch": 3, "pixels": 10, "hidden": 6, "latent": 2},
    "transformer": {"batch": 2, "sequence": 3, "width": 128, "inner": 16},
    "blackscholes": {"options": 37},
    "rownorm": {"rows": 5, "columns": 9},
    "gemm": {"rows": 5, "columns": 6, "depth": 7},
}
STEPS = 3


def results(work, through_callable=False):
    """What the first steps of a tiny work return."""
    data = works_data.make_data(work, TINY[work])
    step = works_session.prepare(tf, work, data, 2, through_callable)()
    return [works_session.result_of(step()) for _ in range(STEPS)]


@pytest.mark.parametrize("work", works_data.WORKS)
def test_native_steps_equal_interpreted_ones(work, monkeypatch):
    native = results(work)
    monkeypatch.setenv("GRAPHC_BACKEND", "interpreter")
    for ours, expected in zip(native, results(work)):
        assert np.isfinite(expected).all()
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("work", ["dispatch", "linreg", "blackscholes"])
def test_both_ways_of_calling_agree(work):
    np.testing.assert_array_equal(results(work), results(work, through_callable=True))


def test_every_work_has_a_tiny_shape_of_names_that_it_knows():
    assert set(TINY) == set(works_data.WORKS)
    for work, shape in TINY.items():
        assert set(shape) <= set(works_data.parameters(work))
    with pytest.raises(TypeError):
        works_data.make_data("gemm", {"sides": 3})


@pytest.mark.parametrize("module, missing", [
    ("works_session", set()), ("works_jax", set()), ("works_torch", set()), ("works_pytensor", {"cnn"}),
])  # fmt: skip
def test_every_framework_has_the_works(module, missing):
    tree = ast.parse((BENCHMARKS / f"{module}.py").read_text())
    declared = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert set(works_data.WORKS) - declared == missing


def test_workers_measure_in_turn_and_reuse_code_on_disk():
    plan = harness.Plan(rounds=2, seconds=0.01, cores=harness.available_cores(2), limit=120, warm=True)
    graphc = harness.find_frameworks([])[0]
    broken = harness.Framework("jax", "/bin/false", "0")
    row = harness.measure_work("linreg", [graphc, broken], {"points": 7}, plan, through_callable=False)
    ours = row["graphc"]
    assert not ours.note and len(ours.rounds) == 2 and ours.first_warm is not None and ours.memory > 0
    assert len(ours.values) == STEPS and np.isfinite(ours.values).all()
    assert row["jax"].note and not row["jax"].rounds


def test_a_worker_over_its_limit_is_ended():
    plan = harness.Plan(rounds=1, seconds=0.01, cores=harness.available_cores(1), limit=0.0, warm=False)
    row = harness.measure_work("linreg", harness.find_frameworks([]), {}, plan, through_callable=False)
    assert row["graphc"].note == "took over 0 s"


def measured(name, microseconds, values=((1.0, 2.0),), note=""):
    rounds = [] if note else [microseconds * 1e-6] * 3
    return harness.Measured(name, rounds, values=[list(v) for v in values], note=note)


def test_the_report_compares_with_the_best_peer():
    rows = {
        "dispatch": {"graphc": measured("graphc", 2.0), "jax": measured("jax", 8.0), "torch": measured("torch", 6.0)},
        "dispatch-run": {"graphc": measured("graphc", 1.0), "jax": measured("jax", 100.0)},
        "gemm": {"graphc": measured("graphc", 10.0), "jax": measured("jax", 120.0), "torch": measured("torch", 0, note="slow")},
    }
    mean, count = works_report.geometric_mean(rows)
    assert count == 2 and np.isclose(mean, 6.0)
    text = works_report.format_results(rows, ["graphc", "torch", "jax"], None)
    lines = {line.split("|")[1].strip(): line.split("|") for line in text.splitlines()[1:6] if line.startswith("|")}
    assert [cell.strip() for cell in lines["dispatch"][2:10]] == ["2", "6", "8", "3.00", "4.00", "torch", "3.00", "10"]
    assert [cell.strip() for cell in lines["gemm"][2:9]] == ["10", "-", "120", "-", "12.00", "jax", "12.00"]
    assert "gemm on torch: slow" in text


def test_values_that_differ_are_found():
    row = {
        "graphc": measured("graphc", 1, [(1.0, 1.0), (2.0, 2.0)]),
        "jax": measured("jax", 1, [(1.0005, 1.0), (2.0, 2.0)]),
        "torch": measured("torch", 1, [(1.0, 1.0), (2.01, 2.0)]),
        "pytensor": measured("pytensor", 1, [(float("nan"), 1.0)]),
    }
    assert set(harness.differing(row, "graphc", 1e-3)) == {"torch", "pytensor"}


@pytest.mark.parametrize("arguments, message", [
    (["--works", "chess"], "no work 'chess'"),
    (["--frameworks", "fortran"], "no framework 'fortran'"),
    (["--works", "gemm", "--shape", "batch=3"], "size 'batch'"),
])  # fmt: skip
def test_the_command_explains_what_it_does_not_know(arguments, message, capsys):
    with pytest.raises(SystemExit):
        works.parse(arguments)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(p.stem for p in BENCHMARKS.glob("*.py")))
def test_what_benchmarks_import_of_graphc_exists(name):
    for node in ast.walk(ast.parse((BENCHMARKS / f"{name}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("graphc"):
            module = importlib.import_module(node.module)
            assert not [alias.name for alias in node.names if not hasattr(module, alias.name)]
