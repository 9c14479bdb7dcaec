"""tf.gradients: one `gradient` operation that stands for the whole reverse walk.

Which arguments are connected is found here, in the declared graph, and an operation without gradient is an error here,
at the user's line. The walk itself is `passes/expand_gradients`, which knows all shapes.
"""

from __future__ import annotations

import functools
from collections.abc import Container, Iterable, Sequence
from typing import Any

from .errors import InvalidArgumentError, format_error
from .indexed_slices import IndexedSlices
from .operation import OpDef, Operation, Tensor, TensorType, apply, define
from .ops.constants import convert_to_tensor
from .ops.state import INITIALIZED_VALUE, READ, VARIABLE
from .scopes import graph_of, name_scope
from .shapes import are_compatible


def _gradient_types(types: Sequence[TensorType], ys: int, groups: tuple[int, ...], stops: int) -> list[TensorType]:
    found, start = [], ys
    for size in groups:
        found.append(types[start])
        start += size
    return found


GRADIENT = define(
    OpDef("gradient", infer=_gradient_types, attributes={"ys": int, "groups": tuple, "stops": int})
)
"""gradient(ys..., xs..., grad_ys..., stops...): the derivatives of sum(y * grad_y) by each group of xs.

The tensors of a group are one argument in several places (the reads of a variable): their derivatives add up. Nothing
flows on from the `stops` last inputs.
"""


class AggregationMethod:
    """How derivatives of many uses are added up in TensorFlow; here it makes no difference."""

    ADD_N = 0
    DEFAULT = ADD_N
    EXPERIMENTAL_TREE = 1
    EXPERIMENTAL_ACCUMULATE_N = 2


class UnconnectedGradients:
    """What `gradients` gives for an x that ys do not depend on: None or zeros."""

    NONE = "none"
    ZERO = "zero"


def gradients(
    ys: Any,
    xs: Any,
    grad_ys: Any = None,
    name: str = "gradients",
    colocate_gradients_with_ops: bool = False,
    gate_gradients: bool = False,
    aggregation_method: Any = None,
    stop_gradients: Any = None,
    unconnected_gradients: Any = UnconnectedGradients.NONE,
) -> list[Any]:
    """The derivatives of sum(ys) with respect to each of xs, as a list; None where ys do not depend on it.

    That of a variable of which ys depend on looked-up rows alone comes as IndexedSlices: one row a look-up.

    ys and xs are tensors, variables or lists of them. `grad_ys` are weights of the shapes of ys (ones where None).
    The walk does not go past `stop_gradients`, which so count as constants. Raises ValueError for xs of another graph or
    weights that do not fit, LookupError where the way leads through an operation that has no gradient.
    """
    targets = [convert_to_tensor(y) for y in _as_list(ys)]
    sources = [_as_source(x) for x in _as_list(xs)]
    with graph_of(*targets).as_default(), name_scope(name, "gradients") as scope:
        stops = [_as_source(t) for t in _as_list(stop_gradients)]
        _check_graph([*targets, *sources, *stops])
        weights = _weights(targets, grad_ys)
        reach = _Reach(targets, stops)
        places = [reach.places(source) for source in sources]
        reach.check_gradients([t for group in places for t in group])
        lookups = [reach.find_lookups(group) for group in places]
        groups = [[[t] for t in _results_of(rows)] if rows else [group] for group, rows in zip(places, lookups)]
        connected = [group for of_source in groups for group in of_source if group]
        inputs = [*targets, *(t for group in connected for t in group), *weights, *reach.stops]
        results: Iterable[Tensor] = ()
        if connected:
            sizes = tuple(len(group) for group in connected)
            made = apply(GRADIENT, inputs, scope, ys=len(targets), groups=sizes, stops=len(reach.stops))
            results = (made,) if isinstance(made, Tensor) else made
        found = iter(results)
        zero = unconnected_gradients == UnconnectedGradients.ZERO
        return [
            _gather_slices(source, rows, [next(found) for _ in rows])
            if rows
            else next(found) if group else _missing(source, zero)
            for source, group, rows in zip(sources, places, lookups)
        ]


def _results_of(operations: Iterable[Operation]) -> list[Tensor]:
    return [operation.output for operation in operations]


