"""Initial values of variables: functions of a shape and an element type, as classes with TensorFlow 1's arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .dtypes import DType, as_dtype, float32
from .operation import Tensor
from .ops.constants import build_constant
from .ops.linear_algebra import orthonormal_columns
from .ops.movement import reshape, transpose
from .ops.random import random_normal, random_uniform, truncated_normal

_NARROWER = 0.87962566103423978
"""The standard deviation of a normal distribution truncated at two standard deviations."""


class Initializer:
    """A function of a shape that makes an initial value. `get_config` gives the arguments that build an equal one."""

    dtype: DType

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Tensor:
        """A tensor of `shape`, of `dtype` where it is given, else of the initializer's own."""
        return self._build(_as_sizes(shape), self.dtype if dtype is None else as_dtype(dtype))

    def _build(self, shape: tuple[int, ...], dtype: DType) -> Tensor:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        config = {key: value for key, value in vars(self).items() if not key.startswith("_")}
        return {**config, "dtype": self.dtype.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        return cls(**config)


def _as_sizes(shape: Any) -> tuple[int, ...]:
    return tuple(int(size) for size in (shape if np.iterable(shape) else [shape]))


def _check_float(dtype: Any) -> DType:
    found = as_dtype(dtype)
    if not found.is_floating:
        raise ValueError(f"Expected floating point type, got {found!r}.")
    return found


class Zeros(Initializer):
    """Zeros, False or empty."""

    def __init__(self, dtype: Any = float32):
        self.dtype = as_dtype(dtype)

    def _build(self, shape: tuple[int, ...], dtype: DType) -> Tensor:
        return build_constant(np.zeros(shape, dtype.numpy), dtype, name="zeros")


class Ones(Initializer):
    """Ones."""

    def __init__(self, dtype: Any = float32):
        self.dtype = as_dtype(dtype)

    def _build(self, shape: tuple[int, ...], dtype: DType) -> Tensor:
        return build_constant(np.ones(shape, dtype.numpy), dtype, name="ones")


class Constant(Initializer):
    """One number, or the elements of a list row by row; the last one fills what is left."""

    def __init__(self, value: Any = 0, dtype: Any = float32, verify_shape: bool = False):
        if not (np.isscalar(value) or isinstance(value, (list, tuple, np.ndarray))):
            raise TypeError(f"Invalid type for initial value: {type(value)} (expected Python scalar, list or tuple of values, "
                            "or numpy.ndarray).")  # fmt: skip
        self.value, self.verify_shape, self.dtype = value, verify_shape, as_dtype(dtype)

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None,
                 verify_shape: bool | None = None) -> Tensor:  # fmt: skip
        sizes = _as_sizes(shape)
        if self.verify_shape if verify_shape is None else verify_shape:
            found = np.shape(self.value)
            if found != sizes:
                raise TypeError(f"Expected Tensor's shape: {sizes}, got {found}.")
        return self._build(sizes, self.dtype if dtype is None else as_dtype(dtype))

    def _build(self, shape: tuple[int, ...], dtype: DType) -> Tensor:
        return build_constant(self.value, dtype, shape)


class RandomUniform(Initializer):
    """Numbers spread evenly over [minval, maxval)."""

    def __init__(self, minval: Any = 0, maxval: Any = None, seed: int | None = None, dtype: Any = float32):
        self.minval, self.maxval, self.seed, self.dtype = minval, maxval, seed, as_dtype(dtype)

    def _build(self, shape: tuple[int, ...], dtype: DType) -> Tensor:
        return random_uniform(shape, self.minval, self.maxval, dtype, self.seed)


class RandomNormal(Initializer):
    """Normal numbers."""

    def __init__(self, mean: Any = 0.0, stddev: Any = 1.0, seed: int | None = None, dtype: Any = float32):
        self.mean, self.stddev, self.seed, self.dtype = mean, stddev, seed, _check_float(dtype)

    def _build(self, shape: tuple[int, ...], dtype: DType) -> Tensor:
        return random_normal(shape, self.mean, self.stddev, dtype, self.seed)


