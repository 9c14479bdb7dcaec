"""The machine descriptions and how the host is found."""

import dataclasses
import os
import subprocess
import sys

import pytest

from graphc.runtime.schedule.machine import AVX2, AVX512, MACHINES, NEON, SSE, host_machine
from graphc.runtime.schedule.topology import available_cores, cache_sizes, cpu_identity


def run_python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize("machine", [*MACHINES.values(), host_machine()], ids=lambda m: f"{m.name}-{m.cpu}")
def test_tiles_fit_into_the_registers(machine):
    for rows, vectors in machine.tiles:
        accumulators = rows * vectors
        assert accumulators + vectors + 1 <= machine.vector_registers, (rows, vectors)


def test_lanes():
    assert [m.lanes(32) for m in (AVX512, AVX2, SSE, NEON)] == [16, 8, 4, 4]
    assert [AVX512.lanes(bits) for bits in (8, 16, 32, 64)] == [64, 32, 16, 8]


def test_a_machine_is_a_value():
    machine = host_machine()
    assert machine is host_machine()
    assert machine == dataclasses.replace(machine) != dataclasses.replace(machine, cores=machine.cores + 1)
    assert hash(machine) == hash(dataclasses.replace(machine))


@pytest.mark.parametrize("name", ["sse", "avx2", "avx512"])
def test_every_width_of_the_host_can_be_forced(monkeypatch, name):
    monkeypatch.delenv("GRAPHC_MACHINE", raising=False)
    host = host_machine()
    monkeypatch.setenv("GRAPHC_MACHINE", name)
    if MACHINES[name].vector_bits > host.vector_bits:
        with pytest.raises(ValueError, match="cannot run on this host"):
            host_machine()
        return
    forced = host_machine()
    assert (forced.name, forced.vector_bits) == (name, MACHINES[name].vector_bits)
    assert (forced.cores, forced.l3_bytes) == (host.cores, host.l3_bytes)


def test_an_unknown_machine_is_refused(monkeypatch):
    monkeypatch.setenv("GRAPHC_MACHINE", "vax")
    with pytest.raises(ValueError, match="GRAPHC_MACHINE=vax is none of avx512, avx2, sse, neon"):
        host_machine()


def test_the_host_is_asked_once_for_all_processes(tmp_path):
    code = """
from graphc.runtime.jit.llvm import is_loaded
from graphc.runtime.schedule.machine import host_machine
before = is_loaded()
machine = host_machine()
print(before, is_loaded(), hash(machine.features) != 0, machine.cpu)
"""
    first = run_python(code, GRAPHC_CACHE_DIR=str(tmp_path), GRAPHC_MACHINE="").split()
    second = run_python(code, GRAPHC_CACHE_DIR=str(tmp_path), GRAPHC_MACHINE="").split()
    assert first[:3] == ["False", "True", "True"]
    assert second == ["False", "False", "True", first[3]]


def test_cores_follow_the_affinity_mask():
    allowed = sorted(os.sched_getaffinity(0))
    assert 1 <= available_cores() <= len(allowed)
    code = f"""
import os
os.sched_setaffinity(0, [{allowed[0]}])
from graphc.runtime.schedule.topology import available_cores
print(available_cores())
"""
    assert run_python(code) == "1"


def test_caches_grow_from_level_to_level():
    first, second, third = cache_sizes((1 << 15, 1 << 20, 1 << 24))
    assert 1 << 12 <= first <= second <= third
    assert cpu_identity() == cpu_identity() != ""