def _gather_slices(table: Tensor, lookups: Sequence[Operation], derivatives: Sequence[Tensor]) -> IndexedSlices:
    """The derivative of a table by those of the rows looked up in it."""
    from .ops.conversion import cast
    from .ops.joining import concat
    from .ops.movement import reshape
    from .ops.shape_ops import shape

    indices = [reshape(operation.inputs[1], [-1]) for operation in lookups]
    if len({t.dtype for t in indices}) > 1:
        indices = [cast(t, "int64") for t in indices]
    rows = table.type.sizes[1:]
    values = [reshape(t, [-1, *rows]) for t in derivatives]
    if len(lookups) == 1:
        return IndexedSlices(values[0], indices[0], shape(table))
    return IndexedSlices(concat(values, 0), concat(indices, 0), shape(table))


def _missing(source: Tensor, zero: bool) -> Tensor | None:
    from .ops.filling import zeros_like

    return zeros_like(source) if zero else None


def _check_graph(tensors: Sequence[Tensor]) -> None:
    for tensor in tensors:
        if tensor.graph is not tensors[0].graph:
            raise ValueError(f"gradients: {tensor.name} is a tensor of another graph than {tensors[0].name}")


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _as_source(x: Any) -> Tensor:
    """The tensor that a derivative is asked for; a variable stands for its storage."""
    return x._as_graph_element() if hasattr(x, "_as_graph_element") else convert_to_tensor(x)


def _weights(targets: Sequence[Tensor], grad_ys: Any) -> list[Tensor]:
    from .ops.filling import ones_like

    given = [None] * len(targets) if grad_ys is None else _as_list(grad_ys)
    if len(given) != len(targets):
        raise ValueError(f"Passed {len(given)} grad_ys for {len(targets)} ys")
    weights = []
    for index, (weight, y) in enumerate(zip(given, targets)):
        if weight is None:
            weights.append(ones_like(y, name=f"grad_ys_{index}"))
            continue
        tensor = convert_to_tensor(weight, y.dtype, name=f"grad_ys_{index}")
        if not are_compatible(tensor.type.shape, y.type.shape):
            raise ValueError(format_error(f"gradients: grad_ys[{index}] is {tensor.type}, its y is {y.type}", [y]))
        weights.append(tensor)
    return weights


class _Reach:
    """What ys depend on in a way that derivatives follow, in the declared graph."""

    def __init__(self, targets: Sequence[Tensor], stops: Sequence[Tensor]):
        self.targets = set(targets)
        self.stops: dict[Tensor, None] = dict.fromkeys(stops)
        self.reads: dict[Tensor, list[Tensor]] = {}  # by the variable's storage
        self.operations: set[Operation] = set()
        self.tensors: set[Tensor] = set()
        self._walk([t for t in targets if _carries_gradient(t)])

    def _walk(self, pending: list[Tensor]) -> None:
        self.tensors.update(pending)
        while pending:
            tensor = pending.pop()
            for source in self._sources(tensor):
                if source not in self.tensors and _carries_gradient(source):
                    self.tensors.add(source)
                    pending.append(source)

    def _sources(self, tensor: Tensor) -> Sequence[Tensor]:
        operation = tensor.operation
        if operation.definition in (READ, INITIALIZED_VALUE):
            self.reads.setdefault(operation.inputs[0], []).append(tensor)
            self.stops[tensor] = None  # past a read there is but the variable itself
            return operation.inputs[:1]
        if tensor in self.stops or not operation.definition.differentiable:
            return ()
        if operation.definition.effect == "write":
            self.stops[tensor] = None
            return ()
        if operation in self.operations:
            return ()
        self.operations.add(operation)
        return operation.data_inputs

    def places(self, source: Tensor) -> list[Tensor]:
        """Where ys depend on `source`: itself, or all reads of a variable; empty where they do not."""
        if source not in self.tensors:
            return []
        if source.operation.definition is VARIABLE:
            return [source, *self.reads.get(source, ())]
        return [source]

    def find_lookups(self, places: Sequence[Tensor]) -> list[Operation]:
        """The operations that look up rows of a variable, if they are all that ys depend on it by; else none."""
        if not places or places[0].operation.definition is not VARIABLE or not places[0].type.is_known:
            return []
        if not self.targets.isdisjoint(places):
            return []
        users = {operation for place in places for operation in self._users.get(place, ())}
        if not all(map(_looks_up_rows, users)):
            return []
        return sorted(users, key=lambda operation: operation.position)

    @functools.cached_property
    def _users(self) -> dict[Tensor, list[Operation]]:
        """The operations that take a tensor as data."""
        users: dict[Tensor, list[Operation]] = {}
        for operation in self.operations:
            for tensor in operation.data_inputs:
                users.setdefault(tensor, []).append(operation)
        return users

    def check_gradients(self, sources: Iterable[Tensor]) -> None:
        """Raises LookupError for an operation between xs and ys that has no gradient."""
        lacking = [operation for operation in self.operations if not _has_gradient(operation)]
        if not lacking:
            return
        dependent = set(sources)
        for operation in sorted(self.operations, key=lambda op: op.position):
            if not dependent.isdisjoint(operation.data_inputs):
                dependent.update(t for t in operation.outputs if t not in self.stops)
                if operation in lacking:
                    raise LookupError(describe_missing_gradient(operation))


