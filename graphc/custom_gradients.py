"""tf.custom_gradient: functions that say themselves what their derivatives are."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from .operation import Collector, OpDef, Operation, Tensor, TensorType, apply, building_into, define
from .ops.constants import PLACEHOLDER, convert_to_tensor
from .ops.filling import zeros_like
from .program import FEED, Parameter, Program


def _result_types(types: Sequence[TensorType], results: int, arguments: int, derivatives: Program) -> list[TensorType]:
    return list(types[:results])


def _custom_derivatives(operation: Operation, *gradients: Tensor | None) -> list[Tensor | None]:
    count, arguments = operation.attributes["results"], operation.attributes["arguments"]
    body: Program = operation.attributes["derivatives"]
    arrived = [zeros_like(y) if g is None else g for y, g in zip(operation.inputs, gradients)]
    captured = operation.inputs[count + arguments :]
    found = _build_again(body, [*arrived, *captured])
    return [*[None] * count, *found, *[None] * len(captured)]


def _build_again(body: Program, values: Sequence[Tensor]) -> list[Tensor]:
    """The fetches of a program on other tensors in the place of its parameters."""
    mapping = {parameter.tensor: value for parameter, value in zip(body.parameters, values, strict=True)}
    for operation in body.operations:
        data = [mapping.get(t, t) for t in operation.data_inputs]
        attributes = dict(operation.attributes)
        values_of_attributes = operation.inputs[len(data) :]
        attributes.update((name, mapping.get(t, t)) for name, t in zip(operation.dynamic_attributes, values_of_attributes))
        made = apply(operation.definition, data, operation.name, **attributes)
        mapping.update(zip(operation.outputs, (made,) if isinstance(made, Tensor) else made))
    return [mapping.get(t, t) for t in body.fetches]


CUSTOM_GRADIENT = define(
    OpDef(
        "custom_gradient",
        infer=_result_types,
        gradient=_custom_derivatives,
        attributes={"results": int, "arguments": int, "derivatives": object},
        composite=lambda operation: operation.inputs[: operation.attributes["results"]],
    )
)
"""custom_gradient(results..., arguments..., captured...): the results, with `derivatives` as the way to the arguments.

The parameters of `derivatives` are the derivatives by the results, then what they use of the graph.
"""


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator: `f(*arguments)` gives its result (or several) and a function from their derivatives to the arguments'.

    Only the arguments get derivatives, not variables that `f` uses. Raises ValueError where the number of derivatives is
    not that of the arguments.
    """

    @functools.wraps(f)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        arguments = [convert_to_tensor(argument) for argument in args]
        result, derivative = f(*arguments, **kwargs)
        several = isinstance(result, (list, tuple))
        results = [convert_to_tensor(y) for y in (result if several else [result])]
        body, captured = _trace(derivative, results, len(arguments))
        made = apply(
            CUSTOM_GRADIENT, [*results, *arguments, *captured], "IdentityN",
            results=len(results), arguments=len(arguments), derivatives=body,
        )  # fmt: skip
        outputs = [made] if isinstance(made, Tensor) else list(made)
        return type(result)(outputs) if several else outputs[0]

    return decorated


def _trace(derivative: Callable[..., Any], results: Sequence[Tensor], count: int) -> tuple[Program, list[Tensor]]:
    """What a function of derivatives builds, as a program, and the tensors of the graph that it uses."""
    collector = Collector()
    with building_into(collector):
        arrived = [_make_parameter(y, f"derivative_{index}") for index, y in enumerate(results)]
        found = derivative(*arrived)
        derivatives = [convert_to_tensor(d) for d in (found if isinstance(found, (list, tuple)) else [found])]
    if len(derivatives) != count:
        raise ValueError(f"custom_gradient: the function has {count} arguments, but {len(derivatives)} derivatives")
    inner = {t for operation in collector.operations for t in operation.outputs} | set(arrived)
    used = [t for operation in collector.operations for t in operation.inputs] + derivatives
    captured = [t for t in dict.fromkeys(used) if t not in inner]
    parameters = tuple(Parameter(t, FEED, t.name) for t in (*arrived, *captured))
    return Program("derivatives", parameters, tuple(collector.operations), tuple(derivatives)), captured


def _make_parameter(like: Tensor, name: str) -> Tensor:
    attributes = {"dtype": like.dtype, "shape": like.type.shape}
    return Operation(PLACEHOLDER, [], attributes, [like.type], name).output


__all__ = ["custom_gradient"]
