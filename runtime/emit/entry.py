"""The functions that kernels are made of, and which of them LLVM improves.

For a function that it leaves as written, LLVM takes a third of the time. It then folds no load into arithmetic, hoists and
reorders nothing, keeps divisions by constants, and contracts no product with a sum; registers are allocated as well as ever.
Of what calls a function for each tile, of copies and of sums of whole vectors, it makes the same code either way.

Its quick way of selecting instructions fails an assertion, and so ends the process, for some arithmetic of integers under 64
bits with negative constants. Functions that are left as written count in I64.
"""

from __future__ import annotations

from graphc.runtime.emit.function import I64, PTR, Function, Module
from graphc.runtime.kernel import ENTRY

HELPER = {"linkage": "internal", "attributes": "noinline nounwind"}
HELPER_AS_WRITTEN = {"linkage": "internal", "attributes": "noinline optnone nounwind"}


def begin_entry(module: Module) -> Function:
    """The entry of a kernel, (operands, chunk)."""
    return Function(module, ENTRY, [("operands", PTR), ("chunk", I64)])


def begin_driver(module: Module) -> Function:
    """An entry that leaves arithmetic to the functions that it calls, and stays as written."""
    return Function(module, ENTRY, [("operands", PTR), ("chunk", I64)], attributes=HELPER_AS_WRITTEN["attributes"])
