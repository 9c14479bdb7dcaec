"""The runtime's own native routines: found on disk, or compiled in the background while Python goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from graphc.runtime.jit.cache import package_stamp, shared_cache
from graphc.runtime.jit.image import Image
from graphc.runtime.jit.llvm import load_library
from graphc.runtime.jit.loader import CodeBlock, load_images, load_objects
from graphc.runtime.jit.stored import IMAGE, code_key, compile_and_store
from graphc.runtime.jit.workers import is_ending, submit_in_order
from graphc.runtime.schedule.machine import host_machine, known_host_machine
from graphc.runtime.schedule.topology import available_cores

if TYPE_CHECKING:
    from concurrent.futures import Future

Builder = Callable[[], str]
"""Makes the text of a module; asked for it only where the disk has no code for it."""

_STARTED: dict[str, Future[bytes | None]] = {}
_PERMANENT: list[CodeBlock] = []


def load_routines(text: str, symbols: Mapping[str, int] | None = None) -> dict[str, int]:
    """Compiles (or finds on disk) and loads a module of the runtime itself, for the life of the process."""
    return _load(hashlib.sha256(text.encode()).hexdigest(), lambda: text, symbols)


def load_own_routines(name: str, build: Builder, symbols: Mapping[str, int] | None = None) -> dict[str, int]:
    """As `load_routines` for the module that `build` makes the text of.

    `name` must tell all such modules of one version of graphc apart.
    """
    return _load(_own_digest(name), build, symbols)


def start_own_routines(builders: Mapping[str, Builder]) -> bool:
    """Begins to compile in the background, in this order, what a later `load_own_routines` will ask for.

    Whether there was anything to begin.
    """
    started = False
    if available_cores() == 1:
        return started
    for name, build in builders.items():
        digest = _own_digest(name)
        if digest in _STARTED or _is_at_hand(digest):
            continue
        started = True
        _STARTED[digest] = submit_in_order(_compile_ahead, digest, build)
    return started


def are_at_hand(builders: Mapping[str, Builder]) -> bool:
    """Whether `load_own_routines` need neither compile nor wait for any of these."""
    return all(_is_at_hand(_own_digest(name)) for name in builders)


def are_awaited(builders: Mapping[str, Builder]) -> bool:
    """Whether one of these is being compiled in the background."""
    begun = [_STARTED.get(_own_digest(name)) for name in builders]
    return any(future is not None and not future.done() for future in begun)


def _is_at_hand(digest: str) -> bool:
    started = _STARTED.get(digest)
    if started is not None:
        return started.done()
    machine = known_host_machine()
    return machine is not None and shared_cache().has(code_key(digest, machine, "routine"))


def _compile_ahead(digest: str, build: Builder) -> bytes | None:
    if is_ending():
        return None
    load_library()
    return _find_or_compile(digest, build)


def _find_or_compile(digest: str, build: Builder) -> bytes:
    machine = host_machine()
    key = code_key(digest, machine, "routine")
    return shared_cache().get(key) or compile_and_store(key, build(), machine, optimise=True)


def _load(digest: str, build: Builder, symbols: Mapping[str, int] | None) -> dict[str, int]:
    started = _STARTED.get(digest)
    ahead = None if started is None or started.cancel() else started.result()
    stored = ahead or _find_or_compile(digest, build)
    if stored[:1] == IMAGE:
        return load_images([Image.from_bytes(stored[1:])], symbols, keep=True).addresses
    block = load_objects([stored[1:]], _defined_functions(build()), symbols)
    _PERMANENT.append(block)
    return block.addresses


def _own_digest(name: str) -> str:
    return f"{name} {package_stamp()}"


def _defined_functions(text: str) -> list[str]:
    heads = (line.split("(")[0] for line in text.splitlines() if line.startswith("define "))
    return [head.rsplit("@", 1)[1] for head in heads if "internal" not in head]
