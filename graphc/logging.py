"""tf.logging: messages of scripts, on standard error."""

from __future__ import annotations

import logging as python_logging
import sys
from typing import Any

DEBUG = python_logging.DEBUG
INFO = python_logging.INFO
WARN = WARNING = python_logging.WARNING
ERROR = python_logging.ERROR
FATAL = python_logging.FATAL

_logger = python_logging.getLogger("graphc")
_NAMES = {"DEBUG": DEBUG, "INFO": INFO, "WARN": WARN, "WARNING": WARN, "ERROR": ERROR, "FATAL": FATAL}


class _StandardError(python_logging.StreamHandler):
    """Writes to whatever sys.stderr is when a message comes."""

    def __init__(self) -> None:
        python_logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        return sys.stderr


def _set_up() -> None:
    handler = _StandardError()
    handler.setFormatter(python_logging.Formatter("%(levelname)s:graphc:%(message)s"))
    _logger.addHandler(handler)
    _logger.setLevel(WARN)
    _logger.propagate = False


_set_up()


def get_verbosity() -> int:
    """The lowest level that is shown."""
    return _logger.getEffectiveLevel()


def set_verbosity(v: int | str) -> None:
    """Shows messages of level `v` and above: a number or a name such as "INFO". Raises KeyError for an unknown name."""
    _logger.setLevel(_NAMES[v.upper()] if isinstance(v, str) else v)


def log(level: int, msg: Any, *args: Any, **kwargs: Any) -> None:
    _logger.log(level, msg, *args, **kwargs)


def debug(msg: Any, *args: Any, **kwargs: Any) -> None:
    _logger.debug(msg, *args, **kwargs)


def info(msg: Any, *args: Any, **kwargs: Any) -> None:
    _logger.info(msg, *args, **kwargs)


def warning(msg: Any, *args: Any, **kwargs: Any) -> None:
    _logger.warning(msg, *args, **kwargs)


warn = warning


def error(msg: Any, *args: Any, **kwargs: Any) -> None:
    _logger.error(msg, *args, **kwargs)


def fatal(msg: Any, *args: Any, **kwargs: Any) -> None:
    _logger.fatal(msg, *args, **kwargs)


_counts: dict[Any, int] = {}


def log_every_n(level: int, msg: str, n: int, *args: Any) -> None:
    """Every n-th message of a text, the first one too."""
    count = _counts[msg] = _counts.get(msg, -1) + 1
    log_if(level, msg, count % n == 0, *args)


def log_first_n(level: int, msg: str, n: int, *args: Any) -> None:
    """The first n messages of a text."""
    count = _counts[msg] = _counts.get(msg, -1) + 1
    log_if(level, msg, count < n, *args)


def log_if(level: int, msg: str, condition: Any, *args: Any) -> None:
    if condition:
        log(level, msg, *args)


def flush() -> None:
    for handler in _logger.handlers:
        handler.flush()


__all__ = [
    "DEBUG", "ERROR", "FATAL", "INFO", "WARN", "WARNING", "debug", "error", "fatal", "flush", "get_verbosity", "info",
    "log", "log_every_n", "log_first_n", "log_if", "set_verbosity", "warn", "warning",
]  # fmt: skip
