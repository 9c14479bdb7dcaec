"""tf.flags and tf.app: options of the command line, declared where they are used.

A flag is written --name=value or --name value; a boolean one --name, --noname or --name=true.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_TRUE, _FALSE = ("true", "t", "1", "yes", "y"), ("false", "f", "0", "no", "n")


class Error(Exception):
    """A flag that does not exist, or a value that it cannot take."""


class DuplicateFlagError(Error):
    """A flag that was declared before, otherwise."""


@dataclass
class Flag:
    """One option: its value is the default until the command line or a script sets it."""

    name: str
    default: Any
    help: str | None
    parse: Callable[[str], Any]
    is_boolean: bool = False
    value: Any = None
    present: bool = False
    required: bool = False


class FlagValues:
    """All flags, their values as attributes. The command line is read at the first access to a value."""

    def __init__(self) -> None:
        self.__dict__["_flags"] = {}
        self.__dict__["_parsed"] = False

    def _declare(self, flag: Flag) -> None:
        before = self._flags.get(flag.name)
        if before is not None and (before.default, before.help) != (flag.default, flag.help):
            raise DuplicateFlagError(f"The flag {flag.name!r} is defined twice.")
        flag.value = flag.default
        self._flags[flag.name] = flag

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in self._flags:
            raise AttributeError(f"Unknown command line flag {name!r}")
        if not self._parsed:
            self(sys.argv, known_only=True)
        return self._flags[name].value

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._flags:
            raise AttributeError(f"Unknown command line flag {name!r}")
        self._flags[name].value, self._flags[name].present = value, True

    def __delattr__(self, name: str) -> None:
        if name not in self._flags:
            raise AttributeError(f"Unknown command line flag {name!r}")
        del self._flags[name]

    def __contains__(self, name: str) -> bool:
        return name in self._flags

    def __iter__(self) -> Iterator[str]:
        return iter(self._flags)

    def __getitem__(self, name: str) -> Flag:
        return self._flags[name]

    def __dir__(self) -> list[str]:
        return sorted(self._flags)

    def flag_values_dict(self) -> dict[str, Any]:
        """The values of all flags by name."""
        return {name: getattr(self, name) for name in self._flags}

    def is_parsed(self) -> bool:
        return self._parsed

    def mark_as_parsed(self) -> None:
        self.__dict__["_parsed"] = True

    def __call__(self, argv: Sequence[str], known_only: bool = False) -> list[str]:
        """Reads a command line, program name first, and returns what is not a flag.

        Raises Error for a flag that does not exist (unless `known_only`), a value that does not fit, or one that lacks.
        """
        self.mark_as_parsed()
        rest, words = [*argv[:1]], list(argv[1:])
        while words:
            word = words.pop(0)
            if word == "--":
                rest += words
                break
            flag, text = self._match(word)
            if flag is None:
                if word.startswith("-") and len(word) > 1 and not known_only:
                    raise Error(f"Unknown command line flag {word.lstrip('-').split('=')[0]!r}")
                rest.append(word)
                continue
            if text is None:
                if not words:
                    raise Error(f"Missing value for flag {word}")
                text = words.pop(0)
            self._set(flag, text)
        self._check_required()
        return rest

    def _match(self, word: str) -> tuple[Flag | None, str | None]:
        """The flag that a word names, and the text of its value where the word holds it."""
        if not word.startswith("-"):
            return None, None
        name, equals, text = word.lstrip("-").partition("=")
        flag = self._flags.get(name)
        if flag is None:
            negated = self._flags.get(name.removeprefix("no")) if name.startswith("no") else None
            return (negated, "false") if negated is not None and negated.is_boolean and not equals else (None, None)
        if equals:
            return flag, text
        return flag, "true" if flag.is_boolean else None

    def _set(self, flag: Flag, text: str) -> None:
        try:
            flag.value, flag.present = flag.parse(text), True
        except ValueError as error:
            raise Error(f"flag --{flag.name}={text}: {error}") from None

    def _check_required(self) -> None:
        missing = [name for name, flag in self._flags.items() if flag.required and flag.value is None]
        if missing:
            raise Error(f"Flag --{missing[0]} must have a value other than None.")


FLAGS = FlagValues()


def _parse_boolean(text: str) -> bool:
    lower = text.lower()
    if lower in _TRUE:
        return True
    if lower in _FALSE:
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def _define(name: str, default: Any, help: str | None, parse: Callable[[str], Any], flag_values: FlagValues | None,
            required: bool, is_boolean: bool = False) -> None:  # fmt: skip
    value = parse(default) if isinstance(default, str) else default
    owner = FLAGS if flag_values is None else flag_values
    owner._declare(Flag(name, value, help, parse, is_boolean, required=required))


def DEFINE_string(name: str, default: Any, help: str | None = None, flag_values: FlagValues | None = None,
                  required: bool = False, **args: Any) -> None:  # fmt: skip
    """Declares a flag that is a text."""
    _define(name, default, help, str, flag_values, required)


def DEFINE_integer(name: str, default: Any, help: str | None = None, lower_bound: int | None = None,
                   upper_bound: int | None = None, flag_values: FlagValues | None = None, required: bool = False,
                   **args: Any) -> None:  # fmt: skip
    """Declares a flag that is a whole number within bounds."""
    _define(name, default, help, _bounded(lambda text: int(text, 0), lower_bound, upper_bound), flag_values, required)


def DEFINE_float(name: str, default: Any, help: str | None = None, lower_bound: float | None = None,
                 upper_bound: float | None = None, flag_values: FlagValues | None = None, required: bool = False,
                 **args: Any) -> None:  # fmt: skip
    """Declares a flag that is a number within bounds."""
    value = float(default) if isinstance(default, int) and not isinstance(default, bool) else default
    _define(name, value, help, _bounded(float, lower_bound, upper_bound), flag_values, required)


def _bounded(parse: Callable[[str], Any], lower: Any, upper: Any) -> Callable[[str], Any]:
    def checked(text: str) -> Any:
        value = parse(text)
        if lower is not None and value < lower or upper is not None and value > upper:
            raise ValueError(f"{value} is not within {lower} and {upper}")
        return value

    return checked


def DEFINE_boolean(name: str, default: Any, help: str | None = None, flag_values: FlagValues | None = None,
                   module_name: str | None = None, required: bool = False, **args: Any) -> None:  # fmt: skip
    """Declares a flag that is true or false."""
    value = bool(default) if isinstance(default, int) else default
    _define(name, value, help, _parse_boolean, flag_values, required, is_boolean=True)


DEFINE_bool = DEFINE_boolean


def DEFINE_enum(name: str, default: Any, enum_values: Sequence[str], help: str | None = None,
                flag_values: FlagValues | None = None, required: bool = False, **args: Any) -> None:  # fmt: skip
    """Declares a flag that is one of several texts."""

    def parse(text: str) -> str:
        if text not in enum_values:
            raise ValueError(f"value should be one of <{'|'.join(enum_values)}>")
        return text

    _define(name, default, help, parse, flag_values, required)


def DEFINE_list(name: str, default: Any, help: str | None = None, flag_values: FlagValues | None = None,
                required: bool = False, **args: Any) -> None:  # fmt: skip
    """Declares a flag that is a list of texts, separated by commas."""
    _define(name, default, help, lambda text: [item.strip() for item in text.split(",")] if text else [], flag_values,
            required)  # fmt: skip


def mark_flag_as_required(flag_name: str, flag_values: FlagValues | None = None) -> None:
    """Makes it an error not to give a flag."""
    (FLAGS if flag_values is None else flag_values)[flag_name].required = True


def mark_flags_as_required(flag_names: Sequence[str], flag_values: FlagValues | None = None) -> None:
    """Makes it an error not to give each of the flags."""
    for name in flag_names:
        mark_flag_as_required(name, flag_values)


def run(main: Callable[[list[str]], Any] | None = None, argv: Sequence[str] | None = None) -> None:
    """tf.app.run: reads the flags, calls `main` (that of the script) with what is left, and exits with its result."""
    function = main if main is not None else getattr(sys.modules["__main__"], "main", None)
    if function is None:
        raise AttributeError("the script has no function `main`")
    try:
        rest = FLAGS(sys.argv if argv is None else argv)
    except Error as error:
        print(f"FATAL Flags parsing error: {error}", file=sys.stderr)
        sys.exit(1)
    sys.exit(function(rest))


__all__ = [
    "DEFINE_bool", "DEFINE_boolean", "DEFINE_enum", "DEFINE_float", "DEFINE_integer", "DEFINE_list", "DEFINE_string",
    "DuplicateFlagError", "Error", "FLAGS", "FlagValues", "mark_flag_as_required", "mark_flags_as_required", "run",
]  # fmt: skip
