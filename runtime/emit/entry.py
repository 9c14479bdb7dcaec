"""The functions that kernels are made of.

Some of them LLVM leaves as written, which takes it a third of the time: it then folds no load into arithmetic, hoists and
reorders nothing, divides by constants, and contracts no product with a sum, but registers are allocated as well as ever. Of
what calls a function for each tile, of copies and of sums of whole vectors, it makes the same code either way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from graphc.runtime.emit.function import I64, PTR, Function, Module
from graphc.runtime.kernel import ENTRY

_ARGUMENTS = [("operands", PTR), ("chunk", I64)]
_IMPROVED, _AS_WRITTEN = "noinline nounwind", "noinline optnone nounwind"
_UNSAFE = re.compile(r" x i\d+>|vector |element | [sz]ext |trunc | = \w[\w ]* i(8|16|32) [-%\d]")
"""Vectors of integers and masks, shuffles, lanes, conversions, narrow integers: selecting instructions without the passes
before, LLVM fails assertions for some of these, and so ends the process. Left are i64, pointers and sums of whole vectors."""


def begin_entry(module: Module) -> Function:
    """The entry of a kernel, (operands, chunk)."""
    return Function(module, ENTRY, _ARGUMENTS)


def begin_driver(module: Module) -> Function:
    """An entry that leaves arithmetic to the functions that it calls, and stays as written."""
    return _WrittenFunction(module, ENTRY, _ARGUMENTS, attributes=_IMPROVED)


def begin_helper(module: Module, name: str, arguments: Sequence[tuple[str, str]], as_written: bool = False) -> Function:
    """A function that others of the module call."""
    kind = _WrittenFunction if as_written else Function
    return kind(module, name, arguments, attributes=_IMPROVED, linkage="internal")


class _WrittenFunction(Function):
    """A function that LLVM leaves as written, if all that it holds is safe that way."""

    def __str__(self) -> str:
        text = super().__str__()
        return text if _UNSAFE.search(text) else text.replace(f" {_IMPROVED} {{", f" {_AS_WRITTEN} {{", 1)