class TruncatedNormal(Initializer):
    """Normal numbers within two standard deviations of the mean."""

    def __init__(self, mean: Any = 0.0, stddev: Any = 1.0, seed: int | None = None, dtype: Any = float32):
        self.mean, self.stddev, self.seed, self.dtype = mean, stddev, seed, _check_float(dtype)

    def _build(self, shape: tuple[int, ...], dtype: DType) -> Tensor:
        return truncated_normal(shape, self.mean, self.stddev, dtype, self.seed)


class UniformUnitScaling(Initializer):
    """Numbers spread evenly over [-limit, limit), limit = factor * sqrt(3 / inputs), which keeps the scale of the inputs."""

    def __init__(self, factor: float = 1.0, seed: int | None = None, dtype: Any = float32):
        self.factor, self.seed, self.dtype = factor, seed, _check_float(dtype)

    def _build(self, shape: tuple[int, ...], dtype: DType) -> Tensor:
        inputs = max(1.0, float(math.prod(shape[:-1])))
        limit = math.sqrt(3 / inputs) * self.factor
        return random_uniform(shape, -limit, limit, dtype, self.seed)


def compute_fans(shape: Sequence[int]) -> tuple[float, float]:
    """How many inputs and outputs an element of a weight of this shape connects; leading axes are a receptive field."""
    if not shape:
        return 1, 1
    if len(shape) == 1:
        return shape[0], shape[0]
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


class VarianceScaling(Initializer):
    """Random numbers of variance scale / n, n being the inputs, the outputs or their mean, by `mode`.

    `distribution` is "normal" or "truncated_normal" (both truncated), "untruncated_normal" or "uniform".
    """

    def __init__(self, scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal",
                 seed: int | None = None, dtype: Any = float32):  # fmt: skip
        if scale <= 0.0:
            raise ValueError("`scale` must be positive float.")
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(f"Invalid `mode` argument: {mode}")
        if distribution.lower() not in ("normal", "uniform", "truncated_normal", "untruncated_normal"):
            raise ValueError(f"Invalid `distribution` argument: {distribution}")
        self.scale, self.mode, self.distribution = scale, mode, distribution.lower()
        self.seed, self.dtype = seed, _check_float(dtype)

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Tensor:
        whole = getattr(partition_info, "full_shape", shape)
        return self._draw(_as_sizes(shape), _as_sizes(whole), self.dtype if dtype is None else as_dtype(dtype))

    def _draw(self, shape: tuple[int, ...], whole: tuple[int, ...], dtype: DType) -> Tensor:
        inputs, outputs = compute_fans(whole)
        fans = {"fan_in": inputs, "fan_out": outputs, "fan_avg": (inputs + outputs) / 2}
        variance = self.scale / max(1.0, fans[self.mode])
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return random_uniform(shape, -limit, limit, dtype, self.seed)
        if self.distribution == "untruncated_normal":
            return random_normal(shape, 0.0, math.sqrt(variance), dtype, self.seed)
        return truncated_normal(shape, 0.0, math.sqrt(variance) / _NARROWER, dtype, self.seed)


class GlorotUniform(VarianceScaling):
    """Glorot and Bengio's uniform numbers: limit sqrt(6 / (inputs + outputs))."""

    def __init__(self, seed: int | None = None, dtype: Any = float32):
        super().__init__(1.0, "fan_avg", "uniform", seed, dtype)

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed, "dtype": self.dtype.name}


class GlorotNormal(VarianceScaling):
    """Glorot and Bengio's normal numbers, truncated: deviation sqrt(2 / (inputs + outputs))."""

    def __init__(self, seed: int | None = None, dtype: Any = float32):
        super().__init__(1.0, "fan_avg", "truncated_normal", seed, dtype)

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed, "dtype": self.dtype.name}


def he_normal(seed: int | None = None) -> VarianceScaling:
    """He's normal numbers, truncated: deviation sqrt(2 / inputs)."""
    return VarianceScaling(2.0, "fan_in", "truncated_normal", seed)


