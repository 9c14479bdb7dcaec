"""Operations that run in Python between the native parts of a program: functions of the user's, printing, assertions."""

from __future__ import annotations

import pprint
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import errors
from ..dtypes import as_dtype, string
from ..errors import InvalidArgumentError, OpError, format_error
from ..graph import get_default_graph
from ..operation import OpDef, Operation, Tensor, TensorType, apply, define
from ..value_text import summarize_ends, summarize_first
from .constants import convert_to_tensor

ENTRIES_SHOWN = 3  # of a tensor, where the caller does not say

_ERROR_CLASSES: tuple[tuple[type[Exception], type[OpError]], ...] = (
    (StopIteration, errors.OutOfRangeError),
    (NotImplementedError, errors.UnimplementedError),
    (TypeError, InvalidArgumentError),
    (ValueError, InvalidArgumentError),
    (MemoryError, errors.ResourceExhaustedError),
    (Exception, errors.UnknownError),
)


# -- Python functions


def _call_function(operation: Operation, *arrays: np.ndarray) -> list[np.ndarray]:
    function = operation.attributes["function"]
    try:
        returned = function(*map(_as_argument, arrays))
    except OpError:
        raise
    except Exception as error:
        raise _translate(operation, error) from error
    values = list(returned) if isinstance(returned, (list, tuple)) else [] if returned is None else [returned]
    outputs = operation.outputs
    if len(values) != len(outputs):
        name = getattr(function, "__name__", "the function")
        _fail(operation, f"{name} returns {len(values)} values, but expects to see {len(outputs)} values.")
    return [_check_returned(operation, index, value) for index, value in enumerate(values)]


def _as_argument(array: np.ndarray) -> Any:
    """An array that the function may keep and write to; a scalar for a 0-d one; strings as bytes."""
    if array.dtype == object:
        encoded = [item.encode() if isinstance(item, str) else item for item in array.ravel()]
        array = np.array(encoded, object).reshape(array.shape)
    return np.array(array) if array.ndim else array[()]


def _check_returned(operation: Operation, index: int, value: Any) -> np.ndarray:
    array = np.asarray(value, order="C")
    wanted = operation.outputs[index].dtype
    found = as_dtype(array.dtype)
    if found != wanted:
        _fail(operation, f"value {index} returned by the function is {found.name}, but expects {wanted.name}")
    return array.astype(object) if wanted == string else array


def _translate(operation: Operation, error: Exception) -> OpError:
    """The error that TensorFlow raises where a Python function raises."""
    kind = next(translated for raised, translated in _ERROR_CLASSES if isinstance(error, raised))
    text = "".join(traceback.format_exception(error)).rstrip()
    problem = f"{type(error).__name__}: {error}"
    return kind(operation, operation, f"{format_error(problem, (), operation.location)}\n{text}")


def _fail(operation: Operation, problem: str) -> None:
    raise InvalidArgumentError(operation, operation, format_error(problem, operation.data_inputs, operation.location))


PY_FUNC = define(
    OpDef(
        "py_func",
        infer=lambda types, function, dtypes: [TensorType(dtype, None) for dtype in dtypes],
        attributes={"function": object, "dtypes": tuple},
        differentiable=False,
        host=_call_function,
        effect="host",
    )
)


def py_func(func: Callable[..., Any], inp: Sequence[Any], Tout: Any, stateful: bool = True, name: str | None = None) -> Any:
    """The results of a Python function of NumPy arrays (scalars for 0-d tensors), called in every run that needs them.

    `Tout` is the type of the result, or a list of types: a list of tensors comes back then. Shapes are unknown; set_shape
    says them. What the function returns must have these types, else the run raises InvalidArgumentError. Exceptions of the
    function come out as TensorFlow's classes, with the function's traceback in the text. There is no gradient.
    """
    several = isinstance(Tout, (list, tuple))
    dtypes = tuple(as_dtype(dtype) for dtype in (Tout if several else [Tout]))
    inputs = [convert_to_tensor(item) for item in inp]
    made = apply(PY_FUNC, inputs, name or "PyFunc", function=func, dtypes=dtypes)
    if not several or not dtypes:
        return made
    return list(made) if isinstance(made, tuple) else [made]


def numpy_function(
    func: Callable[..., Any], inp: Sequence[Any], Tout: Any, stateful: bool = True, name: str | None = None
) -> Any:
    """py_func under its later name."""
    return py_func(func, inp, Tout, stateful, name)


# -- printing


class PrintCount:
    """How many times an operation may still print; None for no limit. Shared by the copies of an operation."""

    def __init__(self, remaining: int | None):
        self.remaining = remaining

    def take(self) -> bool:
        """Whether there is one left, which is used up."""
        if self.remaining is None:
            return True
        self.remaining -= 1
        return self.remaining >= 0


def _print_line(operation: Operation, *arrays: np.ndarray) -> list[np.ndarray]:
    attributes = operation.attributes
    if attributes["count"].take():
        summarize = summarize_ends if attributes["by_ends"] else summarize_first
        texts = [summarize(array, attributes["summarize"]) for array in arrays]
        _write("".join(texts[p] if isinstance(p, int) else p for p in attributes["template"]), attributes["stream"])
    return []


