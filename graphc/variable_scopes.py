"""Variable scopes: names of shared variables, and what get_variable takes when it is not told."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from .collections import GraphKeys
from .dtypes import as_dtype, float32
from .graph import get_default_graph
from .scopes import name_scope
from .variable_store import AUTO_REUSE, check_initializer_dtype, get_store, shape_or_none
from .variables import Variable


class VariableScope:
    """The defaults of get_variable inside a scope. `reuse` is False, True or AUTO_REUSE."""

    def __init__(
        self,
        reuse: Any,
        name: str = "",
        initializer: Any = None,
        regularizer: Any = None,
        caching_device: Any = None,
        partitioner: Any = None,
        custom_getter: Any = None,
        name_scope: str = "",
        dtype: Any = float32,
        use_resource: Any = None,
        constraint: Any = None,
    ):
        self.reuse, self.name = reuse, name
        self.initializer, self.regularizer, self.constraint = initializer, regularizer, constraint
        self.caching_device, self.partitioner, self.use_resource = caching_device, partitioner, use_resource
        self.custom_getter, self.dtype = custom_getter, as_dtype(dtype)
        self.original_name_scope = name_scope

    def copy(self, **changes: Any) -> VariableScope:
        """The same defaults, those in `changes` that are not None put in."""
        found = VariableScope.__new__(VariableScope)
        found.__dict__.update(self.__dict__)
        found.__dict__.update((key, value) for key, value in changes.items() if value is not None)
        return found

    def reuse_variables(self) -> None:
        """From now on get_variable in this scope gets variables that exist."""
        self.reuse = True

    def set_initializer(self, initializer: Any) -> None:
        self.initializer = initializer

    def set_regularizer(self, regularizer: Any) -> None:
        self.regularizer = regularizer

    def set_dtype(self, dtype: Any) -> None:
        self.dtype = as_dtype(dtype)

    def set_caching_device(self, caching_device: Any) -> None:
        self.caching_device = caching_device

    def set_partitioner(self, partitioner: Any) -> None:
        self.partitioner = partitioner

    def set_custom_getter(self, custom_getter: Any) -> None:
        self.custom_getter = custom_getter

    def set_use_resource(self, use_resource: Any) -> None:
        self.use_resource = use_resource

    def get_collection(self, name: Any) -> list[Any]:
        """The items of a collection whose names are in this scope."""
        return get_default_graph().get_collection(name, f"{self.name}/" if self.name else "")

    def global_variables(self) -> list[Variable]:
        return self.get_collection(GraphKeys.GLOBAL_VARIABLES)

    def local_variables(self) -> list[Variable]:
        return self.get_collection(GraphKeys.LOCAL_VARIABLES)

    def trainable_variables(self) -> list[Variable]:
        return self.get_collection(GraphKeys.TRAINABLE_VARIABLES)

    def get_variable(
        self, name: str, shape: Any = None, dtype: Any = None, initializer: Any = None, regularizer: Any = None,
        reuse: Any = None, trainable: bool | None = None, collections: Any = None, caching_device: Any = None,
        partitioner: Any = None, validate_shape: bool = True, use_resource: Any = None, custom_getter: Any = None,
        constraint: Any = None, synchronization: Any = None, aggregation: Any = None,
    ) -> Variable:  # fmt: skip
        """The variable `name` of this scope; see the function get_variable."""
        full_name = f"{self.name}/{name}" if self.name else name
        check_initializer_dtype(dtype, initializer)
        wanted = {
            "name": full_name,
            "shape": shape_or_none(shape),
            "dtype": as_dtype(dtype) if dtype is not None else self.dtype,
            "initializer": initializer if initializer is not None else self.initializer,
            "regularizer": regularizer if regularizer is not None else self.regularizer,
            "reuse": reuse if reuse is not None else self.reuse,
            "trainable": trainable,
            "collections": collections,
            "validate_shape": validate_shape,
            "constraint": constraint if constraint is not None else self.constraint,
        }
        getter = custom_getter if custom_getter is not None else self.custom_getter
        with name_scope(None):
            return _get_from_store(**wanted) if getter is None else getter(_get_from_store, **wanted)


def _get_from_store(
    name: str, shape: Any = None, dtype: Any = float32, initializer: Any = None, regularizer: Any = None,
    reuse: Any = None, trainable: bool | None = None, collections: Any = None, caching_device: Any = None,
    partitioner: Any = None, validate_shape: bool = True, use_resource: Any = None, constraint: Any = None,
    synchronization: Any = None, aggregation: Any = None,
) -> Variable:  # fmt: skip
    """The getter that custom getters are given: the variable of that full name."""
    return get_store().get_variable(
        name, shape_or_none(shape), as_dtype(dtype), initializer, regularizer, reuse,
        trainable=trainable, collections=collections, validate_shape=validate_shape, constraint=constraint,
    )  # fmt: skip


def get_variable_scope() -> VariableScope:
    """The variable scope in force in the default graph."""
    return get_default_graph().extras.setdefault("variable_scope", VariableScope(False))


def get_variable(
    name: str, shape: Any = None, dtype: Any = None, initializer: Any = None, regularizer: Any = None,
    trainable: bool | None = None, collections: Any = None, caching_device: Any = None, partitioner: Any = None,
    validate_shape: bool = True, use_resource: Any = None, custom_getter: Any = None, constraint: Any = None,
    synchronization: Any = None, aggregation: Any = None,
) -> Variable:  # fmt: skip
    """The variable `name` of the variable scope in force: a new one, or under `reuse` the one that exists.

    `initializer` is a function of (shape, dtype), a value or tensor (then without `shape`), or None for that of the
    scope, else Glorot's uniform one for floating types and zeros for others. The value of `regularizer` on the variable
    joins REGULARIZATION_LOSSES. `custom_getter(getter, name, ...)` stands between. Raises ValueError where the variable
    exists and must not, does not and must, or differs in shape or type.
    """
    return get_variable_scope().get_variable(
        name, shape, dtype, initializer, regularizer, None, trainable, collections, caching_device, partitioner,
        validate_shape, use_resource, custom_getter, constraint, synchronization, aggregation,
    )  # fmt: skip


def get_local_variable(name: str, shape: Any = None, dtype: Any = None, initializer: Any = None,
                       regularizer: Any = None, trainable: bool = False, collections: Any = None,
                       **options: Any) -> Variable:  # fmt: skip
    """get_variable for a variable of the collection LOCAL_VARIABLES that is not trained."""
    names = [GraphKeys.LOCAL_VARIABLES, *(collections or [])]
    return get_variable(name, shape, dtype, initializer, regularizer, False, names, **options)


class variable_scope(AbstractContextManager):  # noqa: N801
    """A scope for variables and for names of operations.

    `name_or_scope` is a name under the scope in force, or a VariableScope that is entered again whatever the scope in
    force; None takes `default_name`, made unique. The other arguments become the defaults of get_variable inside;
    `reuse` True, once given, holds for all scopes inside. Without `auxiliary_name_scope` names of operations stay as they
    are. Raises ValueError where there is neither a name nor a default, or `reuse` without a name; TypeError for other
    kinds of `name_or_scope`.
    """

    def __init__(
        self,
        name_or_scope: str | VariableScope | None,
        default_name: str | None = None,
        values: Any = None,
        initializer: Any = None,
        regularizer: Any = None,
        caching_device: Any = None,
        partitioner: Any = None,
        custom_getter: Any = None,
        reuse: Any = None,
        dtype: Any = None,
        use_resource: Any = None,
        constraint: Any = None,
        auxiliary_name_scope: bool = True,
    ):
        if default_name is None and name_or_scope is None:
            raise TypeError("If default_name is None then name_or_scope is required")
        if not isinstance(name_or_scope, (str, VariableScope)) and name_or_scope is not None:
            raise TypeError("VariableScope: name_or_scope must be a string or VariableScope.")
        if reuse not in (None, False, True, AUTO_REUSE):
            raise ValueError("The reuse parameter must be True or False or None.")
        if reuse and name_or_scope is None:
            raise ValueError("reuse=True cannot be used without a name_or_scope")
        self._name_or_scope, self._default_name, self._reuse = name_or_scope, default_name, reuse or None
        self._auxiliary = auxiliary_name_scope
        self._changes = {
            "initializer": initializer, "regularizer": regularizer, "caching_device": caching_device,
            "partitioner": partitioner, "dtype": as_dtype(dtype) if dtype is not None else None,
            "use_resource": use_resource, "constraint": constraint,
        }  # fmt: skip
        self._custom_getter = custom_getter
        self._stack: list[ExitStack] = []

    def __enter__(self) -> VariableScope:
        with ExitStack() as stack:
            if isinstance(self._name_or_scope, VariableScope):
                scope = self._enter_again(self._name_or_scope, stack)
            else:
                scope = self._enter_new(self._name_or_scope, stack)
            self._stack.append(stack.pop_all())
        return scope

    def __exit__(self, *exception: Any) -> None:
        self._stack.pop().__exit__(*exception)

    def _enter_again(self, given: VariableScope, stack: ExitStack) -> VariableScope:
        last = given.name.split("/")[-1]
        if last and self._auxiliary:
            stack.enter_context(name_scope(last))
        scope = given.copy(reuse=self._reuse, custom_getter=self._getter(given), **self._changes)
        counts = _count_scope(scope.name)
        stack.callback(setattr, get_store(), "scope_counts", dict(counts))
        _install(scope, stack)
        return scope

    def _enter_new(self, name: str | None, stack: ExitStack) -> VariableScope:
        parent = get_variable_scope()
        if name is None:
            name = _unique_scope(parent, self._default_name or "")
            entered = self._default_name
        else:
            entered = name
        if self._auxiliary:
            original = stack.enter_context(name_scope(entered)) if entered else ""
        else:
            inside = get_default_graph().get_name_scope()
            original = f"{inside}/" if inside else ""
        full = f"{parent.name}/{name}" if parent.name else str(name)
        reuse = self._reuse or parent.reuse
        scope = parent.copy(custom_getter=self._getter(parent), **self._changes)
        scope.name, scope.reuse, scope.original_name_scope = full, reuse, original
        _count_scope(full)
        stack.callback(_close_subscopes, full)
        _install(scope, stack)
        return scope

    def _getter(self, parent: VariableScope) -> Any:
        """The custom getter inside: this scope's around the one of the scope outside."""
        outer, inner = parent.custom_getter, self._custom_getter
        if inner is None or outer is None:
            return inner
        return lambda getter, *args, **options: inner(functools.partial(outer, getter), *args, **options)


