"""Records: classes of named fields that nobody changes, equal where their fields are.

They are data classes, and `dataclasses.replace` and `fields` work on them. But `dataclass(frozen=True)` writes six methods as
text for every class and compiles each of them; for the classes of a compiler that is a tenth of a first run. Here only
`__init__` is written, the other methods are shared, and that nobody assigns to a field is left to the type checker.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter
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
    dataclass(repr=False, eq=False)(cls)
    if "__repr__" not in cls.__dict__:
        _define(cls, __repr__=_describe)
    return cls


def _define(cls: type, **methods: Any) -> None:
    for name, method in methods.items():
        setattr(cls, name, method)


def _no_values(instance: object) -> tuple[()]:
    return ()


def _describe(self: Any) -> str:
    shown = (f"{field.name}={getattr(self, field.name)!r}" for field in fields(self) if field.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"
