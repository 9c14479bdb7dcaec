"""Real images for the examples: the 1,797 handwritten digits of 8 x 8 pixels that come with scikit-learn."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def load_digits(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images and labels, then test images and labels: 80 % and 20 %, drawn once with a fixed seed.

    Images are float32 of shape [n, 8, 8, 1] in [0, 1], labels int64. Raises ImportError with advice without scikit-learn.
    """
    try:
        from sklearn.datasets import load_digits as load
    except ImportError:
        raise ImportError("the digits come with scikit-learn: pip install 'graphc[examples]'") from None
    data = load()
    images = (data.images / 16.0).astype(np.float32)[..., np.newaxis]
    order = np.random.default_rng(seed).permutation(len(images))
    images, labels = images[order], data.target.astype(np.int64)[order]
    cut = int(0.8 * len(images))
    return images[:cut], labels[:cut], images[cut:], labels[cut:]


Batches = Iterator[tuple[np.ndarray, np.ndarray]]


def batches(images: np.ndarray, labels: np.ndarray, size: int, rng: np.random.Generator) -> Batches:
    """One epoch of shuffled batches, all of the same size; what is left over waits for the next epoch."""
    order = rng.permutation(len(images))
    for start in range(0, len(order) - size + 1, size):
        chosen = order[start : start + size]
        yield images[chosen], labels[chosen]