def _install(scope: VariableScope, stack: ExitStack) -> None:
    graph = get_default_graph()
    before = get_variable_scope()
    graph.extras["variable_scope"] = scope
    stack.callback(graph.extras.__setitem__, "variable_scope", before)


def _unique_scope(parent: VariableScope, prefix: str) -> str:
    counts = get_store().scope_counts
    full = f"{parent.name}/{prefix}" if parent.name else prefix
    if not counts.get(full):
        return prefix
    number = 1
    while counts.get(f"{full}_{number}"):
        number += 1
    return f"{prefix}_{number}"


def _count_scope(name: str) -> dict[str, int]:
    """Counts the entry of a scope; all counts."""
    store = get_store()
    if name not in store.scope_counts:
        for end, letter in enumerate(name):
            if letter == "/":
                store.subscopes.setdefault(name[:end], set()).add(name)
    store.scope_counts[name] = store.scope_counts.get(name, 0) + 1
    return store.scope_counts


def _close_subscopes(name: str) -> None:
    """A scope that is entered anew counts its default names from the beginning."""
    store = get_store()
    for inner in store.subscopes.get(name, ()):
        if inner in store.scope_counts:
            store.scope_counts[inner] = 0


def variable_op_scope(values: Any, name_or_scope: Any, default_name: str | None = None, initializer: Any = None,
                      regularizer: Any = None, caching_device: Any = None, partitioner: Any = None,
                      custom_getter: Any = None, reuse: Any = None, dtype: Any = None, use_resource: Any = None,
                      constraint: Any = None) -> variable_scope:  # fmt: skip
    """variable_scope with the order of arguments that early TensorFlow had."""
    return variable_scope(name_or_scope, default_name, values, initializer, regularizer, caching_device, partitioner,
                          custom_getter, reuse, dtype, use_resource, constraint)  # fmt: skip


