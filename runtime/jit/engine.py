"""From kernels to addresses: loaded before, found on disk, or compiled now on all cores.

Loaded code is shared: a kernel is loaded once in a process, whatever programs use it. It stays while an executable holds
it; beyond that, the kernels used last are kept up to a bound, so that recompiling for ever does not grow memory.
"""

from __future__ import annotations

import functools
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from graphc.runtime.jit.cache import shared_cache
from graphc.runtime.jit.conversions import NAMES as CONVERSION_NAMES
from graphc.runtime.jit.conversions import conversion_module
from graphc.runtime.jit.image import Image
from graphc.runtime.jit.loader import CodeBlock, load_images, load_objects
from graphc.runtime.jit.routines import load_own_routines
from graphc.runtime.jit.stored import IMAGE, OBJECT, code_key, compile_and_store
from graphc.runtime.jit.workers import submit
from graphc.runtime.kernel import Kernel
from graphc.runtime.schedule.machine import Machine, host_machine

if TYPE_CHECKING:
    from concurrent.futures import Future

RETAINED_BYTES = 64 << 20

_Key = tuple[str, str, str, str]


class LoadedKernels(dict[str, int]):
    """Addresses by kernel name. The code stays loaded at least as long as this object lives."""

    def __init__(self, blocks: Mapping[str, CodeBlock]):
        super().__init__({name: block.addresses[name] for name, block in blocks.items()})
        self._blocks = tuple({id(block): block for block in blocks.values()}.values())


def load_kernels(kernels: Iterable[Kernel], machine: Machine | None = None) -> LoadedKernels:
    """The addresses of kernels, compiling those that neither this process nor the disk has.

    Raises CompileError where LLVM refuses a kernel's text. Safe to call from several threads.
    """
    return _engine().load({kernel.name: kernel for kernel in kernels}, machine or host_machine())


def load_known_kernels(digests: Iterable[tuple[str, str]], machine: Machine) -> LoadedKernels | None:
    """The addresses of kernels by their names, given with the digests of their texts; None where one is not known by now."""
    return _engine().load_known(dict(digests), machine)


def start_compiling(kernels: Iterable[Kernel], machine: Machine | None = None) -> None:
    """Begins to compile in the background what a later `load_kernels` will ask for."""
    _engine().start({kernel.name: kernel for kernel in kernels}, machine or host_machine())


class _Engine:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: weakref.WeakValueDictionary[_Key, CodeBlock] = weakref.WeakValueDictionary()
        self._recent: OrderedDict[int, CodeBlock] = OrderedDict()
        self._pending: dict[_Key, Future[bytes]] = {}

    def load(self, kernels: dict[str, Kernel], machine: Machine) -> LoadedKernels:
        keys = {name: _memory_key(name, kernel.digest, machine) for name, kernel in kernels.items()}
        found = self._find(keys)
        missing = [kernel for name, kernel in kernels.items() if name not in found]
        if missing:
            stored = self._stored(missing, keys, machine)
            for name, block in _load_stored(stored).items():
                found[name] = block
            self._remember(keys, found)
        return LoadedKernels(found)

    def load_known(self, digests: dict[str, str], machine: Machine) -> LoadedKernels | None:
        keys = {name: _memory_key(name, digest, machine) for name, digest in digests.items()}
        found = self._find(keys)
        stored: dict[str, bytes] = {}
        for name, digest in digests.items():
            if name in found:
                continue
            blob = shared_cache().get(code_key(digest, machine, "kernel"))
            if blob is None:
                return None
            stored[name] = blob
        if stored:
            found.update(_load_stored(stored))
            self._remember(keys, found)
        return LoadedKernels(found)

    def start(self, kernels: dict[str, Kernel], machine: Machine) -> None:
        keys = {name: _memory_key(name, kernel.digest, machine) for name, kernel in kernels.items()}
        found = self._find(keys)
        for name, kernel in kernels.items():
            if name not in found:
                self._submit(kernel, keys[name], machine)

    def _find(self, keys: dict[str, _Key]) -> dict[str, CodeBlock]:
        found = {}
        with self._lock:
            for name, key in keys.items():
                block = self._loaded.get(key)
                if block is not None:
                    found[name] = block
                    if id(block) in self._recent:
                        self._recent.move_to_end(id(block))
        return found

    def _remember(self, keys: dict[str, _Key], found: dict[str, CodeBlock]) -> None:
        with self._lock:
            for name, block in found.items():
                self._loaded[keys[name]] = block
                self._recent[id(block)] = block
            total = sum(block.size for block in self._recent.values())
            while total > RETAINED_BYTES and len(self._recent) > 1:
                total -= self._recent.popitem(last=False)[1].size

    def _stored(self, missing: list[Kernel], keys: dict[str, _Key], machine: Machine) -> dict[str, bytes]:
        """What was compiled before or is compiled now, by kernel name."""
        stored: dict[str, bytes] = {}
        waiting: dict[str, Future[bytes]] = {}
        for kernel in sorted(missing, key=lambda k: -len(k.text)):
            begun = self._pending.get(keys[kernel.name])
            blob = None if begun else shared_cache().get(code_key(kernel.digest, machine, "kernel"))
            if blob is not None:
                stored[kernel.name] = blob
            else:
                waiting[kernel.name] = begun or self._submit(kernel, keys[kernel.name], machine)
        for name, future in waiting.items():
            stored[name] = future.result()
        with self._lock:
            for name in waiting:
                self._pending.pop(keys[name], None)
        return stored

    def _submit(self, kernel: Kernel, key: _Key, machine: Machine) -> Future[bytes]:
        with self._lock:
            if key not in self._pending:
                self._pending[key] = submit(_find_or_compile, kernel, machine)
            return self._pending[key]


@functools.cache
def _engine() -> _Engine:
    return _Engine()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_engine.cache_clear)  # another thread may have held its lock


def _find_or_compile(kernel: Kernel, machine: Machine) -> bytes:
    key = code_key(kernel.digest, machine, "kernel")
    return shared_cache().get(key) or compile_and_store(key, kernel.text, machine)


def _load_stored(stored: dict[str, bytes]) -> dict[str, CodeBlock]:
    """Loads a batch: one block for all images, one for all object files."""
    blocks: dict[str, CodeBlock] = {}
    images = {name: Image.from_bytes(blob[1:]) for name, blob in stored.items() if blob[:1] == IMAGE}
    objects = {name: blob[1:] for name, blob in stored.items() if blob[:1] == OBJECT}
    if images:
        imported = {name for image in images.values() for _, name in image.imports}
        symbols = _conversions() if imported & CONVERSION_NAMES else None
        blocks.update(dict.fromkeys(images, load_images(list(images.values()), symbols)))
    if objects:
        blocks.update(dict.fromkeys(objects, load_objects(list(objects.values()), list(objects), _conversions())))
    return blocks


@functools.cache
def _conversions() -> dict[str, int]:
    return load_own_routines("conversions", conversion_module)


def _memory_key(name: str, digest: str, machine: Machine) -> _Key:
    return machine.cpu, machine.features, name, digest
