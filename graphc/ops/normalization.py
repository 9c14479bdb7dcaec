"""Statistics of batches and normalisation with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..errors import ShapeError
from ..operation import OpDef, Operation, Tensor, TensorType, apply, define
from ..scopes import name_scope
from .constants import convert_to_tensor
from .conversion import cast
from .elementwise import add, divide, maximum, multiply, pow, rsqrt, square, squared_difference, subtract
from .movement import broadcast_to, reshape
from .reduce import reduce_mean
from .rules import FLOATS, check_kind, size_list
from .shape_ops import size
from .slicing import pad
from .windows import check_data_format

# -- moments


def _moments_type(types: Sequence[TensorType], axes: tuple[int, ...], keepdims: bool) -> tuple[TensorType, TensorType]:
    check_kind(types[0].dtype, FLOATS)
    shape = types[0].shape
    if shape is None:
        return types[0], types[0]
    rank = len(shape)
    if any(not -rank <= axis < rank for axis in axes):
        raise ShapeError(f"axes {list(axes)} are out of range for rank {rank}")
    reduced = {axis % rank for axis in axes}
    kept = [1 if axis in reduced else size for axis, size in enumerate(shape) if keepdims or axis not in reduced]
    result = TensorType(types[0].dtype, tuple(kept))
    return result, result


def _open_moments(operation: Operation) -> tuple[Tensor, Tensor]:
    x = operation.inputs[0]
    axes, keepdims = operation.attributes["axes"], operation.attributes["keepdims"]
    mean = reduce_mean(x, axes, keepdims=True)
    variance = reduce_mean(squared_difference(x, mean), axes, keepdims=keepdims)
    return mean if keepdims else reshape(mean, operation.outputs[0].type.sizes), variance


def _moments_gradient(operation: Operation, of_mean: Tensor | None, of_variance: Tensor | None) -> list[Tensor | None]:
    """(of_mean + 2 (x - mean) of_variance) / n: the variance does not change with the mean to first order."""
    x = operation.inputs[0]
    sizes, axes = x.type.sizes, operation.attributes["axes"]
    kept = tuple(1 if axis in {a % len(sizes) for a in axes} else size for axis, size in enumerate(sizes))
    count = math.prod(sizes) / max(math.prod(kept), 1)
    scale = convert_to_tensor(1.0 / max(count, 1.0), x.dtype)
    total = None
    if of_variance is not None:
        slope = multiply(reshape(of_variance, kept), add(scale, scale))
        total = multiply(subtract(x, reshape(operation.outputs[0], kept)), slope)
    if of_mean is not None:
        share = multiply(reshape(of_mean, kept), scale)
        total = add(total, share) if total is not None else broadcast_to(share, sizes)
    return [total]


MOMENTS = define(
    OpDef(
        "moments",
        infer=_moments_type,
        gradient=_moments_gradient,
        attributes={"axes": tuple, "keepdims": bool},
        composite=_open_moments,
    )
)


def moments(x: Any, axes: Any, shift: Any = None, name: str | None = None, keep_dims: bool | None = None,
            keepdims: bool | None = None) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Mean and variance over `axes`. f16 and bf16 are computed in f32; `shift` has no influence."""
    x = convert_to_tensor(x)
    found = size_list(axes)
    if not isinstance(found, tuple):
        raise ValueError("moments: the axes must be known")
    keep = bool(keep_dims if keepdims is None else keepdims)
    with name_scope(name, "moments"):
        wide = cast(x, x.dtype.compute)
        rank = wide.type.rank
        ordered = tuple(sorted({axis % rank for axis in found})) if rank and all(-rank <= a < rank for a in found) else found
        mean, variance = apply(MOMENTS, [wide], axes=ordered, keepdims=keep)
        return cast(mean, x.dtype), cast(variance, x.dtype)


# -- batch normalisation


