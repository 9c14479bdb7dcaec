"""Programs to native code: the whole way from a program whose types are known to an executable."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from graphc.operation import Operation, Tensor
from graphc.passes.base import Context
from graphc.passes.pipeline import PASSES, optimise
from graphc.passes.place_results import view_source
from graphc.passes.plan_memory import (
    ARENA,
    CONSTANTS,
    FEEDS,
    RESULTS,
    RUN_KEY,
    VARIABLES,
    MemoryPlan,
    plan_memory,
    share_memory,
)
from graphc.program import FEED, RUN, VARIABLE, Program
from graphc.runtime.collector import collecting_later
from graphc.runtime.compiled_record import SHARED_FROM, Binding, CompiledRecord, Constant
from graphc.runtime.executor import Executable, Operand, Step
from graphc.runtime.jit.engine import load_kernels, start_compiling
from graphc.runtime.jit.workers import sharing_the_interpreter
from graphc.runtime.kernel import Kernel
from graphc.runtime.lower.lowered import Argument, Immediate, LoweredStep, Prepared, Temporary
from graphc.runtime.lower.operation import lower_operation
from graphc.runtime.lower.preparing import prepare_operands
from graphc.runtime.memory import Buffer, allocate
from graphc.runtime.native_backend import specialise_program
from graphc.runtime.native_program import NativeProgram
from graphc.runtime.program_store import constants_of
from graphc.runtime.schedule.machine import Machine, host_machine
from graphc.runtime.threads.pool import shared_pool

if TYPE_CHECKING:
    from graphc.runtime.dump import StageList

ALIGNMENT = 64
NUMBER_ALIGNMENT = 8  # of what kernels read by single numbers
VERSION_OF_CONSTANTS = Immediate((1).to_bytes(8, "little"))
PASS_NAMES = tuple(dict.fromkeys(item.name for item in PASSES))


@dataclass
class Compilation:
    """Everything that was made on the way, for those who want to see it."""

    context: Context
    plan: MemoryPlan
    steps: list[tuple[Operation, LoweredStep]]
    kernels: dict[str, Kernel]
    seconds: dict[str, float] = field(default_factory=dict)


def dump_compilation(
    program: Program, shapes: Mapping[Tensor, tuple[int, ...]], sink: StageList, only_passes: bool = False
) -> None:
    """Compiles a program for the host, or just optimises it, and hands all stages to `sink`.

    Raises NeedsValues as the backend does.
    """
    from graphc.runtime.dump import record_compilation

    special = specialise_program(program, shapes, {})
    sink.add_program("specialise", special)
    context = Context(dump=sink.add_program)
    if only_passes:
        optimise(special, context)
        return
    native = compile_program(special, host_machine(), shared_pool().threads, context)
    record_compilation(sink, native.compilation)


def compile_program(
    program: Program, machine: Machine, threads: int, context: Context | None = None, seconds: dict[str, float] | None = None
) -> NativeProgram:
    """Native code for a program whose types are all known."""

    def start(steps: Sequence[LoweredStep]) -> None:
        start_compiling((step.kernel for step in steps), machine)

    with sharing_the_interpreter():
        compilation = _compile(program, machine, threads, context or Context(), seconds, start)
    clock = _Clock(compilation.seconds)
    loaded = load_kernels(compilation.kernels.values(), machine)
    clock.lap("emit")
    compilation.seconds = clock.seconds
    layout = _Layout(compilation.plan, compilation.steps)
    record = _make_record(program, compilation, layout)
    status = layout.status if layout.has_checks else None
    executable = Executable(record.steps, loaded, layout.slot_count, status, shared_pool(threads))
    constants = _fill_constants(compilation.plan, layout)
    options = replace(compilation.context, verify=False, dump=None, records=[], stage=0)

    def recompile() -> Compilation:
        return _compile(program, machine, threads, replace(options, records=[]))

    return NativeProgram(record, executable, constants, recompile, clock.seconds, compilation)


def compile_again(program: Program, machine: Machine, threads: int, context: Context) -> Compilation:
    """What `compile_program` made on the way, but for the machine code."""
    return _compile(program, machine, threads, context)


def _compile(
    program: Program,
    machine: Machine,
    threads: int,
    context: Context,
    seconds: dict[str, float] | None = None,
    watch: Callable[[Sequence[LoweredStep]], None] | None = None,
) -> Compilation:
    """`watch` is called with the steps of each operation that stay what they are, as soon as they are there."""
    clock = _Clock(seconds)
    with collecting_later():
        optimised = optimise(program, context)
        clock.lap("optimise")
        plan = plan_memory(optimised)
        clock.lap("plan")
        steps: list[tuple[Operation, LoweredStep]] = []
        for operation in plan.program.operations:
            lowered = [] if _is_free(operation) else lower_operation(operation, machine, threads)
            steps += [(operation, step) for step in lowered]
            if watch is not None:
                watch([step for step in lowered if not step.offers])
        steps = prepare_operands(plan.program, steps, machine, threads, view_source)
    kernels = {step.kernel.name: step.kernel for _, step in steps}
    clock.lap("lower")
    return Compilation(context, plan, steps, kernels, clock.seconds)


def _make_record(program: Program, compilation: Compilation, layout: _Layout) -> CompiledRecord:
    plan, kernels = compilation.plan, [step.kernel for _, step in compilation.steps]
    parameters = plan.program.parameters
    large = (literal for literal in constants_of(program) if literal.array.nbytes >= SHARED_FROM)
    held = {literal.digest for literal in large if not literal.is_uniform}  # uniform ones are no constants of the plan
    return CompiledRecord(
        feeds=tuple(Binding(p.key, p.tensor.type) for p in parameters if p.kind == FEED),
        reads=tuple(p.key for p in parameters if p.kind == VARIABLE),
        variables=plan.variables,
        results=tuple(t.type for t in plan.program.fetches),
        updates=tuple(Binding(key, tensor.type) for key, tensor in plan.program.updates),
        draws=any(p.kind == RUN for p in parameters),
        steps=tuple(layout.place(operation, step) for operation, step in compilation.steps),
        kernels=tuple((name, kernel.digest) for name, kernel in compilation.kernels.items()),
        slot_count=layout.slot_count,
        status_slot=layout.status if layout.has_checks else -1,
        remembered=tuple(layout.versions),
        arena_bytes=layout.arena_bytes,
        constant_bytes=layout.constant_bytes,
        constants=tuple(_describe_constants(plan, layout, held)),
        flops=sum(kernel.flops for kernel in kernels),
        bytes_moved=sum(kernel.bytes_moved for kernel in kernels),
    )


def _describe_constants(plan: MemoryPlan, layout: _Layout, held: Collection[str]) -> Iterator[Constant]:
    for immediate, offset in layout.immediates.items():
        yield Constant(offset, len(immediate.data))
    for literal, offset in zip(plan.constants, plan.constant_offsets):
        named = literal.array.nbytes >= SHARED_FROM and literal.digest in held
        yield Constant(offset, literal.array.nbytes, literal.digest if named else "")


def _fill_constants(plan: MemoryPlan, layout: _Layout) -> Buffer:
    buffer = allocate(max(1, layout.constant_bytes))
    memory = buffer.view(np.uint8)
    for immediate, offset in layout.immediates.items():
        memory[offset : offset + len(immediate.data)] = np.frombuffer(immediate.data, np.uint8)
    for literal, offset in zip(plan.constants, plan.constant_offsets):
        array = literal.array
        memory[offset : offset + array.nbytes] = np.frombuffer(array.tobytes(), np.uint8)
    return buffer


def _is_free(operation: Operation) -> bool:
    """Whether an operation needs no code: constants lie ready, reshapes are views."""
    return operation.definition.name in ("constant", "reshape")


class _Clock:
    def __init__(self, seconds: dict[str, float] | None):
        self.seconds = dict(seconds or {})
        self.last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = now - self.last
        self.last = now


class _Layout:
    """Slots and offsets of the operands: feeds, variables, results, then arena, constants, run key, status cells, versions."""

    def __init__(self, plan: MemoryPlan, steps: Sequence[tuple[Operation, LoweredStep]]):
        feeds = sum(p.kind == "feed" for p in plan.program.parameters)
        variables, results = len(plan.variables), len(plan.program.fetches)
        self.plan = plan
        self.first = {FEEDS: 0, VARIABLES: feeds, RESULTS: feeds + variables}
        fixed = feeds + variables + results
        self.first |= {ARENA: fixed, CONSTANTS: fixed + 1, RUN_KEY: fixed + 2}
        self.status = fixed + 3
        self.has_checks = any(step.kernel.checks for _, step in steps)
        self.versions = self._number_versions(steps, fixed + 4)
        self.slot_count = fixed + 4 + len(self.versions)
        self.prepared, prepared_end = self._place_prepared(steps)
        self.temporaries, temporaries_end = self._place_temporaries(steps, prepared_end)
        self.kept, self.arena_bytes = self._place_kept(steps, temporaries_end)
        self.immediates, self.constant_bytes = self._place_immediates(steps)

    def _number_versions(self, steps: Sequence[tuple[Operation, LoweredStep]], first: int) -> dict[str, int]:
        """The slots with the versions of variables, by key."""
        origins = {source.origin for source in _find_prepared(steps)}
        keys = [p.key for p in self.plan.program.parameters if p.kind == VARIABLE and p.tensor in origins]
        return {key: first + number for number, key in enumerate(keys)}

    def _place_prepared(self, steps: Sequence[tuple[Operation, LoweredStep]]) -> tuple[dict[Prepared, int], int]:
        """Behind the planned part of the arena: what is made in every run for steps of several operations."""
        lives = {source: life for source, life in _find_prepared(steps).items() if source.origin is None}
        offsets, nbytes = share_memory([(source.nbytes, *life) for source, life in lives.items()])
        start = _aligned(self.plan.arena_bytes)
        return {source: start + offset for source, offset in zip(lives, offsets)}, start + nbytes

    def _place_kept(self, steps: Sequence[tuple[Operation, LoweredStep]], end: int) -> tuple[dict[Prepared, int], int]:
        """At the end of the arena, where no run writes anything else: a cell for the version, and the bytes made of it."""
        places: dict[Prepared, int] = {}
        for source in _find_prepared(steps):
            if source.origin is not None:
                places[source] = end + ALIGNMENT
                end = places[source] + _aligned(source.nbytes)
        return places, end

    def _place_temporaries(
        self, steps: Sequence[tuple[Operation, LoweredStep]], start: int
    ) -> tuple[dict[Temporary, int], int]:
        """Behind that what the steps of one operation need, and workspaces, which all share."""
        places: dict[Temporary, int] = {}
        most = start
        used: dict[Operation, int] = {}
        for operation, step in steps:
            end = used.get(operation, start)
            for argument in step.arguments:
                source = argument.source
                if isinstance(source, Temporary) and source not in places:
                    places[source] = end
                    end += _aligned(source.nbytes)
            used[operation] = end
            most = max(most, end + _aligned(step.kernel.workspace))
        self.workspaces = used
        return places, most

    def _place_immediates(self, steps: Sequence[tuple[Operation, LoweredStep]]) -> tuple[dict[Immediate, int], int]:
        """Behind the constants: what kernels read and nobody else."""
        places: dict[Immediate, int] = {}
        end = _aligned(self.plan.constant_bytes)
        used = [argument.source for _, step in steps for argument in step.arguments]
        for source in [*used, *([VERSION_OF_CONSTANTS] if self.kept else [])]:
            if isinstance(source, Immediate) and source not in places:
                places[source] = end
                end += _aligned(len(source.data), NUMBER_ALIGNMENT)
        return places, end

    def place(self, operation: Operation, step: LoweredStep) -> Step:
        kernel = step.kernel
        operands = [self._operand(argument) for argument in step.arguments]
        if kernel.workspace:
            operands.append(Operand(self.first[ARENA], self.workspaces[operation]))
        if kernel.checks:
            operands.append(Operand(self.status))
        made = step.arguments[1].source if step.prepares else None
        remembers = isinstance(made, Prepared) and made.origin is not None
        if isinstance(made, Prepared) and made.origin is not None:
            operands += [self._version(made.origin), Operand(self.first[ARENA], self.kept[made] - ALIGNMENT)]
        return Step(kernel.name, tuple(operands), kernel.chunks, kernel.chunks > 1, step.label, remembers)

    def _version(self, origin: Tensor) -> Operand:
        """Where the version of a variable or a constant lies."""
        keys = [p.key for p in self.plan.program.parameters if p.tensor is origin]
        if keys:
            return Operand(self.versions[keys[0]])
        return Operand(self.first[CONSTANTS], self.immediates[VERSION_OF_CONSTANTS])

    def _operand(self, argument: Argument) -> Operand:
        source = argument.source
        if isinstance(source, Temporary):
            return Operand(self.first[ARENA], self.temporaries[source] + argument.offset)
        if isinstance(source, Prepared):
            place = self.prepared[source] if source.origin is None else self.kept[source]
            return Operand(self.first[ARENA], place + argument.offset)
        if isinstance(source, Immediate):
            return Operand(self.first[CONSTANTS], self.immediates[source] + argument.offset)
        planned = self.plan.places[source]
        return Operand(self.first[planned.space] + planned.number, planned.offset + argument.offset)


def _find_prepared(steps: Sequence[tuple[Operation, LoweredStep]]) -> dict[Prepared, tuple[int, int]]:
    """The memory of prepared operands, with the first and the last step that uses it."""
    lives: dict[Prepared, tuple[int, int]] = {}
    for number, (_, step) in enumerate(steps):
        for argument in step.arguments:
            if isinstance(argument.source, Prepared):
                lives[argument.source] = (lives.get(argument.source, (number, number))[0], number)
    return lives


def _aligned(nbytes: int, alignment: int = ALIGNMENT) -> int:
    return -(-nbytes // alignment) * alignment
