"""One work on one framework in a process of its own: python works_worker.py REQUEST, the request as JSON.

The process does what lines on its standard input ask for and answers each with one line of JSON: `start` loads the framework,
declares the work and runs it for the first time, `measure SECONDS` times steps, `memory` tells the most memory that was
held. In between it waits on the pipe, so that it disturbs no other worker.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

MODULES = {
    "graphc": "graphc", "tensorflow": "tensorflow.compat.v1", "torch": "torch", "torch.compile": "torch", "jax": "jax.numpy",
    "pytensor": "pytensor.tensor",
}  # fmt: skip
CHECKED_STEPS = 3
BLOCK = 50e-6  # seconds that are timed at once, so that reading the clock costs nothing
CHECKED_ELEMENTS = 16


class WorkOnFramework:
    """A work that is declared, started and then measured as often as asked."""

    def __init__(self, framework: str, work: str, shape: dict[str, int], threads: int, through_callable: bool):
        self.framework, self.work, self.shape, self.threads = framework, work, shape, threads
        self.through_callable = through_callable
        self.step: Callable[[], Any] = lambda: None

    def start(self) -> dict[str, Any]:
        """Seconds of import, declaration and first run, and the values of the first steps."""
        began = time.perf_counter()
        framework = importlib.import_module(MODULES[self.framework])
        imported = time.perf_counter()
        prepare = self._prepare(framework)
        built = time.perf_counter()
        self.step = prepare()
        first = self.step()
        done = time.perf_counter()
        values = [digest(first)] + [digest(self.step()) for _ in range(CHECKED_STEPS - 1)]
        return {"import": imported - began, "build": built - imported, "first": done - built, "values": values}

    def _prepare(self, framework: Any) -> Callable[[], Callable[[], Any]]:
        from works_data import make_data  # late: NumPy belongs to the import of the framework

        data = make_data(self.work, self.shape)
        if self.framework in ("graphc", "tensorflow"):
            import works_session

            if self.framework == "tensorflow":
                framework.disable_eager_execution()
            return works_session.prepare(framework, self.work, data, self.threads, self.through_callable)
        if self.framework == "jax":
            import works_jax

            return works_jax.prepare(self.work, data)
        if self.framework == "pytensor":
            import works_pytensor

            return works_pytensor.prepare(self.work, data)
        import works_torch

        return works_torch.prepare(self.work, data, self.threads, self.framework == "torch.compile")

    def measure(self, seconds: float) -> dict[str, Any]:
        """Median and 5th percentile of a step's seconds; a tenth of the time warms up."""
        step, clock = self.step, time.perf_counter
        count, begin = 0, clock()
        while count < 2 or clock() - begin < seconds / 10:
            step()
            count += 1
        calls = max(1, round(BLOCK * count / (clock() - begin)))
        samples: list[float] = []
        end = clock() + seconds
        while clock() < end or len(samples) < 3:
            before = clock()
            for _ in range(calls):
                step()
            samples.append((clock() - before) / calls)
        samples.sort()
        return {"median": statistics.median(samples), "low": samples[len(samples) // 20], "samples": len(samples)}


def digest(fetched: Any) -> list[float]:
    """The loss, or some elements of the array, among what a step returned, and the mean."""
    import numpy as np

    values = np.asarray(fetched[1] if isinstance(fetched, list) else fetched, np.float64).ravel()
    places = np.linspace(0, values.size - 1, min(values.size, CHECKED_ELEMENTS)).astype(int)
    return [*values[places].tolist(), float(values.mean())]


def peak_memory() -> float:
    """The most resident memory of this process, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # the resource counter begins with what the parent held
        lines = (line.split() for line in status.read_text().splitlines())
        return next((int(line[1]) / 1024 for line in lines if line[0] == "VmHWM:"), 0.0)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / (1 << 20)


def answer(work: WorkOnFramework, command: str, argument: str) -> dict[str, Any]:
    if command == "start":
        return work.start()
    if command == "measure":
        return work.measure(float(argument))
    return {"memory": peak_memory()}


def take_standard_output() -> TextIO:
    """The pipe to the parent; what the framework prints goes to the standard error output."""
    pipe = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return pipe


def main() -> None:
    request, pipe = json.loads(sys.argv[1]), take_standard_output()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, request["cores"])
    work = WorkOnFramework(
        request["framework"], request["work"], request["shape"], len(request["cores"]), request["through_callable"]
    )
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        print(json.dumps(answer(work, command, argument)), file=pipe, flush=True)


if __name__ == "__main__":
    main()
