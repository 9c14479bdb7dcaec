"""LLVM modules as text: declarations, constants and functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from graphc.runtime.emit.values import PTR, Value, format_number

if TYPE_CHECKING:
    from graphc.runtime.emit.function import Function


class Module:
    """Declarations, constants and functions, printed as one LLVM module."""

    def __init__(self) -> None:
        self._declarations: dict[str, str] = {}
        self._globals: dict[str, str] = {}
        self.functions: dict[str, Function] = {}

    def declare(self, name: str, result: str, arguments: Sequence[str], attributes: str = "") -> None:
        if name not in self._declarations and name not in self.functions:
            text = f"declare {result} @{name}({', '.join(arguments)}) {attributes}"
            self._declarations[name] = text.rstrip()

    def define_global(self, name: str, text: str) -> Value:
        """`text` is what stands after `@name = `; a second definition of the same name is ignored."""
        self._globals.setdefault("@" + name, text)
        return Value("@" + name, PTR)

    def define_metadata(self, name: str, text: str) -> None:
        """`name` such as `!0`; `text` what stands after the equals sign."""
        self._globals.setdefault(name, text)

    def define_table(self, name: str, element: str, values: Sequence[float | int]) -> Value:
        text = ", ".join(f"{element} {format_number(v, element)}" for v in values)
        return self.define_global(name, f"private unnamed_addr constant [{len(values)} x {element}] [{text}], align 64")

    def __str__(self) -> str:
        parts = [f"{name} = {text}" for name, text in self._globals.items()]
        parts += [text for name, text in self._declarations.items() if name not in self.functions]
        parts += [str(function) for function in self.functions.values()]
        return "\n".join(parts) + "\n"
