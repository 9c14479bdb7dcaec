"""Cross entropies between labels and unnormalised predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import DTypeError, ShapeError
from ..operation import OpDef, Operation, Tensor, TensorType, apply, define
from ..scopes import name_scope
from ..shapes import are_compatible, format_shape, merge_shapes
from .activations import relu, sigmoid
from .compare import equal, select
from .constants import convert_operands, convert_to_tensor
from .conversion import cast
from .elementwise import abs as absolute
from .elementwise import add, exp, log, log1p, multiply, negative, subtract
from .filling import iota
from .indexing import gather
from .movement import expand_dims, squeeze, stop_gradient
from .reduce import reduce_sum
from .rules import FLOATS, check_kind, check_same_dtype
from .softmax import log_softmax, pick_axis, shifted_exponentials, softmax


def _pair_type(types: Sequence[TensorType], **attributes: Any) -> TensorType:
    """The type of logits and labels, which must agree."""
    check_kind(types[0].dtype, FLOATS)
    check_same_dtype(types)
    logits, labels = types[0].shape, types[1].shape
    if not are_compatible(logits, labels):
        raise ShapeError(f"logits have shape {format_shape(logits)}, labels {format_shape(labels)}")
    return TensorType(types[0].dtype, merge_shapes(logits, labels))


# -- sigmoid


def _sigmoid_scalar(s: Any, x: Any, z: Any) -> Any:
    rest = s.log1p(s.exp(s.neg(s.abs(x))))
    return s.add(s.sub(s.maximum(x, 0), s.mul(x, z)), rest)


def _sigmoid_gradient(operation: Operation, gradient: Tensor) -> list[Tensor]:
    logits, labels = operation.inputs
    return [multiply(subtract(sigmoid(logits), labels), gradient), multiply(negative(logits), gradient)]


SIGMOID_CROSS_ENTROPY = define(
    OpDef("sigmoid_cross_entropy", infer=_pair_type, gradient=_sigmoid_gradient, scalar=_sigmoid_scalar)
)


def sigmoid_cross_entropy_with_logits(_sentinel: Any = None, labels: Any = None, logits: Any = None,
                                      name: str | None = None) -> Tensor:  # fmt: skip
    """-labels log(sigmoid(logits)) - (1 - labels) log(1 - sigmoid(logits)), elementwise and without overflow."""
    _check_named(_sentinel, labels, logits, "sigmoid_cross_entropy_with_logits")
    logits, labels = convert_operands(logits, labels)
    return apply(SIGMOID_CROSS_ENTROPY, [logits, labels], name or "logistic_loss")


def _check_named(sentinel: Any, labels: Any, logits: Any, function: str) -> None:
    if sentinel is not None:
        raise ValueError(f"Only call `{function}` with named arguments (labels=..., logits=..., ...)")
    if labels is None or logits is None:
        raise ValueError("Both labels and logits must be provided.")


def weighted_cross_entropy_with_logits(labels: Any = None, logits: Any = None, pos_weight: Any = None,
                                       name: str | None = None, targets: Any = None) -> Tensor:  # fmt: skip
    """Sigmoid cross entropy with the positive part, -labels log(sigmoid(logits)), times `pos_weight`."""
    logits, labels = convert_operands(logits, targets if labels is None else labels)
    with name_scope(name, "logistic_loss") as scope:
        weight = add(multiply(subtract(pos_weight, 1.0), labels), 1.0)
        rest = add(log1p(exp(negative(absolute(logits)))), relu(negative(logits)))
        return add(multiply(subtract(1.0, labels), logits), multiply(weight, rest), name=scope)


# -- softmax


def _softmax_type(types: Sequence[TensorType], axis: int) -> TensorType:
    both = _pair_type(types)
    return TensorType(both.dtype, _without_axis(both.shape, axis))


def _without_axis(shape: Any, axis: int) -> Any:
    if shape is None:
        return None
    if not -len(shape) <= axis < len(shape):
        raise ShapeError(f"axis {axis} is out of range for rank {len(shape)}")
    at = axis % len(shape)
    return shape[:at] + shape[at + 1 :]


def _open_softmax(operation: Operation) -> Tensor:
    logits, labels = operation.inputs
    axis = operation.attributes["axis"]
    shifted, _, total = shifted_exponentials(logits, axis)
    return reduce_sum(multiply(labels, subtract(log(total), shifted)), axis)


def _softmax_gradient(operation: Operation, gradient: Tensor) -> list[Tensor]:
    """softmax - labels for the logits, as TensorFlow has it: labels are taken to sum to 1."""
    logits, labels = operation.inputs
    axis = operation.attributes["axis"]
    wide = expand_dims(gradient, axis)
    of_logits = multiply(subtract(softmax(logits, axis), labels), wide)
    return [of_logits, multiply(negative(log_softmax(logits, axis)), wide)]


SOFTMAX_CROSS_ENTROPY = define(
    OpDef(
        "softmax_cross_entropy",
        infer=_softmax_type,
        gradient=_softmax_gradient,
        attributes={"axis": int},
        composite=_open_softmax,
    )
)


def softmax_cross_entropy_with_logits_v2(labels: Any, logits: Any, axis: Any = None, name: str | None = None,
                                         dim: Any = None) -> Tensor:  # fmt: skip
    """-sum(labels log_softmax(logits)) along the axis, the last one by default.

    Labels are probabilities: they sum to 1 along the axis, or the gradient is not that of the formula. They get gradients.
    """
    logits, labels = convert_operands(logits, labels)
    name = name or "softmax_cross_entropy_with_logits"
    return apply(SOFTMAX_CROSS_ENTROPY, [logits, labels], name, axis=pick_axis(logits, axis, dim))


def softmax_cross_entropy_with_logits(_sentinel: Any = None, labels: Any = None, logits: Any = None, dim: Any = -1,
                                      name: str | None = None, axis: Any = None) -> Tensor:  # fmt: skip
    """As softmax_cross_entropy_with_logits_v2, but labels get no gradient."""
    _check_named(_sentinel, labels, logits, "softmax_cross_entropy_with_logits")
    logits, labels = convert_operands(logits, labels)
    return softmax_cross_entropy_with_logits_v2(stop_gradient(labels), logits, axis, name, dim)


# -- softmax of class numbers


def _sparse_type(types: Sequence[TensorType]) -> TensorType:
    logits, labels = types
    check_kind(logits.dtype, FLOATS)
    if not labels.dtype.is_integer:
        raise DTypeError(f"labels are class numbers, not {labels.dtype.name}")
    if logits.shape is not None and not logits.shape:
        raise ShapeError("Logits cannot be scalars - received shape ().")
    expected = None if logits.shape is None else logits.shape[:-1]
    if not are_compatible(expected, labels.shape):
        raise ShapeError(f"logits have shape {format_shape(logits.shape)}, labels {format_shape(labels.shape)}; "
                         "labels have one axis less")  # fmt: skip
    return TensorType(logits.dtype, merge_shapes(expected, labels.shape))


def _is_label(logits: Tensor, labels: Tensor) -> Tensor:
    """Where a class is the one of the label. The look-up of labels in all classes is what reports one out of range."""
    classes = iota([logits.type.sizes[-1]], 0)
    return equal(classes, expand_dims(gather(classes, labels), -1))


def _open_sparse(operation: Operation) -> Tensor:
    logits, labels = operation.inputs
    shifted, _, total = shifted_exponentials(logits, -1)
    picked = reduce_sum(select(_is_label(logits, labels), shifted, 0), -1)
    return subtract(squeeze(log(total), axis=[-1]), picked)


def _sparse_gradient(operation: Operation, gradient: Tensor) -> list[Tensor | None]:
    logits, labels = operation.inputs
    expected = cast(_is_label(logits, labels), logits.dtype)
    difference = subtract(softmax(logits), expected)
    return [multiply(difference, expand_dims(gradient, -1)), None]


SPARSE_SOFTMAX_CROSS_ENTROPY = define(
    OpDef("sparse_softmax_cross_entropy", infer=_sparse_type, gradient=_sparse_gradient, composite=_open_sparse)
)


def sparse_softmax_cross_entropy_with_logits(_sentinel: Any = None, labels: Any = None, logits: Any = None,
                                             name: str | None = None) -> Tensor:  # fmt: skip
    """-log_softmax(logits)[..., label]: cross entropy with class numbers, which have one axis less than the logits.

    A label that is no class is an error when the graph runs.
    """
    _check_named(_sentinel, labels, logits, "sparse_softmax_cross_entropy_with_logits")
    name = name or "SparseSoftmaxCrossEntropyWithLogits"
    return apply(SPARSE_SOFTMAX_CROSS_ENTROPY, [convert_to_tensor(logits), convert_to_tensor(labels)], name)


__all__ = [
    "sigmoid_cross_entropy_with_logits", "softmax_cross_entropy_with_logits", "softmax_cross_entropy_with_logits_v2",
    "sparse_softmax_cross_entropy_with_logits", "weighted_cross_entropy_with_logits",
]  # fmt: skip
