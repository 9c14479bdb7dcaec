"""Layers: what makes variables under a scope of its own once, and operations each time it is called."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from ..collections import GraphKeys, add_to_collection
from ..dtypes import DType, as_dtype, float32
from ..graph import get_default_graph
from ..operation import Tensor
from ..ops.constants import convert_to_tensor
from ..scopes import name_scope
from ..shapes import TensorShape
from ..variable_scopes import VariableScope, get_variable, variable_scope
from ..variables import Variable


class Layer:
    """A layer in the manner of tf.layers: subclasses make variables in `build` and operations in `call`.

    Variables live under a variable scope that is named after the layer: `name`, or the class in small letters, made unique.
    A second call uses the same variables. `_scope` and `_reuse` are those of the functions, which give the scope a name that
    may be in use.
    """

    def __init__(self, trainable: bool = True, name: Any = None, dtype: Any = None, activity_regularizer: Any = None,
                 _scope: Any = None, _reuse: bool | None = None, **unknown: Any):  # fmt: skip
        for argument in unknown:
            if argument not in ("batch_size", "batch_input_shape", "input_shape", "weights"):
                raise TypeError("Keyword argument not understood:", argument)
        self.trainable, self.built = trainable, False
        self.activity_regularizer = activity_regularizer
        self._dtype: DType | None = None if dtype is None else as_dtype(dtype)
        self._reuse = _reuse
        self._weights: list[tuple[Variable, bool]] = []  # with whether each is trained
        self._losses: list[Any] = []
        self._updates: list[Any] = []
        self._base_name, self._name = self._choose_names(name)
        self._scope: VariableScope | None = None
        if _scope:
            with variable_scope(_scope) as captured:
                self._scope = captured

    def _choose_names(self, name: Any) -> tuple[str, str]:
        kind = _snake_case(type(self).__name__)
        if name and not isinstance(name, VariableScope):
            return str(name), str(name)
        counts = get_default_graph().extras.setdefault("layer_names", {})
        counts[kind] = counts.get(kind, 0) + 1
        unique = kind if counts[kind] == 1 else f"{kind}_{counts[kind] - 1}"
        return (name.name if isinstance(name, VariableScope) else kind), unique

    # -- what subclasses define

    def build(self, input_shape: Any) -> None:
        """Makes the variables, for inputs of a shape (a TensorShape, or a list of them)."""

    def call(self, inputs: Any, *args: Any, **options: Any) -> Any:
        """Makes the operations of one call."""
        return inputs

    # -- calls

    def __call__(self, inputs: Any, *args: Any, **options: Any) -> Any:
        """The layer on a tensor, or a list of them; the first call makes the variables."""
        self._set_scope(options.pop("scope", None))
        tensors = [convert_to_tensor(t) for t in inputs] if isinstance(inputs, (list, tuple)) else convert_to_tensor(inputs)
        if self._dtype is None:
            self._dtype = (tensors[0] if isinstance(tensors, list) else tensors).dtype
        reuse = True if self.built else self._reuse
        with variable_scope(self._scope, reuse=reuse, auxiliary_name_scope=False) as scope:
            with name_scope(scope.original_name_scope):
                if not self.built:
                    self.build([t.shape for t in tensors] if isinstance(tensors, list) else tensors.shape)
                    self.built = True
                outputs = self.call(tensors, *args, **options)
                self._regularize_activity(outputs)
        return outputs

    def apply(self, inputs: Any, *args: Any, **options: Any) -> Any:
        """The same as a call."""
        return self(inputs, *args, **options)

    def _set_scope(self, scope: Any) -> None:
        if self._scope is not None:
            return
        if self._reuse:
            opened = variable_scope(self._base_name if scope is None else scope)
        else:
            opened = variable_scope(scope, default_name=self._base_name)
        with opened as captured:
            self._scope = captured

    def _regularize_activity(self, outputs: Any) -> None:
        if self.activity_regularizer is None:
            return
        for output in outputs if isinstance(outputs, (list, tuple)) else [outputs]:
            with name_scope("ActivityRegularizer"):
                self.add_loss(self.activity_regularizer(output))

    # -- variables, losses, updates

    def add_weight(self, name: str, shape: Any, dtype: Any = None, initializer: Any = None,
                   regularizer: Callable[[Any], Any] | None = None, trainable: bool = True, constraint: Any = None,
                   use_resource: Any = None, synchronization: Any = None, aggregation: Any = None,
                   partitioner: Any = None, **options: Any) -> Variable:  # fmt: skip
        """A variable under the scope of the layer, that of the first call where it was made before."""
        found = as_dtype(dtype if dtype is not None else self._dtype or float32)
        self._set_scope(None)
        trained = bool(trainable and self.trainable)
        with variable_scope(self._scope, reuse=True if self.built else self._reuse, auxiliary_name_scope=False):
            variable = get_variable(name, shape, found, initializer, regularizer, trained, constraint=constraint)
        if all(known is not variable for known, _ in self._weights):
            self._weights.append((variable, trained))
        return variable

    add_variable = add_weight

    def add_loss(self, losses: Any, inputs: Any = None) -> None:
        """Keeps losses, and puts them into the collection REGULARIZATION_LOSSES."""
        for loss in losses if isinstance(losses, (list, tuple)) else [losses]:
            if loss is not None:
                self._losses.append(loss)
                add_to_collection(GraphKeys.REGULARIZATION_LOSSES, loss)

    def add_update(self, updates: Any, inputs: Any = None) -> None:
        """Keeps operations that are to run with a training step, and puts them into the collection UPDATE_OPS."""
        for update in updates if isinstance(updates, (list, tuple)) else [updates]:
            self._updates.append(update)
            add_to_collection(GraphKeys.UPDATE_OPS, update)

    # -- what a layer shows

    @property
    def name(self) -> str:
        return self._name

    @property
    def dtype(self) -> str | None:
        return None if self._dtype is None else self._dtype.name

    @property
    def scope_name(self) -> str:
        """The name of the variable scope. Raises ValueError before the first call."""
        if self._scope is None:
            raise ValueError(f"No name available for layer scope because the layer {self._name!r} has not been used yet.")
        return self._scope.name

    @property
    def weights(self) -> list[Variable]:
        """All variables, those that are trained first."""
        return self.trainable_weights + self.non_trainable_weights

    @property
    def trainable_weights(self) -> list[Variable]:
        return [variable for variable, trained in self._weights if trained]

    @property
    def non_trainable_weights(self) -> list[Variable]:
        return [variable for variable, trained in self._weights if not trained]

    variables = weights
    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights

    @property
    def losses(self) -> list[Any]:
        return list(self._losses)

    @property
    def updates(self) -> list[Any]:
        return list(self._updates)

    def count_params(self) -> int:
        """The number of elements in all variables. Raises ValueError before the first call."""
        if not self.built:
            raise ValueError(f"You tried to call `count_params` on {self.name}, but the layer isn't built.")
        return sum(variable.shape.num_elements() or 0 for variable in self.weights)


def _snake_case(name: str) -> str:
    parted = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", parted).lower()


# -- arguments of layers


def check_rank(inputs: Tensor, rank: int, layer: str) -> None:
    """Raises ValueError where the rank is known and not the one that a layer takes."""
    if inputs.type.rank not in (None, rank):
        raise ValueError(f"Input 0 of layer {layer} is incompatible with the layer: expected ndim={rank}, found "
                         f"ndim={inputs.type.rank}. Full shape received: {inputs.type.shape}")  # fmt: skip


def channels_of(shape: Any, axis: int, layer: str) -> int:
    """The size of the axis of channels. Raises ValueError where it is not known."""
    sizes = TensorShape(shape).sizes
    if sizes is None or sizes[axis] is None:
        raise ValueError(f"The channel dimension of the inputs to layer {layer} should be defined. Found `None`.")
    return int(sizes[axis])  # type: ignore[arg-type]


def as_numbers(value: Any, count: int, what: str) -> tuple[int, ...]:
    """A number repeated, or a sequence of `count` numbers. Raises ValueError for anything else."""
    found = tuple(int(v) for v in value) if isinstance(value, Sequence) else (int(value),) * count
    if len(found) != count:
        raise ValueError(f"The `{what}` argument must be a tuple of {count} integers. Received: {value}")
    return found


def is_channels_first(data_format: str | None) -> bool:
    """Raises ValueError for what is neither "channels_last" nor "channels_first"."""
    found = "channels_last" if data_format is None else data_format.lower()
    if found not in ("channels_first", "channels_last"):
        raise ValueError('The `data_format` argument must be one of "channels_first", "channels_last". '
                         f"Received: {data_format}")  # fmt: skip
    return found == "channels_first"


def as_padding_name(padding: str, allowed: Sequence[str] = ("valid", "same")) -> str:
    """The padding in small letters. Raises ValueError where it is not allowed."""
    if padding.lower() not in allowed:
        raise ValueError(f'The `padding` argument must be one of "valid", "same" (or "causal" for Conv1D). Received: {padding}')
    return padding.lower()


def as_activation(activation: Any) -> Callable[..., Tensor] | None:
    """A function of a tensor, from itself or from its name; None for "linear". Raises ValueError for an unknown name."""
    if activation is None or callable(activation):
        return activation
    from ..ops import activations, elementwise

    if activation == "linear":
        return None
    for module in (elementwise, activations):
        if activation in getattr(module, "__all__", ()):
            return getattr(module, activation)
    raise ValueError(f"Unknown activation function: {activation}")
