"""The loop IR: what a kernel computes, as loops over buffers. This page is the whole of it.

A `LoopNest` names its buffers and holds statements. Values are named once by `Let` and used through `Local`; addresses are
element offsets in affine form (`Index`), whose terms are loop variables and, for gathers, integer locals. How a loop runs
(serially, in parallel chunks, as vector lanes) is its `kind`, which lowering leaves serial and a schedule sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from typing import Any

from graphc.dtypes import DType
from graphc.operation import OpDef
from graphc.records import identity_record, record

SERIAL, PARALLEL, VECTOR = "serial", "parallel", "vector"
INPUT, OUTPUT, LOCAL = "input", "output", "local"


@identity_record
class Buffer:
    """A piece of memory of `size` elements; `role` says whether it is an operand of the kernel or a local of a chunk."""

    name: str
    dtype: DType
    size: int
    role: str

    def __str__(self) -> str:
        return self.name


@identity_record
class Local:
    """The name of a value."""

    name: str
    dtype: DType

    def __str__(self) -> str:
        return self.name


@record
class Index:
    """constant + the sum of coefficient * symbol; a symbol is the name of a loop variable or an integer Local."""

    constant: int = 0
    terms: tuple[tuple[str | Local, int], ...] = ()

    def __add__(self, other: Index | int) -> Index:
        if isinstance(other, int):
            return Index(self.constant + other, self.terms)
        return _combine(self.constant + other.constant, (*self.terms, *other.terms))

    def __mul__(self, factor: int) -> Index:
        if factor == 0:
            return Index()
        return Index(self.constant * factor, tuple((s, c * factor) for s, c in self.terms))

    __radd__, __rmul__ = __add__, __mul__

    def __sub__(self, other: Index | int) -> Index:
        return self + other * -1

    def coefficient(self, symbol: str | Local) -> int:
        return next((c for s, c in self.terms if s is symbol or s == symbol), 0)

    def substitute(self, values: Mapping[Any, Index]) -> Index:
        result = Index(self.constant)
        for symbol, coefficient in self.terms:
            result += values.get(symbol, Index(0, ((symbol, 1),))) * coefficient
        return result

    def __str__(self) -> str:
        parts = [str(s) if c == 1 else f"{s}*{c}" for s, c in self.terms]
        if self.constant or not parts:
            parts.append(str(self.constant))
        return " + ".join(parts)


def _combine(constant: int, terms: Iterable[tuple[Any, int]]) -> Index:
    total: dict[Any, int] = {}
    for symbol, coefficient in terms:
        total[symbol] = total.get(symbol, 0) + coefficient
    return Index(constant, tuple((s, c) for s, c in total.items() if c))


def variable(name: str) -> Index:
    return Index(0, ((name, 1),))


@identity_record
class Accumulator:
    """A value that loops add to by a monoid: sum, prod, min, max, any, all, argmax or argmin (the index of the first)."""

    name: str
    dtype: DType
    monoid: str

    def __str__(self) -> str:
        return self.name


# -- expressions; operands are locals, constants or given numbers


@record
class Constant:
    value: float | int | bool
    dtype: DType


@record
class Given:
    """A number that the kernel reads when it runs, the same for all of it: the one at `place` of those it is given."""

    place: int
    dtype: DType


Operand = Local | Constant | Given


@record
class Within:
    """Whether 0 <= index < limit for every pair."""

    bounds: tuple[tuple[Index, int], ...]


@identity_record
class Load:
    """The element at `offset`, in the compute type of the buffer; `otherwise` where a guard fails (nothing is read)."""

    buffer: Buffer
    offset: Index
    guard: Within | None = None
    otherwise: float | int | bool = 0


@identity_record
class Compute:
    """The scalar meaning of a definition on operands; an integer divisor of zero is reported as check number `code`, unless
    a guard fails, in which case the value is not used."""

    definition: OpDef
    operands: tuple[Operand, ...]
    attributes: Mapping[str, Any]
    code: int | None = None
    guard: Within | None = None


@identity_record
class Checked:
    """An integer operand where 0 <= operand < limit; elsewhere 0, and check number `code` is reported."""

    operand: Operand
    limit: int
    code: int
    guard: Within | None = None


@identity_record
class IndexValue:
    """An index as a number of the local's type."""

    index: Index


@identity_record
class Result:
    """What an accumulator holds."""

    accumulator: Accumulator


Expression = Load | Compute | Checked | Within | IndexValue | Result | Constant


# -- statements


@identity_record
class Let:
    local: Local
    expression: Expression


