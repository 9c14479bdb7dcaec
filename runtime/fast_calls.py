"""The native way through a session: what was run once is from then on run by one native call.

A `FastCalls` holds the calls of a session. After a run it makes a `Call` for the same fetches and feeds, where the run was
one compiled program; the session's `run` looks through these calls first. A call has the addresses of the variables, so all
of them end when the layout of the variables changes.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.graph import Graph
from graphc.operation import Operation, Tensor
from graphc.runtime.call_path import Call, CallChain, Feed, Result, RunLock, Shape, make_callable, make_run
from graphc.runtime.calls.native_path import path_is_at_hand, start_path
from graphc.runtime.compiled_record import CompiledRecord
from graphc.runtime.executor import Failure
from graphc.runtime.native_program import NativeProgram
from graphc.runtime.variable_store import VariableStore

MOST_CALLS = 16  # that a session looks through; a program that is run with many shapes keeps the last ones
RELEASE_FROM = 10.0  # microseconds of native work from which other Python threads may run meanwhile
FLOPS_A_MICROSECOND, BYTES_A_MICROSECOND = 1e5, 2e4

_KINDS: dict[Any, Shape] = {list: Shape.LIST, tuple: Shape.TUPLE}


class FastCalls:
    """The calls of one session, and its `run` that begins with them: None until there is a call."""

    def __init__(self, graph: Graph, store: VariableStore, entropy: int, slow_run: Callable[..., Any]):
        self.graph, self.store, self.entropy = graph, store, entropy
        self.lock = RunLock()
        self.runs = ctypes.c_int64(0)  # counted up by every run that draws random numbers
        self.chain = CallChain()
        self.run: Callable[..., Any] | None = None
        self._slow_run = slow_run
        self._callables: weakref.WeakSet[Call] = weakref.WeakSet()
        self._ran_once: weakref.WeakSet[NativeProgram] = weakref.WeakSet()
        self._layout = -1
        self._adding = threading.Lock()

    def next_run_key(self) -> np.ndarray:
        """The key of a run that does not go the native way. The caller holds the lock."""
        self.runs.value += 1
        return np.array([self.entropy, self.runs.value], np.int64)

    def drop_moved(self) -> None:
        """Ends all calls if variables were made, moved or freed since they were made."""
        if self._layout == self.store.layout:
            return
        with self._adding:
            for call in (*self.chain.calls, *self._callables):
                call.invalidate()
            self._callables.clear()
            self.chain.clear()
            self._layout = self.store.layout

    def add(
        self,
        fetches: Any,
        keys: Sequence[Any],
        feeds: Mapping[Tensor, np.ndarray],
        program: NativeProgram,
        tensors: Sequence[Tensor],
    ) -> None:
        """Makes a call for what was just run: arrays that were fed under keys.

        `tensors` are the program's fetches as tensors of the graph."""
        if self._awaits_path(program):
            return
        items = self._list_items(fetches, tensors)
        layout = self._settle(program)
        call = self.make_call(fetches, keys, feeds, program, items) if items is not None else None
        if call is None:
            return
        with self._adding:
            if layout != self.store.layout:
                return  # moved by another thread: the next run makes the call
            self.chain.add(call)
            if self.run is None:
                self.run = make_run(self.chain, self._slow_run)
            for old in self.chain.calls[MOST_CALLS:]:
                self.chain.remove(old)

    def _awaits_path(self, program: NativeProgram) -> bool:
        """Whether the native path is still to be compiled. The second run of a program has that begun, in the background:
        what runs once does not need it, and would only wait."""
        if path_is_at_hand():
            return False
        if program in self._ran_once:
            return start_path()
        self._ran_once.add(program)
        return True

    def _settle(self, program: NativeProgram) -> int:
        """The layout of the variables with all watched that a program watches: calls from before do not count versions."""
        for key in program.record.remembered:
            self.store.version(key)
        self.drop_moved()
        return self.store.layout

    def make_callable(
        self, fetches: Any, feeds: Mapping[Tensor, np.ndarray], program: NativeProgram, tensors: Sequence[Tensor],
        slow: Callable[..., Any],
    ) -> Callable[..., Any] | None:  # fmt: skip
        """A native function of arrays like the feeds, in their order, that runs a compiled program; None where it needs more.

        `slow` gets the arguments that do not fit as they are, and all once the variables have moved. The caller holds the lock.
        """
        items = self._list_items(fetches, tensors)
        self._settle(program)
        call = self.make_call(fetches, list(feeds), feeds, program, items) if items is not None else None
        if call is None:
            return None
        with self._adding:
            self._callables.add(call)
        return make_callable(call, slow)

    def _list_items(self, fetches: Any, tensors: Sequence[Tensor]) -> list[int | None] | None:
        """For each element of a flat list or tuple, or a single fetch, the number of its result, None for operations."""
        elements = fetches if type(fetches) in _KINDS else [fetches]
        numbers = {tensor: number for number, tensor in enumerate(tensors)}
        items: list[int | None] = []
        for element in elements:
            if not isinstance(element, (Tensor, Operation, str)) and not hasattr(element, "_as_graph_element"):
                return None
            found = self.graph.as_graph_element(element)
            items.append(None if isinstance(found, Operation) else numbers[found])
        return items

    def make_call(
        self,
        fetches: Any,
        keys: Sequence[Any],
        given: Mapping[Tensor, np.ndarray],
        program: NativeProgram,
        items: Sequence[int | None],
    ) -> Call | None:
        """The call of a compiled program for arrays like those given, under these keys, in their order.

        What the program does not need is checked as what it needs. None where the keys do not name tensors, one each.
        """
        record = program.record
        feeds = self._list_feeds(keys, given, program)
        if feeds is None:
            return None
        variables = [self._variable_address(program, key) for key in record.variables]
        if any(array is None for array in variables):
            return None
        arena, status = program.take_arena(), np.zeros(4, np.int64)
        run_key = np.array([self.entropy, 0], np.int64)
        fed = len(program.feed_keys)
        first_result = fed + len(variables)
        slots = [0] * fed + [a.ctypes.data for a in variables] + [0] * len(program.results)  # type: ignore[union-attr]
        slots += [arena.address, program.constants.address, run_key.ctypes.data, status.ctypes.data]
        seen = [self.store.version(key) for key in record.remembered]
        slots += [ctypes.addressof(cell) for cell in seen]
        written = self.store.watched(program.updates)

        def report(failure: Failure) -> None:
            raise program.explain(failure)

        return Call(
            program.executable,
            slots,
            feeds,
            [Result(t.dtype.numpy, t.sizes, first_result + i) for i, t in enumerate(program.results)],
            items,
            report,
            shape=_KINDS.get(type(fetches), Shape.SINGLE),
            lock=self.lock if record.uses_variables else None,
            writes=bool(program.updates),
            versions=[ctypes.addressof(cell) for cell in written],
            run_counter=ctypes.addressof(self.runs) if record.draws else None,
            run_number=run_key.ctypes.data + 8 if record.draws else None,
            release=_estimate_microseconds(record) > RELEASE_FROM,
            fetches=fetches if type(fetches) in _KINDS else [fetches],
            keys=keys,
            keep=(program, arena, status, run_key, self.runs, variables, seen, written),
        )

    def _list_feeds(
        self, keys: Sequence[Any], given: Mapping[Tensor, np.ndarray], program: NativeProgram
    ) -> list[Feed] | None:
        if not all(isinstance(key, (Tensor, str)) or hasattr(key, "_as_graph_element") for key in keys):
            return None
        tensors = [self.graph.as_graph_element(key) for key in keys]
        if len(set(tensors)) != len(tensors) or any(given[t].dtype.hasobject for t in tensors):
            return None
        slots = {self.graph.get_tensor_by_name(name): i for i, name in enumerate(program.feed_keys)}
        return [Feed(t.dtype.numpy, given[t].shape, slots.get(t)) for t in tensors]

    def _variable_address(self, program: NativeProgram, key: str) -> np.ndarray | None:
        """The buffer of a variable that is initialised and keeps its type through the run."""
        if not self.store.is_initialized(key):
            return None
        array, new = self.store.value(key), program.updates.get(key)
        fits = new is None or (array.shape == new.sizes and array.dtype == new.dtype.numpy)
        return array if fits else None


def _estimate_microseconds(record: CompiledRecord) -> float:
    return record.flops / FLOPS_A_MICROSECOND + record.bytes_moved / BYTES_A_MICROSECOND
