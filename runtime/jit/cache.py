"""Compiled code on disk, shared by processes: blobs named by the digest of what they were made from.

The folder is the user's cache folder (`GRAPHC_CACHE_DIR` names another one, `GRAPHC_CACHE=off` uses none). It holds
machine code that will be executed, so it is created for the user alone and ignored where someone else could have written
to it. An entry is written aside and renamed into place, carries its own digest, and counts as absent where that does not
fit; so concurrent writers, crashes and damage cost one more compilation and nothing else.
"""

from __future__ import annotations

import functools
import hashlib
import os
import stat
import sys
import threading
import time

from graphc.runtime.jit.llvm import llvmlite_folder

_MAGIC = b"graphc\x00\x01"
_DIGEST_BYTES = 32
_ASIDE = "new-"
_PRUNINGS = 64
_DAY = 86400.0
SIZE_LIMIT = 512 << 20


class DiskCache:
    """Blobs in one folder. No method raises for want of a folder, space or rights: the cache then forgets.

    At most about `limit` bytes are kept; those not used for longest are dropped first.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, limit: int = SIZE_LIMIT):
        self.folder = os.fspath(folder) if folder is not None and _is_private(folder) else None
        self.limit = limit

    def get(self, key: str) -> bytes | None:
        """The blob stored under `key`, or None."""
        if self.folder is None:
            return None
        path = self._path(key)
        try:
            with open(path, "rb") as file:
                entry = file.read()
                age = time.time() - os.fstat(file.fileno()).st_mtime
        except OSError:
            return None
        blob = _checked(entry)
        if blob is None:
            _remove(path)
        elif age > _DAY:
            _touch(path)
        return blob

    def has(self, key: str) -> bool:
        """Whether something is stored under `key`; `get` alone finds out whether it is sound."""
        return self.folder is not None and os.path.exists(self._path(key))

    def put(self, key: str, blob: bytes) -> None:
        """Stores `blob` under `key`, replacing what was there."""
        if self.folder is None:
            return
        digest = hashlib.sha256(blob).digest()
        aside = os.path.join(self.folder, f"{_ASIDE}{os.getpid()}-{threading.get_ident()}-{digest[:8].hex()}")
        try:
            with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(_MAGIC + digest + blob)
            os.replace(aside, self._path(key))
        except OSError:
            _remove(aside)
            return
        # Now and then, by chance of the content, so that no process has to keep count: every 64th of the limit on average.
        if int.from_bytes(digest[:4], "little") * self.limit < len(blob) * _PRUNINGS << 32:
            self.prune()

    def prune(self) -> None:
        """Drops the entries not used for longest until what is left fits into three quarters of the limit."""
        if self.folder is None:
            return
        entries = sorted(self._entries(), reverse=True)
        excess = sum(size for _, size, _ in entries) > self.limit
        kept = 0
        for modified, size, path in entries:
            kept += size
            abandoned = os.path.basename(path).startswith(_ASIDE) and time.time() - modified > _DAY
            if abandoned or (excess and kept > self.limit * 3 // 4):
                _remove(path)

    def clear(self) -> None:
        """Drops every entry."""
        for _, _, path in self._entries():
            _remove(path)

    def _entries(self) -> list[tuple[float, int, str]]:
        found: list[tuple[float, int, str]] = []
        if self.folder is None:
            return found
        try:
            with os.scandir(self.folder) as items:
                for item in items:
                    facts = item.stat(follow_symlinks=False)
                    if stat.S_ISREG(facts.st_mode):
                        found.append((facts.st_mtime, facts.st_size, item.path))
        except OSError:
            pass  # another process dropped an entry meanwhile: what was seen is enough
        return found

    def _path(self, key: str) -> str:
        return os.path.join(self.folder or "", hashlib.sha256(key.encode()).hexdigest())


def shared_cache() -> DiskCache:
    """The cache of this process, as the environment asks for it now."""
    return _cache_at(_folder())


@functools.lru_cache(maxsize=16)
def _cache_at(folder: str | None) -> DiskCache:
    return DiskCache(folder)


def _folder() -> str | None:
    environment = os.environ
    if environment.get("GRAPHC_CACHE", "").lower() in ("off", "0", "no", "false"):
        return None
    if environment.get("GRAPHC_CACHE_DIR"):
        return environment["GRAPHC_CACHE_DIR"]
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        base = environment.get("LOCALAPPDATA", "")
    elif sys.platform == "darwin":
        base = os.path.join(home, "Library", "Caches")
    else:
        base = environment.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    return os.path.join(base, "graphc") if os.path.isabs(base) else None


def _is_private(folder: str | os.PathLike[str]) -> bool:
    """Whether the folder is there (it is made if need be) and nobody but this user can write to it."""
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        facts = os.stat(folder)
    except OSError:
        return False
    if not hasattr(os, "geteuid"):
        return True
    return facts.st_uid == os.geteuid() and not facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _checked(entry: bytes) -> bytes | None:
    start = len(_MAGIC) + _DIGEST_BYTES
    if len(entry) < start or entry[: len(_MAGIC)] != _MAGIC:
        return None
    blob = entry[start:]
    return blob if hashlib.sha256(blob).digest() == entry[len(_MAGIC) : start] else None


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # already gone, or not ours to remove


def _touch(path: str) -> None:
    try:
        os.utime(path)
    except OSError:
        pass  # only the order of dropping suffers


@functools.cache
def llvm_stamp() -> str:
    """Changes whenever the installed llvmlite does; found without importing it."""
    folder = llvmlite_folder()
    binding = os.path.join(folder, "binding")
    libraries = [os.path.join(binding, name) for name in sorted(os.listdir(binding)) if "llvmlite" in name]
    return _stamp([os.path.join(folder, "__init__.py"), *libraries])


@functools.cache
def package_stamp() -> str:
    """Changes whenever a source file of graphc does, so that code of an older compiler is never taken for its own."""
    files: list[str] = []
    package = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    for folder, folders, names in os.walk(package, followlinks=True):
        folders.sort()
        files += [os.path.join(folder, name) for name in sorted(names) if name.endswith(".py")]
    return _stamp(files)


def _stamp(files: list[str]) -> str:
    digest = hashlib.sha256()
    for file in files:
        facts = os.stat(file)
        digest.update(f"{os.path.basename(file)} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:20]
