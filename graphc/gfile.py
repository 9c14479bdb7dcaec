"""tf.gfile: files by names, as TensorFlow's scripts open them. Paths are local; errors are those of tf.errors."""

from __future__ import annotations

import glob as python_glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from .errors import AlreadyExistsError, FailedPreconditionError, NotFoundError, PermissionDeniedError


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NotFoundError(None, None, f"{error.filename}; No such file or directory") from None
    except FileExistsError as error:
        raise AlreadyExistsError(None, None, f"{error.filename}; file already exists") from None
    except PermissionError as error:
        raise PermissionDeniedError(None, None, f"{error.filename}; Permission denied") from None
    except (IsADirectoryError, NotADirectoryError) as error:
        raise FailedPreconditionError(None, None, f"{error.filename}; {error.strerror}") from None


class GFile:
    """An open file: mode "r", "w" or "a", with "b" for bytes and "+" for both ways."""

    def __init__(self, name: Any, mode: str = "r"):
        self.name, self.mode = name, mode
        with _translated_errors():
            self._file: Any = open(name, mode, encoding=None if "b" in mode else "utf-8")  # noqa: SIM115

    def __enter__(self) -> GFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file)

    def read(self, n: int = -1) -> Any:
        return self._file.read(n)

    def readline(self) -> Any:
        return self._file.readline()

    def readlines(self) -> list[Any]:
        return self._file.readlines()

    def write(self, file_content: Any) -> None:
        self._file.write(file_content)

    def seek(self, offset: int = 0, whence: int = 0) -> None:
        self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def size(self) -> int:
        return os.path.getsize(self.name)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


Open = FastGFile = GFile


class FileStatistics(NamedTuple):
    length: int
    mtime_nsec: int
    is_directory: bool


def Exists(filename: Any) -> bool:
    return os.path.exists(filename)


def IsDirectory(dirname: Any) -> bool:
    return os.path.isdir(dirname)


def ListDirectory(dirname: Any) -> list[str]:
    """The names in a folder."""
    with _translated_errors():
        return os.listdir(dirname)


def Glob(filename: Any) -> list[str]:
    """The paths that fit a pattern, or one of several patterns."""
    patterns = filename if isinstance(filename, (list, tuple)) else [filename]
    return [path for pattern in patterns for path in sorted(python_glob.glob(os.fspath(pattern)))]


def MkDir(dirname: Any) -> None:
    with _translated_errors():
        os.mkdir(dirname)


def MakeDirs(dirname: Any) -> None:
    """Makes a folder and those above it; nothing happens where it is there."""
    with _translated_errors():
        os.makedirs(dirname, exist_ok=True)


def Remove(filename: Any) -> None:
    with _translated_errors():
        os.remove(filename)


def DeleteRecursively(dirname: Any) -> None:
    """Deletes a folder and all that is in it."""
    with _translated_errors():
        shutil.rmtree(dirname)


def Copy(oldpath: Any, newpath: Any, overwrite: bool = False) -> None:
    """Copies a file. Raises AlreadyExistsError where there is one and it may not be overwritten."""
    _check_absent(newpath, overwrite)
    with _translated_errors():
        shutil.copyfile(oldpath, newpath)


def Rename(oldname: Any, newname: Any, overwrite: bool = False) -> None:
    """Renames a file. Raises AlreadyExistsError where there is one and it may not be overwritten."""
    _check_absent(newname, overwrite)
    with _translated_errors():
        os.replace(oldname, newname)


def _check_absent(path: Any, overwrite: bool) -> None:
    if not overwrite and os.path.exists(path):
        raise AlreadyExistsError(None, None, f"{path}; file already exists")


def Stat(filename: Any) -> FileStatistics:
    with _translated_errors():
        found = os.stat(filename)
    return FileStatistics(found.st_size, found.st_mtime_ns, os.path.isdir(filename))


def Walk(top: Any, in_order: bool = True) -> Iterator[tuple[str, list[str], list[str]]]:
    """Folders below `top` with the names of folders and files in them."""
    return os.walk(top, topdown=in_order)


LOWER_CASE = {
    "GFile": GFile, "copy": Copy, "exists": Exists, "glob": Glob, "isdir": IsDirectory, "listdir": ListDirectory,
    "makedirs": MakeDirs, "mkdir": MkDir, "remove": Remove, "rename": Rename, "rmtree": DeleteRecursively, "stat": Stat,
    "walk": Walk,
}  # fmt: skip
"""The names of tf.io.gfile."""

__all__ = [
    "Copy", "DeleteRecursively", "Exists", "FastGFile", "GFile", "Glob", "IsDirectory", "ListDirectory", "MakeDirs",
    "MkDir", "Open", "Remove", "Rename", "Stat", "Walk",
]  # fmt: skip
