"""GFLOP/s of matrix products in float32, in bfloat16, and of float32 arrays multiplied in bfloat16.

    python benchmarks/mixed_precision.py [graphc|torch] [--threads 2]

Arrays in and an array out, the median over a second of runs. "mixed" is `auto_mixed_precision` of graphc's session options, and
autocast of PyTorch with a float32 result. Run one after the other, with whichever interpreter has the framework.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np

SIZES = ((128, 512, 784), (512, 512, 512), (1024, 1024, 256), (1024, 1024, 1024), (2048, 2048, 2048))
MODES = ("float32", "bfloat16", "mixed")
SECONDS = 1.0


def median_seconds(run: Callable[[], object]) -> float:
    run(), run()
    samples: list[float] = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        run()
        samples.append(time.perf_counter() - start)
    return statistics.median(samples)


def graphc_products(threads: int, rows: int, columns: int, depth: int) -> Iterator[Callable[[], object]]:
    import graphc as tf

    rng = np.random.default_rng(0)
    for mode in MODES:
        dtype = tf.bfloat16 if mode == "bfloat16" else tf.float32
        config = tf.ConfigProto(intra_op_parallelism_threads=threads)
        config.graph_options.rewrite_options.auto_mixed_precision = 1 if mode == "mixed" else 0
        with tf.Graph().as_default():
            x, y = tf.placeholder(dtype, [rows, depth]), tf.placeholder(dtype, [depth, columns])
            product = tf.Session(config=config).make_callable(tf.matmul(x, y), [x, y])
        a, b = (rng.standard_normal(shape).astype(dtype.as_numpy_dtype) for shape in ((rows, depth), (depth, columns)))
        yield lambda product=product, a=a, b=b: product(a, b)


def torch_products(threads: int, rows: int, columns: int, depth: int) -> Iterator[Callable[[], object]]:
    import torch

    torch.set_num_threads(threads)
    a, b = torch.randn(rows, depth), torch.randn(depth, columns)
    short = a.to(torch.bfloat16), b.to(torch.bfloat16)

    def mixed() -> object:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return (a @ b).float()

    yield from (lambda: a @ b, lambda: short[0] @ short[1], mixed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("framework", nargs="?", default="graphc", choices=["graphc", "torch"])
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    products = graphc_products if arguments.framework == "graphc" else torch_products
    print(f"{arguments.framework:16}" + "".join(f"{mode:>10}" for mode in MODES))
    for rows, columns, depth in SIZES:
        rates = [
            2 * rows * columns * depth / median_seconds(run) / 1e9
            for run in products(arguments.threads, rows, columns, depth)
        ]
        print(f"{f'{rows}x{columns}x{depth}':16}" + "".join(f"{rate:10.0f}" for rate in rates), flush=True)


if __name__ == "__main__":
    main()
