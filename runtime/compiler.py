"""Programs to native code: the whole way from a pruned program to an executable. Alone in the runtime, it knows the passes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from graphc.operation import Operation, Tensor, TensorType
from graphc.passes import specialise as passes_specialise
from graphc.passes.base import Context
from graphc.passes.expand_gradients import ExpandGradients
from graphc.passes.pipeline import PASSES, optimise
from graphc.passes.plan_memory import ARENA, CONSTANTS, FEEDS, RESULTS, RUN_KEY, VARIABLES, MemoryPlan, plan_memory
from graphc.passes.specialise import specialise
from graphc.program import Program
from graphc.runtime.backends import InterpretedProgram, NeedsValues
from graphc.runtime.dump import StageList, record_compilation, start_dump
from graphc.runtime.executor import Executable, Operand, Step
from graphc.runtime.jit.engine import load_kernels
from graphc.runtime.kernel import Kernel
from graphc.runtime.lower.lowered import Argument, LoweredStep, Temporary
from graphc.runtime.lower.operation import lower_operation
from graphc.runtime.native_program import NativeProgram
from graphc.runtime.schedule.machine import Machine, host_machine
from graphc.runtime.threads.pool import shared_pool

ALIGNMENT = 64
PASS_NAMES = tuple(dict.fromkeys(item.name for item in PASSES))


@dataclass
class Compilation:
    """Everything that was made on the way, for those who want to see it."""

    context: Context
    plan: MemoryPlan
    steps: list[tuple[Operation, LoweredStep]]
    kernels: dict[str, Kernel]
    seconds: dict[str, float] = field(default_factory=dict)


class NativeBackend:
    """Compiles programs for the host, or the machine that GRAPHC_MACHINE names."""

    name = "native"

    def __init__(self, threads: int | None = None):
        self.machine: Machine = host_machine()
        self.threads = threads or shared_pool().threads

    def compile(
        self, program: Program, shapes: Mapping[Tensor, tuple[int, ...]], known: Mapping[Tensor, np.ndarray]
    ) -> NativeProgram:
        """Specialises, optimises and compiles. Raises NeedsValues where the values of tensors decide about shapes."""
        dumper = start_dump(program)
        context = Context(dump=None if dumper is None else dumper.add_program)
        start = time.perf_counter()
        special = specialise_program(program, shapes, known)
        seconds = {"specialise": time.perf_counter() - start}
        if dumper is not None:
            dumper.add_program("specialise", special)
        native = compile_program(special, self.machine, self.threads, context, seconds)
        if dumper is not None:
            record_compilation(dumper, native.compilation)
        return native


class InterpreterBackend:
    """Runs programs in NumPy, differentiated, but not optimised."""

    name = "interpreter"

    def compile(
        self, program: Program, shapes: Mapping[Tensor, tuple[int, ...]], known: Mapping[Tensor, np.ndarray]
    ) -> InterpretedProgram:
        """Specialises and differentiates. Raises NeedsValues where the values of tensors decide about shapes."""
        special = specialise_program(program, shapes, known)
        return InterpretedProgram(ExpandGradients().run(special, Context()))


def specialise_program(
    program: Program, shapes: Mapping[Tensor, tuple[int, ...]], known: Mapping[Tensor, np.ndarray]
) -> Program:
    """The program for parameters of these shapes. Raises NeedsValues where the values of tensors decide about shapes."""
    types = {p.key: TensorType(p.tensor.dtype, shapes[p.tensor]) for p in program.parameters if p.tensor in shapes}
    try:
        return specialise(program, types, known)
    except passes_specialise.NeedsValues as needed:
        raise NeedsValues(needed.values, needed.shapes) from None


def dump_compilation(
    program: Program, shapes: Mapping[Tensor, tuple[int, ...]], sink: StageList, only_passes: bool = False
) -> None:
    """Compiles a program for the host, or just optimises it, and hands all stages to `sink`.

    Raises NeedsValues as the backend does.
    """
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
    clock = _Clock(seconds)
    context = context or Context()
    optimised = optimise(program, context)
    clock.lap("optimise")
    plan = plan_memory(optimised)
    clock.lap("plan")
    steps = [
        (operation, step) for operation in plan.program.operations if not _is_free(operation)
        for step in lower_operation(operation, machine, threads)
    ]  # fmt: skip
    kernels = {step.kernel.name: step.kernel for _, step in steps}
    clock.lap("lower")
    loaded = load_kernels(kernels.values(), machine)
    clock.lap("emit")
    layout = _Layout(plan, steps)
    records = [layout.place(operation, step) for operation, step in steps]
    executable = Executable(records, loaded, layout.slot_count, layout.status if layout.has_checks else None)
    compilation = Compilation(context, plan, steps, kernels, clock.seconds)
    return NativeProgram(compilation, executable, layout.arena_bytes)


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
    """Slots and offsets of the operands: feeds, variables, results, then arena, constants, run key and status cells."""

    def __init__(self, plan: MemoryPlan, steps: Sequence[tuple[Operation, LoweredStep]]):
        feeds = sum(p.kind == "feed" for p in plan.program.parameters)
        variables, results = len(plan.variables), len(plan.program.fetches)
        self.plan = plan
        self.first = {FEEDS: 0, VARIABLES: feeds, RESULTS: feeds + variables}
        fixed = feeds + variables + results
        self.first |= {ARENA: fixed, CONSTANTS: fixed + 1, RUN_KEY: fixed + 2}
        self.status = fixed + 3
        self.slot_count = fixed + 4
        self.has_checks = any(step.kernel.checks for _, step in steps)
        self.temporaries, self.arena_bytes = self._place_temporaries(steps)

    def _place_temporaries(self, steps: Sequence[tuple[Operation, LoweredStep]]) -> tuple[dict[Temporary, int], int]:
        """Behind the planned part of the arena: what the steps of one operation need, and workspaces, which all share."""
        places: dict[Temporary, int] = {}
        most = _aligned(self.plan.arena_bytes)
        used: dict[Operation, int] = {}
        for operation, step in steps:
            end = used.get(operation, _aligned(self.plan.arena_bytes))
            for argument in step.arguments:
                source = argument.source
                if isinstance(source, Temporary) and source not in places:
                    places[source] = end
                    end += _aligned(source.nbytes)
            used[operation] = end
            most = max(most, end + _aligned(step.kernel.workspace))
        self.workspaces = used
        return places, most

    def place(self, operation: Operation, step: LoweredStep) -> Step:
        kernel = step.kernel
        operands = [self._operand(argument) for argument in step.arguments]
        if kernel.workspace:
            operands.append(Operand(self.first[ARENA], self.workspaces[operation]))
        if kernel.checks:
            operands.append(Operand(self.status))
        return Step(kernel.name, tuple(operands), kernel.chunks, kernel.chunks > 1, step.label)

    def _operand(self, argument: Argument) -> Operand:
        source = argument.source
        if isinstance(source, Temporary):
            return Operand(self.first[ARENA], self.temporaries[source] + argument.offset)
        place = self.plan.places[source]
        return Operand(self.first[place.space] + place.number, place.offset + argument.offset)


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
