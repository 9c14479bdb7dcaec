"""Softmax and its logarithm, and the bias that stands before them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..dtypes import float32
from ..errors import ShapeError
from ..operation import OpDef, Operation, Tensor, TensorType, apply, define
from ..scopes import name_scope
from .activations import relu
from .compare import equal
from .constants import convert_operands, convert_to_tensor
from .conversion import cast
from .elementwise import add, divide, exp, log, multiply, subtract
from .linear_algebra import matmul
from .movement import reshape
from .reduce import reduce_max, reduce_mean, reduce_sum
from .rules import FLOATS, check_kind, check_same_dtype

# -- softmax


def _along_axis(types: Sequence[TensorType], axis: int) -> TensorType:
    check_kind(types[0].dtype, FLOATS)
    rank = types[0].rank
    if rank is not None and not -rank <= axis < rank:
        raise ShapeError(f"axis {axis} is out of range for rank {rank}")
    return types[0]


def shifted_exponentials(x: Tensor, axis: int) -> tuple[Tensor, Tensor, Tensor]:
    """x minus its maximum along the axis, the exponentials of that, and their sums, with the axis kept."""
    shifted = subtract(x, reduce_max(x, axis, keepdims=True))
    exponentials = exp(shifted)
    return shifted, exponentials, reduce_sum(exponentials, axis, keepdims=True)


def _open_softmax(operation: Operation) -> Tensor:
    _, exponentials, total = shifted_exponentials(operation.inputs[0], operation.attributes["axis"])
    return divide(exponentials, total)


def _softmax_gradient(operation: Operation, gradient: Tensor) -> list[Tensor]:
    y, axis = operation.output, operation.attributes["axis"]
    inner = reduce_sum(multiply(gradient, y), axis, keepdims=True)
    return [multiply(y, subtract(gradient, inner))]


def _open_log_softmax(operation: Operation) -> Tensor:
    shifted, _, total = shifted_exponentials(operation.inputs[0], operation.attributes["axis"])
    return subtract(shifted, log(total))


def _log_softmax_gradient(operation: Operation, gradient: Tensor) -> list[Tensor]:
    axis = operation.attributes["axis"]
    probabilities = softmax(operation.inputs[0], axis)
    return [subtract(gradient, multiply(probabilities, reduce_sum(gradient, axis, keepdims=True)))]


SOFTMAX = define(
    OpDef("softmax", infer=_along_axis, gradient=_softmax_gradient, attributes={"axis": int}, composite=_open_softmax)
)
LOG_SOFTMAX = define(
    OpDef("log_softmax", infer=_along_axis, gradient=_log_softmax_gradient, attributes={"axis": int},
          composite=_open_log_softmax)
)  # fmt: skip


def pick_axis(tensor: Tensor, axis: Any, dim: Any = None) -> int:
    """The axis of a call, the last one by default; counted from the front where the rank is known."""
    given = dim if axis is None else axis
    found = -1 if given is None else int(given)
    rank = tensor.type.rank
    return found + rank if rank is not None and -rank <= found < 0 else found


def softmax(logits: Any, axis: Any = None, name: str | None = None, dim: Any = None) -> Tensor:
    """exp(logits) divided by its sum along the axis (the last one by default), without overflow."""
    logits = convert_to_tensor(logits)
    return apply(SOFTMAX, [logits], name or "Softmax", axis=pick_axis(logits, axis, dim))


def log_softmax(logits: Any, axis: Any = None, name: str | None = None, dim: Any = None) -> Tensor:
    """The logarithm of softmax, without its underflow."""
    logits = convert_to_tensor(logits)
    return apply(LOG_SOFTMAX, [logits], name or "LogSoftmax", axis=pick_axis(logits, axis, dim))


# -- bias


def _bias_type(types: Sequence[TensorType], data_format: str) -> TensorType:
    check_same_dtype(types)
    value, bias = types[0].shape, types[1].shape
    if bias is not None and len(bias) != 1:
        raise ShapeError(f"the bias has rank {len(bias)}, not 1")
    if value is None:
        return types[0]
    if len(value) < 2:
        raise ShapeError(f"the value has rank {len(value)}, at least 2 are needed")
    axis = _channel_axis(data_format, len(value))
    if bias is not None and None not in (bias[0], value[axis]) and bias[0] != value[axis]:
        raise ShapeError(f"the bias has {bias[0]} entries, the value {value[axis]} channels")
    return types[0]


def _channel_axis(data_format: str, rank: int) -> int:
    return rank - 1 if data_format == "NHWC" else 1


def _open_bias(operation: Operation) -> Tensor:
    value, bias = operation.inputs
    rank = len(value.type.sizes)
    axis = _channel_axis(operation.attributes["data_format"], rank)
    return add(value, bias if axis == rank - 1 else reshape(bias, [-1] + [1] * (rank - 1 - axis)))


def _bias_gradient(operation: Operation, gradient: Tensor) -> list[Tensor]:
    rank = len(gradient.type.sizes)
    channels = _channel_axis(operation.attributes["data_format"], rank)
    return [gradient, reduce_sum(gradient, [axis for axis in range(rank) if axis != channels])]


BIAS_ADD = define(
    OpDef("bias_add", infer=_bias_type, gradient=_bias_gradient, attributes={"data_format": str}, composite=_open_bias)
)

_LAYOUTS = {
    None: "NHWC", "NHWC": "NHWC", "NWC": "NHWC", "NDHWC": "NHWC", "NC": "NHWC", "NCHW": "NCHW", "NCW": "NCHW",
    "NCDHW": "NCHW",
}  # fmt: skip


def bias_add(value: Any, bias: Any, data_format: str | None = None, name: str | None = None) -> Tensor:
    """Adds a vector along the channels: the last axis, or axis 1 where `data_format` is "NCHW"."""
    if data_format not in _LAYOUTS:
        raise ValueError(f"data_format must be 'NHWC' or 'NCHW', not {data_format!r}")
    value, bias = convert_operands(value, bias)
    return apply(BIAS_ADD, [value, bias], name or "BiasAdd", data_format=_LAYOUTS[data_format])


def xw_plus_b(x: Any, weights: Any, biases: Any, name: str | None = None) -> Tensor:
    """matmul(x, weights) + biases."""
    with name_scope(name, "xw_plus_b") as scope:
        return bias_add(matmul(x, weights), biases, name=scope)


def relu_layer(x: Any, weights: Any, biases: Any, name: str | None = None) -> Tensor:
    """relu(matmul(x, weights) + biases)."""
    with name_scope(name, "relu_layer") as scope:
        return relu(bias_add(matmul(x, weights), biases), name=scope)


def zero_fraction(value: Any, name: str | None = None) -> Tensor:
    """The share of elements that are zero, as float32."""
    value = convert_to_tensor(value)
    with name_scope(name, "zero_fraction"):
        return reduce_mean(cast(equal(value, 0), float32), name="fraction")


__all__ = ["bias_add", "log_softmax", "relu_layer", "softmax", "xw_plus_b", "zero_fraction"]
