"""LLVM by the C functions of llvmlite's library, without llvmlite's Python.

That would take longer to import than the library takes to load, and it guards every call with one lock, so that only one
thread could compile at a time. LLVM itself asks only that a context, a target machine and what is made with them belong to
one thread. Calls through ctypes hold neither that lock nor the interpreter's.

The functions are those that `llvmlite.binding` declares; the tests compare. `pyproject.toml` names the releases that have
them as they are here.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

_POINTER, _NUMBER, _STRING = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
_TEXT = ctypes.POINTER(ctypes.c_char_p)  # receives a string of LLVM's

SIGNATURES: dict[str, tuple[Any, ...]] = {
    # The result, then the arguments.
    "InitializeNativeTarget": (None,),
    "InitializeNativeAsmPrinter": (None,),
    "GetHostCPUName": (None, _TEXT),
    "GetHostCPUFeatures": (_NUMBER, _TEXT),
    "GetProcessTriple": (None, _TEXT),
    "DisposeString": (None, _STRING),
    "GetTargetFromTriple": (_POINTER, _STRING, _TEXT),
    "CreateTargetMachine": (
        _POINTER, _POINTER, _STRING, _STRING, _STRING, _NUMBER, _STRING, _STRING, _NUMBER, _NUMBER, _STRING,
    ),
    "DisposeTargetMachine": (None, _POINTER),
    "ContextCreate": (_POINTER,),
    "ContextDispose": (None, _POINTER),
    "ParseAssembly": (_POINTER, _POINTER, _STRING, _TEXT),
    "VerifyModule": (ctypes.c_bool, _POINTER, _TEXT),
    "PrintModuleToString": (None, _POINTER, _TEXT),
    "DisposeModule": (None, _POINTER),
    "CreatePipelineTuningOptions": (_POINTER,),
    "DisposePipelineTuningOptions": (None, _POINTER),
    "CreatePassBuilder": (_POINTER, _POINTER, _POINTER),
    "DisposePassBuilder": (None, _POINTER),
    "CreateNewModulePassManager": (_POINTER,),
    "module_AddAlwaysInlinerPass": (None, _POINTER),
    "module_AddSROAPass": (None, _POINTER),
    "module_AddSimplifyCFGPass": (None, _POINTER),
    "RunNewModulePassManager": (None, _POINTER, _POINTER, _POINTER),
    "DisposeNewModulePassManger": (None, _POINTER),
    "TargetMachineEmitToMemory": (_POINTER, _POINTER, _POINTER, _NUMBER, _TEXT),
    "GetBufferStart": (_POINTER, _POINTER),
    "GetBufferSize": (ctypes.c_size_t, _POINTER),
    "DisposeMemoryBuffer": (None, _POINTER),
}  # fmt: skip

_PASSES = ("AlwaysInliner", "SROA", "SimplifyCFG")
_ASSEMBLY, _OBJECT = 0, 1
# Code generation level 2: level 3 costs more time and gained nothing on code that is emitted vectorised and unrolled.
_CODE_GENERATION_LEVEL = 2
_LOADING = threading.Lock()


class LlvmError(RuntimeError):
    """LLVM refused something, in its own words."""


def load_library() -> None:
    """Brings the library into memory.

    That takes most of the time until the first function can be called. A function of C that is called through ctypes, as
    the linker's is here, works without the interpreter lock, which a plain `CDLL` holds.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).dlopen(os.fsencode(_library_path()), os.RTLD_NOW)
    _functions()


def is_loaded() -> bool:
    """Whether this process has called LLVM, or is about to."""
    return _functions.cache_info().currsize > 0


def host_processor() -> tuple[str, dict[str, bool]]:
    """LLVM's name of the processor that this process runs on, and which features it has; none where LLVM cannot tell."""
    features = _text_from(_functions().LLVMPY_GetHostCPUFeatures)
    return _text_from(_functions().LLVMPY_GetHostCPUName), {
        feature[1:]: feature[0] == "+" for feature in features.split(",") if feature
    }


class Tools:
    """What one thread compiles with for one processor: a context and a target machine. Modules must not outlive them."""

    def __init__(self, processor: str, features: str):
        library = _functions()
        triple = _text_from(library.LLVMPY_GetProcessTriple).encode()
        target = _checked(library.LLVMPY_GetTargetFromTriple, triple)
        self.context = library.LLVMPY_ContextCreate()
        self.machine = library.LLVMPY_CreateTargetMachine(
            target, triple, processor.encode(), features.encode(), _CODE_GENERATION_LEVEL, b"pic", b"small", 0, 0, b""
        )
        if not self.machine:
            raise LlvmError(f"no target machine for {processor}")
        weakref.finalize(self, _dispose, self.machine, self.context).atexit = False


