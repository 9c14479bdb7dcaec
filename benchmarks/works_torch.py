"""The works as PyTorch's users write them, eager or through torch.compile, with the fused optimizers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name that its users give it
from works_data import BY_GRADIENT_DESCENT, DESCENT_RATE, HEAD, RATE, TRAINED, Data

Named = dict[str, Any]


def dispatch(w: Named, x: Any) -> Any:
    return x * w["w"] + 1.0


def linreg(w: Named, x: Any, y: Any) -> Any:
    return ((y - (w["w"] * x + w["b"])) ** 2).mean()


def mlp(w: Named, x: Any, y: Any) -> Any:
    hidden = F.relu(torch.addmm(w["b0"], x, w["w0"]))
    hidden = F.relu(torch.addmm(w["b1"], hidden, w["w1"]))
    return F.cross_entropy(torch.addmm(w["b2"], hidden, w["w2"]), y)


def cnn(w: Named, x: Any, y: Any) -> Any:
    images = x.permute(0, 3, 1, 2)
    images = F.max_pool2d(F.relu(F.conv2d(images, w["wc0"], w["bc0"])), 2)
    images = F.max_pool2d(F.relu(F.conv2d(images, w["wc1"], w["bc1"])), 2)
    images = F.relu(F.conv2d(images, w["wc2"], w["bc2"]))
    flat = images.permute(0, 2, 3, 1).reshape(len(x), -1)
    hidden = F.relu(torch.addmm(w["b0"], flat, w["w0"]))
    return F.cross_entropy(torch.addmm(w["b1"], hidden, w["w1"]), y)


def lstm(w: Named, x: Any, y: Any) -> Any:
    hidden = w["layer"](x)[0][:, -1]
    return F.binary_cross_entropy_with_logits(torch.addmm(w["bo"], hidden, w["wo"]), y)


def vae(w: Named, x: Any, noise: Any) -> Any:
    hidden = F.relu(torch.addmm(w["b0"], x, w["w0"]))
    mean, log_variance = torch.addmm(w["b1"], hidden, w["w1"]), torch.addmm(w["b2"], hidden, w["w2"])
    code = mean + torch.exp(0.5 * log_variance) * noise
    decoded = F.relu(torch.addmm(w["b3"], code, w["w3"]))
    logits = torch.addmm(w["b4"], decoded, w["w4"])
    pixels = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
    return (pixels - 0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1)).mean()


def transformer(w: Named, x: Any, y: Any) -> Any:
    batch, sequence, width = x.shape

    def normalise(values: Any, name: str) -> Any:
        return F.layer_norm(values, (width,), w[f"scale_{name}"], w[f"shift_{name}"])

    def dense(values: Any, name: str) -> Any:
        return values @ w[f"w{name}"] + w[f"b{name}"]

    parts = dense(normalise(x, "n0"), "qkv").split(width, -1)
    query, key, value = (part.reshape(batch, sequence, -1, HEAD).transpose(1, 2) for part in parts)
    context = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(batch, sequence, width)
    middle = x + dense(context, "a")
    inner = F.gelu(dense(normalise(middle, "n1"), "f"), approximate="tanh")
    return F.mse_loss(middle + dense(inner, "g"), y)


def blackscholes(w: Named, spot: Any, strike: Any, years: Any) -> Any:
    rate, volatility = 0.02, 0.3

    def cumulative(values: Any) -> Any:
        return 0.5 * (1 + torch.erf(values * 0.70710678))

    spread = volatility * torch.sqrt(years)
    high = (torch.log(spot / strike) + (rate + 0.5 * volatility**2) * years) / spread
    return spot * cumulative(high) - strike * torch.exp(-rate * years) * cumulative(high - spread)


def rownorm(w: Named, x: Any) -> Any:
    return F.softmax(F.layer_norm(x, x.shape[-1:]), -1)


def gemm(w: Named, x: Any) -> Any:
    return F.relu(torch.addmm(w["b"], x, w["w"]))


WORKS: dict[str, Callable[..., Any]] = {
    f.__name__: f for f in (dispatch, linreg, mlp, cnn, lstm, vae, transformer, blackscholes, rownorm, gemm)
}


def prepare(work: str, data: Data, threads: int, compiled: bool) -> Callable[[], Callable[[], np.ndarray]]:
    """The work declared; calling it gives the function that does one step."""
    torch.set_num_threads(threads)
    feeds = list(data.feeds.values())
    weights = {name: torch.tensor(value) for name, value in data.weights.items()}
    if work == "lstm":
        weights = _recurrent_layer(weights)
    if work == "cnn":
        weights = {name: _filters_last(value) if value.ndim == 4 else value for name, value in weights.items()}
    function = WORKS[work]

    def compute(*feeds: Any) -> Any:
        return function(weights, *feeds)

    chosen = torch.compile(compute) if compiled else compute
    if work not in TRAINED:
        return lambda: lambda: chosen(*map(torch.from_numpy, feeds)).numpy()
    return lambda: _train(chosen, _trained_tensors(weights), feeds, work in BY_GRADIENT_DESCENT)


def _train(loss: Callable[..., Any], weights: list[Any], feeds: list[Any], plain: bool) -> Callable[[], np.ndarray]:
    optimizer: torch.optim.Optimizer = (
        torch.optim.SGD(weights, lr=DESCENT_RATE, fused=True) if plain else torch.optim.Adam(weights, lr=RATE, fused=True)
    )

    def step() -> np.ndarray:
        optimizer.zero_grad(set_to_none=True)
        value = loss(*map(torch.from_numpy, feeds))
        value.backward()
        optimizer.step()
        return value.detach().numpy()

    return step


def _trained_tensors(weights: Named) -> list[Any]:
    trained = []
    for value in weights.values():
        if isinstance(value, torch.nn.Module):
            trained += [p for p in value.parameters() if p.requires_grad]
        else:
            trained.append(value.requires_grad_())
    return trained


def _filters_last(filters: Any) -> Any:
    """PyTorch's order of a filter, in the memory layout that is fastest on processors."""
    return filters.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)


def _recurrent_layer(weights: Named) -> Named:
    """The layer of PyTorch with the given numbers; its second bias stays zero, as the other frameworks have one."""
    layer = torch.nn.LSTM(1, len(weights["wh"]), batch_first=True)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(weights.pop("wx").T)
        layer.weight_hh_l0.copy_(weights.pop("wh").T)
        layer.bias_ih_l0.copy_(weights.pop("b"))
        layer.bias_hh_l0.zero_()
    layer.bias_hh_l0.requires_grad_(False)
    return weights | {"layer": layer}
