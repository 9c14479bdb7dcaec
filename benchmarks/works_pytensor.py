"""The works as PyTensor's users write them: shared variables, one compiled function with updates. No convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
from works_data import (
    BY_GRADIENT_DESCENT,
    DECAY,
    DESCENT_RATE,
    EPSILON,
    HEAD,
    RATE,
    SQUARE_DECAY,
    TRAINED,
    Data,
)

Named = dict[str, Any]


def single(value: float) -> np.ndarray:
    """A constant that does not widen single precision."""
    return np.asarray(value, np.float32)


ZERO, HALF, ONE = single(0), single(0.5), single(1)


def dispatch(w: Named, x: Any) -> Any:
    return x * w["w"] + ONE


def linreg(w: Named, x: Any, y: Any) -> Any:
    return ((y - (w["w"] * x + w["b"])) ** 2).mean()


def mlp(w: Named, x: Any, y: Any) -> Any:
    hidden = pt.maximum(x @ w["w0"] + w["b0"], ZERO)
    hidden = pt.maximum(hidden @ w["w1"] + w["b1"], ZERO)
    logits = pt.special.log_softmax(hidden @ w["w2"] + w["b2"], axis=-1)
    return -logits[pt.arange(y.shape[0]), y].mean()


def lstm(w: Named, x: Any, y: Any) -> Any:
    batch, steps, _ = x.type.shape
    units = w["wh"].get_value(borrow=True).shape[0]
    hidden = cell = pt.zeros((batch, units), dtype="float32")
    for step in range(steps):
        gates = x[:, step] @ w["wx"] + hidden @ w["wh"] + w["b"]
        enter, keep, new, leave = (gates[:, part * units : (part + 1) * units] for part in range(4))
        cell = pt.sigmoid(keep) * cell + pt.sigmoid(enter) * pt.tanh(new)
        hidden = pt.sigmoid(leave) * pt.tanh(cell)
    return _binary_cross_entropy(hidden @ w["wo"] + w["bo"], y).mean()


def vae(w: Named, x: Any, noise: Any) -> Any:
    hidden = pt.maximum(x @ w["w0"] + w["b0"], ZERO)
    mean, log_variance = hidden @ w["w1"] + w["b1"], hidden @ w["w2"] + w["b2"]
    code = mean + pt.exp(HALF * log_variance) * noise
    logits = pt.maximum(code @ w["w3"] + w["b3"], ZERO) @ w["w4"] + w["b4"]
    divergence = -HALF * (ONE + log_variance - mean**2 - pt.exp(log_variance)).sum(1)
    return (_binary_cross_entropy(logits, x).sum(1) + divergence).mean()


def transformer(w: Named, x: Any, y: Any) -> Any:
    batch, sequence, width = x.type.shape
    heads = width // HEAD

    def normalise(values: Any, name: str) -> Any:
        return _layer_norm(values) * w[f"scale_{name}"] + w[f"shift_{name}"]

    def dense(values: Any, name: str) -> Any:
        rows, columns = w[f"w{name}"].get_value(borrow=True).shape
        product = values.reshape((batch * sequence, rows)) @ w[f"w{name}"] + w[f"b{name}"]
        return product.reshape((batch, sequence, columns))

    def split_heads(values: Any) -> Any:
        return values.reshape((batch, sequence, heads, HEAD)).transpose(0, 2, 1, 3)

    parts = dense(normalise(x, "n0"), "qkv")
    query, key, value = (split_heads(parts[:, :, part * width : (part + 1) * width]) for part in range(3))
    weights = pt.special.softmax(query @ key.transpose(0, 1, 3, 2) * single(HEAD**-0.5), axis=-1)
    context = (weights @ value).transpose(0, 2, 1, 3).reshape((batch, sequence, width))
    middle = x + dense(context, "a")
    inner = dense(normalise(middle, "n1"), "f")
    cubic = inner + single(0.044715) * inner * inner * inner
    inner = HALF * inner * (ONE + pt.tanh(single(0.7978845608) * cubic))
    return ((middle + dense(inner, "g") - y) ** 2).mean()


def blackscholes(w: Named, spot: Any, strike: Any, years: Any) -> Any:
    rate, volatility = 0.02, 0.3

    def cumulative(values: Any) -> Any:
        return HALF * (ONE + pt.erf(values * single(0.70710678)))

    spread = single(volatility) * pt.sqrt(years)
    high = (pt.log(spot / strike) + single(rate + 0.5 * volatility**2) * years) / spread
    return spot * cumulative(high) - strike * pt.exp(single(-rate) * years) * cumulative(high - spread)


def rownorm(w: Named, x: Any) -> Any:
    return pt.special.softmax(_layer_norm(x), axis=-1)


def gemm(w: Named, x: Any) -> Any:
    return pt.maximum(x @ w["w"] + w["b"], ZERO)


def _binary_cross_entropy(logits: Any, labels: Any) -> Any:
    return pt.maximum(logits, ZERO) - logits * labels + pt.log1p(pt.exp(-abs(logits)))


def _layer_norm(values: Any) -> Any:
    centred = values - values.mean(-1, keepdims=True)
    return centred / pt.sqrt((centred**2).mean(-1, keepdims=True) + single(1e-5))


WORKS: dict[str, Callable[..., Any]] = {
    f.__name__: f for f in (dispatch, linreg, mlp, lstm, vae, transformer, blackscholes, rownorm, gemm)
}


def prepare(work: str, data: Data) -> Callable[[], Callable[[], Any]]:
    """The work declared; calling it compiles and gives the function that does one step.

    Raises NotImplementedError for a work that PyTensor has no operations for.
    """
    if work not in WORKS:
        raise NotImplementedError("no convolution of images with channels")
    pytensor.config.floatX = "float32"
    weights = {name: pytensor.shared(np.asarray(value), name=name) for name, value in data.weights.items()}
    feeds = [pt.tensor(name, dtype=str(value.dtype), shape=value.shape) for name, value in data.feeds.items()]
    result = WORKS[work](weights, *feeds)
    updates = _updates(work, result, list(weights.values())) if work in TRAINED else []
    values = list(data.feeds.values())

    def start() -> Callable[[], Any]:
        function = pytensor.function(feeds, result, updates=updates)
        return lambda: function(*values)

    return start


def _updates(work: str, loss: Any, weights: list[Any]) -> list[tuple[Any, Any]]:
    gradients = pt.grad(loss, weights)
    if work in BY_GRADIENT_DESCENT:
        return [(weight, weight - single(DESCENT_RATE) * gradient) for weight, gradient in zip(weights, gradients)]
    time = pytensor.shared(ZERO.copy())
    now = time + ONE
    rate = single(RATE) * pt.sqrt(ONE - single(SQUARE_DECAY) ** now) / (ONE - single(DECAY) ** now)
    updates = [(time, now)]
    for weight, gradient in zip(weights, gradients):
        mean, square = (pytensor.shared(np.zeros_like(weight.get_value())) for _ in range(2))
        new_mean = single(DECAY) * mean + single(1 - DECAY) * gradient
        new_square = single(SQUARE_DECAY) * square + single(1 - SQUARE_DECAY) * gradient * gradient
        updates += [(mean, new_mean), (square, new_square)]
        updates.append((weight, weight - rate * new_mean / (pt.sqrt(new_square) + single(EPSILON))))
    return updates
