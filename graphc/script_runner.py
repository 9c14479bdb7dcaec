"""Runs a script as Python would, with the names of TensorFlow resolved to graphc."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from types import ModuleType, TracebackType

from . import tensorflow_alias


def run_script(path: str, arguments: Sequence[str] = ()) -> ModuleType:
    """Executes a file as the module __main__, with `sys.argv` and `sys.path[0]` as it would find them by itself.

    Returns the module. Everything is as before afterwards, so that several scripts may run in one process. Raises OSError
    for a file that cannot be read, SyntaxError, and what the script raises.
    """
    import os

    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    module = ModuleType("__main__")
    module.__file__ = path
    kept = sys.argv, sys.path[:], sys.modules.get("__main__")
    sys.argv = [path, *arguments]
    sys.path[:0] = [os.path.dirname(os.path.abspath(path))]
    sys.modules["__main__"] = module
    tensorflow_alias.install()
    try:
        exec(code, module.__dict__)
    finally:
        tensorflow_alias.uninstall()
        sys.argv, sys.path[:] = kept[:2]
        if kept[2] is not None:
            sys.modules["__main__"] = kept[2]
    return module


def print_script_error(error: BaseException) -> None:
    """The traceback of an exception as Python prints it for a script: without the frames that ran it."""
    traceback.print_exception(type(error), error, _trim(error.__traceback__))


def _trim(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the frame of the script on; all of it where the script did not begin (a syntax error)."""
    last = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == __file__ and trace.tb_next is not None:
            last = trace.tb_next
        trace = trace.tb_next
    return last
