"""Prepared runs: programs with the compiled forms that they have for the shapes they were run with."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from contextlib import suppress
from threading import RLock

import numpy as np

from graphc.errors import FailedPreconditionError, format_error
from graphc.evaluate import evaluate_in_run
from graphc.operation import Operation, Tensor
from graphc.program import FEED, RUN, VARIABLE, Parameter, Program
from graphc.runtime.backends import Backend, CompiledProgram, NeedsValues
from graphc.runtime.bounded_cache import BoundedCache
from graphc.runtime.segments import HostSegment, NativeSegment, Segment, cut_program, restrict_program
from graphc.runtime.variable_store import VariableStore

SHAPES_KEPT = 64  # compiled forms of one program by the shapes of its feeds
VALUES_KEPT = 64  # compiled forms for the same shapes by the values that further shapes depend on

Sizes = tuple[int, ...]
Values = dict[Tensor, np.ndarray]


class PreparedRun:
    """A pruned program with its compiled forms, for as long as its assumptions hold."""

    def __init__(self, program: Program, backend: Backend, lock: RLock):
        self.program = program
        self.variables = tuple(p for p in program.parameters if p.kind == VARIABLE)
        self.writes = bool(program.updates)
        self.uses_variables = bool(program.updates or self.variables or program.assumptions)
        self.body = SegmentedProgram(program, backend, lock)

    def run(self, feeds: Mapping[Tensor, np.ndarray], store: VariableStore, run_key: np.ndarray) -> list[np.ndarray]:
        """The values of the fetches. `feeds` has the arrays by the tensors of the graph that are fed."""
        return self.body.run(self._bind(feeds), store, run_key)

    def find_single(self, feeds: Mapping[Tensor, np.ndarray], store: VariableStore) -> Form | None:
        """The compiled form for these feeds, if a run is that and nothing else."""
        return self.body.find_single(self._bind(feeds), store)

    def compile_ahead(self, feeds: Mapping[Tensor, np.ndarray], store: VariableStore) -> None:
        """Compiles what a run with these feeds will need, as far as that can be told before it."""
        with suppress(KeyError):  # a variable without a value: the run will say so
            self.find_single(feeds, store)

    def _bind(self, feeds: Mapping[Tensor, np.ndarray]) -> Values:
        """The arrays by the parameters that stand for the fed tensors."""
        by_name = {tensor.name: array for tensor, array in feeds.items()}
        return {p.tensor: by_name[p.key] for p in self.program.parameters if p.kind == FEED}

    def holds_for(self, store: VariableStore) -> bool:
        """Whether the variables that the program was built for are still initialised, or not, as they were then."""
        return all(store.is_initialized(key) == held for key, held in self.program.assumptions)

    def check_initialized(self, store: VariableStore) -> None:
        """Raises FailedPreconditionError where a variable that the program reads has no value."""
        for parameter in self.variables:
            if not store.is_initialized(parameter.key):
                self._report_uninitialized(parameter)

    def _report_uninitialized(self, parameter: Parameter) -> None:
        variable = parameter.tensor.operation
        problem = f"Attempting to use uninitialized value {variable.name}"
        readers = [op for op in self.program.operations if parameter.tensor in op.inputs and op.location is not None]
        location = readers[0].location if readers else None
        raise FailedPreconditionError(variable, variable, format_error(problem, [parameter.tensor], location))


class SegmentedProgram:
    """A program as the segments that run one after another: compiled parts, and what Python does between them."""

    def __init__(self, program: Program, backend: Backend, lock: RLock, also: Collection[Operation] = ()):
        self.program = program
        self.segments = cut_program(program, also)
        self.parts = tuple(_make_part(segment, backend, lock) for segment in self.segments)
        self.calls_host = any(isinstance(segment, HostSegment) for segment in self.segments)
        self._feeds = tuple(p.tensor for p in program.parameters if p.kind == FEED)
        self._state = self._list_state_on_host()

    def _list_state_on_host(self) -> list[Parameter]:
        """Variables and the key of the run, where the host or the caller takes them as they are."""
        taken = set(self.program.results)
        for segment in self.segments:
            if isinstance(segment, HostSegment):
                taken.update(t for operation in segment.operations for t in operation.inputs)
        return [p for p in self.program.parameters if p.kind != FEED and p.tensor in taken]

    def run(self, feeds: Mapping[Tensor, np.ndarray], store: VariableStore, run_key: np.ndarray) -> list[np.ndarray]:
        """The values of the program's fetches. `feeds` holds at least the tensors that the program is fed."""
        first = self.parts[0] if len(self.parts) == 1 else None
        if isinstance(first, NativePart) and not self.calls_host:
            return first.run(feeds, store, run_key)
        values = {t: feeds[t] for t in self._feeds}
        for parameter in self._state:
            values[parameter.tensor] = run_key if parameter.kind == RUN else store.value(parameter.key).copy()
        for part in self.parts:
            if isinstance(part, NativePart):
                values.update(zip(part.program.fetches, part.run(values, store, run_key)))
            else:
                _run_on_host(part.operations, values)
        self._write_on_host(values, store)
        return [np.array(values[t]) for t in self.program.fetches]

    def find_single(self, feeds: Mapping[Tensor, np.ndarray], store: VariableStore) -> Form | None:
        """The compiled form for these feeds, if a run is that and nothing else."""
        first = self.parts[0] if len(self.parts) == 1 else None
        if not isinstance(first, NativePart) or self.calls_host or first.program.updates != self.program.updates:
            return None
        return first.find_form([feeds[t] for t in first.feeds], store)

    def _write_on_host(self, values: Values, store: VariableStore) -> None:
        """New values of variables that compiled code does not hold (strings)."""
        written = {key for part in self.parts if isinstance(part, NativePart) for key, _ in part.program.updates}
        for key, tensor in self.program.updates:
            if key not in written:
                store.assign(key, values[tensor])


