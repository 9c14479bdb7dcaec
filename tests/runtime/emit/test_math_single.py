"""Functions of float32 against float64: errors in units in the last place, at all widths and special values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from accuracy import REFERENCES, errors_in_ulp, every_float32, special_values
from scalar_running import calling, run_native

from graphc.runtime.schedule.machine import AVX2, SSE, Machine, host_machine
from graphc.scalars import FLOAT_UNARY

HOST = host_machine()
WITHOUT_FMA = replace(SSE, name="without fma", features="", has_fma=False, has_f16_conversion=False)
EXACT = {"floor", "ceil", "trunc"}
ROUNDED_ONCE = {"sqrt", "reciprocal"}
SHAPES = [(1, 1), (4, 1), (8, 1), (16, 1), (16, 2)]


def machines() -> list[Machine]:
    """This host and the lesser ones that it can stand for."""
    x86 = [AVX2, SSE, WITHOUT_FMA] if HOST.architecture == "x86_64" else []
    return [HOST] + [m for m in x86 if HOST.has_fma >= m.has_fma and HOST.has_avx2 >= m.has_avx2]


def bound_of(name: str) -> float:
    """The allowed error in units in the last place."""
    return 0.0 if name in EXACT else 0.5 if name in ROUNDED_ONCE else 2.0


def assert_accurate(name: str, *arguments: np.ndarray, bound: float | None = None, **options) -> None:
    bound = bound_of(name) if bound is None else bound
    with np.errstate(all="ignore"):
        want = REFERENCES[name](*[a.astype(np.float64) for a in arguments])
    got = run_native(calling(name), *arguments, **options)
    error = errors_in_ulp(got, want)
    worst = int(np.argmax(error))
    shown = [a[worst] for a in arguments], got[worst], want[worst]
    assert error[worst] <= bound, (error[worst], shown, options)


@pytest.mark.parametrize("name", sorted(FLOAT_UNARY))
def test_special_values_and_a_sample_of_all_floats(name):
    x = np.concatenate([special_values(), every_float32(1 << 20, 7919)])
    for lanes, chains in SHAPES:
        assert_accurate(name, x, lanes=lanes, chains=chains)


@pytest.mark.parametrize("name", sorted(FLOAT_UNARY))
def test_every_machine_that_this_one_can_stand_for(name):
    x = np.concatenate([special_values(), every_float32(1 << 20, 104729)])
    for machine in machines()[1:]:
        bound = bound_of(name) + (1.0 if not machine.has_fma and name not in EXACT | ROUNDED_ONCE else 0.0)
        assert_accurate(name, x, machine=machine, bound=bound)


def pairs(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Special values with each other, and random pairs of several kinds."""
    random = np.random.default_rng(0)
    special = special_values()
    first, second = np.meshgrid(special, special)

    def anything() -> np.ndarray:
        return random.integers(0, 2**32, count, dtype=np.uint32).view(np.float32)

    def uniform(low: float, high: float) -> np.ndarray:
        return random.uniform(low, high, count).astype(np.float32)

    return [
        (first.ravel(), second.ravel()),
        (anything(), anything()),
        (np.exp(uniform(-5, 5)), uniform(-20, 20)),
        (uniform(-10, 10), np.rint(uniform(-30, 30))),
        (1 + uniform(-1e-3, 1e-3), uniform(-1e5, 1e5)),
    ]


@pytest.mark.parametrize("name", ["pow", "atan2"])
def test_functions_of_two_floats(name):
    for x, y in pairs(5000):
        for lanes, chains in SHAPES:
            assert_accurate(name, x, y, lanes=lanes, chains=chains)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(FLOAT_UNARY))
def test_every_101st_float(name):
    parts = 8
    for part in range(parts):
        x = every_float32(101 * parts, 101 * part)
        for lanes in (HOST.lanes(32), HOST.lanes(32) // 2):
            assert_accurate(name, x, lanes=lanes)


@pytest.mark.long
@pytest.mark.parametrize("name", ["pow", "atan2"])
def test_millions_of_pairs(name):
    for x, y in pairs(2_000_000):
        for lanes in (HOST.lanes(32), HOST.lanes(32) // 2):
            assert_accurate(name, x, y, lanes=lanes)
