"""Worker processes, one for each work on each framework, measured in turn: only one of them runs at any time."""

from __future__ import annotations

import json
import math
import os
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FRAMEWORKS = {
    "graphc": "graphc", "tensorflow": "tensorflow", "torch": "torch", "torch.compile": "torch", "jax": "jax",
    "pytensor": "pytensor",
}  # fmt: skip
KEEPS_CODE = {"graphc", "torch.compile", "pytensor"}  # on disk, for the next process
THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "GRAPHC_THREADS",
)  # fmt: skip
SETTLE = 0.02  # seconds between two workers, in which the threads of the last one fall asleep
SHORT_LIMIT = 60.0  # seconds for answers that take no compilation
PROBE = """
import importlib.metadata, importlib.util, json, sys
found = [name for name in sys.argv[1:] if importlib.util.find_spec(name)]
distributions = importlib.metadata.packages_distributions()
print(json.dumps({n: importlib.metadata.version(distributions.get(n, [n])[0]) for n in found}))
"""


class WorkerFailed(Exception):  # noqa: N818 - not an error of this program
    """A worker that ended, or took longer than its limit; the text says which."""


@dataclass(frozen=True)
class Framework:
    """A framework as one interpreter has it."""

    name: str
    python: str
    version: str


@dataclass
class Measured:
    """What was measured of one work on one framework: seconds of each round, seconds of the rest, MB; or why not."""

    framework: str
    rounds: list[float] = field(default_factory=list)
    low: float = 0.0
    importing: float = 0.0
    first_cold: float = 0.0
    first_warm: float | None = None
    memory: float = 0.0
    values: list[list[float]] = field(default_factory=list)
    note: str = ""

    @property
    def microseconds(self) -> float | None:
        """A step, the median over rounds."""
        return 1e6 * statistics.median(self.rounds) if self.rounds else None

    @property
    def undisturbed(self) -> float | None:
        """Microseconds of a step, the 5th percentile of the best round: what it takes where nothing else runs."""
        return 1e6 * self.low if self.rounds else None


@dataclass(frozen=True)
class Plan:
    """How to measure: rounds of so many seconds on these cores, and the seconds that a first run may take."""

    rounds: int
    seconds: float
    cores: tuple[int, ...]
    limit: float
    warm: bool


def find_frameworks(interpreters: Iterable[str]) -> list[Framework]:
    """graphc, run by this interpreter, and each peer from the first interpreter that can import it."""
    found = {"graphc": Framework("graphc", sys.executable, "this one")}
    modules = sorted(set(FRAMEWORKS.values()) - {"graphc"})
    for python in interpreters:
        command = [python, "-c", PROBE, *modules]
        versions = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        for name, module in FRAMEWORKS.items():
            if module in versions:
                found.setdefault(name, Framework(name, python, versions[module]))
    return [found[name] for name in FRAMEWORKS if name in found]


def available_cores(count: int) -> tuple[int, ...]:
    """The first `count` cores that this process may use."""
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return tuple(sorted(cores)[:count])


