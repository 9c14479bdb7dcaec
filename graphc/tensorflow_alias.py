"""Resolves the names of TensorFlow to this package, for scripts that are to run as they are.

`install` makes `import tensorflow`, `import tensorflow.compat.v1 as tf` and imports of what lies below them (as far as it
exists here) give the objects of graphc. Nothing is changed until a script imports them, and a TensorFlow that was imported
before stays.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

ROOT = "tensorflow"
_ALIASES = (("compat", "v1"), ("python",))  # parts of names that say nothing here


class AliasFinder(MetaPathFinder):
    """Finds `tensorflow` and what is below it in graphc."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Raises ModuleNotFoundError for what graphc does not have, so that nobody finds it elsewhere."""
        if fullname != ROOT and not fullname.startswith(ROOT + "."):
            return None
        found = find_counterpart(fullname)
        return ModuleSpec(fullname, _AliasLoader(found), is_package=True)


class _AliasLoader(Loader):
    def __init__(self, found: Any):
        self.found = found

    def create_module(self, spec: ModuleSpec) -> None:
        return None  # a module of its own, which exec_module replaces

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = _as_package(self.found, module.__name__)


def find_counterpart(fullname: str) -> Any:
    """What stands for a module of TensorFlow. Raises ModuleNotFoundError."""
    parts = fullname.split(".")[1:]
    found: Any = importlib.import_module(__package__)
    while parts:
        alias = next((a for a in _ALIASES if tuple(parts[: len(a)]) == a), None)
        if alias is not None:
            del parts[: len(alias)]
            continue
        public = getattr(found, "__all__", None)
        if not hasattr(found, parts[0]) or public is not None and parts[0] not in public:
            raise ModuleNotFoundError(f"graphc has nothing for the module {fullname!r}", name=fullname)
        found = getattr(found, parts.pop(0))
    return found


def _as_package(found: Any, name: str) -> ModuleType:
    """The object as a module below which others can be imported."""
    if not isinstance(found, ModuleType):
        raise ModuleNotFoundError(f"{name!r} is no module in graphc", name=name)
    if not hasattr(found, "__path__"):
        found.__path__ = []
    return found


def install() -> None:
    """Makes the names of TensorFlow resolve to graphc in this process."""
    if not any(isinstance(finder, AliasFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, AliasFinder())


def uninstall() -> None:
    """Undoes `install`, and forgets what was imported through it."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, AliasFinder)]
    for name in [name for name in sys.modules if name == ROOT or name.startswith(ROOT + ".")]:
        del sys.modules[name]