def _make_part(segment: Segment, backend: Backend, lock: RLock) -> NativePart | HostSegment:
    return NativePart(segment.program, backend, lock) if isinstance(segment, NativeSegment) else segment


def _run_on_host(operations: Sequence[Operation], values: Values) -> None:
    for operation in operations:
        results = evaluate_in_run(operation, [values[t] for t in operation.inputs])
        values.update(zip(operation.outputs, results))


class NativePart:
    """A program without host operations, compiled for each combination of shapes that it is run with.

    Where shapes inside depend on data, the part that they depend on runs first, and what is compiled is kept by the values.
    """

    def __init__(self, program: Program, backend: Backend, lock: RLock):
        self.program = program
        self.backend = backend
        self.lock = lock  # held while something is compiled
        self.feeds = tuple(p.tensor for p in program.parameters if p.kind == FEED)
        self.compiled: BoundedCache[Form] = BoundedCache(SHAPES_KEPT)
        self._prefixes: dict[tuple[Tensor, ...], NativePart] = {}
        self._flexible = tuple(p.key for p in program.parameters if p.kind == VARIABLE and not p.tensor.type.is_known)

    def run(self, values: Mapping[Tensor, np.ndarray], store: VariableStore, run_key: np.ndarray) -> list[np.ndarray]:
        """The fetches of the program; `values` holds at least its feeds."""
        feeds = [values[t] for t in self.feeds]
        form = self.find_form(feeds, store)
        while isinstance(form, _DependsOnValues):
            form = form.find_form(values, store, run_key)
        if isinstance(form, SegmentedProgram):
            return form.run(values, store, run_key)
        return form.run(feeds, store, run_key)

    def find_form(self, feeds: Sequence[np.ndarray], store: VariableStore) -> Form:
        key: Hashable = tuple([a.shape for a in feeds] + [store.value(key).shape for key in self._flexible])
        found = self.compiled.get(key)
        if found is not None:
            return found
        with self.lock:
            found = self.compiled.get(key)
            return found or self.compiled.put(key, self.compile(self._list_shapes(feeds, store), {}))

    def _list_shapes(self, feeds: Sequence[np.ndarray], store: VariableStore) -> dict[Tensor, Sizes]:
        shapes = {t: a.shape for t, a in zip(self.feeds, feeds)}
        for parameter in self.program.parameters:
            if parameter.kind == VARIABLE:
                shapes[parameter.tensor] = store.value(parameter.key).shape
            elif parameter.kind == RUN:
                shapes[parameter.tensor] = (2,)
        return shapes

    def compile(self, shapes: Mapping[Tensor, Sizes], known: Mapping[Tensor, np.ndarray]) -> Form:
        """The program for parameters of these shapes, with these values known; or how to get at what is missing."""
        try:
            return self.backend.compile(self.program, shapes, known)
        except NeedsValues as needed:
            if needed.shapes:
                return SegmentedProgram(self.program, self.backend, self.lock, {t.operation for t in needed.shapes})
            return _DependsOnValues(self, shapes, known, needed.values)

    def prefix(self, tensors: tuple[Tensor, ...]) -> NativePart:
        """The part of the program that computes some of its tensors."""
        if tensors not in self._prefixes:
            self._prefixes[tensors] = NativePart(restrict_program(self.program, tensors), self.backend, self.lock)
        return self._prefixes[tensors]


class _DependsOnValues:
    """In the place of a compiled program whose shapes depend on data: how to find out, and what was compiled since."""

    def __init__(
        self,
        part: NativePart,
        shapes: Mapping[Tensor, Sizes],
        known: Mapping[Tensor, np.ndarray],
        tensors: tuple[Tensor, ...],
    ):
        self.part, self.shapes, self.known, self.tensors = part, shapes, known, tensors
        self.prefix = part.prefix(tensors)
        self.compiled: BoundedCache[Form] = BoundedCache(VALUES_KEPT)

    def find_form(self, values: Mapping[Tensor, np.ndarray], store: VariableStore, run_key: np.ndarray) -> Form:
        """What there is for the values that the tensors have in this run."""
        arrays = self.prefix.run(values, store, run_key)
        key = tuple((a.shape, a.tobytes()) for a in arrays)
        found = self.compiled.get(key)
        if found is not None:
            return found
        with self.part.lock:
            found = self.compiled.get(key)
            known = {**self.known, **dict(zip(self.tensors, arrays))}
            return found or self.compiled.put(key, self.part.compile(self.shapes, known))


Form = CompiledProgram | SegmentedProgram | _DependsOnValues
