"""From the text of a module to an object file, assembly or optimised text."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from graphc.runtime.jit.llvm import LlvmError, Module, Tools
from graphc.runtime.schedule.machine import Machine


class CompileError(RuntimeError):
    """LLVM refused a module: a defect of the emitter, shown with the text that it emitted."""


def compile_object(text: str, machine: Machine, optimise: bool = False) -> bytes:
    """The object file of a module. Safe to call from several threads, which then compile at the same time.

    `optimise` runs LLVM's own passes first, for code written with memory cells and branches; kernels need none.
    Raises CompileError where LLVM refuses the text.
    """
    with _parsed(text, machine, optimise) as module:
        return module.object_file()


def assembly(text: str, machine: Machine, optimise: bool = False) -> str:
    """The assembly of a module, with LLVM's comments."""
    with _parsed(text, machine, optimise) as module:
        return module.assembly()


def optimised_ir(text: str, machine: Machine) -> str:
    """The text of a module after LLVM's own passes."""
    with _parsed(text, machine, optimise=True) as module:
        return str(module)


def verify_ir(text: str, machine: Machine) -> None:
    """Raises CompileError where the module is not well formed: what the parser sees, types, dominance."""
    with _parsed(text, machine, optimise=False) as module:
        module.verify()


class _ThreadTools(threading.local):
    def __init__(self) -> None:
        self.of_machine: dict[tuple[str, str], Tools] = {}

    def get(self, machine: Machine) -> Tools:
        key = (machine.cpu, machine.features)
        if key not in self.of_machine:
            self.of_machine[key] = Tools(*key)
        return self.of_machine[key]


_THREAD_TOOLS = _ThreadTools()


@contextmanager
def _parsed(text: str, machine: Machine, optimise: bool) -> Iterator[Module]:
    try:
        with Module(text, _THREAD_TOOLS.get(machine)) as module:
            if optimise:
                module.optimise()
            yield module
    except LlvmError as error:
        raise CompileError(f"{error}\n{text}") from None
