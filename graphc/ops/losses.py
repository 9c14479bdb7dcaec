"""tf.losses: losses with weights, kept in a collection of the graph."""

from __future__ import annotations

from typing import Any

from ..collections import GraphKeys, add_to_collection, get_collection
from ..dtypes import float32
from ..operation import Tensor
from ..scopes import name_scope
from ..shapes import are_compatible, format_shape
from .activations import relu
from .compare import not_equal
from .constants import convert_to_tensor
from .conversion import cast
from .cross_entropy import (
    sigmoid_cross_entropy_with_logits,
    softmax_cross_entropy_with_logits_v2,
    sparse_softmax_cross_entropy_with_logits,
)  # fmt: skip
from .elementwise import abs as absolute
from .elementwise import add, add_n, div_no_nan, log, minimum, multiply, negative, square, squared_difference, subtract
from .movement import broadcast_to, squeeze, stop_gradient
from .reduce import reduce_mean, reduce_sum
from .shape_ops import shape


class Reduction:
    """How the losses of examples become one number."""

    NONE = "none"
    SUM = "weighted_sum"
    SUM_OVER_BATCH_SIZE = "weighted_sum_over_batch_size"
    MEAN = "weighted_mean"
    SUM_BY_NONZERO_WEIGHTS = "weighted_sum_by_nonzero_weights"
    SUM_OVER_NONZERO_WEIGHTS = SUM_BY_NONZERO_WEIGHTS

    @classmethod
    def all(cls) -> tuple[str, ...]:
        return (cls.NONE, cls.SUM, cls.MEAN, cls.SUM_OVER_BATCH_SIZE, cls.SUM_BY_NONZERO_WEIGHTS)

    @classmethod
    def validate(cls, key: str) -> None:
        if key not in cls.all():
            raise ValueError(f"Invalid Reduction Key {key}.")


_BY_NONZERO = Reduction.SUM_BY_NONZERO_WEIGHTS


# -- the collection


def add_loss(loss: Any, loss_collection: Any = GraphKeys.LOSSES) -> None:
    """Puts a loss into a collection, unless that is None."""
    if loss_collection:
        add_to_collection(loss_collection, loss)


def get_losses(scope: str | None = None, loss_collection: Any = GraphKeys.LOSSES) -> list[Any]:
    return get_collection(loss_collection, scope)


def get_regularization_losses(scope: str | None = None) -> list[Any]:
    return get_collection(GraphKeys.REGULARIZATION_LOSSES, scope)


def get_regularization_loss(scope: str | None = None, name: str = "total_regularization_loss") -> Tensor:
    """The sum of all regularisation losses, 0 where there are none."""
    losses = get_regularization_losses(scope)
    return add_n(losses, name=name) if losses else convert_to_tensor(0.0)


def get_total_loss(add_regularization_losses: bool = True, name: str = "total_loss", scope: str | None = None) -> Tensor:
    """The sum of all losses, with those of regularisation. Raises ValueError where there are none."""
    losses = get_losses(scope)
    if add_regularization_losses:
        losses += get_regularization_losses(scope)
    return add_n(losses, name=name)


# -- weights


def compute_weighted_loss(losses: Any, weights: Any = 1.0, scope: str | None = None, loss_collection: Any = GraphKeys.LOSSES,
                          reduction: str = _BY_NONZERO) -> Tensor:  # fmt: skip
    """Losses times weights, reduced to one number and put into the collection.

    `weights` is a scalar or has the rank of the losses, each size the same or 1. Raises ValueError where it does not fit.
    """
    Reduction.validate(reduction)
    with name_scope(scope, "weighted_loss"):
        given = convert_to_tensor(losses)
        values = given if given.dtype.bits >= 32 else cast(given, float32)
        factor = weights if isinstance(weights, (int, float)) else cast(convert_to_tensor(weights), values.dtype)
        if isinstance(factor, Tensor):
            _check_weights(values, factor)
        weighted = values if not isinstance(factor, Tensor) and factor == 1 else multiply(values, factor)
        loss = cast(_reduce(weighted, values, factor, reduction), given.dtype)
        add_loss(loss, loss_collection)
        return loss


def _check_weights(values: Tensor, weights: Tensor) -> None:
    wide, narrow = values.type.shape, weights.type.shape
    if wide is None or narrow is None or not narrow:
        return
    stretched = tuple(w if n == 1 else n for w, n in zip(wide, narrow))
    if len(wide) != len(narrow) or not are_compatible(wide, stretched):
        raise ValueError(
            f"weights can not be broadcast to values. values.shape={format_shape(wide)}. weights.shape={format_shape(narrow)}."
        )


def _reduce(weighted: Tensor, values: Tensor, weights: Any, reduction: str) -> Tensor:
    if reduction == Reduction.NONE:
        return weighted
    if reduction == Reduction.SUM:
        return reduce_sum(weighted, name="value")
    everywhere = not isinstance(weights, Tensor) and weights != 0
    if reduction == Reduction.SUM_OVER_BATCH_SIZE or (everywhere and reduction == _BY_NONZERO):
        return reduce_mean(weighted, name="value") if values.type.rank != 0 else weighted
    factor = convert_to_tensor(weights, values.dtype)
    total = factor if reduction == Reduction.MEAN else _present(factor)
    return div_no_nan(reduce_sum(weighted), reduce_sum(_fill(values, total)), name="value")