class Worker:
    """A process that runs one work on one framework; `cache` is the folder in which it may keep compiled code."""

    def __init__(self, framework: Framework, work: str, shape: dict[str, int], plan: Plan, cache: Path, through_callable: bool):
        request = {
            "framework": framework.name, "work": work, "shape": shape, "cores": plan.cores,
            "through_callable": through_callable,
        }  # fmt: skip
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [framework.python, str(HERE / "works_worker.py"), json.dumps(request)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, start_new_session=True, bufsize=0,
            env=_environment(framework, len(plan.cores), cache),
        )  # fmt: skip

    def ask(self, command: str, limit: float = SHORT_LIMIT) -> dict[str, Any]:
        """The answer to a command. Raises WorkerFailed if there is none within `limit` seconds."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(f"{command}\n".encode())
        except BrokenPipeError:
            raise WorkerFailed(self._last_words()) from None
        if not select.select([self._process.stdout], [], [], limit)[0]:
            self.stop()
            raise WorkerFailed(f"took over {limit:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise WorkerFailed(self._last_words())
        return json.loads(line)

    def stop(self) -> None:
        """Ends the process and whatever it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._errors.close()

    def _last_words(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else f"ended with status {self._process.returncode}"


def measure_work(
    work: str, frameworks: Sequence[Framework], shape: dict[str, int], plan: Plan, through_callable: bool
) -> dict[str, Measured]:
    """One work on all frameworks: first runs one after another, then rounds in which each of them has its turn."""
    results = {framework.name: Measured(framework.name) for framework in frameworks}
    workers: dict[str, Worker] = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            for framework in frameworks:
                cache = Path(folder) / framework.name
                cache.mkdir(mode=0o700)
                worker = Worker(framework, work, shape, plan, cache, through_callable)
                workers[framework.name] = worker
                _start(results[framework.name], worker, plan)
            for _ in range(plan.rounds):
                for name, worker in workers.items():
                    _measure(results[name], worker, plan)
            for name, worker in workers.items():
                if not results[name].note:
                    results[name].memory = worker.ask("memory")["memory"]
        finally:
            for worker in workers.values():
                worker.stop()
        for framework in frameworks:
            if plan.warm and framework.name in KEEPS_CODE and not results[framework.name].note:
                cache = Path(folder) / framework.name
                _start_again(results[framework.name], Worker(framework, work, shape, plan, cache, through_callable), plan)
    return results


def _start(result: Measured, worker: Worker, plan: Plan) -> None:
    try:
        answer = worker.ask("start", plan.limit)
    except WorkerFailed as failure:
        result.note = str(failure)
        return
    result.importing, result.first_cold, result.values = answer["import"], answer["first"], answer["values"]


def _measure(result: Measured, worker: Worker, plan: Plan) -> None:
    if result.note:
        return
    time.sleep(SETTLE)
    try:
        answer = worker.ask(f"measure {plan.seconds}", SHORT_LIMIT + plan.seconds)
    except WorkerFailed as failure:
        result.note = str(failure)
        return
    result.rounds.append(answer["median"])
    result.low = min(result.low or answer["low"], answer["low"])


def _start_again(result: Measured, worker: Worker, plan: Plan) -> None:
    try:
        result.first_warm = worker.ask("start", plan.limit)["first"]
    except WorkerFailed as failure:
        result.note = str(failure)
    finally:
        worker.stop()


def _environment(framework: Framework, threads: int, cache: Path) -> dict[str, str]:
    variables = dict(os.environ) | dict.fromkeys(THREAD_VARIABLES, str(threads))
    variables |= {
        "GRAPHC_CACHE_DIR": str(cache), "TORCHINDUCTOR_CACHE_DIR": str(cache), "NUMBA_CACHE_DIR": str(cache),
        "PYTENSOR_FLAGS": f"base_compiledir={cache}", "TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu",
    }  # fmt: skip
    if framework.name == "graphc":
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, (str(HERE.parent), variables.get("PYTHONPATH", ""))))
    return variables


def differing(results: dict[str, Measured], reference: str, tolerance: float) -> dict[str, float]:
    """Frameworks whose values are further from those of `reference` than `tolerance`, relative to the largest of them."""
    wanted = results[reference].values
    found = {}
    for name, result in results.items():
        if not result.values or not wanted:
            continue
        worst = max(_distance(ours, theirs) for ours, theirs in zip(wanted, result.values))
        if worst > tolerance:
            found[name] = worst
    return found


def _distance(ours: Sequence[float], theirs: Sequence[float]) -> float:
    if len(ours) != len(theirs) or not all(map(math.isfinite, (*ours, *theirs))):
        return math.inf
    size = max(max(map(abs, ours)), 1e-30)
    return max(abs(a - b) for a, b in zip(ours, theirs)) / size