def _looks_up_rows(operation: Operation) -> bool:
    return operation.definition.name == "gather" and operation.attributes["axis"] == 0


def _carries_gradient(tensor: Tensor) -> bool:
    return tensor.dtype.is_floating or tensor.dtype.is_complex


def _has_gradient(operation: Operation) -> bool:
    definition = operation.definition
    if definition.gradient is not None or definition.composite is not None:
        return True
    return definition is GRADIENT or not operation.data_inputs


def check_feeds(operation: Operation, used: Container[Tensor], fed: Iterable[Tensor]) -> None:
    """Raises InvalidArgumentError where a fed value that is no placeholder cuts the way of a `gradient` operation.

    What comes before a fed value is not computed, so derivatives cannot go back through it. `used` are the outputs that
    matter.
    """
    count = operation.attributes["ys"]
    parts = iter(operation.inputs[count:])
    groups = [[next(parts) for _ in range(size)] for size in operation.attributes["groups"]]
    wanted = [group for group, output in zip(groups, operation.outputs) if output in used]
    stops = operation.inputs[len(operation.inputs) - operation.attributes["stops"] :]
    reached = _Reach(operation.inputs[:count], stops)
    for tensor in fed:
        if tensor not in reached.tensors:
            continue
        before = _Reach([tensor], stops)
        lost = [group[0] for group in wanted if tensor not in group and not before.tensors.isdisjoint(group)]
        if lost:
            problem = f"derivatives by {lost[0].name!r} go through {tensor.name!r}, which is fed"
            raise InvalidArgumentError(operation, operation, format_error(problem, [tensor], operation.location))


def describe_missing_gradient(operation: Operation) -> str:
    """The text of the error for an operation that has no gradient."""
    problem = f"No gradient defined for operation {operation.name!r} (op type: {operation.type})"
    return format_error(problem, operation.inputs, operation.location)


def hessians(ys: Any, xs: Any, name: str = "hessians", colocate_gradients_with_ops: bool = False,
             gate_gradients: bool = False, aggregation_method: Any = None) -> list[Tensor]:  # fmt: skip
    """The second derivatives of sum(ys) with respect to each of xs, each of shape x.shape + x.shape.

    Raises ValueError where the shape of an x is not known.
    """
    from .ops.filling import zeros_like
    from .ops.joining import stack
    from .ops.movement import reshape

    found = []
    with name_scope(name, "hessians"):
        for x, found_gradient in zip(_as_list(xs), gradients(ys, xs, unconnected_gradients=UnconnectedGradients.ZERO)):
            gradient = convert_to_tensor(found_gradient)
            if not gradient.type.is_known:
                raise ValueError(f"hessians: the shape of {x!r} is not known")
            flat = reshape(gradient, [-1])
            rows = [gradients(flat[i], x)[0] for i in range(gradient.type.elements)]
            filled = [zeros_like(gradient) if row is None else convert_to_tensor(row) for row in rows]
            found.append(reshape(stack(filled), gradient.type.sizes * 2))
    return found


__all__ = ["AggregationMethod", "UnconnectedGradients", "gradients", "hessians"]
