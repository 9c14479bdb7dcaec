"""graphc: a compiler for static computation graphs behind TensorFlow 1's define-then-run interface.

    import graphc as tf

    x = tf.placeholder(tf.float32, [None, 4])
    w = tf.Variable(tf.zeros([4, 1]))
    y = tf.matmul(x, w)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(y, {x: [[1, 2, 3, 4]]})

Sessions, drawings and what else needs more than NumPy are imported when they are first used.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from . import names as _names
from .compatibility import as_bytes, as_str_any, as_text
from .dtypes import DType, as_dtype
from .operation import Operation, Tensor
from .shapes import Dimension, TensorShape

graphc_version = "0.1.0"
VERSION = __version__ = "1.15.0"
"""The version of TensorFlow whose interface this is; the package's own is `graphc_version`."""
GIT_VERSION = __git_version__ = f"graphc-{graphc_version}"
COMPILER_VERSION = __compiler_version__ = "none"
newaxis = None

_LATER = {
    "Session": "graphc.runtime.session",
    "InteractiveSession": "graphc.runtime.session",
    "get_default_session": "graphc.runtime.session",
    "dump": "graphc.runtime.dump",
    "render": "graphc.visualize",
    "to_networkx": "graphc.visualize",
    "contrib": "graphc.contrib",
    "test": "graphc.runtime.testing",
}
"""Where the names are that are imported at their first use: names of a module, or the module itself."""


def _make_compat() -> ModuleType:
    compat = ModuleType(f"{__name__}.compat", "This interface under the name compat.v1, and conversions of text.")
    vars(compat).update(v1=sys.modules[__name__], as_bytes=as_bytes, as_text=as_text, as_str=as_text, as_str_any=as_str_any)
    sys.modules[f"{__name__}.compat"] = compat
    sys.modules[f"{__name__}.compat.v1"] = sys.modules[__name__]
    return compat


globals().update(_names.FUNCTIONS)
globals().update(_names.NAMESPACES)
compat = _make_compat()


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(_LATER[name])
    value = getattr(module, name, module)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({name for name in globals() if not name.startswith("_")} | set(_LATER))


__all__ = [
    "COMPILER_VERSION", "DType", "Dimension", "GIT_VERSION", "Operation", "Tensor", "TensorShape", "VERSION", "as_dtype",
    "compat", "graphc_version", "newaxis", *_LATER, *_names.FUNCTIONS, *_names.NAMESPACES,
]  # fmt: skip
