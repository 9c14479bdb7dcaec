"""The works against TensorFlow 1's API: the same code runs on graphc and on `tensorflow.compat.v1`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from works_data import BY_GRADIENT_DESCENT, DESCENT_RATE, HEAD, RATE, TRAINED, Data

Named = dict[str, Any]


def dispatch(tf: Any, w: Named, f: Named) -> Any:
    return f["x"] * w["w"] + 1.0


def linreg(tf: Any, w: Named, f: Named) -> Any:
    return tf.reduce_mean(tf.square(f["y"] - (w["w"] * f["x"] + w["b"])))


def mlp(tf: Any, w: Named, f: Named) -> Any:
    hidden = tf.nn.relu(tf.matmul(f["x"], w["w0"]) + w["b0"])
    hidden = tf.nn.relu(tf.matmul(hidden, w["w1"]) + w["b1"])
    return _cross_entropy(tf, f["y"], tf.matmul(hidden, w["w2"]) + w["b2"])


def cnn(tf: Any, w: Named, f: Named) -> Any:
    def convolve(images: Any, name: str) -> Any:
        product = tf.nn.conv2d(images, w[f"w{name}"], strides=[1, 1, 1, 1], padding="VALID")
        return tf.nn.relu(product + w[f"b{name}"])

    def pool(images: Any) -> Any:
        return tf.nn.max_pool(images, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="VALID")

    images = convolve(pool(convolve(pool(convolve(f["x"], "c0")), "c1")), "c2")
    flat = tf.reshape(images, [-1, w["w0"].shape[0]])
    hidden = tf.nn.relu(tf.matmul(flat, w["w0"]) + w["b0"])
    return _cross_entropy(tf, f["y"], tf.matmul(hidden, w["w1"]) + w["b1"])


def lstm(tf: Any, w: Named, f: Named) -> Any:
    batch, steps, _ = _sizes(f["x"])
    units = _sizes(w["wh"])[0]
    hidden = cell = tf.zeros([batch, units])
    for step in range(steps):
        gates = tf.matmul(f["x"][:, step, :], w["wx"]) + tf.matmul(hidden, w["wh"]) + w["b"]
        enter, keep, new, leave = tf.split(gates, 4, axis=1)
        cell = tf.sigmoid(keep) * cell + tf.sigmoid(enter) * tf.tanh(new)
        hidden = tf.sigmoid(leave) * tf.tanh(cell)
    logits = tf.matmul(hidden, w["wo"]) + w["bo"]
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=f["y"], logits=logits))


def vae(tf: Any, w: Named, f: Named) -> Any:
    hidden = tf.nn.relu(tf.matmul(f["x"], w["w0"]) + w["b0"])
    mean = tf.matmul(hidden, w["w1"]) + w["b1"]
    log_variance = tf.matmul(hidden, w["w2"]) + w["b2"]
    code = mean + tf.exp(0.5 * log_variance) * f["noise"]
    decoded = tf.nn.relu(tf.matmul(code, w["w3"]) + w["b3"])
    logits = tf.matmul(decoded, w["w4"]) + w["b4"]
    pixels = tf.nn.sigmoid_cross_entropy_with_logits(labels=f["x"], logits=logits)
    divergence = -0.5 * tf.reduce_sum(1 + log_variance - tf.square(mean) - tf.exp(log_variance), axis=1)
    return tf.reduce_mean(tf.reduce_sum(pixels, axis=1) + divergence)


def transformer(tf: Any, w: Named, f: Named) -> Any:
    batch, sequence, width = _sizes(f["x"])
    heads = width // HEAD

    def normalise(values: Any, name: str) -> Any:
        return _layer_norm(tf, values) * w[f"scale_{name}"] + w[f"shift_{name}"]

    def dense(values: Any, name: str) -> Any:
        rows, columns = _sizes(w[f"w{name}"])
        product = tf.matmul(tf.reshape(values, [batch * sequence, rows]), w[f"w{name}"]) + w[f"b{name}"]
        return tf.reshape(product, [batch, sequence, columns])

    def split_heads(values: Any) -> Any:
        return tf.transpose(tf.reshape(values, [batch, sequence, heads, HEAD]), [0, 2, 1, 3])

    parts = tf.split(dense(normalise(f["x"], "n0"), "qkv"), 3, axis=-1)
    query, key, value = (split_heads(part) for part in parts)
    weights = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) * HEAD**-0.5)
    context = tf.transpose(tf.matmul(weights, value), [0, 2, 1, 3])
    middle = f["x"] + dense(tf.reshape(context, [batch, sequence, width]), "a")
    inner = dense(normalise(middle, "n1"), "f")
    inner = 0.5 * inner * (1.0 + tf.tanh(0.7978845608 * (inner + 0.044715 * inner * inner * inner)))
    return tf.reduce_mean(tf.square(middle + dense(inner, "g") - f["y"]))


def blackscholes(tf: Any, w: Named, f: Named) -> Any:
    rate, volatility = 0.02, 0.3

    def cumulative(values: Any) -> Any:
        return 0.5 * (1.0 + tf.math.erf(values * 0.70710678))

    spread = volatility * tf.sqrt(f["years"])
    high = (tf.math.log(f["spot"] / f["strike"]) + (rate + 0.5 * volatility**2) * f["years"]) / spread
    discounted = f["strike"] * tf.exp(-rate * f["years"])
    return f["spot"] * cumulative(high) - discounted * cumulative(high - spread)


def rownorm(tf: Any, w: Named, f: Named) -> Any:
    return tf.nn.softmax(_layer_norm(tf, f["x"]))


def gemm(tf: Any, w: Named, f: Named) -> Any:
    return tf.nn.relu(tf.matmul(f["x"], w["w"]) + w["b"])


def _cross_entropy(tf: Any, labels: Any, logits: Any) -> Any:
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))


def _layer_norm(tf: Any, values: Any) -> Any:
    centred = values - tf.reduce_mean(values, axis=-1, keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
    return centred * tf.rsqrt(variance + 1e-5)


def _sizes(tensor: Any) -> list[int]:
    return tensor.shape.as_list()


WORKS: dict[str, Callable[..., Any]] = {
    f.__name__: f for f in (dispatch, linreg, mlp, cnn, lstm, vae, transformer, blackscholes, rownorm, gemm)
}


class SessionWork:
    """A work as a graph, what to fetch of it and what to feed; `start` makes a session."""

    def __init__(self, tf: Any, work: str, data: Data):
        self.tf, self.graph = tf, tf.Graph()
        with self.graph.as_default():
            weights = {name: tf.Variable(value, name=name) for name, value in data.weights.items()}
            feeds = {name: tf.placeholder(value.dtype, value.shape, name=name) for name, value in data.feeds.items()}
            result = WORKS[work](tf, weights, feeds)
            self.fetches = [self._minimize(work, result), result] if work in TRAINED else result
            self.initializer = tf.global_variables_initializer()
        self.feed_dict = {feeds[name]: value for name, value in data.feeds.items()}

    def _minimize(self, work: str, loss: Any) -> Any:
        if work in BY_GRADIENT_DESCENT:
            return self.tf.train.GradientDescentOptimizer(DESCENT_RATE).minimize(loss)
        return self.tf.train.AdamOptimizer(RATE).minimize(loss)

    def open(self, threads: int) -> Any:
        """A session in which the variables have their first values."""
        session = self.tf.Session(graph=self.graph, config=self.tf.ConfigProto(intra_op_parallelism_threads=threads))
        session.run(self.initializer)
        return session

    def start(self, threads: int, through_callable: bool = False) -> Callable[[], Any]:
        """A function that does one step, through `make_callable` or `run(fetches, feed_dict)`."""
        session, fetches, feed_dict = self.open(threads), self.fetches, self.feed_dict
        if not through_callable:
            return lambda: session.run(fetches, feed_dict)
        function, values = session.make_callable(fetches, list(feed_dict)), list(feed_dict.values())
        if len(values) == 1:
            (value,) = values
            return lambda: function(value)
        return lambda: function(*values)


def result_of(fetched: Any) -> np.ndarray:
    """The loss or the array among what a step returned."""
    return np.asarray(fetched[1] if isinstance(fetched, list) else fetched)


def prepare(tf: Any, work: str, data: Data, threads: int, through_callable: bool) -> Callable[[], Callable[[], Any]]:
    """The work declared; calling it gives the function that does one step."""
    built = SessionWork(tf, work, data)
    return lambda: built.start(threads, through_callable)