def _fill(values: Tensor, weights: Tensor) -> Tensor:
    """The weights in the shape of the values."""
    return weights if values.type.shape == weights.type.shape else broadcast_to(weights, shape(values))


def _operands(labels: Any, predictions: Any) -> tuple[Tensor, Tensor]:
    """Both as float32; raises ValueError where their shapes differ."""
    if labels is None:
        raise ValueError("labels must not be None.")
    if predictions is None:
        raise ValueError("predictions must not be None.")
    found = convert_to_tensor(predictions)
    found = found if found.dtype.is_floating and found.dtype.bits == 64 else cast(found, float32)
    truth = cast(convert_to_tensor(labels), found.dtype)
    if not are_compatible(found.type.shape, truth.type.shape):
        raise ValueError(
            f"Shapes {format_shape(found.type.shape)} and {format_shape(truth.type.shape)} are incompatible"
        )
    return truth, found


# -- losses


def absolute_difference(labels: Any, predictions: Any, weights: Any = 1.0, scope: str | None = None,
                        loss_collection: Any = GraphKeys.LOSSES, reduction: str = _BY_NONZERO) -> Tensor:  # fmt: skip
    """The mean of abs(predictions - labels)."""
    with name_scope(scope, "absolute_difference") as inner:
        truth, found = _operands(labels, predictions)
        return compute_weighted_loss(absolute(subtract(found, truth)), weights, inner, loss_collection, reduction)


def mean_squared_error(labels: Any, predictions: Any, weights: Any = 1.0, scope: str | None = None,
                       loss_collection: Any = GraphKeys.LOSSES, reduction: str = _BY_NONZERO) -> Tensor:  # fmt: skip
    """The mean of (predictions - labels)**2."""
    with name_scope(scope, "mean_squared_error") as inner:
        truth, found = _operands(labels, predictions)
        return compute_weighted_loss(squared_difference(found, truth), weights, inner, loss_collection, reduction)


def mean_pairwise_squared_error(labels: Any, predictions: Any, weights: Any = 1.0, scope: str | None = None,
                                loss_collection: Any = GraphKeys.LOSSES) -> Tensor:  # fmt: skip
    """For each example the mean over pairs of elements of the squared error of their difference; summed over the examples.

    With e = predictions - labels, n elements an example, that is 2 sum(e**2) / (n - 1) - 2 sum(e)**2 / (n (n - 1)). Elements
    of weight 0 do not count in n.
    """
    with name_scope(scope, "mean_pairwise_squared_error"):
        truth, found = _operands(labels, predictions)
        difference = subtract(found, truth)
        factor = cast(convert_to_tensor(weights), difference.dtype)
        _check_weights(difference, factor)
        if difference.type.rank is None:
            raise ValueError("mean_pairwise_squared_error: the rank must be known")
        axes = list(range(1, difference.type.rank))
        count = reduce_sum(_fill(difference, _present(factor)), axes, keepdims=True)
        others = relu(subtract(count, 1.0))
        squares = div_no_nan(reduce_sum(square(difference), axes, keepdims=True), others)
        means = div_no_nan(square(reduce_sum(difference, axes, keepdims=True)), multiply(count, others))
        loss = reduce_sum(multiply(multiply(subtract(squares, means), 2.0), factor), name="value")
        add_loss(loss, loss_collection)
        return loss


def _present(weights: Tensor) -> Tensor:
    """1 where a weight is not zero."""
    return cast(not_equal(weights, 0), weights.dtype)


def cosine_distance(labels: Any, predictions: Any, axis: Any = None, weights: Any = 1.0, scope: str | None = None,
                    loss_collection: Any = GraphKeys.LOSSES, reduction: str = _BY_NONZERO,
                    dim: Any = None) -> Tensor:  # fmt: skip
    """The mean of 1 - sum(predictions * labels) along `axis`; both are expected to have length 1 along it."""
    along = dim if axis is None else axis
    if along is None:
        raise ValueError("You must specify 'axis'.")
    with name_scope(scope, "cosine_distance_loss") as inner:
        truth, found = _operands(labels, predictions)
        losses = subtract(1.0, reduce_sum(multiply(found, truth), along, keepdims=True))
        return compute_weighted_loss(losses, weights, inner, loss_collection, reduction)


def hinge_loss(labels: Any, logits: Any, weights: Any = 1.0, scope: str | None = None,
               loss_collection: Any = GraphKeys.LOSSES, reduction: str = _BY_NONZERO) -> Tensor:  # fmt: skip
    """The mean of max(0, 1 - y * logits), with y = -1 for the label 0 and 1 for the label 1."""
    with name_scope(scope, "hinge_loss") as inner:
        truth, found = _operands(labels, logits)
        signs = subtract(multiply(truth, 2.0), 1.0)
        losses = relu(subtract(1.0, multiply(signs, found)))
        return compute_weighted_loss(losses, weights, inner, loss_collection, reduction)


