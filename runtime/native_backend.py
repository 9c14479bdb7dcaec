"""The backends: native code, taken from the disk where the same program was compiled before, and NumPy.

The compiler is loaded when there is something to compile.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from graphc.operation import Tensor, TensorType
from graphc.passes import specialise as passes_specialise
from graphc.passes.specialise import specialise
from graphc.program import Program
from graphc.runtime.backends import InterpretedProgram, NeedsValues
from graphc.runtime.collector import collecting_later
from graphc.runtime.core_routines import CORE_SOURCES
from graphc.runtime.executor import Executable
from graphc.runtime.jit.engine import load_known_kernels
from graphc.runtime.jit.routines import start_own_routines
from graphc.runtime.jit.workers import sharing_the_interpreter
from graphc.runtime.native_program import NativeProgram
from graphc.runtime.program_store import find_program, program_key, store_program
from graphc.runtime.schedule.machine import Machine, host_machine
from graphc.runtime.threads.pool import shared_pool

if TYPE_CHECKING:
    from graphc.runtime.compiler import Compilation


class NativeBackend:
    """Compiles programs for the host, or the machine that GRAPHC_MACHINE names, to run on a number of threads.

    `matmul_precision` "bf16" rounds the operands of float32 matrix products.
    """

    name = "native"

    def __init__(self, threads: int | None = None, matmul_precision: str = ""):
        self.matmul_precision = matmul_precision
        if start_own_routines(CORE_SOURCES):
            with sharing_the_interpreter(), collecting_later():
                import graphc.runtime.compiler  # noqa: F401 - meanwhile: where routines were not on disk, little is
        self.pool = shared_pool(threads)
        self.threads = self.pool.threads

    @functools.cached_property
    def machine(self) -> Machine:
        return host_machine()

    def compile(
        self, program: Program, shapes: Mapping[Tensor, tuple[int, ...]], known: Mapping[Tensor, np.ndarray]
    ) -> NativeProgram:
        """Specialises, optimises and compiles, or finds what was compiled before.

        Raises NeedsValues where the values of tensors decide about shapes.
        """
        if _wants_to_watch():
            return self._compile_watched(program, shapes, known)
        with collecting_later():
            return self._find_or_compile(program, shapes, known)

    def _find_or_compile(
        self, program: Program, shapes: Mapping[Tensor, tuple[int, ...]], known: Mapping[Tensor, np.ndarray]
    ) -> NativeProgram:
        start = time.perf_counter()
        special = specialise_program(program, shapes, known)
        specialised = time.perf_counter()
        seconds = {"specialise": specialised - start}
        key = program_key(special, self.machine, self.threads, self.matmul_precision)
        found = self._find(key, special)
        seconds["find"] = time.perf_counter() - specialised
        if found is not None:
            found.seconds.update(seconds)
            return found
        from graphc.passes.base import Context
        from graphc.runtime.compiler import compile_program

        context = Context(matmul_precision=self.matmul_precision)
        native = compile_program(special, self.machine, self.threads, context, seconds)
        native.forget_compilation()
        if key is not None:
            store_program(key, native.record, native.constants)
        return native

    def _find(self, key: str | None, special: Program) -> NativeProgram | None:
        found = find_program(key, special) if key is not None else None
        if found is None:
            return None
        record, constants = found
        kernels = load_known_kernels(record.kernels, self.machine)
        if kernels is None:
            return None
        machine, threads, precision = self.machine, self.threads, self.matmul_precision

        def recompile() -> Compilation:
            from graphc.passes.base import Context
            from graphc.runtime.compiler import compile_again

            return compile_again(special, machine, threads, Context(verify=False, matmul_precision=precision))

        status = record.status_slot if record.status_slot >= 0 else None
        executable = Executable(record.steps, kernels, record.slot_count, status, self.pool)
        return NativeProgram(record, executable, constants, recompile)

    def _compile_watched(
        self, program: Program, shapes: Mapping[Tensor, tuple[int, ...]], known: Mapping[Tensor, np.ndarray]
    ) -> NativeProgram:
        """All the way, for dumps and for verification."""
        from graphc.passes.base import Context
        from graphc.runtime.compiler import compile_program
        from graphc.runtime.dump import record_compilation, start_dump

        dumper = start_dump(program)
        dump = None if dumper is None else dumper.add_program
        context = Context(dump=dump, matmul_precision=self.matmul_precision)
        special = specialise_program(program, shapes, known)
        if dumper is not None:
            dumper.add_program("specialise", special)
        native = compile_program(special, self.machine, self.threads, context)
        if dumper is not None:
            record_compilation(dumper, native.compilation)
        native.forget_compilation()
        return native


class InterpreterBackend:
    """Runs programs in NumPy, differentiated, but not optimised."""

    name = "interpreter"

    def compile(
        self, program: Program, shapes: Mapping[Tensor, tuple[int, ...]], known: Mapping[Tensor, np.ndarray]
    ) -> InterpretedProgram:
        """Specialises and differentiates. Raises NeedsValues where the values of tensors decide about shapes."""
        from graphc.passes.base import Context
        from graphc.passes.expand_gradients import ExpandGradients

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


def _wants_to_watch() -> bool:
    """Whether the environment asks for a dump or a verification of each compilation, and so for the compilation."""
    return bool(os.environ.get("GRAPHC_DUMP")) or os.environ.get("GRAPHC_VERIFY", "") not in ("", "0")