def no_regularizer(_: Any) -> None:
    """As a regularizer: none, also where the scope has one."""


class _Template:
    """A function whose variables are made at its first call and shared by all later ones."""

    def __init__(self, name: str, function: Callable[..., Any], unique_name: str | None, create_scope_now: bool):
        self.name, self._function, self._unique_name = name, function, unique_name
        self.__doc__ = function.__doc__
        self._called = False
        self._scope: VariableScope | None = None
        if create_scope_now:
            self._make_scope()

    def _make_scope(self) -> None:
        with variable_scope(self._unique_name, default_name=self.name) as scope:
            self._scope = scope

    @property
    def variable_scope(self) -> VariableScope | None:
        return self._scope

    @property
    def variables(self) -> list[Variable]:
        return self._scope.global_variables() if self._scope is not None else []

    @property
    def trainable_variables(self) -> list[Variable]:
        return self._scope.trainable_variables() if self._scope is not None else []

    def __call__(self, *args: Any, **options: Any) -> Any:
        if self._scope is None:
            with variable_scope(self._unique_name, default_name=self.name) as scope:
                self._scope = scope
                return self._call(args, options)
        with variable_scope(self._scope, reuse=self._called):
            return self._call(args, options)

    def _call(self, args: Any, options: Any) -> Any:
        result = self._function(*args, **options)
        self._called = True
        return result


def make_template(name_: str, func_: Callable[..., Any], create_scope_now_: bool = False, unique_name_: str | None = None,
                  custom_getter_: Any = None, **kwargs: Any) -> Any:  # fmt: skip
    """`func_` with `kwargs` given, its variables made at the first call and shared by later calls."""
    function = functools.partial(func_, **kwargs) if kwargs else func_
    if custom_getter_ is None:
        return _Template(name_, function, unique_name_, create_scope_now_)

    def with_getter(*args: Any, **options: Any) -> Any:
        with variable_scope(get_variable_scope(), custom_getter=custom_getter_, auxiliary_name_scope=False):
            return function(*args, **options)

    return _Template(name_, with_getter, unique_name_, create_scope_now_)


__all__ = [
    "AUTO_REUSE", "VariableScope", "get_local_variable", "get_variable", "get_variable_scope", "make_template",
    "no_regularizer", "variable_op_scope", "variable_scope",
]  # fmt: skip
