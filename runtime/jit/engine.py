"""From kernels to addresses: loaded before, found on disk, or compiled now on all cores.

Loaded code is shared: a kernel is loaded once in a process, whatever programs use it. It stays while an executable holds
it; beyond that, the kernels used last are kept up to a bound, so that recompiling for ever does not grow memory.
"""

from __future__ import annotations

import functools
import hashlib
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from graphc.runtime.jit.cache import llvm_stamp, package_stamp, shared_cache
from graphc.runtime.jit.conversions import NAMES as CONVERSION_NAMES
from graphc.runtime.jit.conversions import conversion_module
from graphc.runtime.jit.image import Image, link
from graphc.runtime.jit.loader import CodeBlock, load_images, load_objects
from graphc.runtime.kernel import Kernel
from graphc.runtime.schedule.machine import Machine, host_machine
from graphc.runtime.schedule.topology import available_cores

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

FORMAT = "2"  # of what is stored: raise it when images change their meaning
RETAINED_BYTES = 64 << 20

_IMAGE, _OBJECT = b"I", b"O"
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


def load_routines(text: str, symbols: Mapping[str, int] | None = None) -> dict[str, int]:
    """Compiles (or finds on disk) and loads a module of the runtime itself, for the life of the process."""
    return _load_routine(hashlib.sha256(text.encode()).hexdigest(), lambda: text, symbols)


def load_own_routines(
    name: str, build: Callable[[], str], symbols: Mapping[str, int] | None = None
) -> dict[str, int]:
    """As `load_routines` for the module that `build` makes the text of, which is asked for it only where the disk has none.

    `name` must tell all such modules of one version of graphc apart.
    """
    return _load_routine(f"{name} {package_stamp()}", build, symbols)


def _load_routine(digest: str, build: Callable[[], str], symbols: Mapping[str, int] | None) -> dict[str, int]:
    machine = host_machine()
    key = _disk_key(digest, machine, "routine")
    stored = shared_cache().get(key)
    if stored is None:
        stored = _compile_and_store(key, build(), machine, optimise=True)
    if stored[:1] == _IMAGE:
        return load_images([Image.from_bytes(stored[1:])], symbols, keep=True).addresses
    block = load_objects([stored[1:]], _defined_functions(build()), symbols)
    _PERMANENT.append(block)
    return block.addresses


_PERMANENT: list[CodeBlock] = []


class _Engine:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: weakref.WeakValueDictionary[_Key, CodeBlock] = weakref.WeakValueDictionary()
        self._recent: OrderedDict[int, CodeBlock] = OrderedDict()
        self._pending: dict[_Key, Future[bytes]] = {}
        self._workers: ThreadPoolExecutor | None = None

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
            blob = shared_cache().get(_disk_key(digest, machine, "kernel"))
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

    def wait(self) -> None:
        """Waits until nothing is being compiled."""
        with self._lock:
            pending = list(self._pending.values())
        for future in pending:
            future.exception()  # which waits; whoever needs the kernel gets the error

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
            blob = None if begun else shared_cache().get(_disk_key(kernel.digest, machine, "kernel"))
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
                if self._workers is None:
                    from concurrent.futures import ThreadPoolExecutor

                    self._workers = ThreadPoolExecutor(available_cores(), thread_name_prefix="graphc-compile")
                self._pending[key] = self._workers.submit(_find_or_compile, kernel, machine)
            return self._pending[key]


@functools.cache
def _engine() -> _Engine:
    return _Engine()


def _before_fork() -> None:
    _engine().wait()


if hasattr(os, "register_at_fork"):
    # A child has none of the compiling threads, and would keep for ever the locks that one of them held within LLVM.
    os.register_at_fork(before=_before_fork, after_in_child=_engine.cache_clear)


def _find_or_compile(kernel: Kernel, machine: Machine) -> bytes:
    key = _disk_key(kernel.digest, machine, "kernel")
    return shared_cache().get(key) or _compile_and_store(key, kernel.text, machine, optimise=False)


def _compile_and_store(key: str, text: str, machine: Machine, optimise: bool) -> bytes:
    from graphc.runtime.jit.target import compile_object

    data = compile_object(text, machine, optimise)
    image = link(data)
    stored = _OBJECT + data if image is None else _IMAGE + image.to_bytes()
    shared_cache().put(key, stored)
    return stored


def _load_stored(stored: dict[str, bytes]) -> dict[str, CodeBlock]:
    """Loads a batch: one block for all images, one for all object files."""
    blocks: dict[str, CodeBlock] = {}
    images = {name: Image.from_bytes(blob[1:]) for name, blob in stored.items() if blob[:1] == _IMAGE}
    objects = {name: blob[1:] for name, blob in stored.items() if blob[:1] == _OBJECT}
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


def _disk_key(digest: str, machine: Machine, kind: str) -> str:
    return "\0".join((FORMAT, kind, llvm_stamp(), machine.cpu, machine.features, digest))


def _defined_functions(text: str) -> list[str]:
    heads = (line.split("(")[0] for line in text.splitlines() if line.startswith("define "))
    return [head.rsplit("@", 1)[1] for head in heads if "internal" not in head]