def batch_normalization(x: Any, mean: Any, variance: Any, offset: Any, scale: Any, variance_epsilon: float,
                        name: str | None = None) -> Tensor:  # fmt: skip
    """(x - mean) / sqrt(variance + variance_epsilon) * scale + offset; `offset` and `scale` may be None."""
    x = convert_to_tensor(x)
    with name_scope(name, "batchnorm"):
        factor = rsqrt(add(convert_to_tensor(variance), variance_epsilon))
        if scale is not None:
            factor = multiply(factor, scale)
        result = multiply(subtract(x, mean), factor)
        return result if offset is None else add(result, offset)


def batch_norm_with_global_normalization(
    t: Any = None, m: Any = None, v: Any = None, beta: Any = None, gamma: Any = None, variance_epsilon: Any = None,
    scale_after_normalization: Any = None, name: str | None = None, input: Any = None, mean: Any = None, variance: Any = None,
) -> Tensor:  # fmt: skip
    """batch_normalization under its old name; `gamma` counts where `scale_after_normalization` is true."""
    return batch_normalization(
        t if input is None else input, m if mean is None else mean, v if variance is None else variance, beta,
        gamma if scale_after_normalization else None, variance_epsilon, name,
    )  # fmt: skip


def fused_batch_norm(x: Any, scale: Any, offset: Any, mean: Any = None, variance: Any = None, epsilon: float = 0.001,
                     data_format: str = "NHWC", is_training: bool = True,
                     name: str | None = None) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Batch normalisation of images over all axes but the channels.

    Returns the result, the mean and the variance: of the batch where `is_training`, the variance then with n - 1 in its
    denominator, else those given. Statistics are float32 for f16 and bf16 images.
    """
    x = convert_to_tensor(x)
    data_format = check_data_format(data_format)
    axes = (0, 1, 2) if data_format == "NHWC" else (0, 2, 3)
    with name_scope(name, "FusedBatchNorm"):
        wide = cast(x, x.dtype.compute)
        if is_training:
            mean, variance = moments(wide, axes)
        mean, variance = convert_to_tensor(mean), convert_to_tensor(variance)
        centre, spread, shift, factor = (_over_channels(t, data_format) for t in (mean, variance, offset, scale))
        result = cast(batch_normalization(wide, centre, spread, shift, factor, epsilon), x.dtype)
        return result, mean, unbiased_variance(variance, wide) if is_training else variance


def _over_channels(vector: Any, data_format: str) -> Tensor:
    tensor = convert_to_tensor(vector)
    return tensor if data_format == "NHWC" else reshape(tensor, [-1, 1, 1])


def unbiased_variance(variance: Tensor, x: Tensor) -> Tensor:
    """A variance over all axes but the channels with n - 1 in place of n, or as it is where n is 1."""
    count = divide(cast(size(x), variance.dtype), cast(maximum(size(variance), 1), variance.dtype))
    return multiply(variance, divide(count, maximum(subtract(count, 1.0), 1.0)))


# -- local response normalisation


def local_response_normalization(input: Any, depth_radius: int = 5, bias: float = 1, alpha: float = 1, beta: float = 0.5,
                                 name: str | None = None) -> Tensor:  # fmt: skip
    """input / (bias + alpha * sum of squares over the channels at most `depth_radius` away) ** beta."""
    x = convert_to_tensor(input)
    radius = int(depth_radius)
    with name_scope(name, "LRN"):
        padded = pad(square(x), [[0, 0], [0, 0], [0, 0], [radius, radius]])
        total = None
        for i in range(2 * radius + 1):
            end = i - 2 * radius
            part = padded[..., i : end if end else None]
            total = part if total is None else add(total, part)
        return multiply(x, pow(add(multiply(total, alpha), bias), -float(beta)))


lrn = local_response_normalization


__all__ = [
    "batch_norm_with_global_normalization", "batch_normalization", "fused_batch_norm", "local_response_normalization", "lrn",
    "moments",
]  # fmt: skip
