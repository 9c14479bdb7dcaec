"""Programs: what one run computes, as an immutable list of operations.

`build_program` prunes the declared graph to what is fetched, and turns reads and writes of variables into data flow: a
variable is a parameter with its value at the start of the run, and `updates` says what it holds at the end. So the
operations of a program have no order but that of their data, and every pass may move, merge or drop them.

Reads and writes resolve so: writes to one variable happen in the order of their declaration; a read sees the last write
that it depends on (by data or control), and the value at the start of the run where it depends on none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from graphc.records import record

from .errors import InvalidArgumentError, format_error
from .location import find_location
from .operation import DEFINITIONS, Collector, Operation, Tensor, TensorType, apply, building_into

FEED, VARIABLE, RUN = "feed", "variable", "run"


@record
class Parameter:
    """A tensor that comes from outside: a fed tensor, a variable's value at the start, or the key of the run.

    `key` is what it is bound by: the name of the fed tensor, or the variable's key in the session.
    """

    tensor: Tensor
    kind: str
    key: str


@record
class Program:
    """Parameters, operations in an order that respects their data, and what comes out.

    `fetches` are results; `updates` pairs the key of a variable with its value at the end of the run. `assumptions`
    pairs the keys of variables with whether they were initialised when the program was built, where that mattered.
    """

    name: str
    parameters: tuple[Parameter, ...]
    operations: tuple[Operation, ...]
    fetches: tuple[Tensor, ...]
    updates: tuple[tuple[str, Tensor], ...] = ()
    assumptions: tuple[tuple[str, bool], ...] = ()

    @property
    def results(self) -> tuple[Tensor, ...]:
        """All tensors that leave the program: fetches, then the new values of variables."""
        return self.fetches + tuple(value for _, value in self.updates)

    def consumers(self) -> dict[Tensor, list[Operation]]:
        """For each tensor the operations that take it, in order; one entry an operation."""
        table: dict[Tensor, list[Operation]] = {p.tensor: [] for p in self.parameters}
        for operation in self.operations:
            for tensor in operation.outputs:
                table[tensor] = []
            for tensor in dict.fromkeys(operation.inputs):
                table.setdefault(tensor, []).append(operation)
        return table

    def replace(self, **changes) -> Program:
        return replace(self, **changes)

    def __str__(self) -> str:
        from .printer import print_program

        return print_program(self)

    def _repr_svg_(self) -> str:
        from .visualize import render_svg

        return render_svg(self)


def clone_operation(operation: Operation, inputs: Sequence[Tensor], types: Sequence[TensorType] | None = None) -> Operation:
    """A detached copy on other inputs: the same definition, attributes, name and locations."""
    kept = types if types is not None else [t.type for t in operation.outputs]
    return Operation(operation.definition, inputs, operation.attributes, kept, operation.name, operation.locations)


def transform_operations(
    program: Program, visit: Callable[[Operation, tuple[Tensor, ...]], Sequence[Tensor] | None]
) -> Program:
    """The program with operations replaced.

    `visit(operation, inputs)` sees each operation in order with its inputs already replaced. It returns None to keep the
    operation (on those inputs), or the tensors that take the place of its outputs; operations that it builds with
    `apply` join the program where they were built, under the operation's name and with its locations. The same program
    comes back where nothing was replaced.
    """
    mapping: dict[Tensor, Tensor] = {}
    operations: list[Operation] = []
    changed = False
    collector = Collector()  # one for all operations: a context for each would take as long as most visits
    with building_into(collector):
        for operation in program.operations:
            inputs = tuple([mapping.get(t, t) for t in operation.inputs]) if mapping else operation.inputs
            collector.name, collector.locations = operation.name, operation.locations
            replacement = visit(operation, inputs)
            operations += collector.take()
            if replacement is not None:
                changed = True
                mapping.update(zip(operation.outputs, replacement))
                continue
            kept = operation if inputs == operation.inputs else clone_operation(operation, inputs)
            mapping.update((a, b) for a, b in zip(operation.outputs, kept.outputs) if a is not b)
            operations.append(kept)
    return substitute_results(program.replace(operations=tuple(operations)), mapping) if changed else program


def replace_results(program: Program, builders: Mapping[Operation, Callable[[Mapping[Tensor, Tensor]], Tensor]]) -> Program:
    """The program with the results of some operations, one each, made in another way.

    The builder of an operation is called where that stood, with what takes the place of every tensor that was an operand up
    to there; see `transform_operations` for what it builds. The same program comes back where there is no builder.
    """
    if not builders:
        return program
    current: dict[Tensor, Tensor] = {}

    def visit(operation: Operation, inputs: tuple[Tensor, ...]) -> Sequence[Tensor] | None:
        current.update(zip(operation.inputs, inputs))
        build = builders.get(operation)
        return None if build is None else [build(current)]

    return transform_operations(program, visit)


def substitute_results(program: Program, mapping: Mapping[Tensor, Tensor]) -> Program:
    """The program with other tensors in its fetches and updates."""
    fetches = tuple(mapping.get(t, t) for t in program.fetches)
    updates = tuple((key, mapping.get(t, t)) for key, t in program.updates)
    return program.replace(fetches=fetches, updates=updates)


def build_program(
    fetches: Sequence[Tensor],
    targets: Sequence[Operation] = (),
    feeds: Iterable[Tensor] = (),
    is_initialized: Callable[[str], bool] = lambda key: True,
    name: str = "main",
) -> Program:
    """Prunes a graph to what `fetches` and `targets` need, with `feeds` given from outside, and resolves state.

    Raises InvalidArgumentError where a placeholder is needed that is not among the feeds, or a derivative goes through a
    tensor that is fed.
    """
    fed = dict.fromkeys(feeds)
    needed = _collect_needed(fetches, targets, fed)
    _check_derivatives(fetches, needed, fed)
    return _Resolution(needed, fed, is_initialized).resolve(fetches, name)


def _collect_needed(fetches: Sequence[Tensor], targets: Sequence[Operation], fed: Mapping[Tensor, None]) -> list[Operation]:
    """The operations that have to run, in the order of their declaration."""
    pending = [t.operation for t in fetches if t not in fed] + list(targets)
    seen = set(pending)
    while pending:
        operation = pending.pop()
        before = [t.operation for t in operation.inputs if t not in fed] + list(operation.control_inputs)
        for other in before:
            if other not in seen:
                seen.add(other)
                pending.append(other)
    return sorted(seen, key=lambda operation: operation.position)


def _check_derivatives(fetches: Sequence[Tensor], needed: Sequence[Operation], fed: Mapping[Tensor, None]) -> None:
    inner = [t for t in fed if t.operation.definition.kind != "source"]
    if not inner:
        return
    from .gradients import check_feeds

    used = {t for operation in needed for t in operation.inputs} | set(fetches)
    for operation in needed:
        if operation.definition.name == "gradient":
            check_feeds(operation, used, inner)


def _stand_in(tensor: Tensor) -> Tensor:
    """What stands in a program for a tensor that is fed: never the result of an operation, which might be looked into."""
    if tensor.operation.definition.name in ("placeholder", "variable"):
        return tensor
    collector = Collector(tensor.operation.name, tensor.operation.locations)
    with building_into(collector):
        return apply(DEFINITIONS["placeholder"], [], dtype=tensor.dtype, shape=tensor.type.shape)


class _Resolution:
    """One walk over the needed operations that replaces state by data flow."""

    def __init__(self, needed: list[Operation], fed: Mapping[Tensor, None], is_initialized: Callable[[str], bool]):
        self.needed, self.fed, self.is_initialized = needed, fed, is_initialized
        self.stand_ins = {t: _stand_in(t) for t in fed}
        self.parameters: dict[Tensor, Parameter] = {t: Parameter(self.stand_ins[t], FEED, t.name) for t in fed}
        self.mapping: dict[Tensor, Tensor] = {}
        self.operations: list[Operation] = []
        self.writes: list[Operation] = []
        self.after: dict[Operation, int] = {}  # the writes that an operation depends on, as bits
        self.written: dict[Operation, Tensor] = {}  # the variable's value after a write
        self.current: dict[str, Tensor] = {}  # the value after the last write so far
        self.assumptions: dict[str, bool] = {}
        self.differentiates = any(operation.definition.name == "gradient" for operation in needed)

    def resolve(self, fetches: Sequence[Tensor], name: str) -> Program:
        for operation in self.needed:
            self._find_writes_before(operation)
            self._resolve_operation(operation)
        results = tuple(self._value(t) for t in fetches)  # may add parameters
        return Program(
            name,
            tuple(self.parameters.values()),
            tuple(self.operations),
            results,
            tuple(self.current.items()),
            tuple(sorted(self.assumptions.items())),
        )

    def _find_writes_before(self, operation: Operation) -> None:
        bits = 0
        for tensor in operation.inputs:
            if tensor not in self.fed:
                bits |= self.after.get(tensor.operation, 0)
        for other in operation.control_inputs:
            bits |= self.after.get(other, 0)
        self.after[operation] = bits

    def _resolve_operation(self, operation: Operation) -> None:
        definition = operation.definition
        if definition.effect == "write":
            self._resolve_write(operation)
        elif definition.name == "variable":
            pass  # becomes a parameter where its value is used
        elif definition.name == "read_variable":
            self.mapping[operation.output] = self._separate(operation, self._value_seen_by(operation))
        elif definition.name == "initialized_value":
            held = self._assume(operation)
            self.mapping[operation.output] = self._value_seen_by(operation) if held else self._value(operation.inputs[1])
        elif definition.name == "is_variable_initialized":
            self.mapping[operation.output] = self._build_constant(operation, self._assume(operation))
        elif definition.name == "placeholder":
            self._check_fed(operation)
        elif definition.name == "run_key":
            self.parameters[operation.output] = Parameter(operation.output, RUN, operation.name)
        else:
            self._keep(operation)

    def _value(self, tensor: Tensor) -> Tensor:
        """The tensor that stands for a tensor of the graph; a variable taken as it is means its value at the start."""
        if tensor in self.fed:
            return self.stand_ins[tensor]
        if tensor.operation.definition.name == "variable":
            return self._start_value(tensor)
        return self.mapping.get(tensor, tensor)

    def _start_value(self, variable: Tensor) -> Tensor:
        if variable not in self.parameters:
            key = variable.operation.attributes["key"]
            self.parameters[variable] = Parameter(variable, VARIABLE, key)
        return variable

    def _value_seen_by(self, read: Operation) -> Tensor:
        variable = read.inputs[0]
        if variable in self.fed:
            return self.stand_ins[variable]
        seen = self.after[read]
        for bit in reversed(range(len(self.writes))):
            write = self.writes[bit]
            if seen >> bit & 1 and write.inputs[0] is variable:
                return self.written[write]
        return self._start_value(variable)

    def _separate(self, read: Operation, value: Tensor) -> Tensor:
        """A value that was written, as a tensor of its own where gradients are taken: they end at reads."""
        if not self.differentiates or value is read.inputs[0]:
            return value
        collector = Collector(read.name, read.locations)
        with building_into(collector):
            tensor = apply(DEFINITIONS["identity"], [value])
        self.operations += collector.operations
        return tensor

    def _resolve_write(self, operation: Operation) -> None:
        variable = operation.inputs[0]
        key = variable.operation.attributes["key"]
        inputs = [self._value(t) for t in operation.inputs]
        needs_value = operation.definition.name != "assign"
        if needs_value:
            inputs[0] = self.current[key] if key in self.current else self._start_value(variable)
        else:
            inputs[0] = variable
        collector = Collector(operation.name, operation.locations)
        with building_into(collector):
            built = operation.definition.composite(clone_operation(operation, inputs))  # type: ignore[misc]
        self.operations += collector.operations
        values = (built,) if isinstance(built, Tensor) else tuple(built)
        self.mapping.update(zip(operation.outputs, values))
        self.current[key] = self.written[operation] = values[0]
        self.after[operation] |= 1 << len(self.writes)
        self.writes.append(operation)

    def _assume(self, operation: Operation) -> bool:
        key = operation.inputs[0].operation.attributes["key"]
        return self.assumptions.setdefault(key, self.is_initialized(key))

    def _build_constant(self, operation: Operation, value: bool) -> Tensor:
        from .ops.constants import build_constant

        collector = Collector(operation.name, operation.locations)
        with building_into(collector):
            tensor = build_constant(value)
        self.operations += collector.operations
        return tensor

    def _check_fed(self, operation: Operation) -> None:
        if operation.output in self.fed:
            return
        type_ = operation.output.type
        problem = f"You must feed a value for placeholder tensor {operation.name!r} with dtype {type_.dtype.name}"
        if type_.shape is not None:
            problem += f" and shape {list(type_.shape)}".replace("None", "?")
        raise InvalidArgumentError(operation, operation, format_error(problem, operation.outputs, find_location()))

    def _keep(self, operation: Operation) -> None:
        fed = [t in self.fed for t in operation.outputs]
        if fed and all(fed):
            return
        inputs = tuple(self._value(t) for t in operation.inputs)
        kept = operation
        if inputs != operation.inputs or any(fed):
            kept = clone_operation(operation, inputs)
            self.mapping.update((a, b) for a, b in zip(operation.outputs, kept.outputs) if a not in self.fed)
        self.operations.append(kept)
