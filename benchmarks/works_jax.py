"""The works as JAX's users write them: one jitted function a step, the state donated, Adam by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
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


def dispatch(w: Named, x: Any) -> Any:
    return x * w["w"] + 1.0


def linreg(w: Named, x: Any, y: Any) -> Any:
    return jnp.mean((y - (w["w"] * x + w["b"])) ** 2)


def mlp(w: Named, x: Any, y: Any) -> Any:
    hidden = jax.nn.relu(x @ w["w0"] + w["b0"])
    hidden = jax.nn.relu(hidden @ w["w1"] + w["b1"])
    return _cross_entropy(hidden @ w["w2"] + w["b2"], y)


def cnn(w: Named, x: Any, y: Any) -> Any:
    def convolve(images: Any, name: str) -> Any:
        layouts = ("NHWC", "HWIO", "NHWC")
        product = jax.lax.conv_general_dilated(images, w[f"w{name}"], (1, 1), "VALID", dimension_numbers=layouts)
        return jax.nn.relu(product + w[f"b{name}"])

    def pool(images: Any) -> Any:
        return jax.lax.reduce_window(images, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    images = convolve(pool(convolve(pool(convolve(x, "c0")), "c1")), "c2")
    hidden = jax.nn.relu(images.reshape(len(x), -1) @ w["w0"] + w["b0"])
    return _cross_entropy(hidden @ w["w1"] + w["b1"], y)


def lstm(w: Named, x: Any, y: Any) -> Any:
    hidden = cell = jnp.zeros((len(x), len(w["wh"])))
    for step in range(x.shape[1]):
        enter, keep, new, leave = jnp.split(x[:, step] @ w["wx"] + hidden @ w["wh"] + w["b"], 4, axis=1)
        cell = jax.nn.sigmoid(keep) * cell + jax.nn.sigmoid(enter) * jnp.tanh(new)
        hidden = jax.nn.sigmoid(leave) * jnp.tanh(cell)
    return jnp.mean(_binary_cross_entropy(hidden @ w["wo"] + w["bo"], y))


def vae(w: Named, x: Any, noise: Any) -> Any:
    hidden = jax.nn.relu(x @ w["w0"] + w["b0"])
    mean, log_variance = hidden @ w["w1"] + w["b1"], hidden @ w["w2"] + w["b2"]
    code = mean + jnp.exp(0.5 * log_variance) * noise
    logits = jax.nn.relu(code @ w["w3"] + w["b3"]) @ w["w4"] + w["b4"]
    divergence = -0.5 * jnp.sum(1 + log_variance - mean**2 - jnp.exp(log_variance), axis=1)
    return jnp.mean(jnp.sum(_binary_cross_entropy(logits, x), axis=1) + divergence)


def transformer(w: Named, x: Any, y: Any) -> Any:
    batch, sequence, width = x.shape
    heads = width // HEAD

    def normalise(values: Any, name: str) -> Any:
        return _layer_norm(values) * w[f"scale_{name}"] + w[f"shift_{name}"]

    def dense(values: Any, name: str) -> Any:
        return values @ w[f"w{name}"] + w[f"b{name}"]

    def split_heads(values: Any) -> Any:
        return values.reshape(batch, sequence, heads, HEAD).transpose(0, 2, 1, 3)

    query, key, value = map(split_heads, jnp.split(dense(normalise(x, "n0"), "qkv"), 3, axis=-1))
    weights = jax.nn.softmax(query @ key.swapaxes(-1, -2) * HEAD**-0.5)
    context = (weights @ value).transpose(0, 2, 1, 3).reshape(batch, sequence, width)
    middle = x + dense(context, "a")
    inner = jax.nn.gelu(dense(normalise(middle, "n1"), "f"), approximate=True)
    return jnp.mean((middle + dense(inner, "g") - y) ** 2)


def blackscholes(w: Named, spot: Any, strike: Any, years: Any) -> Any:
    rate, volatility = 0.02, 0.3

    def cumulative(values: Any) -> Any:
        return 0.5 * (1 + jax.lax.erf(values * 0.70710678))

    spread = volatility * jnp.sqrt(years)
    high = (jnp.log(spot / strike) + (rate + 0.5 * volatility**2) * years) / spread
    return spot * cumulative(high) - strike * jnp.exp(-rate * years) * cumulative(high - spread)


def rownorm(w: Named, x: Any) -> Any:
    return jax.nn.softmax(_layer_norm(x))


def gemm(w: Named, x: Any) -> Any:
    return jax.nn.relu(x @ w["w"] + w["b"])


def _cross_entropy(logits: Any, labels: Any) -> Any:
    chosen = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - chosen)


def _binary_cross_entropy(logits: Any, labels: Any) -> Any:
    return jnp.maximum(logits, 0) - logits * labels + jnp.log1p(jnp.exp(-jnp.abs(logits)))


def _layer_norm(values: Any) -> Any:
    centred = values - jnp.mean(values, axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.mean(centred**2, axis=-1, keepdims=True) + 1e-5)


WORKS: dict[str, Callable[..., Any]] = {
    f.__name__: f for f in (dispatch, linreg, mlp, cnn, lstm, vae, transformer, blackscholes, rownorm, gemm)
}


def prepare(work: str, data: Data) -> Callable[[], Callable[[], np.ndarray]]:
    """The work declared; calling it gives the function that does one step."""
    names, feeds = list(data.weights), list(data.feeds.values())
    weights = [jnp.asarray(value) for value in data.weights.values()]
    function = WORKS[work]

    def compute(weights: list[Any], *feeds: Any) -> Any:
        return function(dict(zip(names, weights)), *feeds)

    if work not in TRAINED:
        compiled = jax.jit(lambda *arrays: compute(list(arrays[: len(names)]), *arrays[len(names) :]))
        arguments = [*weights, *feeds]
        return lambda: lambda: np.asarray(compiled(*arguments))
    if work in BY_GRADIENT_DESCENT:
        return lambda: _descend(compute, weights, feeds)
    return lambda: _train(compute, weights, feeds)


def _descend(loss: Callable[..., Any], weights: list[Any], feeds: list[Any]) -> Callable[[], np.ndarray]:
    @jax.jit
    def update(weights: list[Any], *feeds: Any) -> Any:
        value, gradients = jax.value_and_grad(loss)(weights, *feeds)
        return [weight - DESCENT_RATE * gradient for weight, gradient in zip(weights, gradients)], value

    def step() -> np.ndarray:
        nonlocal weights
        weights, value = update(weights, *feeds)
        return np.asarray(value)

    return step


def _train(loss: Callable[..., Any], weights: list[Any], feeds: list[Any]) -> Callable[[], np.ndarray]:
    def update(weights: list[Any], means: list[Any], squares: list[Any], time: Any, *feeds: Any) -> Any:
        value, gradients = jax.value_and_grad(loss)(weights, *feeds)
        time = time + 1
        rate = RATE * jnp.sqrt(1 - SQUARE_DECAY**time) / (1 - DECAY**time)
        means = [DECAY * m + (1 - DECAY) * g for m, g in zip(means, gradients)]
        squares = [SQUARE_DECAY * v + (1 - SQUARE_DECAY) * g * g for v, g in zip(squares, gradients)]
        weights = [w - rate * m / (jnp.sqrt(v) + EPSILON) for w, m, v in zip(weights, means, squares)]
        return (weights, means, squares, time), value

    compiled = jax.jit(update, donate_argnums=(0, 1, 2, 3))
    zeros = [[jnp.zeros_like(weight) for weight in weights] for _ in range(2)]
    state = (weights, *zeros, jnp.float32(0))

    def step() -> np.ndarray:
        nonlocal state
        state, value = compiled(*state, *feeds)
        return np.asarray(value)

    return step
