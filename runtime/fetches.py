"""What a user fetches: any nest of tensors, operations, variables and names."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from graphc.errors import format_error
from graphc.graph import Graph
from graphc.indexed_slices import IndexedSlices
from graphc.location import find_location
from graphc.operation import Operation, Tensor
from graphc.records import record

Rebuild = Callable[[Sequence[Any]], Any]

_EXPANSIONS: list[tuple[type, Callable[[Any], tuple[list[Any], Rebuild]]]] = []


def register_fetch_expansion(fetch_type: type, expand: Callable[[Any], tuple[list[Any], Rebuild]]) -> None:
    """`expand(fetch)` gives the elements that a fetch of this type consists of, and what makes a result of their values."""
    _EXPANSIONS.append((fetch_type, expand))


class IndexedSlicesValue(NamedTuple):
    """The value of fetched IndexedSlices."""

    values: Any
    indices: Any
    dense_shape: Any


def _expand_slices(fetch: IndexedSlices) -> tuple[list[Any], Rebuild]:
    parts = [fetch.values, fetch.indices] + ([] if fetch.dense_shape is None else [fetch.dense_shape])
    return parts, lambda values: IndexedSlicesValue(*values, *([None] * (3 - len(values))))


register_fetch_expansion(IndexedSlices, _expand_slices)


@record
class FetchPlan:
    """The different tensors and operations of a nest, and how a result of the same structure is made.

    `rebuild` takes the values of `tensors`, in order; an operation's place holds None.
    """

    tensors: tuple[Tensor, ...]
    operations: tuple[Operation, ...]
    rebuild: Rebuild


def plan_fetches(graph: Graph, fetches: Any) -> FetchPlan:
    """Raises TypeError for what cannot be fetched, ValueError for names and elements that the graph does not have."""
    collector = _Collector(graph)
    rebuild = collector.collect(fetches)
    return FetchPlan(tuple(collector.tensors), tuple(collector.operations), rebuild)


def fetch_key(fetches: Any) -> Hashable | None:
    """What equal structures over the same elements have in common, for a cache of plans; None for unusual structures."""
    kind = type(fetches)
    if kind in (Tensor, Operation, str):
        return fetches
    if hasattr(fetches, "_as_graph_element"):
        return fetches._as_graph_element()
    if kind in (dict, OrderedDict):
        parts = [fetch_key(item) for item in fetches.values()]
        return None if None in parts else (kind, tuple(fetches), *parts)
    if isinstance(fetches, (list, tuple)):
        parts = [fetch_key(item) for item in fetches]
        return None if None in parts else (kind, *parts)
    return None


class _Collector:
    """One walk over a nest that numbers the tensors it meets."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.tensors: dict[Tensor, int] = {}
        self.operations: dict[Operation, None] = {}

    def collect(self, fetch: Any) -> Rebuild:
        if fetch is None:
            raise TypeError(f"Fetch argument {fetch!r} has invalid type {type(fetch)!r}")
        if isinstance(fetch, (list, tuple)):
            return self._collect_sequence(fetch)
        if isinstance(fetch, Mapping):
            return self._collect_mapping(fetch)
        for kind, expand in _EXPANSIONS:
            if isinstance(fetch, kind):
                return self._collect_parts(*expand(fetch))
        return self._collect_element(fetch)

    def _collect_sequence(self, fetch: Sequence[Any]) -> Rebuild:
        kind = type(fetch)
        parts = [self.collect(item) for item in fetch]
        if isinstance(fetch, list):
            return lambda values: [part(values) for part in parts]
        if kind is tuple:
            return lambda values: tuple(part(values) for part in parts)
        return lambda values: kind(*(part(values) for part in parts))  # a named tuple

    def _collect_mapping(self, fetch: Mapping[Any, Any]) -> Rebuild:
        keys = list(fetch)
        parts = [self.collect(fetch[key]) for key in keys]

        def make_pairs(values: Sequence[Any]) -> list[tuple[Any, Any]]:
            return [(key, part(values)) for key, part in zip(keys, parts)]

        if isinstance(fetch, defaultdict):
            factory = fetch.default_factory
            return lambda values: defaultdict(factory, make_pairs(values))
        kind: Any = type(fetch)
        return lambda values: kind(make_pairs(values))

    def _collect_parts(self, elements: Sequence[Any], join: Rebuild) -> Rebuild:
        parts = [self.collect(element) for element in elements]
        return lambda values: join([part(values) for part in parts])

    def _collect_element(self, fetch: Any) -> Rebuild:
        element = find_fetched_element(self.graph, fetch)
        if isinstance(element, Operation):
            self.operations[element] = None
            return lambda values: None
        index = self.tensors.setdefault(element, len(self.tensors))
        return lambda values: values[index]


def find_fetched_element(graph: Graph, fetch: Any) -> Tensor | Operation:
    """The tensor or operation of the graph that an object or a name stands for."""
    try:
        return graph.as_graph_element(fetch)
    except TypeError as error:
        raise TypeError(
            f"Fetch argument {fetch!r} has invalid type {type(fetch)!r}, must be a string or Tensor. ({error})"
        ) from None
    except (ValueError, KeyError) as error:
        problem = f"Fetch argument {fetch!r} cannot be interpreted as a Tensor. ({error.args[0]})"
        raise ValueError(format_error(problem + suggest_names(graph, fetch), _outputs(fetch), find_location())) from None


def suggest_names(graph: Graph, wanted: Any) -> str:
    """What a message says of the names of operations that are close to a name that does not exist; else nothing."""
    if not isinstance(wanted, str):
        return ""
    import difflib  # late: for this error alone

    close = difflib.get_close_matches(wanted.partition(":")[0], [op.name for op in graph.get_operations()], 3)
    return f" Close to it: {', '.join(map(repr, close))}." if close else ""


def _outputs(fetch: Any) -> Sequence[Tensor]:
    """The tensors that an operand's line can show of a fetch."""
    element = fetch._as_graph_element() if hasattr(fetch, "_as_graph_element") else fetch
    if isinstance(element, Tensor):
        return [element]
    return element.outputs[:1] if isinstance(element, Operation) else ()
