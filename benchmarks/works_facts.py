"""What graphc made of the works, and what the machine can do: python works_facts.py REQUEST, the request as JSON.

Prints one JSON object: peaks of the machine, and for each work the bytes and operations of its program and the time of its
kernels. A process of its own, so that the measured workers do no more than users' scripts.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import numpy as np
from works_data import make_data
from works_session import SessionWork

import graphc as tf
from graphc.operation import TensorType
from graphc.runtime.peaks import measure_peaks
from graphc.runtime.profile import format_profile, profile_session_run
from graphc.runtime.schedule.machine import host_machine
from graphc.runtime.threads.pool import shared_pool

KERNELS_SHOWN = 12


def describe_work(work: str, shape: dict[str, int]) -> dict[str, Any]:
    """Bytes and operations of a work's program, with a table of its kernels."""
    built = SessionWork(tf, work, make_data(work, shape))
    session = built.open(shared_pool().threads)
    profile = profile_session_run(session, built.fetches, built.feed_dict)
    found = session.find_compiled(built.fetches, built.feed_dict)
    assert found is not None
    program = found[0]
    variables = {p.key: p.tensor.type for p in program.program.parameters if p.kind == "variable"}
    moved = [*program.feeds, *program.results, *variables.values(), *program.updates.values()]
    return {
        "arena": program.arena_bytes,
        "intermediates": program.plan.intermediate_bytes,
        "kernels": len(program.compilation.steps),
        "flops": sum(step.flops for step in profile.steps),
        "unavoidable": sum(map(_bytes, moved)),
        "compile": program.compilation.seconds,
        "profile": format_profile(profile, most=KERNELS_SHOWN),
    }


def _bytes(type_: TensorType) -> int:
    return int(np.prod(type_.sizes, dtype=np.int64)) * type_.dtype.numpy.itemsize


def main() -> None:
    request = json.loads(sys.argv[1])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, request["cores"])
    machine = host_machine()
    peaks = measure_peaks().all
    facts = {"machine": f"{machine.name} ({machine.cpu})", "peaks": {"gflops": peaks.gflops, "gbytes": peaks.memory}}
    facts["works"] = {work: describe_work(work, shape) for work, shape in request["works"].items()}
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
