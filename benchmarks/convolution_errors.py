"""Errors of convolutions by 3 x 3 taps of normal random numbers against float64: the direct sum and Winograd's tiles of 2 x 2
and 4 x 4 results.

    python benchmarks/convolution_errors.py [--markdown]

Errors are parts of the root mean square of the exact result: their root mean square and the largest one.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests" / "runtime" / "kernels")]

import convolution_reference as reference  # noqa: E402
from kernel_running import run_sequence  # noqa: E402

from graphc.runtime.kernels.convolution import Convolution  # noqa: E402
from graphc.runtime.kernels.convolution_kernels import (  # noqa: E402
    build_convolution,
    build_convolution_filter_gradient,
    build_convolution_input_gradient,
)
from graphc.runtime.schedule.machine import host_machine  # noqa: E402

CHANNELS = (4, 32, 64, 256)
METHODS = {"direct": "direct", "2x2": "winograd", "4x4": "winograd4"}
KINDS = ("forward", "gradient of the images", "gradient of the filter")


def errors(kind: str, channels: int, method: str) -> tuple[float, float]:
    """Root mean square and largest error of one kind of kernel, relative to the root mean square of the result."""
    c = Convolution(4, 14, 14, channels, 3, 3, channels, padding=(1, 1, 1, 1), method=method)
    images, filters, gradient = reference.arrays(c, channels)
    if kind == KINDS[0]:
        build, operands, expected = build_convolution, [images, filters], reference.forward(c, images, filters)
    elif kind == KINDS[1]:
        build, operands = build_convolution_input_gradient, [gradient, filters]
        expected = reference.input_gradient(c, gradient, filters)
    else:
        build, operands = build_convolution_filter_gradient, [images, gradient]
        expected = reference.filter_gradient(c, images, gradient)
    result = np.empty(expected.shape, np.float32)
    run_sequence(build(c, host_machine(), 1), [*operands, result], host_machine())
    scale = np.sqrt((expected**2).mean())
    return float(np.sqrt(((result - expected) ** 2).mean()) / scale), float(abs(result - expected).max() / scale)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    titles = ("what", "channels", *(f"{name} {figure}" for name in METHODS for figure in ("rms", "max")))
    rows = [titles] + [("---",) * len(titles)] * options.markdown
    for kind in KINDS:
        for channels in CHANNELS:
            figures = [figure for method in METHODS.values() for figure in errors(kind, channels, method)]
            rows.append((kind, str(channels), *(f"{figure:.1e}" for figure in figures)))
    for row in rows:
        print("| " + " | ".join(row) + " |" if options.markdown else "  ".join(f"{cell:>13}" for cell in row))


if __name__ == "__main__":
    main()