class Module:
    """A module in memory, made from its text; raises LlvmError where the text cannot be read. To be closed."""

    def __init__(self, text: str, tools: Tools):
        self._tools = tools
        self._pointer = _checked(_functions().LLVMPY_ParseAssembly, tools.context, text.encode())

    def __enter__(self) -> Module:
        return self

    def __exit__(self, *exception: object) -> None:
        _functions().LLVMPY_DisposeModule(self._pointer)

    def __str__(self) -> str:
        return _text_from(_functions().LLVMPY_PrintModuleToString, self._pointer)

    def verify(self) -> None:
        """Raises LlvmError where types do not fit, or values are used where they are not known."""
        message = ctypes.c_char_p()
        if _functions().LLVMPY_VerifyModule(self._pointer, ctypes.byref(message)):
            raise LlvmError(_take(message))

    def optimise(self) -> None:
        """Cells into registers, what is marked so inline, branches simplified.

        LLVM's own sequence of passes takes ten times as long and leaves the routines no faster.
        """
        library = _functions()
        options = library.LLVMPY_CreatePipelineTuningOptions()
        builder = library.LLVMPY_CreatePassBuilder(self._tools.machine, options)
        manager = library.LLVMPY_CreateNewModulePassManager()
        for name in _PASSES:
            getattr(library, f"LLVMPY_module_Add{name}Pass")(manager)
        library.LLVMPY_RunNewModulePassManager(manager, self._pointer, builder)
        library.LLVMPY_DisposeNewModulePassManger(manager)
        library.LLVMPY_DisposePassBuilder(builder)
        library.LLVMPY_DisposePipelineTuningOptions(options)

    def object_file(self) -> bytes:
        return self._emit(_OBJECT)

    def assembly(self) -> str:
        return self._emit(_ASSEMBLY).decode()

    def _emit(self, kind: int) -> bytes:
        library = _functions()
        buffer = _checked(library.LLVMPY_TargetMachineEmitToMemory, self._tools.machine, self._pointer, kind)
        try:
            return ctypes.string_at(library.LLVMPY_GetBufferStart(buffer), library.LLVMPY_GetBufferSize(buffer))
        finally:
            library.LLVMPY_DisposeMemoryBuffer(buffer)


def _dispose(machine: int, context: int) -> None:
    _functions().LLVMPY_DisposeTargetMachine(machine)
    _functions().LLVMPY_ContextDispose(context)


@functools.cache
def llvmlite_folder() -> str:
    """Where llvmlite is installed, found without importing it. Raises ModuleNotFoundError where it is not."""
    spec = importlib.util.find_spec("llvmlite")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("graphc needs llvmlite to make machine code")
    return spec.submodule_search_locations[0]


@functools.cache
def _functions() -> ctypes.CDLL:
    with _LOADING:  # the tables that are initialised belong to all threads
        library = ctypes.CDLL(_library_path())
        for name, (result, *arguments) in SIGNATURES.items():
            function = getattr(library, f"LLVMPY_{name}")
            function.restype, function.argtypes = result, arguments
        library.LLVMPY_InitializeNativeTarget()
        library.LLVMPY_InitializeNativeAsmPrinter()
    return library


def _library_path() -> str:
    name = {"darwin": "libllvmlite.dylib", "win32": "llvmlite.dll"}.get(sys.platform, "libllvmlite.so")
    return os.path.join(llvmlite_folder(), "binding", name)


def _checked(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns that takes a place for its complaint last; raises LlvmError where it returns nothing."""
    message = ctypes.c_char_p()
    result = function(*arguments, ctypes.byref(message))
    if not result:
        raise LlvmError(_take(message))
    return result


def _text_from(function: Callable[..., Any], *arguments: Any) -> str:
    text = ctypes.c_char_p()
    function(*arguments, ctypes.byref(text))
    return _take(text)


def _take(text: ctypes.c_char_p) -> str:
    """A string of LLVM's, given back to it."""
    value = (text.value or b"").decode(errors="replace")
    if text:
        _functions().LLVMPY_DisposeString(text)
    return value
