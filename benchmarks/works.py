"""The works: graphc beside its peers on the same numbers, in one run.

    python benchmarks/works.py [--peers PYTHON[,PYTHON]] [--works mlp,cnn] [--frameworks graphc,jax] [--shape batch=64]

Peers are TensorFlow, PyTorch (eager and compiled), JAX and PyTensor, whichever the named interpreters can import. Every work
on every framework runs in a process of its own; the processes take turns, several rounds of them, so that all meet the same
machine. Losses and arrays must agree to 1e-3; the exit status is 1 if they do not.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness import FRAMEWORKS, Framework, Measured, Plan, available_cores, differing, find_frameworks, measure_work
from works_data import WORKS, parameters
from works_report import as_data, format_results

HERE = Path(__file__).resolve().parent
TOLERANCE = 1e-3
CHOICES = ("dispatch", "dispatch-run", *(name for name in WORKS if name != "dispatch"))
THROUGH_CALLABLE = {"dispatch"}
FACTS_LIMIT = 600.0  # seconds


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = parse(arguments)
    frameworks = [f for f in find_frameworks(chosen.peers) if f.name in chosen.frameworks]
    plan = Plan(chosen.rounds, chosen.seconds, available_cores(chosen.cores), chosen.limit, not chosen.quick)
    load = [os.getloadavg()[0]]
    print(f"{time.strftime('%Y-%m-%d %H:%M')}, {len(plan.cores)} cores, load {load[0]:.1f}: {_names(frameworks)}")
    results, wrong = measure(chosen.works, frameworks, chosen.shape, plan)
    facts = collect_facts(chosen.works, chosen.shape, plan) if "graphc" in {f.name for f in frameworks} else None
    load.append(os.getloadavg()[0])
    print()
    print(format_results(results, [f.name for f in frameworks], facts))
    if facts and chosen.profile:
        for work, found in facts["works"].items():
            print(f"\n{work}: {found['profile']}")
    print(f"\n{_machine(facts)}load average {load[0]:.1f} before and {load[1]:.1f} after")
    for work, framework, distance in wrong:
        print(f"DIFFERENT: {work} on {framework} is {distance:.2g} from the others")
    if chosen.json:
        everything = {"load": load, "frameworks": {f.name: f.version for f in frameworks}, "facts": facts}
        Path(chosen.json).write_text(json.dumps(everything | {"works": as_data(results)}, indent=1))
    return 1 if wrong else 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=_names_list, default=_names_list(os.environ.get("GRAPHC_PEERS", sys.executable)),
                        help="interpreters that have the peers; by default those in GRAPHC_PEERS")  # fmt: skip
    parser.add_argument("--works", type=_names_list, default=list(CHOICES), help=f"of {', '.join(CHOICES)}")
    parser.add_argument("--frameworks", type=_names_list, default=list(FRAMEWORKS), help=f"of {', '.join(FRAMEWORKS)}")
    parser.add_argument("--shape", type=_size, nargs="*", default=[], help="other sizes, as batch=64, where a work has them")
    parser.add_argument("--rounds", type=int, default=0, help="rounds over all frameworks (7; 2 with --quick)")
    parser.add_argument("--seconds", type=float, default=0, help="of a framework in a round (0.4; 0.1 with --quick)")
    parser.add_argument("--cores", type=int, default=2, help="that every framework may use")
    parser.add_argument("--limit", type=float, default=180, help="seconds after which a first run is given up")
    parser.add_argument("--quick", action="store_true", help="few rounds, no second process")
    parser.add_argument("--profile", action="store_true", help="print the time of graphc's kernels too")
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured")
    chosen = parser.parse_args(arguments)
    chosen.rounds = chosen.rounds or (2 if chosen.quick else 7)
    chosen.seconds = chosen.seconds or (0.1 if chosen.quick else 0.4)
    chosen.shape = dict(chosen.shape)
    for kind, asked, known in (("work", chosen.works, CHOICES), ("framework", chosen.frameworks, FRAMEWORKS)):
        if unknown := set(asked) - set(known):
            parser.error(f"there is no {kind} {min(unknown)!r}")
    unused = set(chosen.shape) - {size for work in chosen.works for size in parameters(_base(work))}
    if unused:
        parser.error(f"none of these works has a size {min(unused)!r}")
    return chosen


def measure(
    works: Sequence[str], frameworks: Sequence[Framework], shape: dict[str, int], plan: Plan
) -> tuple[dict[str, dict[str, Measured]], list[tuple[str, str, float]]]:
    """What was measured of each work on each framework, and which results differ by how much."""
    results: dict[str, dict[str, Measured]] = {}
    wrong = []
    for work in works:
        row = measure_work(_base(work), frameworks, _shape_of(work, shape), plan, work in THROUGH_CALLABLE)
        results[work] = row
        reference = next((name for name, measured in row.items() if measured.values), None)
        if reference is not None:
            wrong += [(work, name, distance) for name, distance in differing(row, reference, TOLERANCE).items()]
        times = ", ".join(f"{name} {m.microseconds:.4g}" for name, m in row.items() if m.microseconds is not None)
        print(f"  {work}: {times} us", file=sys.stderr, flush=True)
    return results, wrong


def collect_facts(works: Sequence[str], shape: dict[str, int], plan: Plan) -> dict[str, Any]:
    """What graphc compiled for each work, and the peaks of the machine, from a process of its own."""
    request = {"cores": plan.cores, "works": {_base(work): _shape_of(work, shape) for work in works}}
    environment = dict(os.environ) | {"PYTHONPATH": str(HERE.parent), "GRAPHC_THREADS": str(len(plan.cores))}
    command = [sys.executable, str(HERE / "works_facts.py"), json.dumps(request)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env=environment, timeout=FACTS_LIMIT
    )
    return json.loads(done.stdout.splitlines()[-1])


def _base(work: str) -> str:
    return work.removesuffix("-run")


def _shape_of(work: str, shape: dict[str, int]) -> dict[str, int]:
    return {name: size for name, size in shape.items() if name in parameters(_base(work))}


def _names(frameworks: Sequence[Framework]) -> str:
    return ", ".join(f.name if f.name == "graphc" else f"{f.name} {f.version}" for f in frameworks)


def _machine(facts: dict[str, Any] | None) -> str:
    return f"{facts['machine']}, " if facts else ""


def _names_list(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _size(text: str) -> tuple[str, int]:
    name, _, value = text.partition("=")
    return name, int(value)


if __name__ == "__main__":
    sys.exit(main())
