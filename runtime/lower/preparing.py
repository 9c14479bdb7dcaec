"""Which operands are brought into another form beforehand: once in a run for all that read it, or once over many runs.

Steps say what they would gain by reading an operand prepared; here all uses of a tensor in a program are weighed against
what preparing it costs. A constant costs that once, a variable that the program does not write once between two writes, any
other tensor in every run. Each preparation is a step of its own, before the first one that reads what it makes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from graphc.operation import Operation, Tensor
from graphc.program import VARIABLE, Program
from graphc.records import record
from graphc.runtime.lower.lowered import Argument, LoweredStep, Prepared, Temporary
from graphc.runtime.lower.operation import lower_operation
from graphc.runtime.preparation import Offer, Preparation
from graphc.runtime.schedule.machine import Machine

RUNS_BETWEEN_WRITES = 16  # of a variable that only other programs write: as a guess

Steps = list[tuple[Operation, LoweredStep]]
FindSource = Callable[[Tensor], Tensor]


def prepare_operands(
    program: Program, steps: Steps, machine: Machine, threads: int, find_source: FindSource
) -> Steps:
    """The steps of a program, those that read prepared operands behind those that prepare them.

    `find_source` gives the tensor whose memory a tensor shares: itself, or what it is a view of.
    """
    uses = _Uses(program, find_source)
    chosen = _choose_groups(steps, uses)
    if not chosen and not any(step.prepares for _, step in steps):
        return steps
    return _localise(_share(_insert(steps, chosen, machine, threads), uses))


class _Uses:
    """What is known of the tensors of a program, by the memory that they lie in."""

    def __init__(self, program: Program, find_source: FindSource):
        written = {key for key, _ in program.updates}
        variables = [p.tensor for p in program.parameters if p.kind == VARIABLE and p.key not in written]
        constants = [op.output for op in program.operations if op.definition.name == "constant"]
        self.find_source = find_source
        self.lasting = dict.fromkeys(variables, 1 / RUNS_BETWEEN_WRITES) | dict.fromkeys(constants, 0.0)
        """Those that stay the same from run to run, with the share of a preparation that each run pays."""

    def trace(self, source: Tensor | Prepared) -> tuple[Tensor | Prepared, Tensor | None]:
        """The memory that is read, and what it depends on where that stays the same from run to run."""
        if isinstance(source, Prepared):
            return source, source.origin
        found = self.find_source(source)
        return found, found if found in self.lasting else None


@record
class _Form:
    """A form of a tensor, from `offset` bytes on."""

    source: Tensor
    offset: int
    preparation: Preparation


@dataclass
class _Group:
    """The steps, by number, that would read the same form, with their offers."""

    form: _Form
    offers: dict[int, Offer] = field(default_factory=dict)

    def gain(self, uses: _Uses, taken: Mapping[int, object]) -> float:
        """Cycles that a run gains by the steps that have not taken another offer."""
        saved = sum(offer.saves for number, offer in self.offers.items() if number not in taken)
        return saved - uses.lasting.get(self.form.source, 1.0) * self.form.preparation.cycles


def _choose_groups(steps: Steps, uses: _Uses) -> dict[int, tuple[_Form, Offer]]:
    """For the steps that read an operand prepared, by number: in which form. The largest gains come first."""
    groups: dict[_Form, _Group] = {}
    for number, (_, step) in enumerate(steps):
        for offer in step.offers:
            argument = step.arguments[offer.operand]
            if isinstance(argument.source, Tensor):
                form = _Form(uses.find_source(argument.source), argument.offset, offer.preparation)
                groups.setdefault(form, _Group(form)).offers.setdefault(number, offer)
    chosen: dict[int, tuple[_Form, Offer]] = {}
    for group in sorted(groups.values(), key=lambda g: -g.gain(uses, {})):
        free = [number for number in group.offers if number not in chosen]
        shared = len(free) > 1 or group.form.source in uses.lasting
        if shared and group.gain(uses, chosen) > 0:
            chosen.update((number, (group.form, group.offers[number])) for number in free)
    return chosen


def _insert(
    steps: Steps, chosen: Mapping[int, tuple[_Form, Offer]], machine: Machine, threads: int
) -> Iterator[tuple[Operation, LoweredStep]]:
    """The steps with the chosen ones reading prepared operands, each behind a step that makes its own."""
    kernels = {form.preparation: None for form, _ in chosen.values()}
    built = {preparation: preparation.build(machine, threads) for preparation in kernels}
    for number, (operation, step) in enumerate(steps):
        if number not in chosen:
            yield operation, step
            continue
        form, offer = chosen[number]
        memory = Temporary(form.preparation.nbytes)
        arguments = (Argument(form.source, form.offset), Argument(memory))
        yield operation, LoweredStep(built[form.preparation], arguments, form.source.operation.name, prepares=True)
        (reading,) = lower_operation(operation, machine, threads, offer.operand)
        yield operation, _replace_argument(reading, reading.arguments[offer.operand], Argument(memory))


def _share(steps: Iterable[tuple[Operation, LoweredStep]], uses: _Uses) -> Steps:
    """The steps without those that prepare what was prepared before; what may be kept from run to run is."""
    known: dict[tuple[str, Tensor | Prepared, int], Prepared] = {}
    memory: dict[Temporary, Prepared] = {}
    result: Steps = []
    for operation, step in steps:
        redirected = _redirect(step.arguments, memory)
        if step.prepares:
            given, made = redirected
            assert isinstance(given.source, Tensor | Prepared) and isinstance(made.source, Temporary)
            source, origin = uses.trace(given.source)
            key = (step.kernel.name, source, given.offset)
            memory[made.source] = known.get(key) or Prepared(made.source.nbytes, origin)
            if key in known:
                continue
            known[key] = memory[made.source]
            redirected = _redirect(redirected, memory)
        result.append((operation, replace(step, arguments=redirected)))
    return result


def _localise(steps: Steps) -> Steps:
    """What is made in every run and read by one operation alone lies among the temporaries of that one."""
    users: dict[Prepared, set[Operation]] = {}
    for operation, step in steps:
        for argument in step.arguments:
            if isinstance(argument.source, Prepared) and argument.source.origin is None:
                users.setdefault(argument.source, set()).add(operation)
    memory = {source: Temporary(source.nbytes) for source, operations in users.items() if len(operations) == 1}
    return [(operation, replace(step, arguments=_redirect(step.arguments, memory))) for operation, step in steps]


def _redirect(arguments: Sequence[Argument], memory: Mapping[Any, Temporary | Prepared]) -> tuple[Argument, ...]:
    return tuple(
        replace(a, source=memory[a.source]) if isinstance(a.source, Temporary | Prepared) and a.source in memory else a
        for a in arguments
    )


def _replace_argument(step: LoweredStep, old: Argument, new: Argument) -> LoweredStep:
    return replace(step, arguments=tuple(new if a is old else a for a in step.arguments))