def huber_loss(labels: Any, predictions: Any, weights: Any = 1.0, delta: float = 1.0, scope: str | None = None,
               loss_collection: Any = GraphKeys.LOSSES, reduction: str = _BY_NONZERO) -> Tensor:  # fmt: skip
    """The mean of error**2 / 2 where abs(error) <= delta, and of delta * abs(error) - delta**2 / 2 elsewhere."""
    with name_scope(scope, "huber_loss") as inner:
        truth, found = _operands(labels, predictions)
        distance = absolute(subtract(found, truth))
        near = minimum(distance, delta)
        far = subtract(distance, near)
        losses = add(multiply(square(near), 0.5), multiply(far, delta))
        return compute_weighted_loss(losses, weights, inner, loss_collection, reduction)


def log_loss(labels: Any, predictions: Any, weights: Any = 1.0, epsilon: float = 1e-7, scope: str | None = None,
             loss_collection: Any = GraphKeys.LOSSES, reduction: str = _BY_NONZERO) -> Tensor:  # fmt: skip
    """The mean of -labels log(predictions) - (1 - labels) log(1 - predictions), `epsilon` being added in the logarithms."""
    with name_scope(scope, "log_loss") as inner:
        truth, found = _operands(labels, predictions)
        positive = multiply(truth, log(add(found, epsilon)))
        rest = multiply(subtract(1.0, truth), log(add(subtract(1.0, found), epsilon)))
        return compute_weighted_loss(subtract(negative(positive), rest), weights, inner, loss_collection, reduction)


def sigmoid_cross_entropy(multi_class_labels: Any, logits: Any, weights: Any = 1.0, label_smoothing: Any = 0,
                          scope: str | None = None, loss_collection: Any = GraphKeys.LOSSES,
                          reduction: str = _BY_NONZERO) -> Tensor:  # fmt: skip
    """The mean sigmoid cross entropy; labels move towards 1/2 by the share `label_smoothing`."""
    with name_scope(scope, "sigmoid_cross_entropy_loss") as inner:
        found = convert_to_tensor(logits)
        truth = cast(convert_to_tensor(multi_class_labels), found.dtype)
        if not isinstance(label_smoothing, (int, float)) or label_smoothing > 0:
            truth = add(multiply(truth, 1 - label_smoothing), 0.5 * label_smoothing)
        losses = sigmoid_cross_entropy_with_logits(labels=truth, logits=found, name="xentropy")
        return compute_weighted_loss(losses, weights, inner, loss_collection, reduction)


def softmax_cross_entropy(onehot_labels: Any, logits: Any, weights: Any = 1.0, label_smoothing: Any = 0,
                          scope: str | None = None, loss_collection: Any = GraphKeys.LOSSES,
                          reduction: str = _BY_NONZERO) -> Tensor:  # fmt: skip
    """The mean softmax cross entropy; labels move towards 1 / classes by the share `label_smoothing`."""
    with name_scope(scope, "softmax_cross_entropy_loss") as inner:
        found = convert_to_tensor(logits)
        truth = cast(convert_to_tensor(onehot_labels), found.dtype)
        if not isinstance(label_smoothing, (int, float)) or label_smoothing > 0:
            classes = cast(shape(truth)[1], found.dtype)
            truth = add(multiply(truth, 1.0 - label_smoothing), label_smoothing / classes)
        losses = softmax_cross_entropy_with_logits_v2(stop_gradient(truth), found, name="xentropy")
        return compute_weighted_loss(losses, weights, inner, loss_collection, reduction)


def sparse_softmax_cross_entropy(labels: Any, logits: Any, weights: Any = 1.0, scope: str | None = None,
                                 loss_collection: Any = GraphKeys.LOSSES, reduction: str = _BY_NONZERO) -> Tensor:  # fmt: skip
    """The mean softmax cross entropy with class numbers; labels and weights may have one more axis of size 1."""
    with name_scope(scope, "sparse_softmax_cross_entropy_loss") as inner:
        found, truth = convert_to_tensor(logits), convert_to_tensor(labels)
        factor = weights if isinstance(weights, (int, float)) else convert_to_tensor(weights)
        rank = found.type.rank
        if rank is not None and truth.type.rank == rank:
            truth = squeeze(truth, [-1])
        if isinstance(factor, Tensor) and rank is not None and factor.type.rank == rank:
            factor = squeeze(factor, [-1])
        losses = sparse_softmax_cross_entropy_with_logits(labels=truth, logits=found, name="xentropy")
        return compute_weighted_loss(losses, factor, inner, loss_collection, reduction)


__all__ = [
    "Reduction", "absolute_difference", "add_loss", "compute_weighted_loss", "cosine_distance", "get_losses",
    "get_regularization_loss", "get_regularization_losses", "get_total_loss", "hinge_loss", "huber_loss", "log_loss",
    "mean_pairwise_squared_error", "mean_squared_error", "sigmoid_cross_entropy", "softmax_cross_entropy",
    "sparse_softmax_cross_entropy",
]  # fmt: skip
