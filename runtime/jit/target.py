"""LLVM through llvmlite: from the text of a module to an object file, assembly or optimised text.

llvmlite guards each of its calls with one lock, which would let only one thread compile at a time. LLVM itself asks only
that a context and a target machine belong to one thread. So every thread has its own of both, and the one call that takes
the time, emission, goes to the shared library directly, past the lock.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.resources
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import llvmlite.binding as llvm
from llvmlite.utils import get_library_name

from graphc.runtime.schedule.machine import Machine

# Code generation level 2: level 3 costs more time and gained nothing on code that is emitted vectorised and unrolled.
CODE_GENERATION_LEVEL = 2


class CompileError(RuntimeError):
    """LLVM refused a module: a defect of the emitter, shown with the text that it emitted."""


def compile_object(text: str, machine: Machine, optimise: bool = False) -> bytes:
    """The object file of a module. Safe to call from several threads, which then compile at the same time.

    `optimise` runs LLVM's own passes first, for code written with memory cells and branches; kernels need none.
    Raises CompileError where LLVM refuses the text.
    """
    with _parsed(text, machine, optimise) as (module, tools):
        return _emit(module, tools, as_object=True)


def assembly(text: str, machine: Machine, optimise: bool = False) -> str:
    """The assembly of a module, with LLVM's comments."""
    with _parsed(text, machine, optimise) as (module, tools):
        return _emit(module, tools, as_object=False).decode()


def optimised_ir(text: str, machine: Machine) -> str:
    """The text of a module after LLVM's own passes."""
    with _parsed(text, machine, optimise=True) as (module, _):
        return str(module)


def verify_ir(text: str, machine: Machine) -> None:
    """Raises CompileError where the module is not well formed: what the parser sees, types, dominance."""
    with _parsed(text, machine, optimise=False) as (module, _):
        try:
            module.verify()
        except RuntimeError as error:
            raise CompileError(f"{error}\n{text}") from None


class _Tools:
    """What one thread compiles with for one machine."""

    def __init__(self, machine: Machine):
        _initialise()
        target = llvm.Target.from_triple(llvm.get_process_triple())
        self.context = llvm.create_context()
        self.target_machine = target.create_target_machine(
            cpu=machine.cpu, features=machine.features, opt=CODE_GENERATION_LEVEL, reloc="pic", codemodel="small"
        )


@functools.cache
def _initialise() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


class _ThreadTools(threading.local):
    def __init__(self) -> None:
        self.of_machine: dict[tuple[str, str], _Tools] = {}

    def get(self, machine: Machine) -> _Tools:
        key = (machine.cpu, machine.features)
        if key not in self.of_machine:
            self.of_machine[key] = _Tools(machine)
        return self.of_machine[key]


_THREAD_TOOLS = _ThreadTools()


@contextmanager
def _parsed(text: str, machine: Machine, optimise: bool) -> Iterator[tuple[Any, _Tools]]:
    tools = _THREAD_TOOLS.get(machine)
    try:
        module = llvm.parse_assembly(text, tools.context)
    except RuntimeError as error:
        raise CompileError(f"{error}\n{text}") from None
    try:
        if optimise:
            _optimise(module, tools)
        yield module, tools
    finally:
        module.close()


def _optimise(module: Any, tools: _Tools) -> None:
    """Cells into registers, what is marked so inline, branches simplified.

    LLVM's own sequence of passes takes ten times as long and leaves the routines no faster.
    """
    builder = llvm.create_pass_builder(tools.target_machine, llvm.create_pipeline_tuning_options(speed_level=2))
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_sroa_pass()
    passes.add_simplify_cfg_pass()
    passes.run(module, builder)


def _emit(module: Any, tools: _Tools, as_object: bool) -> bytes:
    library = _unlocked_library()
    message = ctypes.c_char_p()
    buffer = library.LLVMPY_TargetMachineEmitToMemory(
        tools.target_machine, module, int(as_object), ctypes.byref(message)
    )
    if not buffer:
        raise CompileError((message.value or b"LLVM could not emit the module").decode())
    try:
        return ctypes.string_at(library.LLVMPY_GetBufferStart(buffer), library.LLVMPY_GetBufferSize(buffer))
    finally:
        library.LLVMPY_DisposeMemoryBuffer(buffer)


@functools.cache
def _unlocked_library() -> ctypes.CDLL:
    """The library that llvmlite has loaded, through a handle that takes no lock."""
    path = importlib.resources.files("llvmlite.binding") / get_library_name()
    library = ctypes.CDLL(str(path))
    pointer = ctypes.c_void_p
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "LLVMPY_TargetMachineEmitToMemory": (pointer, [pointer, pointer, ctypes.c_int, pointer]),
        "LLVMPY_GetBufferStart": (pointer, [pointer]),
        "LLVMPY_GetBufferSize": (ctypes.c_size_t, [pointer]),
        "LLVMPY_DisposeMemoryBuffer": (None, [pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
