"""Sessions: where graphs run and variables live."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, NamedTuple

import numpy as np

from graphc.errors import NotFoundError, OpError
from graphc.graph import Graph, get_default_graph
from graphc.operation import DEFAULT_SESSIONS, Operation, Tensor, pushed_builders
from graphc.program import Program, build_program
from graphc.runtime.backends import Backend, choose_backend
from graphc.runtime.bounded_cache import BoundedCache
from graphc.runtime.calls.native_path import start_path
from graphc.runtime.fast_calls import FastCalls
from graphc.runtime.feeds import convert_feeds, find_fed_tensor
from graphc.runtime.fetches import FetchPlan, fetch_key, plan_fetches
from graphc.runtime.native_program import NativeProgram
from graphc.runtime.prepared import PreparedRun
from graphc.runtime.variable_store import VariableStore

RUN_OBSERVERS: list[Callable[[Session, Any, Mapping[Any, Any]], None]] = []
"""Called with the session, fetches and feeds before each run that is not the repetition of an earlier one."""

PLANS_KEPT = 512  # structures of fetches
RUNS_KEPT = 256  # combinations of fetches and fed tensors


class DeviceAttributes(NamedTuple):
    """A device as `Session.list_devices` shows it; the memory in bytes."""

    name: str
    device_type: str
    memory_limit_bytes: int
    incarnation: int


class Session:
    """Runs operations of a graph and holds the values of its variables.

    As a context manager it is the default session, its graph the default graph, and it is closed at the end. It may be
    used from many threads: runs that write variables have the session for themselves, others run side by side.
    """

    def __init__(self, target: str | bytes = "", graph: Graph | None = None, config: Any = None):
        """Raises TypeError for arguments of other types, NotFoundError for a target, which there is none of."""
        if target is not None and not isinstance(target, (str, bytes)):
            raise TypeError(f'Argument `target` must be a string, but got "{type(target).__name__}"')
        if target:
            raise NotFoundError(None, None, f"No session factory registered for the given session options: {target!r}")
        if graph is not None and not isinstance(graph, Graph):
            raise TypeError(f'Argument `graph` must be a tf.Graph, but got "{type(graph).__name__}"')
        if config is not None and not hasattr(config, "intra_op_parallelism_threads"):
            raise TypeError(f'Argument `config` must be a tf.ConfigProto, but got "{type(config).__name__}"')
        self.config = config
        self.variables = VariableStore()
        self._graph = graph if graph is not None else get_default_graph()
        self._backend: Backend = choose_backend(
            getattr(config, "intra_op_parallelism_threads", 0), getattr(config, "matmul_precision", "default")
        )
        self._closed = False
        self._entered: list[ExitStack] = []
        self._plans: BoundedCache[FetchPlan] = BoundedCache(PLANS_KEPT)
        self._runs: BoundedCache[list[PreparedRun]] = BoundedCache(RUNS_KEPT)
        self._preparing = threading.RLock()
        entropy = int.from_bytes(os.urandom(8), "little") >> 1
        self._fast = FastCalls(self._graph, self.variables, entropy, self._run_slowly)
        self._order = self._fast.lock

    # -- what it is

    @property
    def graph(self) -> Graph:
        return self._graph

    @property
    def graph_def(self) -> Graph:
        """The graph, which is its own definition."""
        return self._graph

    @property
    def sess_str(self) -> bytes:
        return b""

    def list_devices(self) -> list[DeviceAttributes]:
        """The one device that there is."""
        self._check_open()
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return [DeviceAttributes("/job:localhost/replica:0/task:0/device:CPU:0", "CPU", memory, 0)]

    # -- running

    def run(
        self,
        fetches: Any,
        feed_dict: Mapping[Any, Any] | None = None,
        options: Any = None,
        run_metadata: Any = None,
    ) -> Any:
        """The values of a nest of tensors, operations, variables and names, in the same structure.

        Tensors come as arrays that the caller owns (NumPy scalars for 0-d ones), operations as None. `feed_dict` maps
        tensors, variables or names to values that take their place in this run. `options` and `run_metadata` are accepted
        for scripts that pass them.

        Raises RuntimeError for a closed session or an empty graph, TypeError and ValueError for fetches and feeds that do
        not fit, InvalidArgumentError for a placeholder that was not fed, FailedPreconditionError for a variable without
        value, and what operations raise while they run.
        """
        fast = self._fast.run
        if fast is not None and options is None and run_metadata is None:
            return fast(fetches, feed_dict)
        return self._run_slowly(fetches, feed_dict, options, run_metadata)

    def _run_slowly(
        self, fetches: Any, feed_dict: Mapping[Any, Any] | None = None, options: Any = None, run_metadata: Any = None
    ) -> Any:
        """`run` for what no native call is there for yet; from the next time on there is one, where that can be."""
        self._check_open()
        if not self._graph.version:
            raise RuntimeError("The Session graph is empty. Add operations to the graph before calling run().")
        for observe in RUN_OBSERVERS:
            observe(self, fetches, feed_dict or {})
        feeds = convert_feeds(self._graph, feed_dict) if feed_dict else {}
        plan = self._plan(fetches)
        values = [_as_result(value) for value in self._run_plan(plan, feeds)]
        program = self._native_program(plan, feeds)
        if program is not None:
            self._fast.add(fetches, list(feed_dict or ()), feeds, program, plan.tensors)
            if type(self).run is Session.run and self._fast.run is not None:
                self.run = self._fast.run  # type: ignore[method-assign]
        return plan.rebuild(values)

    def find_compiled(
        self, fetches: Any, feed_dict: Mapping[Any, Any] | None = None
    ) -> tuple[NativeProgram, list[np.ndarray]] | None:
        """The compiled program of a run that is nothing else, with its feeds in order; None for other runs."""
        feeds = convert_feeds(self._graph, feed_dict) if feed_dict else {}
        plan = self._plan(fetches)
        program = self._native_program(plan, feeds)
        if program is None:
            return None
        keys = {tensor.name: array for tensor, array in feeds.items()}
        return program, [keys[key] for key in program.feed_keys]

    def next_run_key(self) -> np.ndarray:
        """The key of one more run: the session's number and the number of the run."""
        with self._order.holding():
            return self._fast.next_run_key()

    def _native_program(self, plan: FetchPlan, feeds: dict[Tensor, np.ndarray]) -> NativeProgram | None:
        """The one compiled program that a run consists of, if there is nothing else to it."""
        if not plan.tensors and not plan.operations:
            return None
        prepared = self.prepare(plan.tensors, plan.operations, feeds)
        if prepared.program.assumptions:
            return None
        form = prepared.find_single(feeds, self.variables)
        return form if isinstance(form, NativeProgram) else None

    def make_callable(
        self, fetches: Any, feed_list: Sequence[Any] | None = None, accept_options: bool = False
    ) -> Callable[..., Any]:
        """A function of the values of `feed_list`, in order, that runs `fetches`.

        With `accept_options` it also takes the keywords `options` and `run_metadata`.
        """
        if feed_list is not None and not isinstance(feed_list, (list, tuple)):
            raise TypeError(f"Argument `feed_list` must be a list or tuple. Received: feed_list={feed_list!r}")
        self._check_open()
        if self._backend.name == "native":
            start_path()
        plan = self._plan(fetches)
        keys = tuple(find_fed_tensor(self._graph, key) for key in feed_list or ())

        def call(*values: Any, **keywords: Any) -> Any:
            if len(values) > len(keys):
                raise TypeError(f"the callable takes {len(keys)} values, {len(values)} were given")
            return self.run(fetches, dict(zip(keys, values)), **keywords)

        return call if accept_options else self._make_native_callable(fetches, plan, keys, call)

    def _make_native_callable(
        self, fetches: Any, plan: FetchPlan, keys: tuple[Tensor, ...], slow: Callable[..., Any]
    ) -> Callable[..., Any]:
        """A native function, made now where the shapes of all feeds are known, else after the first call.

        Where a run is more than one compiled program, `slow` itself.
        """
        made: list[Callable[..., Any]] = []

        def make(shapes: Sequence[tuple[int, ...]]) -> Callable[..., Any] | None:
            feeds = {key: np.empty(shape, key.dtype.numpy) for key, shape in zip(keys, shapes)}
            if len(feeds) < len(keys):
                return None  # a tensor that is fed twice
            with self._order.holding():
                program = self._native_program(plan, feeds)
                if program is None:
                    return None
                return self._fast.make_callable(fetches, feeds, program, plan.tensors, call_plain)

        def call_plain(*values: Any) -> Any:
            result = slow(*values)
            if not made and len(values) == len(keys):
                made.append(make([np.shape(value) for value in values]) or slow)
            return result

        def forward(*values: Any) -> Any:
            return made[0](*values) if made else call_plain(*values)

        if all(key.type.is_known for key in keys) and self._is_ready(plan, keys):
            made.append(make([key.type.sizes for key in keys]) or slow)
            return made[0]
        return forward

    def _is_ready(self, plan: FetchPlan, keys: Sequence[Tensor]) -> bool:
        """Whether a run could begin now: the placeholders it needs are among the keys, its variables have values."""
        try:
            self.prepare(plan.tensors, plan.operations, keys).check_initialized(self.variables)
        except OpError:
            return False
        return True

    def _plan(self, fetches: Any) -> FetchPlan:
        key = fetch_key(fetches)
        found = self._plans.get(key) if key is not None else None
        if found is not None:
            return found
        plan = plan_fetches(self._graph, fetches)
        return self._plans.put(key, plan) if key is not None else plan

    def _run_plan(self, plan: FetchPlan, feeds: dict[Tensor, np.ndarray]) -> list[np.ndarray]:
        if not plan.tensors and not plan.operations:
            return []
        prepared = self.prepare(plan.tensors, plan.operations, feeds)
        prepared.compile_ahead(feeds, self.variables)  # before the run holds up others
        with self._ordering(prepared):
            run_key = self._fast.next_run_key()
            if prepared.uses_variables:
                prepared = self._current(prepared, plan, feeds)
                prepared.check_initialized(self.variables)
            try:
                return prepared.run(feeds, self.variables, run_key)
            finally:
                self._fast.drop_moved()

    def _ordering(self, prepared: PreparedRun) -> AbstractContextManager[None]:
        return self._order.holding() if prepared.uses_variables else nullcontext()

    def _current(self, prepared: PreparedRun, plan: FetchPlan, feeds: Iterable[Tensor]) -> PreparedRun:
        """The run as prepared, or another one if variables were initialised since."""
        if prepared.holds_for(self.variables):
            return prepared
        return self.prepare(plan.tensors, plan.operations, feeds)

    def prepare(self, tensors: Sequence[Tensor], operations: Sequence[Operation], feeds: Iterable[Tensor]) -> PreparedRun:
        """The prepared run of these fetches and fed tensors, as variables are initialised now."""
        fed = sorted(feeds, key=lambda t: (t.operation.position, t.index))
        key = (tuple(tensors), tuple(operations), tuple(fed))
        found = self._find_prepared(key)
        if found is not None:
            return found
        with self._preparing:
            found = self._find_prepared(key)
            if found is not None:
                return found
            program = build_program(tensors, operations, fed, self.variables.is_initialized)
            prepared = PreparedRun(_drop_unused_parameters(program), self._backend, self._preparing)
            self._runs.put(key, [prepared, *(self._runs.get(key) or ())])
        return prepared

    def _find_prepared(self, key: Any) -> PreparedRun | None:
        variants = self._runs.get(key) or ()
        return next((prepared for prepared in variants if prepared.holds_for(self.variables)), None)

    # -- variables

    def read_variables(self, keys: Iterable[str]) -> dict[str, np.ndarray]:
        """Copies of the values of variables, all of one moment. Raises KeyError for one without value."""
        with self._order.holding():
            return {key: self.variables.value(key).copy() for key in keys}

    def write_variables(self, values: Mapping[str, np.ndarray]) -> None:
        """Sets variables, all in one moment."""
        with self._order.holding():
            for key, value in values.items():
                self.variables.assign(key, np.asarray(value))
            self._fast.drop_moved()

    # -- being the default, and the end

    def as_default(self) -> AbstractContextManager[Session]:
        """A context in which this is the default session; it is not closed at the end."""
        return DEFAULT_SESSIONS.push(self)

    def __enter__(self) -> Session:
        stack = ExitStack()
        stack.enter_context(self._graph.as_default())
        stack.enter_context(self.as_default())
        self._entered.append(stack)
        return self

    def __exit__(self, *exception: Any) -> None:
        self._entered.pop().__exit__(*exception)
        self.close()

    def close(self) -> None:
        """Frees the variables; the session cannot run after that."""
        self._closed = True
        self._runs.clear()
        self._plans.clear()
        with self._order.holding():
            self.variables.clear()
            self._fast.drop_moved()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("Attempted to use a closed Session.")


