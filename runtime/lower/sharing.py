"""Operations that differ in nothing but names are lowered once: the steps of a recurrent network, layers of one shape.

The signature of an operation is its definition, attributes, the types of what it takes and gives, and for a region the same
of everything in it, without the numbers that kernels are given; steps are kept by signature with the places of their operands
among inputs, outputs and those numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from graphc.operation import Literal, Operation, Tensor
from graphc.program import Program
from graphc.runtime.bounded_cache import BoundedCache
from graphc.runtime.lower.given import given_of, pack_given
from graphc.runtime.lower.lowered import Argument, Immediate, LoweredStep, Prepared, Temporary
from graphc.runtime.schedule.machine import Machine

KEPT = 1024

_Source = int | Temporary | Prepared | Immediate
_Pattern = tuple[tuple[LoweredStep, tuple[tuple[_Source, int], ...]], ...]
_known: BoundedCache[_Pattern] = BoundedCache(KEPT)

Lower = Callable[[Operation, Machine, int], list[LoweredStep]]


def lower_once(lower: Lower, operation: Operation, machine: Machine, threads: int, options: str) -> list[LoweredStep]:
    """What `lower` makes of an operation, from an earlier one of the same signature where there was one.

    Kernels with run-time checks are not shared, since their messages name the operation. `options` are settings from
    outside that change what is made.
    """
    given = given_of(operation)
    key = (machine, threads, options, describe_operation(operation, given))
    operands: tuple[Tensor | Immediate, ...] = (*operation.inputs, *operation.outputs)
    if given:
        operands = (*operands, pack_given(given))
    pattern = _known.get(key)
    if pattern is not None:
        temporaries: dict[Temporary, Temporary] = {}
        return [_place(step, sources, operands, temporaries, operation.name) for step, sources in pattern]
    steps = lower(operation, machine, threads)
    if not any(step.kernel.checks for step in steps):
        places = {operand: i for i, operand in reversed(list(enumerate(operands)))}
        _known.put(key, tuple((step, _sources(step, places)) for step in steps))
    return steps


def _sources(step: LoweredStep, places: Mapping[Tensor | Immediate, int]) -> tuple[tuple[_Source, int], ...]:
    return tuple((_place_of(a.source, places), a.offset) for a in step.arguments)


def _place_of(source: Tensor | Temporary | Prepared | Immediate, places: Mapping[Tensor | Immediate, int]) -> _Source:
    if isinstance(source, Tensor):
        return places[source]
    return places.get(source, source) if isinstance(source, Immediate) else source


def _place(
    step: LoweredStep,
    sources: Sequence[tuple[_Source, int]],
    operands: Sequence[Tensor | Immediate],
    temporaries: dict[Temporary, Temporary],
    label: str,
) -> LoweredStep:
    """The step on other operands, with temporaries of its own."""
    arguments = []
    for source, offset in sources:
        if isinstance(source, Temporary):
            arguments.append(Argument(temporaries.setdefault(source, Temporary(source.nbytes)), offset))
        else:
            arguments.append(Argument(operands[source] if isinstance(source, int) else source, offset))
    return replace(step, arguments=tuple(arguments), label=label)


def describe_operation(operation: Operation, given: Collection[Operation] = ()) -> str:
    """The signature of an operation: equal ones compute the same from operands in the same places.

    The values of the constants in `given` are left out.
    """
    parts: list[str] = []
    names = {t: f"i{i}" for i, t in reversed(list(enumerate(operation.inputs)))}
    _describe(operation, names, parts, frozenset(given))
    return "\n".join(parts)


def _describe(operation: Operation, names: dict[Tensor, str], parts: list[str], given: frozenset[Operation]) -> None:
    if operation in given:
        parts.append(f"given {operation.output.type}")
        return
    inputs = ",".join(f"{names[t]}:{t.type}" for t in operation.inputs)
    plain = {key: value for key, value in operation.attributes.items() if not isinstance(value, Program)}
    outputs = ",".join(str(t.type) for t in operation.outputs)
    attributes = ",".join(f"{key}={_describe_value(value)}" for key, value in plain.items())
    parts.append(f"{operation.definition.name}({inputs};{attributes})->{outputs}")
    for value in operation.attributes.values():
        if isinstance(value, Program):
            _describe_body(value, parts, given)


def _describe_body(body: Program, parts: list[str], given: frozenset[Operation]) -> None:
    names = {p.tensor: f"p{i}" for i, p in enumerate(body.parameters)}
    for number, operation in enumerate(body.operations):
        _describe(operation, names, parts, given)
        names.update((t, f"v{number}.{t.index}") for t in operation.outputs)
    parts.append("yield " + ",".join(names[t] for t in body.fetches))


def _describe_value(value: Any) -> str:
    return f"{value.array.dtype}{value.digest}" if isinstance(value, Literal) else repr(value)
