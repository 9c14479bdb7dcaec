"""LLVM's library: brought into memory on a thread of its own, while Python goes on."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
import sys
import threading
from pathlib import Path

_LOADED = threading.Event()


def load_library() -> None:
    """Imports `llvmlite`, its library first.

    The library takes most of the time, and an import holds the interpreter's lock meanwhile. Called through ctypes as a
    function of C, the linker works without the lock, beside other imports. Where that fails, `llvmlite` loads the library.
    """
    try:
        _map_library()
        importlib.import_module("llvmlite.binding")
    finally:
        _LOADED.set()


def wait_for_library() -> None:
    """Until `load_library` has done its work on another thread, or a second at most.

    Two threads that import at the same time take turns, and the one that could then compile without the lock comes late.
    """
    _LOADED.wait(timeout=1.0)


def _map_library() -> None:
    found = importlib.util.find_spec("llvmlite") if sys.platform.startswith("linux") else None
    for folder in found.submodule_search_locations or () if found else ():
        library = Path(folder) / "binding" / "libllvmlite.so"
        ctypes.CDLL(None).dlopen(os.fsencode(library), os.RTLD_NOW)
