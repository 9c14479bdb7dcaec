"""Records: classes of named fields that nobody changes, equal where their fields are.

They are data classes, and `dataclasses.replace` and `fields` work on them. But `dataclass(frozen=True)` writes six methods as
text for every class and compiles each of them; for the classes of a compiler that is an eighth of a first run. Here nothing
is compiled for a class: records with as many fields have the same `__init__` but for the names, the other methods are
shared, and that nobody assigns to a field is left to the type checker.
"""

from __future__ import annotations

import functools
from dataclasses import MISSING, Field, dataclass, fields
from operator import attrgetter
from types import CodeType, FunctionType
from typing import Any, TypeVar, dataclass_transform

_Class = TypeVar("_Class", bound=type)


@dataclass_transform(frozen_default=True)
def record(cls: _Class) -> _Class:
    """Makes a class with annotated fields a record, compared and hashed by the values of its fields.

    A method that the class defines itself stays.
    """
    identity_record(cls)
    compared = [field.name for field in fields(cls) if field.compare]
    values: Any = attrgetter(*compared) if compared else _no_values

    def equals(self: Any, other: object) -> Any:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    def hashes(self: Any) -> int:
        return hash(values(self))

    if "__eq__" not in cls.__dict__:
        _define(cls, __eq__=equals, __hash__=cls.__dict__.get("__hash__") or hashes)
    return cls


@dataclass_transform(frozen_default=True, eq_default=False)
def identity_record(cls: _Class) -> _Class:
    """As `record`, but equal to itself alone."""
    if cls.__doc__ is None:
        cls.__doc__ = cls.__name__  # for want of one, `dataclass` would work out the signature
    plain = _has_plain_fields(cls)
    dataclass(init=not plain, repr=False, eq=False, match_args=False)(cls)
    if plain:
        _define(cls, __init__=_make_constructor(cls))
    if "__repr__" not in cls.__dict__:
        _define(cls, __repr__=_describe)
    return cls


def _has_plain_fields(cls: type) -> bool:
    """Whether no field has more to it than a name and perhaps a default, so that a constructor only assigns."""
    inherited = getattr(cls, "__dataclass_fields__", {}).values()
    special = any(isinstance(value, Field) for value in vars(cls).values()) or hasattr(cls, "__post_init__")
    return not special and all(field.init and field.default_factory is MISSING for field in inherited)


def _make_constructor(cls: type) -> FunctionType:
    """What `def __init__(self, a, b=1): self.a = a; self.b = b` would define in the class."""
    names = tuple(field.name for field in fields(cls))
    defaults = tuple(field.default for field in fields(cls) if field.default is not MISSING)
    if any(field.default is MISSING for field in fields(cls)[len(names) - len(defaults) :]):
        raise TypeError(f"{cls.__qualname__}: a field without default follows one with default")
    code = _assigning_code(len(names)).replace(co_varnames=("self", *names), co_names=names)
    constructor = FunctionType(code, globals(), "__init__", defaults)
    constructor.__qualname__ = f"{cls.__qualname__}.__init__"
    return constructor


@functools.cache
def _assigning_code(count: int) -> CodeType:
    """Of a function that assigns so many arguments to attributes."""
    names = [f"field_{number}" for number in range(count)]
    assignments = "; ".join(f"self.{name} = {name}" for name in names) or "pass"
    scope: dict[str, Any] = {}
    exec(f"def assign(self, {', '.join(names)}): {assignments}", scope)
    return scope["assign"].__code__


def _define(cls: type, **methods: Any) -> None:
    for name, method in methods.items():
        setattr(cls, name, method)


def _no_values(instance: object) -> tuple[()]:
    return ()


def _describe(self: Any) -> str:
    shown = (f"{field.name}={getattr(self, field.name)!r}" for field in fields(self) if field.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"
