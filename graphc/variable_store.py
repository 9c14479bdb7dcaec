"""The variables that a graph shares by name: what `get_variable` looks up and makes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .collections import GraphKeys
from .dtypes import DType, as_dtype
from .errors import format_error
from .graph import Graph, get_default_graph
from .location import find_location
from .operation import Tensor, TensorType
from .ops.constants import as_array, convert_to_tensor
from .scopes import init_scope, name_scope
from .shapes import TensorShape, are_compatible, as_shape, is_known
from .variables import Variable

AUTO_REUSE = type("_Reuse", (), {"__repr__": lambda self: "AUTO_REUSE"})()
"""As `reuse`: get a variable that exists, make one that does not."""


class VariableStore:
    """Variables by their full names, and how often each variable scope was opened."""

    def __init__(self) -> None:
        self.variables: dict[str, Variable] = {}
        self.scope_counts: dict[str, int] = {}
        self.subscopes: dict[str, set[str]] = {}  # all scopes below a scope that were ever counted

    def get_variable(
        self,
        name: str,
        shape: Any,
        dtype: DType,
        initializer: Any,
        regularizer: Callable[[Variable], Any] | None,
        reuse: Any,
        **options: Any,
    ) -> Variable:
        """The variable `name`, found or made as `reuse` says.

        `options` are further arguments of Variable. Raises ValueError where the variable exists and must not, does not
        and must, or has another shape or type.
        """
        given = initializer is not None and not callable(initializer)
        if given and shape is not None:
            raise ValueError("If initializer is a constant, do not specify shape.")
        if name in self.variables:
            return self._find(name, shape, dtype, initializer if given else None, reuse)
        if reuse is True:
            raise ValueError(
                f"Variable {name} does not exist, or was not created with tf.get_variable(). "
                "Did you mean to set reuse=tf.AUTO_REUSE in VarScope?"
            )
        initial, variable_dtype = choose_initial_value(name, TensorShape(shape), dtype, initializer)
        variable = Variable(initial, name=name, dtype=variable_dtype, **options)
        self.variables[name] = variable
        _add_regularization(variable, name, regularizer)
        return variable

    def _find(self, name: str, shape: Any, dtype: DType, value: Any, reuse: Any) -> Variable:
        found = self.variables[name]
        if not reuse:
            raise ValueError(_already_exists(name, found))
        if value is not None:
            type_ = _type_of(value)
            shape, dtype = type_.shape, type_.dtype
        wanted = TensorShape(shape)
        if not are_compatible(wanted.sizes, found.shape.sizes):
            raise ValueError(
                f"Trying to share variable {name}, but specified shape {wanted} and found shape {found.shape}."
            )
        if dtype != found.dtype:
            raise ValueError(
                f"Trying to share variable {name}, but specified dtype {dtype.name} and found dtype {found.dtype.name}."
            )
        return found


def get_store() -> VariableStore:
    """The store of the default graph."""
    graph: Graph = get_default_graph()
    return graph.extras.setdefault("variable_store", VariableStore())


def _already_exists(name: str, found: Variable) -> str:
    text = f"Variable {name} already exists, disallowed. Did you mean to set reuse=True or reuse=tf.AUTO_REUSE in VarScope?"
    return format_error(f"{text} Originally defined at:", found.op.outputs, find_location())


def choose_initial_value(name: str, shape: TensorShape, dtype: DType, initializer: Any) -> tuple[Any, DType | None]:
    """What Variable starts from, and the element type to ask of it.

    `initializer` is a value, a tensor, a function of shape and dtype, a function of nothing, a class of initializers, or
    None for the default of the type. Raises ValueError where the shape is not known or the initializer does not fit.
    """
    if initializer is None:
        initializer = _default_initializer(name, dtype)
    if not callable(initializer):
        return initializer, None
    function: Any = initializer() if inspect.isclass(initializer) else initializer
    if shape and is_known(shape.sizes):
        return lambda: _call_initializer(function, shape.as_list(), dtype), dtype
    if not shape and _needs_no_arguments(function):
        return function, None
    if not shape or shape.sizes is None:
        raise ValueError(
            "The initializer passed is not valid. It should be a callable with no arguments and the shape should not be "
            "provided or an instance of `tf.keras.initializers.*' and `shape` should be fully defined."
        )
    raise ValueError(f"Shape of a new variable ({name}) must be fully defined, but instead was {shape}.")


def _default_initializer(name: str, dtype: DType) -> Callable[..., Any]:
    from .initializers import glorot_uniform_initializer, zeros_initializer

    if dtype.is_floating:
        return glorot_uniform_initializer()
    if dtype.is_integer or dtype.is_bool:
        return zeros_initializer()
    raise ValueError(f"An initializer for variable {name} of {dtype} is required")


def _call_initializer(function: Callable[..., Any], shape: list[int | None], dtype: DType) -> Any:
    """The value of an initializer; functions of the user may leave out the arguments `dtype` and `partition_info`."""
    try:
        names = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return function(shape, dtype)
    takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in names.values())
    return function(shape, dtype=dtype) if "dtype" in names or takes_all else function(shape)


def _needs_no_arguments(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return all(p.default is not p.empty or p.kind in optional for p in parameters)


def _add_regularization(variable: Variable, name: str, regularizer: Callable[[Variable], Any] | None) -> None:
    if regularizer is None:
        return
    with init_scope(), name_scope(f"{name}/Regularizer/"):
        loss = regularizer(variable)
    if loss is not None:
        variable.graph.add_to_collection(GraphKeys.REGULARIZATION_LOSSES, loss)


def check_initializer_dtype(dtype: Any, initializer: Any) -> None:
    """Raises ValueError where a constant initializer has another type than the one that is asked for."""
    if dtype is None or initializer is None or callable(initializer):
        return
    found = _type_of(initializer).dtype
    if found != as_dtype(dtype):
        raise ValueError(f"Initializer type '{found}' and explicit dtype '{as_dtype(dtype)}' don't match.")


def _type_of(value: Any) -> TensorType:
    """The type that a tensor of `value` has."""
    if isinstance(value, Tensor) or hasattr(value, "_as_tensor"):
        return convert_to_tensor(value).type
    array = as_array(value)
    return TensorType(as_dtype(array.dtype), array.shape)


def shape_or_none(shape: Any) -> Any:
    """A shape as given to get_variable: a number is one dimension, a tensor is not a shape."""
    return None if shape is None else as_shape(shape)