@identity_record
class Store:
    """Writes a value; with `combine`, adds it to what is there."""

    buffer: Buffer
    offset: Index
    value: Operand
    combine: bool = False


@identity_record
class Prefetch:
    """Asks for the memory at an offset, which may lie outside the buffer, since it is only a hint."""

    buffer: Buffer
    offset: Index


@identity_record
class Start:
    """Sets an accumulator to the identity of its monoid."""

    accumulator: Accumulator


@identity_record
class Accumulate:
    """Adds a value; `position` is its index, for argmax and argmin."""

    accumulator: Accumulator
    value: Operand
    position: Index | None = None


@identity_record
class Loop:
    """`variable` takes the values 0 to extent - 1; for a vector loop `lanes` and the number of interleaved `chains`."""

    variable: str
    extent: int
    body: tuple[Statement, ...]
    kind: str = SERIAL
    lanes: int = 1
    chains: int = 1


Statement = Let | Store | Prefetch | Start | Accumulate | Loop


@identity_record
class LoopNest:
    """A kernel: its buffers in the order of its operands, its statements, and the messages of its checks.

    `chunks` is how many pieces the parallel loop is cut into; 1 where there is none. `given` are the types, in memory, of the
    numbers that the kernel reads when it runs.
    """

    name: str
    buffers: tuple[Buffer, ...]
    body: tuple[Statement, ...]
    checks: tuple[str, ...] = ()
    chunks: int = 1
    notes: tuple[str, ...] = field(default=())
    given: tuple[DType, ...] = ()

    def __str__(self) -> str:
        from graphc.runtime.loops.printer import print_nest

        return print_nest(self)

    def replace(self, **changes: Any) -> LoopNest:
        return replace(self, **changes)


def walk(statements: Iterable[Statement]) -> Iterable[Statement]:
    """All statements, outer ones first."""
    for statement in statements:
        yield statement
        if isinstance(statement, Loop):
            yield from walk(statement.body)


def map_loops(statements: tuple[Statement, ...], change: Callable[[Loop], Loop]) -> tuple[Statement, ...]:
    """The statements with every loop changed, inner ones first."""
    result: list[Statement] = []
    for statement in statements:
        if isinstance(statement, Loop):
            statement = change(replace(statement, body=map_loops(statement.body, change)))
        result.append(statement)
    return tuple(result)


def indices_of(statement: Statement) -> list[Index]:
    """The indices that stand in a statement itself (not in its body)."""
    if isinstance(statement, (Store, Prefetch)):
        return [statement.offset]
    if isinstance(statement, Accumulate):
        return [statement.position] if statement.position is not None else []
    if not isinstance(statement, Let):
        return []
    expression = statement.expression
    if isinstance(expression, (Load, Compute, Checked)):
        guard = [index for index, _ in expression.guard.bounds] if expression.guard else []
        return [expression.offset, *guard] if isinstance(expression, Load) else guard
    if isinstance(expression, Within):
        return [index for index, _ in expression.bounds]
    return [expression.index] if isinstance(expression, IndexValue) else []


def map_indices(statements: tuple[Statement, ...], change: Callable[[Index], Index]) -> tuple[Statement, ...]:
    """The statements with every index changed."""
    return tuple(_change_indices(statement, change) for statement in statements)


def _change_indices(statement: Statement, change: Callable[[Index], Index]) -> Statement:
    if isinstance(statement, Loop):
        return replace(statement, body=map_indices(statement.body, change))
    if isinstance(statement, (Store, Prefetch)):
        return replace(statement, offset=change(statement.offset))
    if isinstance(statement, Accumulate) and statement.position is not None:
        return replace(statement, position=change(statement.position))
    if isinstance(statement, Let):
        return replace(statement, expression=_change_expression(statement.expression, change))
    return statement


def _change_expression(expression: Expression, change: Callable[[Index], Index]) -> Expression:
    if isinstance(expression, (Load, Compute, Checked)):
        guard = _change_bounds(expression.guard, change) if expression.guard is not None else None
        if isinstance(expression, Load):
            return replace(expression, offset=change(expression.offset), guard=guard)
        return replace(expression, guard=guard) if guard is not None else expression
    if isinstance(expression, Within):
        return _change_bounds(expression, change)
    if isinstance(expression, IndexValue):
        return IndexValue(change(expression.index))
    return expression


def _change_bounds(guard: Within, change: Callable[[Index], Index]) -> Within:
    return Within(tuple((change(index), limit) for index, limit in guard.bounds))
