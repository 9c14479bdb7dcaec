"""Gradients cut back to a norm."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..indexed_slices import IndexedSlices
from ..operation import Tensor
from ..ops.compare import greater, is_finite, where
from ..ops.constants import convert_to_tensor
from ..ops.conversion import cast
from ..ops.elementwise import add_n, maximum, minimum, rsqrt, sqrt
from ..ops.filling import ones_like
from ..ops.reduce import reduce_sum
from ..ops.shape_ops import size
from ..scopes import name_scope


def clip_by_norm(t: Any, clip_norm: Any, axes: Any = None, name: str | None = None) -> Any:
    """t * clip_norm / max(norm, clip_norm) with the L2 norm over `axes` (all by default)."""
    if isinstance(t, IndexedSlices):
        return IndexedSlices(clip_by_norm(t.values, clip_norm, axes, name), t.indices, t.dense_shape)
    with name_scope(name, "clip_by_norm", [t, clip_norm]):
        values = convert_to_tensor(t, name="t")
        square = reduce_sum(values * values, axes, keepdims=True)
        positive = greater(square, 0)
        # the root of a safe value: where the norm is 0, the derivative of the root would be infinite
        norm = where(positive, sqrt(where(positive, square, ones_like(square))), square)
        return values * clip_norm / maximum(norm, clip_norm)


def clip_by_average_norm(t: Any, clip_norm: Any, name: str | None = None) -> Tensor:
    """`t` cut back so that its L2 norm divided by its number of elements is at most `clip_norm`."""
    with name_scope(name, "clip_by_average_norm", [t, clip_norm]):
        values = convert_to_tensor(t, name="t")
        limit = convert_to_tensor(clip_norm, values.dtype)
        count = cast(size(values), values.dtype)
        inverse = rsqrt(reduce_sum(values * values))
        return values * (limit * minimum(inverse * count, 1 / limit))


def global_norm(t_list: Sequence[Any], name: str | None = None) -> Tensor:
    """The L2 norm of all tensors together; None among them counts as nothing. Raises TypeError unless they are a list."""
    values = [value for value in _as_tensors(t_list) if value is not None]
    with name_scope(name, "global_norm", values):
        return sqrt(add_n([reduce_sum(value * value) for value in values]))


def clip_by_global_norm(
    t_list: Sequence[Any], clip_norm: Any, use_norm: Any = None, name: str | None = None
) -> tuple[list[Any], Tensor]:
    """All tensors times clip_norm / max(global norm, clip_norm), and the global norm; `use_norm` is one known before.

    A norm that is not finite makes everything NaN. Raises TypeError unless the tensors are a list.
    """
    values = _as_tensors(t_list)
    norm = global_norm(values, name) if use_norm is None else convert_to_tensor(use_norm)
    with name_scope(name, "clip_by_global_norm", values):
        limit = convert_to_tensor(clip_norm, norm.dtype)
        scale = limit * minimum(1 / norm, 1 / limit)
        scale = where(is_finite(norm), scale, convert_to_tensor(float("nan"), norm.dtype))
        scaled = [None if value is None else value * cast(scale, value.dtype) for value in values]
    return [_like(original, value) for original, value in zip(t_list, scaled)], norm


def _as_tensors(t_list: Any) -> list[Tensor | None]:
    if not isinstance(t_list, Iterable) or isinstance(t_list, (str, Tensor)):
        raise TypeError("t_list should be a sequence")
    plain = (t.values if isinstance(t, IndexedSlices) else t for t in t_list)
    return [None if t is None else convert_to_tensor(t) for t in plain]


def _like(original: Any, value: Tensor | None) -> Any:
    if not isinstance(original, IndexedSlices):
        return value
    return IndexedSlices(value, original.indices, original.dense_shape)


__all__ = ["clip_by_average_norm", "clip_by_global_norm", "clip_by_norm", "global_norm"]