def he_uniform(seed: int | None = None) -> VarianceScaling:
    """He's uniform numbers: limit sqrt(6 / inputs)."""
    return VarianceScaling(2.0, "fan_in", "uniform", seed)


def lecun_normal(seed: int | None = None) -> VarianceScaling:
    """LeCun's normal numbers, truncated: deviation sqrt(1 / inputs)."""
    return VarianceScaling(1.0, "fan_in", "truncated_normal", seed)


def lecun_uniform(seed: int | None = None) -> VarianceScaling:
    """LeCun's uniform numbers: limit sqrt(3 / inputs)."""
    return VarianceScaling(1.0, "fan_in", "uniform", seed)


class Orthogonal(Initializer):
    """A random matrix with orthonormal rows or columns, whichever are fewer, times `gain`; all axes but the last are rows."""

    def __init__(self, gain: float = 1.0, seed: int | None = None, dtype: Any = float32):
        self.gain, self.seed, self.dtype = gain, seed, _check_float(dtype)

    def _build(self, shape: tuple[int, ...], dtype: DType) -> Tensor:
        if len(shape) < 2:
            raise ValueError("The tensor to initialize must be at least two-dimensional")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        drawn = random_normal([max(rows, columns), min(rows, columns)], dtype=dtype, seed=self.seed)
        basis = orthonormal_columns(drawn)
        matrix = transpose(basis) if rows < columns else basis
        return reshape(matrix, shape) * build_constant(self.gain, dtype)


class Identity(Initializer):
    """`gain` on the diagonal of a matrix."""

    def __init__(self, gain: float = 1.0, dtype: Any = float32):
        self.gain, self.dtype = gain, _check_float(dtype)

    def _build(self, shape: tuple[int, ...], dtype: DType) -> Tensor:
        if len(shape) != 2:
            raise ValueError("Identity matrix initializer can only be used for 2D matrices.")
        return build_constant(np.eye(*shape) * self.gain, dtype)


zeros_initializer, ones_initializer, constant_initializer = Zeros, Ones, Constant
random_uniform_initializer, random_normal_initializer = RandomUniform, RandomNormal
truncated_normal_initializer, uniform_unit_scaling_initializer = TruncatedNormal, UniformUnitScaling
variance_scaling_initializer, orthogonal_initializer = VarianceScaling, Orthogonal
glorot_uniform_initializer, glorot_normal_initializer = GlorotUniform, GlorotNormal
identity_initializer = Identity


_BY_NAME: dict[str, Callable[..., Initializer]] = {
    "zeros": Zeros, "ones": Ones, "constant": Constant, "random_uniform": RandomUniform, "uniform": RandomUniform,
    "random_normal": RandomNormal, "normal": RandomNormal, "truncated_normal": TruncatedNormal, "orthogonal": Orthogonal,
    "identity": Identity, "variance_scaling": VarianceScaling, "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal, "he_normal": he_normal, "he_uniform": he_uniform, "lecun_normal": lecun_normal,
    "lecun_uniform": lecun_uniform,
}  # fmt: skip


def get(identifier: Any) -> Any:
    """An initializer from its name, or what is one already. Raises ValueError for a name that is not known."""
    if not isinstance(identifier, str):
        return identifier
    known = {**_BY_NAME, **{function.__name__: function for function in _BY_NAME.values()}}
    if identifier not in known:
        raise ValueError(f"Unknown initializer: {identifier}")
    return known[identifier]()


__all__ = [
    "Constant", "GlorotNormal", "GlorotUniform", "Identity", "Initializer", "Ones", "Orthogonal", "RandomNormal",
    "RandomUniform", "TruncatedNormal", "UniformUnitScaling", "VarianceScaling", "Zeros", "constant_initializer", "get",
    "glorot_normal_initializer", "glorot_uniform_initializer", "he_normal", "he_uniform", "identity_initializer",
    "lecun_normal", "lecun_uniform", "ones_initializer", "orthogonal_initializer", "random_normal_initializer",
    "random_uniform_initializer", "truncated_normal_initializer", "uniform_unit_scaling_initializer",
    "variance_scaling_initializer", "zeros_initializer",
]  # fmt: skip
