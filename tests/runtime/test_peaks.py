"""What is measured of the machine, and remembered. Nothing is said about how fast it is."""

import math

import numpy as np
import pytest

from graphc.runtime import peaks
from graphc.runtime.executor import Executable, Operand, Step
from graphc.runtime.jit.engine import load_kernels
from graphc.runtime.peaks import Peaks, Rates, copy_kernel, fma_kernel, machine_peaks, measure_peaks, read_kernel
from graphc.runtime.schedule.machine import host_machine

LANES = host_machine().lanes(32)
BLOCK = peaks.CHAINS * LANES


def run_kernel(kernel, *arrays):
    step = Step(kernel.name, tuple(map(Operand, range(len(arrays)))), kernel.chunks, kernel.chunks > 1)
    Executable([step], load_kernels([kernel]), len(arrays)).run([array.ctypes.data for array in arrays])


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """How often peaks were measured, with an empty cache and nothing known."""
    calls = []

    def measure(threads):
        calls.append(threads)
        return Peaks(threads, Rates(1.0, 2.5, 3.5), Rates(float(len(calls)), 5.5, 6.5))

    monkeypatch.setattr(peaks, "measure_peaks", measure)
    monkeypatch.setattr(peaks, "_KNOWN", {})
    monkeypatch.setenv("GRAPHC_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("GRAPHC_CACHE", raising=False)
    return calls


def test_kernels_do_what_is_counted():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 8, 2 * 3 * BLOCK).astype(np.float32)
    copied, sums = np.zeros_like(values), np.zeros((2, peaks.CHAINS, LANES), np.float32)
    run_kernel(copy_kernel(2, 3 * BLOCK), values, copied)
    np.testing.assert_array_equal(copied, values)
    run_kernel(read_kernel(2, 3 * BLOCK), values, sums)
    np.testing.assert_array_equal(sums, values.reshape(2, 3, peaks.CHAINS, LANES).sum(1))
    few = np.zeros((2, peaks.CHAINS, LANES), np.float32)
    few[:, 1:] = 1
    expected = few.copy()  # 0 * x + x in every chain: no sum ever overflows or becomes subnormal
    run_kernel(fma_kernel(2), few)
    np.testing.assert_array_equal(few, expected)


@pytest.mark.parametrize("threads", [1, 2])
def test_rates_are_positive(monkeypatch, threads):
    monkeypatch.setattr(peaks, "STREAM_BYTES", 64 * BLOCK * 4)
    monkeypatch.setattr(peaks, "ROUNDS", 1)
    monkeypatch.setattr(peaks, "ROUND_SECONDS", 1e-4)
    found = measure_peaks(threads)
    assert found.threads == threads
    for name in ("gflops", "read", "copy", "memory"):
        one, together = getattr(found.one, name), getattr(found.all, name)
        assert 0 < one <= together < math.inf
    assert "GFLOP/s" in str(found) and " on one" in str(found)


def test_peaks_are_measured_once(measured):
    first = machine_peaks(1)
    assert machine_peaks(1) is first and measured == [1]
    peaks._KNOWN.clear()  # a new process
    assert machine_peaks(1) == first and measured == [1]
    assert machine_peaks(2).threads == 2 and measured == [1, 2]
    peaks._KNOWN.clear()
    assert machine_peaks(2).threads == 2 and measured == [1, 2]


def test_disturbed_peaks_are_forgotten(measured):
    assert machine_peaks(2).disturbed and "too low" in str(machine_peaks(2))
    assert measured == [2]
    peaks._KNOWN.clear()
    assert not machine_peaks(2).disturbed and "too low" not in str(machine_peaks(2))
    assert measured == [2, 2]


def test_peaks_are_measured_again_where_asked(measured):
    machine_peaks(1)
    assert machine_peaks(1, measure=True).all.gflops == 2
    assert machine_peaks(1).all.gflops == 2
    peaks._KNOWN.clear()
    assert machine_peaks(1).all.gflops == 2 and measured == [1, 1]
