"""Accuracy and speed of the vector functions: worst error in units in the last place, nanoseconds an element on one core.

    python benchmarks/numerics.py [--stride 101] [--double] [--markdown] [FUNCTION ...]

float32: every stride-th of all 2**32 bit patterns and special values against float64. `full` is the width of the machine's
registers, where AVX-512 has instructions of its own; `half` is half of that, which is what machines without it run. float64
(--double): samples against 40 digits of mpmath. Times are of a call for 16384 elements in cache, the best of 1, 2 and 4
interleaved chains; NumPy's beside them, and PyTorch's where it is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests" / "runtime" / "emit")]

from accuracy import REFERENCES, errors_in_ulp, every_float32, special_values  # noqa: E402
from scalar_running import Native, calling, run_native  # noqa: E402

from graphc.dtypes import DType, float32, float64  # noqa: E402
from graphc.runtime.schedule.machine import host_machine  # noqa: E402

COUNT = 1 << 14
PARTS = 16
BINARY = ("atan2", "pow")
FUNCTIONS = (
    "exp", "expm1", "log", "log1p", "sigmoid", "softplus", "tanh", "sinh", "cosh", "erf", "erfc", "rsqrt", "sin", "cos", "tan",
    "asin", "acos", "atan", "asinh", "acosh", "atanh", "lgamma", "digamma", *BINARY,
)  # fmt: skip
RANGES = {"acosh": (1.1, 20.0), "asin": (-0.99, 0.99), "acos": (-0.99, 0.99), "atanh": (-0.99, 0.99)}
NUMPY = {
    "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "tanh": np.tanh, "sinh": np.sinh, "cosh": np.cosh,
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "asinh": np.arcsinh,
    "acosh": np.arccosh, "atanh": np.arctanh, "atan2": np.arctan2, "pow": np.power,
}  # fmt: skip


def worst_single(name: str, lanes: int, stride: int) -> float:
    """The largest error over special values and every stride-th float32; for two operands over as many random pairs."""
    worst = 0.0
    for part in range(PARTS):
        first = every_float32(stride * PARTS, stride * part)
        arguments = [first]
        if name in BINARY:
            random = np.random.default_rng(part)
            arguments = [first, random.permutation(first)]
        elif part == 0:
            arguments = [np.concatenate([special_values(), first])]
        with np.errstate(all="ignore"):
            want = REFERENCES[name](*[a.astype(np.float64) for a in arguments])
        got = run_native(calling(name), *arguments, lanes=lanes)
        worst = max(worst, float(errors_in_ulp(got, want).max()))
    return worst


def worst_double(name: str, lanes: int) -> float:
    """The largest error over the samples of the tests."""
    import mpmath as mp
    from test_math_double import ARGUMENTS, GENERAL, REFERENCE_40_DIGITS, error_in_ulp

    x = np.concatenate(ARGUMENTS.get(name, GENERAL))
    with mp.workdps(40):
        function = REFERENCE_40_DIGITS.get(name) or getattr(mp, name)
        got = run_native(calling(name), x, lanes=lanes)
        return max(error_in_ulp(float(g), function(mp.mpf(float(v)))) for g, v in zip(got, x))


def best_time(call: Callable[[], object], repeats: int = 40) -> float:
    """Nanoseconds of one call, the best of many short series."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter_ns()
        for _ in range(5):
            call()
        best = min(best, (time.perf_counter_ns() - start) / 5)
    return best


def native_time(name: str, dtype: DType, lanes: int) -> float:
    """Nanoseconds an element."""
    arrays = sample_operands(name, dtype)
    times = []
    for chains in (1, 2, 4):
        native = Native(calling(name), [dtype] * len(arrays), dtype, COUNT, lanes, chains)
        times.append(best_time(native.bind(*arrays)[0]))
    return min(times) / COUNT


def sample_operands(name: str, dtype: DType) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    low, high = RANGES.get(name, (0.1, 4.0))
    return [random.uniform(low, high, COUNT).astype(dtype.numpy) for _ in range(1 + (name in BINARY))]


def numpy_time(name: str, dtype: DType) -> float | None:
    if name not in NUMPY:
        return None
    arrays = sample_operands(name, dtype)
    out = np.empty_like(arrays[0])
    return best_time(lambda: NUMPY[name](*arrays, out=out)) / COUNT


def torch_time(name: str, dtype: DType) -> float | None:
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    torch.set_num_threads(1)
    function = getattr(torch, name, None) or getattr(torch.special, name, None) or getattr(torch.nn.functional, name, None)
    if function is None:
        return None
    arrays = [torch.from_numpy(a) for a in sample_operands(name, dtype)]
    return best_time(lambda: function(*arrays)) / COUNT


def rows_of(names: tuple[str, ...], dtype: DType, stride: int) -> list[list[str]]:
    full = host_machine().lanes(dtype.bits)
    rows = []
    for name in names:
        if dtype is float64 and name in BINARY:
            continue
        errors = [worst_single(name, n, stride) if dtype is float32 else worst_double(name, n) for n in (full, full // 2)]
        times = [native_time(name, dtype, n) for n in (full, full // 2)]
        peers = [numpy_time(name, dtype), torch_time(name, dtype)]
        rows.append(
            [name, f"{errors[0]:.2f}", f"{errors[1]:.2f}", *[f"{t:.3f}" for t in times]]
            + ["-" if t is None else f"{t:.3f}" for t in peers]
        )
        print(".", end="", flush=True, file=sys.stderr)
    print(file=sys.stderr)
    return rows


def print_table(rows: list[list[str]], lanes: int, markdown: bool) -> None:
    head = ["function", f"ULP {lanes} lanes", f"ULP {lanes // 2}", f"ns {lanes} lanes", f"ns {lanes // 2}", "NumPy", "PyTorch"]
    if all(row[-1] == "-" for row in rows):
        head, rows = head[:-1], [row[:-1] for row in rows]
    if markdown:
        rows = [["---"] * len(head), *rows]
        print("\n".join("| " + " | ".join(row) + " |" for row in [head, *rows]))
        return
    for row in [head, *rows]:
        print(f"{row[0]:10}" + "".join(f"{cell:>14}" for cell in row[1:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("functions", nargs="*", default=FUNCTIONS)
    parser.add_argument("--stride", type=int, default=1009, help="every which float32 is checked")
    parser.add_argument("--double", action="store_true", help="float64 instead of float32")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    dtype = float64 if options.double else float32
    machine = host_machine()
    print(f"{dtype.name} on {machine.cpu} ({machine.name})")
    print_table(rows_of(tuple(options.functions), dtype, options.stride), machine.lanes(dtype.bits), options.markdown)


if __name__ == "__main__":
    main()