class InteractiveSession(Session):
    """A session that is the default from its making until it is closed; so is the graph, if one is given."""

    def __init__(self, target: str | bytes = "", graph: Graph | None = None, config: Any = None):
        super().__init__(target, graph, config)
        DEFAULT_SESSIONS.items.append(self)
        self._pushed_graph = graph
        if graph is not None:
            pushed_builders().append(graph)

    def close(self) -> None:
        super().close()
        _remove_last(DEFAULT_SESSIONS.items, self)
        if self._pushed_graph is not None:
            _remove_last(pushed_builders(), self._pushed_graph)
            self._pushed_graph = None


def get_default_session() -> Session | None:
    """The innermost session made default in this thread, or None."""
    return DEFAULT_SESSIONS.top


def _remove_last(items: list[Any], item: Any) -> None:
    for index in reversed(range(len(items))):
        if items[index] is item:
            del items[index]
            return


def _drop_unused_parameters(program: Program) -> Program:
    """The program without feeds and variables that nothing takes, so that their shapes and values do not count."""
    used = {t for operation in program.operations for t in operation.inputs} | set(program.results)
    return program.replace(parameters=tuple(p for p in program.parameters if p.tensor in used))


def _as_result(value: np.ndarray) -> Any:
    """A result as users see it: 0-d arrays as scalars, strings as bytes."""
    if value.dtype == object:
        value = np.array([_as_bytes(item) for item in value.ravel()], object).reshape(value.shape)
    return value[()] if value.ndim == 0 else value


def _as_bytes(item: Any) -> Any:
    return item.encode() if isinstance(item, str) else item

