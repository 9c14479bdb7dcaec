"""Machine code as bytes that the disk keeps: images, or whole object files where an image cannot be made."""

from __future__ import annotations

from graphc.runtime.jit.cache import llvm_stamp, shared_cache
from graphc.runtime.jit.image import link
from graphc.runtime.jit.target import compile_object
from graphc.runtime.schedule.machine import Machine

IMAGE, OBJECT = b"I", b"O"  # what the first byte says
_FORMAT = "3"  # of what is stored: raise it when images change their meaning


def code_key(digest: str, machine: Machine, kind: str) -> str:
    """What code is kept under, made from a text with this digest."""
    return "\0".join((_FORMAT, kind, llvm_stamp(), machine.cpu, machine.features, digest))


def compile_and_store(key: str, text: str, machine: Machine, optimise: bool = False) -> bytes:
    """Code from the text of a module; see `target.compile_object`. Raises CompileError where LLVM refuses it."""
    data = compile_object(text, machine, optimise)
    image = link(data)
    stored = OBJECT + data if image is None else IMAGE + image.to_bytes()
    shared_cache().put(key, stored)
    return stored
