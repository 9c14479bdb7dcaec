"""How long chains of elementwise operations take to declare, compile and run once, with nothing compiled before.

    python benchmarks/compile_time.py [--lengths 2500,5000,10000]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time

import numpy as np

LENGTHS = "2500,5000,10000"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", default=LENGTHS, help=f"operations of each chain (default {LENGTHS})")
    lengths = [int(length) for length in parser.parse_args().lengths.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GRAPHC_CACHE_DIR"] = folder
        run_chain(8)  # what the first program of a process alone takes
        for length in lengths:
            print(f"{length:6} operations  {run_chain(length):6.2f} s", flush=True)


def run_chain(length: int) -> float:
    """Seconds for a chain of so many operations, of three kinds, with several constants."""
    import graphc as tf

    start = time.perf_counter()
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [64])
        value = x
        for number in range(length // 3):
            value = tf.sin(value + float(number % 7)) * 0.5
        session.run(value, {x: np.ones(64, np.float32)})
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
