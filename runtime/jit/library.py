"""Where LLVM's library lies, and bringing it into memory while Python goes on."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import sys
from pathlib import Path


@functools.cache
def map_library() -> None:
    """Maps the library that `llvmlite` is going to load; where that cannot be done, it will be loaded there.

    It takes most of the time of that import, and Python holds its lock meanwhile. Called through ctypes as a function of C,
    the linker works without the lock: on another thread, beside other imports.
    """
    found = importlib.util.find_spec("llvmlite") if sys.platform.startswith("linux") else None
    for folder in found.submodule_search_locations or () if found else ():
        library = Path(folder) / "binding" / "libllvmlite.so"
        ctypes.CDLL(None).dlopen(os.fsencode(library), os.RTLD_NOW)
