"""Machine code in memory: images and object files made callable, and given back when nobody needs them."""

from __future__ import annotations

import ctypes
import functools
import mmap
import struct
import sys
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from graphc.runtime.jit.image import PAGE, Image

_READ, _WRITE, _EXECUTE = 1, 2, 4
_PRIVATE_ANONYMOUS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
_FAILED = ctypes.c_void_p(-1).value
_LINE = 64
_ENGINE_BYTES = 64 << 10  # about what LLVM keeps for an engine beside the code


class CodeBlock:
    """Loaded code and the addresses of its functions. The code is unmapped when the block is collected, unless `keep`."""

    def __init__(self, addresses: dict[str, int], size: int, owner: Any = None):
        self.addresses = addresses
        self.size = size
        self._owner = owner


def load_images(images: Sequence[Image], symbols: Mapping[str, int] | None = None, keep: bool = False) -> CodeBlock:
    """Maps all images as one block. `symbols` gives addresses of imports; others are looked up in the C libraries.

    `keep` leaves the code mapped for the life of the process, for routines that threads or foreign objects may still
    call while the interpreter shuts down. Raises LookupError where an import is not found, MemoryError without room.
    """
    starts, size = _arrange(images)
    base = _map(size)
    block = bytearray(size)
    for image, start in zip(images, starts):
        block[start : start + len(image.code)] = image.code
        for at, name in image.imports:
            struct.pack_into("<Q", block, start + at, _resolve(name, symbols))
        for at, target in image.addresses:
            struct.pack_into("<Q", block, start + at, base + start + target)
    ctypes.memmove(base, (ctypes.c_char * size).from_buffer(block), size)
    for begin, end in _constant_ranges(images, starts, size):
        if _libc().mprotect(base + begin, end - begin, _READ | _EXECUTE):
            raise OSError("the system forbids making code executable")
    addresses = {name: base + start + at for image, start in zip(images, starts) for name, at in image.exports.items()}
    loaded = CodeBlock(addresses, size)
    if not keep:
        weakref.finalize(loaded, _libc().munmap, base, size).atexit = False
    return loaded


def load_objects(objects: Sequence[bytes], names: Sequence[str], symbols: Mapping[str, int] | None = None) -> CodeBlock:
    """Loads object files by LLVM's own linker: for formats that `image.link` leaves alone."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    for name, address in (symbols or {}).items():
        llvm.add_symbol(name, address)
    target_machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine)
    for data in objects:
        engine.add_object_file(llvm.object_file.ObjectFileRef.from_data(data))
    engine.finalize_object()
    addresses = {name: engine.get_function_address(name) for name in names}
    return CodeBlock(addresses, _ENGINE_BYTES + sum(map(len, objects)), engine)


def _arrange(images: Sequence[Image]) -> tuple[list[int], int]:
    """Offsets of the images in one block. Images with a writable part begin on a page of their own.

    The others are packed: were each on its own page, the first lines of small kernels would share one set of the
    instruction cache.
    """
    starts, at = [], 0
    for image in images:
        paged = image.writable_from < len(image.code)
        at += -at % (PAGE if paged else _LINE)
        starts.append(at)
        at += len(image.code) + (-len(image.code) % PAGE if paged else 0)
    return starts, max(PAGE, at + -at % PAGE)


def _constant_ranges(images: Sequence[Image], starts: Sequence[int], size: int) -> list[tuple[int, int]]:
    """The pages that no image writes to at run time."""
    ranges, begin = [], 0
    for image, start in zip(images, starts):
        if image.writable_from == len(image.code):
            continue
        end = start + image.writable_from
        if end > begin:
            ranges.append((begin, end))
        begin = start + len(image.code) + -len(image.code) % PAGE
    return [*ranges, (begin, size)] if size > begin else ranges


def _map(size: int) -> int:
    address = _libc().mmap(None, size, _READ | _WRITE, _PRIVATE_ANONYMOUS, -1, 0)
    if address == _FAILED:
        raise MemoryError(f"no room for {size} bytes of code")
    return address


@functools.cache
def _libc() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    library.mmap.restype = pointer
    library.mmap.argtypes = [pointer, size, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    library.mprotect.argtypes = [pointer, size, ctypes.c_int]
    library.munmap.argtypes = [pointer, size]
    return library


def _resolve(name: str, symbols: Mapping[str, int] | None) -> int:
    if symbols and name in symbols:
        return symbols[name]
    return foreign_address(name)


@functools.cache
def foreign_address(name: str) -> int:
    """The address of a function of the C libraries. Raises LookupError where none has it."""
    for library in _libraries():
        try:
            function = getattr(library, name)
        except AttributeError:
            continue
        return ctypes.cast(function, ctypes.c_void_p).value or 0
    raise LookupError(f"no C library has {name}")


@functools.cache
def _libraries() -> list[ctypes.CDLL]:
    found = [ctypes.CDLL(None)]
    if not sys.platform.startswith("linux"):
        return found
    for name in ("libm.so.6", "libgcc_s.so.1"):
        try:
            found.append(ctypes.CDLL(name))
        except OSError:
            continue  # another C library, which has all in one
    return found
