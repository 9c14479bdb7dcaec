"""The variables of a session: one owned buffer for each, in memory that native code writes in place."""

from __future__ import annotations

import ctypes
import itertools
import math
from collections.abc import Iterable, Iterator

import numpy as np

from graphc.runtime.memory import ALIGNMENT, LARGE_PAGE, allocate, guarded_side

WRITES = 1 << 40  # of one variable, before its versions meet those of the next one
_serial_numbers = itertools.count(1)


def allocate_aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """A zeroed C-contiguous array whose data begin on a cache line; a large one has pages of its own."""
    if dtype.hasobject:
        return np.empty(shape, dtype)
    nbytes = math.prod(shape) * dtype.itemsize
    side = guarded_side()
    if nbytes >= LARGE_PAGE or side:
        return allocate(nbytes, guard=side).view(dtype, shape)
    raw = np.zeros(nbytes + ALIGNMENT, np.uint8)  # a mapping of its own would round up to a page
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + nbytes].view(dtype).reshape(shape)


class VariableStore:
    """Values of variables by key. A key without a value is an uninitialised variable.

    `layout` grows whenever a buffer appears, moves or loses its value, or somebody begins to watch its version, so that a
    holder of addresses can tell with one comparison whether they still hold. The store itself takes no lock: the session
    orders runs.

    The version of a variable grows with every write, so that who keeps something made of a value can tell whether it is out
    of date. No two variables, of whatever stores, ever have the same one, and none is 0. Versions are counted for those
    variables that somebody watches. Whoever gets the `buffer` of a variable is taken to write it; code that writes the same
    buffer again and again counts up the versions in `watched` itself.
    """

    def __init__(self) -> None:
        self._buffers: dict[str, np.ndarray] = {}
        self._initialized: set[str] = set()
        self._versions: dict[str, ctypes.c_int64] = {}
        self.layout = 0

    def __contains__(self, key: str) -> bool:
        return key in self._initialized

    def __iter__(self) -> Iterator[str]:
        return iter(self._initialized)

    def is_initialized(self, key: str) -> bool:
        return key in self._initialized

    def value(self, key: str) -> np.ndarray:
        """The buffer of an initialised variable, not a copy. Raises KeyError where it has no value."""
        if key not in self._initialized:
            raise KeyError(key)
        return self._buffers[key]

    def version(self, key: str) -> ctypes.c_int64:
        """The cell with the version of a variable, which is watched from now on, for as long as the store lives."""
        found = self._versions.get(key)
        if found is None:
            found = self._versions[key] = ctypes.c_int64(next(_serial_numbers) * WRITES)
            self.layout += 1
        return found

    def watched(self, keys: Iterable[str]) -> list[ctypes.c_int64]:
        """The cells with the versions of those of these variables that are watched."""
        return [self._versions[key] for key in keys if key in self._versions]

    def buffer(self, key: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """The buffer that a new value of this shape and type goes to.

        The one in use where it fits, with its value; else a new one, and the variable has no value until `mark_initialized`.
        """
        for version in self.watched((key,)):
            version.value += 1
        found = self._buffers.get(key)
        if found is not None and found.shape == shape and found.dtype == dtype:
            return found
        self._initialized.discard(key)
        self._buffers[key] = allocate_aligned(shape, dtype)
        self.layout += 1
        return self._buffers[key]

    def mark_initialized(self, keys: Iterable[str]) -> None:
        """Declares that the buffers of these variables hold values now."""
        fresh = [key for key in keys if key not in self._initialized]
        self._initialized.update(fresh)
        self.layout += bool(fresh)

    def assign(self, key: str, value: np.ndarray) -> None:
        """Copies a value in."""
        np.copyto(self.buffer(key, value.shape, value.dtype), value)
        self.mark_initialized((key,))

    def clear(self) -> None:
        self._buffers.clear()
        self._initialized.clear()
        self.layout += 1
