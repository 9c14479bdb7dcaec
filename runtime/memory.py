"""Memory for arenas, variables and tests: aligned, in large pages where very large, between guard pages where asked for."""

from __future__ import annotations

import ctypes
import functools
import math
import mmap
import os
import weakref

import numpy as np

ALIGNMENT = 64
PAGE = mmap.PAGESIZE
LARGE_PAGE = 2 << 20
# From here on large pages save misses in the table of pages. Below, steps took the same time without them, while a first run
# waits up to 4 ms for each that the system has to find: 35 ms for an arena of 29 MB on a virtual machine, 9 for small pages.
LARGE_PAGES_FROM = 64 << 20
_NO_ACCESS = 0
_READ_WRITE = 3
_CANARY = 0xA5


class Buffer:
    """`nbytes` bytes at `address`, returned to the system when the object is collected.

    `view(dtype, shape)` shows them as an array, which keeps the memory alive. Where the buffer is guarded, `intact()`
    says whether the few bytes between it and the guard page, which alignment leaves over, are untouched.
    """

    def __init__(self, address: int, nbytes: int, mapping: tuple[int, int], slack: tuple[int, int] = (0, 0)):
        self.address = address
        self.nbytes = nbytes
        self._slack = slack
        weakref.finalize(self, _unmap, *mapping).atexit = False
        ctypes.memset(slack[0], _CANARY, slack[1])

    def view(self, dtype: np.dtype | type | str = np.uint8, shape: tuple[int, ...] | None = None) -> np.ndarray:
        """The memory as an array of `dtype` and `shape` (default: as many elements as fit)."""
        kind = np.dtype(dtype)
        shape = (self.nbytes // kind.itemsize,) if shape is None else shape
        length = math.prod(shape) * kind.itemsize
        if length > self.nbytes:
            raise ValueError(f"{length} bytes do not fit into a buffer of {self.nbytes}")
        return np.asarray(_Exporter(self, length)).view(kind).reshape(shape) if length else np.empty(shape, kind)

    def intact(self) -> bool:
        """Whether nothing was written into what is left over between the buffer and its guard page."""
        start, length = self._slack
        return ctypes.string_at(start, length) == bytes([_CANARY]) * length


def allocate(nbytes: int, guard: str | None = None, alignment: int = ALIGNMENT) -> Buffer:
    """`nbytes` zeroed bytes, aligned to 64 bytes; 64 MiB and more in pages of 2 MiB.

    `guard` is "end" for a buffer that ends at an unreadable page, "start" for one that begins on the first byte
    behind one; the other side is guarded too, further away. A buffer that ends at a page must keep its alignment, so up
    to `alignment` - 1 bytes lie between; they hold a pattern that `Buffer.intact` checks. Raises MemoryError without room.
    """
    if guard:
        return _guarded(nbytes, guard, alignment)
    if nbytes < LARGE_PAGES_FROM:
        size = max(PAGE, -(-nbytes // PAGE) * PAGE)
        address = _map(size)
        return Buffer(address, nbytes, (address, size))
    size = -(-nbytes // LARGE_PAGE) * LARGE_PAGE
    raw = _map(size + LARGE_PAGE)
    address = -(-raw // LARGE_PAGE) * LARGE_PAGE
    _trim(raw, address)
    _trim(address + size, raw + size + LARGE_PAGE)
    _advise_large_pages(address, size)
    return Buffer(address, nbytes, (address, size))


def keep_for_ever(thing: object) -> None:
    """Leaves an object in memory when the interpreter ends: native threads and the last results may still use it."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def guarded_side() -> str | None:
    """The side on which GRAPHC_GUARD asks for guard pages around feeds, results and arenas: "end" ("1" means that),
    "start", or None. A mode for tests."""
    asked = os.environ.get("GRAPHC_GUARD", "0")
    return {"0": None, "": None, "1": "end"}.get(asked, asked)


def _guarded(nbytes: int, side: str, alignment: int) -> Buffer:
    if side not in ("start", "end"):
        raise ValueError(f"guard must be 'start' or 'end', not {side!r}")
    room = max(PAGE, -(-nbytes // PAGE) * PAGE)
    raw = _map(room + 2 * PAGE)
    begin, end = raw + PAGE, raw + PAGE + room
    for page in (raw, end):
        if _libc().mprotect(page, PAGE, _NO_ACCESS):
            raise OSError("the system forbids guard pages")
    if side == "start":
        return Buffer(begin, nbytes, (raw, room + 2 * PAGE), (begin + nbytes, min(room - nbytes, ALIGNMENT)))
    address = (end - nbytes) // alignment * alignment
    return Buffer(address, nbytes, (raw, room + 2 * PAGE), (address + nbytes, end - address - nbytes))


class _Exporter:
    """Shows a piece of a buffer to NumPy and keeps the buffer alive as long as the array."""

    def __init__(self, buffer: Buffer, length: int):
        self._buffer = buffer
        self.__array_interface__ = {
            "version": 3,
            "typestr": "|u1",
            "shape": (length,),
            "data": (buffer.address, False),
        }


def _map(size: int) -> int:
    address = _libc().mmap(None, size, _READ_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    if address is None or address == ctypes.c_void_p(-1).value:
        raise MemoryError(f"no room for {size} bytes")
    return address


def _unmap(address: int, size: int) -> None:
    _libc().munmap(address, size)


def _trim(start: int, end: int) -> None:
    if end > start:
        _unmap(start, end - start)


def _advise_large_pages(address: int, size: int) -> None:
    advice = getattr(mmap, "MADV_HUGEPAGE", None)
    if advice is not None:
        _libc().madvise(address, size, advice)  # only advice: the system may say no


@functools.cache
def _libc() -> ctypes.CDLL:
    library = ctypes.CDLL(None, use_errno=True)
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    library.mmap.restype = pointer
    library.mmap.argtypes = [pointer, size, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    library.munmap.argtypes = [pointer, size]
    library.mprotect.argtypes = [pointer, size, ctypes.c_int]
    library.madvise.argtypes = [pointer, size, ctypes.c_int]
    return library
