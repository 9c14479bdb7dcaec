"""The numbers that go into each work, the same for every framework.

A work is named by a function here; its parameters are the shapes that may be changed. All numbers come from one seeded
generator, weights before feeds, in the order in which they stand.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Data:
    """First values of the variables and what is fed in every step."""

    weights: Arrays
    feeds: Arrays


def dispatch(elements: int = 8) -> Data:
    """x * w + 1: what a call costs."""
    return Data({"w": np.float32(2)}, {"x": np.ones(elements, np.float32)})


def linreg(points: int = 100) -> Data:
    """A step of gradient descent on a line."""
    x = _uniform(_generator(), points)
    return Data({"w": np.float32(0), "b": np.float32(0)}, {"x": x, "y": 3 * x + 2})


def mlp(batch: int = 128, inputs: int = 784, wide: int = 512, narrow: int = 256, classes: int = 10) -> Data:
    """Two hidden layers, softmax cross-entropy, Adam."""
    random, weights = _generator(), {}
    for number, (rows, columns) in enumerate(pairwise((inputs, wide, narrow, classes))):
        weights |= _layer(random, str(number), (rows, columns))
    return Data(weights, {"x": _uniform(random, (batch, inputs)), "y": random.integers(0, classes, batch)})


def cnn(batch: int = 32, side: int = 28, few: int = 32, many: int = 64, dense: int = 64, classes: int = 10) -> Data:
    """Three 3 x 3 convolutions, two poolings, two dense layers, softmax cross-entropy, Adam."""
    random, weights = _generator(), {}
    for number, (inputs, outputs) in enumerate(pairwise((1, few, many, many))):
        weights |= _layer(random, f"c{number}", (3, 3, inputs, outputs))
    left = ((side - 2) // 2 - 2) // 2 - 2
    weights |= _layer(random, "0", (left * left * many, dense)) | _layer(random, "1", (dense, classes))
    images = _uniform(random, (batch, side, side, 1))
    return Data(weights, {"x": images, "y": random.integers(0, classes, batch)})


def lstm(batch: int = 32, steps: int = 10, units: int = 50) -> Data:
    """A recurrent layer over (steps, 1), a sigmoid head, Adam."""
    random = _generator()
    weights = {"wx": _normal(random, (1, 4 * units), 0.3), "wh": _normal(random, (units, 4 * units), 0.1)}
    weights |= {"b": _zeros(4 * units)} | _layer(random, "o", (units, 1))
    x = _uniform(random, (batch, steps, 1))
    return Data(weights, {"x": x, "y": random.integers(0, 2, (batch, 1)).astype(np.float32)})


def vae(batch: int = 128, pixels: int = 784, hidden: int = 400, latent: int = 20) -> Data:
    """A variational autoencoder with its noise fed, Adam."""
    random = _generator()
    weights = _layer(random, "0", (pixels, hidden)) | _layer(random, "1", (hidden, latent))
    weights |= _layer(random, "2", (hidden, latent), 0.01)
    weights |= _layer(random, "3", (latent, hidden)) | _layer(random, "4", (hidden, pixels))
    x = _uniform(random, (batch, pixels))
    return Data(weights, {"x": x, "noise": _normal(random, (batch, latent), 1.0)})


def transformer(batch: int = 8, sequence: int = 128, width: int = 256, inner: int = 1024) -> Data:
    """One pre-norm block with heads of 64 and a mean squared loss, Adam."""
    random, weights = _generator(), {}
    for name, rows, columns in (
        ("qkv", width, 3 * width), ("a", width, width), ("f", width, inner), ("g", inner, width),
    ):  # fmt: skip
        weights |= _layer(random, name, (rows, columns), rows**-0.5)
    for name in ("n0", "n1"):
        weights |= {f"scale_{name}": np.ones(width, np.float32), f"shift_{name}": _zeros(width)}
    shape = (batch, sequence, width)
    return Data(weights, {"x": _normal(random, shape, 1.0), "y": _normal(random, shape, 1.0)})


def blackscholes(options: int = 1_000_000) -> Data:
    """Prices of options: one long chain of elementwise mathematics."""
    random = _generator()
    spot, strike, years = (random.random(options) for _ in range(3))
    feeds = {"spot": spot * 50 + 50, "strike": strike * 50 + 50, "years": years * 2 + 0.1}
    return Data({}, {name: value.astype(np.float32) for name, value in feeds.items()})


def rownorm(rows: int = 4096, columns: int = 1024) -> Data:
    """softmax(layer_norm(x))."""
    return Data({}, {"x": _normal(_generator(), (rows, columns), 1.0)})


def gemm(rows: int = 512, columns: int = 512, depth: int = 512) -> Data:
    """relu(x @ w + b)."""
    random = _generator()
    return Data(_layer(random, "", (depth, columns)), {"x": _uniform(random, (rows, depth))})


def _generator() -> np.random.Generator:
    return np.random.default_rng(0)


def _uniform(random: np.random.Generator, shape: int | tuple[int, ...]) -> np.ndarray:
    return random.random(shape).astype(np.float32)


def _normal(random: np.random.Generator, shape: tuple[int, ...], scale: float) -> np.ndarray:
    return (random.standard_normal(shape) * scale).astype(np.float32)


def _zeros(size: int) -> np.ndarray:
    return np.zeros(size, np.float32)


def _layer(random: np.random.Generator, name: str, shape: tuple[int, ...], scale: float | None = None) -> Arrays:
    """A weight, by default scaled for rectified units, and a bias of zeros."""
    fan_in = int(np.prod(shape[:-1]))
    weight = _normal(random, shape, (2 / fan_in) ** 0.5 if scale is None else scale)
    return {f"w{name}": weight, f"b{name}": _zeros(shape[-1])}


WORKS: dict[str, Callable[..., Data]] = {
    f.__name__: f for f in (dispatch, linreg, mlp, cnn, lstm, vae, transformer, blackscholes, rownorm, gemm)
}
TRAINED = {"linreg", "mlp", "cnn", "lstm", "vae", "transformer"}
BY_GRADIENT_DESCENT = {"linreg"}
RATE, DESCENT_RATE, DECAY, SQUARE_DECAY, EPSILON = 1e-3, 0.5, 0.9, 0.999, 1e-8
HEAD = 64  # width of an attention head


def make_data(work: str, shape: Mapping[str, int] | None = None) -> Data:
    """The numbers of a work, for other shapes where `shape` says so. Raises TypeError for names that it has not."""
    return WORKS[work](**(shape or {}))


def parameters(work: str) -> list[str]:
    """What of a work's shape may be changed."""
    return list(inspect.signature(WORKS[work]).parameters)