def _write(text: str, stream: Any) -> None:
    if stream in ("stdout", "stderr"):
        getattr(sys, stream).write(text)
    elif isinstance(stream, str):
        with open(stream.removeprefix("file://"), "a", encoding="utf-8") as file:
            file.write(text)
    elif hasattr(stream, "write"):
        stream.write(text)
    else:
        stream(text.removesuffix("\n"))  # a function that logs


PRINT = define(
    OpDef(
        "print",
        infer=lambda types, **attributes: [],
        attributes={"template": tuple, "summarize": int, "by_ends": bool, "stream": object, "count": object},
        differentiable=False,
        host=_print_line,
        effect="host",
    )
)
"""Writes `template`: texts, and numbers that stand for inputs."""


def Print(
    input_: Any, data: Sequence[Any], message: str | None = None, first_n: int | None = None,
    summarize: int | None = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """`input_`, which prints `data` to the standard error stream whenever it is computed.

    At most `first_n` times, and `summarize` entries of each tensor (3; all for -1).
    """
    from .movement import identity

    tensors = [convert_to_tensor(item) for item in data]
    template: list[str | int] = [message or ""]
    for index in range(len(tensors)):
        template += ["[", index, "]"]
    limit = PrintCount(first_n if first_n is not None and first_n >= 0 else None)
    printing = apply(
        PRINT, tensors, f"{name or 'Print'}/print", template=(*template, "\n"), by_ends=False, stream="stderr", count=limit,
        summarize=ENTRIES_SHOWN if summarize is None else summarize,
    )  # fmt: skip
    with get_default_graph().control_dependencies([printing]):
        return identity(input_, name=name or "Print")


def print(
    *inputs: Any, output_stream: Any = None, summarize: int = ENTRIES_SHOWN, sep: str = " ", end: str = "\n",
    name: str | None = None,
) -> Operation:  # fmt: skip
    """An operation that prints its inputs: strings as they are, tensors by value, and any nests of them.

    Of each dimension the first and last `summarize` entries are shown (all for -1). `output_stream` is a file object
    (the standard error stream), "file://" and a path to append to, or a function of the text, such as tf.logging.info.
    """
    tensors: list[Tensor] = []
    parts: list[str] = [_describe_input(item, tensors) for item in inputs]
    standard = {id(None): "stderr", id(sys.stderr): "stderr", id(sys.stdout): "stdout"}
    stream = standard.get(id(output_stream), output_stream)
    template = tuple(int(p) if i % 2 else p for i, p in enumerate(_SLOT.split(sep.join(parts) + end)))
    return apply(
        PRINT, tensors, name or "print", template=template, by_ends=True, stream=stream, count=PrintCount(None),
        summarize=summarize,
    )  # fmt: skip


_SLOT = re.compile("\0(\\d+)\0")


class _Slot:
    """Stands for a tensor in a nest, and leaves a mark in its text."""

    def __init__(self, number: int):
        self.number = number

    def __repr__(self) -> str:
        return f"\0{self.number}\0"


def _describe_input(item: Any, tensors: list[Tensor]) -> str:
    if isinstance(item, str):
        return item.replace("\0", "")
    return pprint.pformat(_replace_tensors(item, tensors))


def _replace_tensors(item: Any, tensors: list[Tensor]) -> Any:
    if isinstance(item, dict):
        return {key: _replace_tensors(value, tensors) for key, value in item.items()}
    if isinstance(item, (list, tuple)):
        replaced = [_replace_tensors(part, tensors) for part in item]
        if isinstance(item, list):
            return replaced
        return tuple(replaced) if type(item) is tuple else type(item)(*replaced)
    if isinstance(item, (Tensor, np.ndarray)) or hasattr(item, "_as_tensor"):
        tensors.append(convert_to_tensor(item))
        return _Slot(len(tensors) - 1)
    return item


# -- assertions


def _check_condition(operation: Operation, condition: np.ndarray, *data: np.ndarray) -> list[np.ndarray]:
    if not np.all(condition):
        shown = operation.attributes["summarize"]
        _fail(operation, "assertion failed: " + " ".join(f"[{summarize_first(array, shown)}]" for array in data))
    return []


ASSERT = define(
    OpDef(
        "assert",
        infer=lambda types, summarize: [],
        attributes={"summarize": int},
        differentiable=False,
        host=_check_condition,
        effect="host",
    )
)


def Assert(condition: Any, data: Sequence[Any], summarize: int | None = None, name: str | None = None) -> Operation:
    """An operation that raises InvalidArgumentError with `data` in its text unless all of `condition` holds.

    Variables keep their values in a run where it fails.
    """
    tensors = [convert_to_tensor(condition, dtype="bool"), *(convert_to_tensor(item) for item in data)]
    return apply(ASSERT, tensors, name or "Assert", summarize=ENTRIES_SHOWN if summarize is None else summarize)


__all__ = ["py_func", "numpy_function", "Print", "print", "Assert"]
