"""Switches and helpers of TensorFlow that have nothing to switch here, and tf.compat."""

from __future__ import annotations

from typing import Any


def _switch(name: str, document: str) -> Any:
    def function() -> None:
        pass

    function.__name__ = function.__qualname__ = name
    function.__doc__ = document
    return function


disable_eager_execution = _switch("disable_eager_execution", "Nothing: there is no eager execution.")
disable_v2_behavior = _switch("disable_v2_behavior", "Nothing: this is the behaviour of TensorFlow 1.")
disable_v2_tensorshape = _switch("disable_v2_tensorshape", "Nothing: shapes are those of TensorFlow 1.")
disable_tensor_equality = _switch("disable_tensor_equality", "Nothing: tensors are equal where they are the same.")
disable_resource_variables = _switch("disable_resource_variables", "Nothing: there is one kind of variable.")
enable_resource_variables = _switch("enable_resource_variables", "Nothing: there is one kind of variable.")
disable_control_flow_v2 = _switch("disable_control_flow_v2", "Nothing: there is one kind of control flow.")
enable_control_flow_v2 = _switch("enable_control_flow_v2", "Nothing: there is one kind of control flow.")


def enable_eager_execution(*args: Any, **options: Any) -> None:
    """Raises RuntimeError: there is no eager execution."""
    raise RuntimeError("graphc builds graphs and runs them in sessions; there is no eager execution")


def executing_eagerly() -> bool:
    """False: operations are declared, sessions run them."""
    return False


def as_bytes(bytes_or_text: Any, encoding: str = "utf-8") -> bytes:
    """Text as bytes. Raises TypeError for anything else than bytes and str."""
    if isinstance(bytes_or_text, (bytes, bytearray)):
        return bytes(bytes_or_text)
    if isinstance(bytes_or_text, str):
        return bytes_or_text.encode(encoding)
    raise TypeError(f"Expected binary or unicode string, got {bytes_or_text!r}")


def as_text(bytes_or_text: Any, encoding: str = "utf-8") -> str:
    """Bytes as text. Raises TypeError for anything else than bytes and str."""
    return as_bytes(bytes_or_text, encoding).decode(encoding)


def as_str_any(value: Any) -> str:
    """Bytes as text, anything else by str()."""
    return as_text(value) if isinstance(value, bytes) else str(value)


__all__ = [
    "disable_control_flow_v2", "disable_eager_execution", "disable_resource_variables", "disable_tensor_equality",
    "disable_v2_behavior", "disable_v2_tensorshape", "enable_control_flow_v2", "enable_eager_execution",
    "enable_resource_variables", "executing_eagerly",
]  # fmt: skip
