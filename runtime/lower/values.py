"""Elements of tensors as loop IR values: the pull of lowering.

`Values.element(tensor, index, scope)` names the element of a tensor at an index, adding what it takes to the innermost scope
that has the loop variables it depends on; equal requests give the same name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from graphc.dtypes import DType, bool_, int64
from graphc.errors import format_error
from graphc.operation import DEFINITIONS, Operation, Tensor
from graphc.program import Program
from graphc.runtime.loops.nodes import (
    Buffer,
    Checked,
    Compute,
    Constant,
    Expression,
    Given,
    Index,
    IndexValue,
    Let,
    Load,
    Local,
    Operand,
    Statement,
    Within,
)  # fmt: skip

Indices = tuple[Index, ...]

DIVISION_PROBLEMS = {
    **dict.fromkeys(("floordiv", "floormod", "truncdiv", "truncmod"), "Integer division by zero"),
    "pow": "Integers to negative integer powers are not allowed",
}


class Scope:
    """The statements of one loop body, and the names that they define. `inside` are the variables of its loops."""

    def __init__(self, outer: Scope | None = None, inside: frozenset[str] = frozenset()):
        self.outer, self.inside = outer, inside
        self.statements: list[Statement] = []
        self.found: dict[tuple[Tensor, Indices, Within | None], Operand] = {}
        self.locals: set[Local] = set()

    def find(self, key: tuple[Tensor, Indices, Within | None]) -> Operand | None:
        scope: Scope | None = self
        while scope is not None:
            if key in scope.found:
                return scope.found[key]
            scope = scope.outer
        return None


def flatten_index(shape: Sequence[int], index: Sequence[Index]) -> Index:
    """The row-major offset of an index."""
    offset, stride = Index(), 1
    for size, position in zip(reversed(shape), reversed(index)):
        offset += position * stride
        stride *= size
    return offset


def split_index(shape: Sequence[int], offset_of: Sequence[tuple[Index, int]]) -> Indices | None:
    """The index in `shape` of an element given by (index, size) pairs of another shape, or None if it is not affine.

    Dimensions of one shape are matched with runs of the other: a run of source dimensions that makes up one dimension of
    `shape` is affine; the other way round is not, unless the sizes are 1.
    """
    if 0 in shape:
        return (Index(),) * len(shape)  # nothing is ever read
    pairs = [(i, s) for i, s in offset_of if s != 1]
    result: list[Index] = []
    for size in shape:
        if size == 1:
            result.append(Index())
            continue
        position, product = Index(), 1
        while product < size and pairs:
            index, extent = pairs.pop(0)
            position = position * extent + index
            product *= extent
        if product != size:
            return None
        result.append(position)
    return tuple(result) if not pairs else None


class Values:
    """Makes elements; `inputs` are the buffers of tensors from outside, `stored` those of values written before.

    A stored value has all its dimensions in its buffer, or only those named. `given` are the constants that the kernel reads
    when it runs.
    """

    def __init__(self, inputs: Mapping[Tensor, Buffer], body: Program, given: Sequence[Operation] = ()):
        self.inputs, self.body = inputs, body
        self.given = {operation.output: Given(i, operation.output.dtype.compute) for i, operation in enumerate(given)}
        self.stored: dict[Tensor, tuple[Buffer, tuple[int, ...] | None]] = {}
        self.ranges: dict[str, int] = {}  # extents of loop variables
        self.checks: list[str] = []
        self.names: list[str] = []
        self._codes: dict[Operation, int] = {}

    def fresh(self, dtype: DType) -> Local:
        """A new name for a value of `dtype`; f16 and bf16 are f32 in registers."""
        local = Local(f"v{len(self.names)}", dtype.compute)
        self.names.append(local.name)
        return local

    def bind(self, tensor: Tensor, local: Local, index: Indices, scope: Scope) -> None:
        scope.found[tensor, index, None] = local
        scope.locals.add(local)

    def element(self, tensor: Tensor, index: Indices, scope: Scope, guard: Within | None = None) -> Operand:
        """The element at `index`; where `guard` fails, anything, but nothing is read."""
        key = (tensor, index, guard)
        found = scope.find(key) or (scope.find((tensor, index, None)) if guard is not None else None)
        if found is not None:
            return found
        operand = self._make(tensor, index, scope, guard)
        if not isinstance(operand, Local):
            scope.found[key] = operand
        return operand

    def _make(self, tensor: Tensor, index: Indices, scope: Scope, guard: Within | None) -> Operand:
        operation = tensor.operation
        definition = operation.definition
        if tensor in self.inputs:
            load = Load(self.inputs[tensor], flatten_index(tensor.type.sizes, index), guard)
            return self._let(tensor, index, load, scope, guard)
        if tensor in self.stored:
            buffer, axes = self.stored[tensor]
            kept = range(len(index)) if axes is None else axes
            offset = flatten_index([tensor.type.sizes[d] for d in kept], [index[d] for d in kept])
            return self._let(tensor, index, Load(buffer, offset, guard), scope, guard)
        if tensor in self.given:
            return self.given[tensor]
        if definition.name == "constant":
            return Constant(operation.attributes["value"].array.item(), tensor.dtype.compute)
        if definition.scalar is not None:
            return self._compute(tensor, index, scope, guard)
        maker = _MAKERS.get(definition.name)
        if maker is None and callable(definition.movement):
            maker = _move
        if maker is None:
            raise ValueError(f"{operation.name}: {definition.name} at {index} cannot stand in a region")
        return maker(self, operation, index, scope, guard)

    def _compute(self, tensor: Tensor, index: Indices, scope: Scope, guard: Within | None) -> Operand:
        operation = tensor.operation
        operands = []
        for source in operation.inputs:
            aligned = index[len(index) - len(source.type.sizes) :]
            position = tuple(Index() if size == 1 else i for size, i in zip(source.type.sizes, aligned))
            operands.append(self.element(source, position, scope, guard))
        code = None
        if operation.definition.name in DIVISION_PROBLEMS and tensor.dtype.is_integer:
            what = DIVISION_PROBLEMS[operation.definition.name]
            code = self.check_code(operation, what)
        if operation.definition.name == "div" and self._is_fixed(operands[1], scope) and _inverts(operation.inputs[1]):
            inverse = self.let(Compute(DEFINITIONS["reciprocal"], (operands[1],), {}), tensor.dtype, scope)
            return self._let(tensor, index, Compute(DEFINITIONS["mul"], (operands[0], inverse), {}), scope, guard)
        compute = Compute(
            operation.definition, tuple(operands), operation.attributes, code, guard if code is not None else None
        )
        return self._let(tensor, index, compute, scope, guard)

    def find_bounds(self, index: Index) -> tuple[int, int] | None:
        """The least and the greatest value of an index, or None where a term is not a loop variable of known extent."""
        low = high = index.constant
        for symbol, coefficient in index.terms:
            if not isinstance(symbol, str) or symbol not in self.ranges:
                return None
            reach = coefficient * (self.ranges[symbol] - 1)
            low, high = low + min(reach, 0), high + max(reach, 0)
        return low, high

    def decide(self, index: Index, size: int) -> bool | None:
        """Whether 0 <= index < size for all (True) or none (False) of its values; None where that differs."""
        bounds = self.find_bounds(index)
        if bounds is None:
            return None
        low, high = bounds
        if low >= 0 and high < size:
            return True
        return False if high < 0 or low >= size else None

    def _is_fixed(self, divisor: Operand, scope: Scope) -> bool:
        """Whether a divisor is the same in the whole inner loop: its inverse is then computed once, before."""
        if scope.outer is None or not isinstance(divisor, Local):
            return False
        return divisor not in scope.locals

    def check_code(self, operation: Operation, what: str) -> int:
        """The number of a run-time check of an operation, with its message."""
        if operation not in self._codes:
            self._codes[operation] = len(self.checks)
            problem = f"{operation.definition.name}: {what}"
            self.checks.append(format_error(problem, operation.inputs, operation.location))
        return self._codes[operation]

    def _let(self, tensor: Tensor, index: Indices, expression: Expression, scope: Scope, guard: Within | None) -> Local:
        home = _home_of(expression, scope)
        local = self.fresh(tensor.dtype)
        home.statements.append(Let(local, expression))
        home.found[tensor, index, guard] = local
        home.locals.add(local)
        return local

    def let(self, expression: Expression, dtype: DType, scope: Scope) -> Local:
        """A name for an expression that is no tensor's element."""
        home = _home_of(expression, scope)
        local = self.fresh(dtype)
        home.statements.append(Let(local, expression))
        home.locals.add(local)
        return local


def _inverts(divisor: Tensor) -> bool:
    """Whether no value of a divisor but 0 has an inverse beyond the largest float: roots, and sums of exponentials, of which
    a softmax has one that is 1."""
    while divisor.operation.definition.name == "reshape":
        divisor = divisor.operation.inputs[0]
    operation = divisor.operation
    if operation.definition.reduce == "sum":
        return operation.inputs[0].operation.definition.name == "exp"
    return operation.definition.name == "sqrt"


def _home_of(expression: Expression, scope: Scope) -> Scope:
    """The outermost scope in which an expression can stand: where its variables and operands are known."""
    while scope.outer is not None and not _depends_on(expression, scope):
        scope = scope.outer
    return scope


def _depends_on(expression: Expression, scope: Scope) -> bool:
    symbols: set[object] = set()
    if isinstance(expression, (Compute, Checked)):
        operands = expression.operands if isinstance(expression, Compute) else (expression.operand,)
        symbols.update(operands)
    for index in _indices(expression):
        symbols.update(symbol for symbol, _ in index.terms)
    if isinstance(expression, Load) and expression.buffer.role == "local":
        return True
    return any(symbol in scope.inside or symbol in scope.locals for symbol in symbols)


def _indices(expression: Expression) -> list[Index]:
    if isinstance(expression, (Load, Compute, Checked)):
        guard = [i for i, _ in (expression.guard.bounds if expression.guard else ())]
        return [expression.offset, *guard] if isinstance(expression, Load) else guard
    if isinstance(expression, Within):
        return [i for i, _ in expression.bounds]
    return [expression.index] if isinstance(expression, IndexValue) else []


def _move(values: Values, operation: Operation, index: Indices, scope: Scope, guard: Within | None) -> Operand:
    """An affine movement: transpose, slice, broadcast."""
    source = operation.inputs[0]
    attributes = operation.attributes
    moved = operation.definition.movement(attributes, source.type.sizes, operation.output.type.sizes, index)  # type: ignore
    return values.element(source, tuple(moved), scope, guard)


def _reshape(values: Values, operation: Operation, index: Indices, scope: Scope, guard: Within | None) -> Operand:
    """The same element by its flat offset where the source lies in memory, else by matching dimensions."""
    source, shape = operation.inputs[0], operation.output.type.sizes
    moved = split_index(source.type.sizes, list(zip(index, shape)))
    if moved is not None:
        return values.element(source, moved, scope, guard)
    while source not in values.inputs and source.operation.definition.name == "reshape":
        source = source.operation.inputs[0]
    if source not in values.inputs:
        raise ValueError(f"{operation.name}: a reshape of a computed value is not affine")
    load = Load(values.inputs[source], flatten_index(shape, index), guard)
    return values._let(operation.output, index, load, scope, guard)


def _iota(values: Values, operation: Operation, index: Indices, scope: Scope, guard: Within | None) -> Operand:
    position = IndexValue(index[operation.attributes["axis"]])
    return values._let(operation.output, index, position, scope, guard)


def _pad(values: Values, operation: Operation, index: Indices, scope: Scope, guard: Within | None) -> Operand:
    source = operation.inputs[0]
    paddings = operation.attributes["paddings"]
    moved = tuple(i - low for i, (low, _) in zip(index, paddings))
    decided = [values.decide(i, size) for i, size in zip(moved, source.type.sizes)]
    filler = Constant(operation.attributes["value"], source.dtype.compute)
    if False in decided:
        return filler
    bounds = tuple((i, size) for i, size, known in zip(moved, source.type.sizes, decided) if not known)
    if not bounds:
        return values.element(source, moved, scope, guard)
    inside = Within((*(guard.bounds if guard else ()), *bounds))
    value = values.element(source, moved, scope, inside)
    return _choose(values, Within(bounds), value, filler, operation.output.dtype, scope)


def _concat(values: Values, operation: Operation, index: Indices, scope: Scope, guard: Within | None) -> Operand:
    axis, start = operation.attributes["axis"], 0
    chosen: Operand | None = None
    for source in operation.inputs:
        size = source.type.sizes[axis]
        moved = tuple(i - start if d == axis else i for d, i in enumerate(index))
        start += size
        decided = values.decide(moved[axis], size)
        if decided:
            return values.element(source, moved, scope, guard)
        if decided is None:
            bounds = Within(((moved[axis], size),))
            inside = Within((*(guard.bounds if guard else ()), *bounds.bounds))
            value = values.element(source, moved, scope, inside)
            chosen = value if chosen is None else _choose(values, bounds, value, chosen, operation.output.dtype, scope)
    assert chosen is not None
    return chosen


def _choose(values: Values, condition: Within, a: Operand, b: Operand, dtype: DType, scope: Scope) -> Operand:
    """a where the condition holds, else b."""
    holds = values.let(condition, bool_, scope)
    return values.let(Compute(DEFINITIONS["select"], (holds, a, b), {}), dtype, scope)


def _gather(values: Values, operation: Operation, index: Indices, scope: Scope, guard: Within | None) -> Operand:
    params, indices = operation.inputs
    axis, rank = operation.attributes["axis"], len(indices.type.sizes)
    at = values.element(indices, index[axis : axis + rank], scope, guard)
    limit = params.type.sizes[axis]
    code = values.check_code(operation, f"index {{value}} is not in [0, {limit})")
    checked = values.let(Checked(at, limit, code, guard), int64, scope)
    moved = (*index[:axis], Index(0, ((checked, 1),)), *index[axis + rank :])
    return values.element(params, moved, scope, guard)


def _gather_nd(values: Values, operation: Operation, index: Indices, scope: Scope, guard: Within | None) -> Operand:
    params, indices = operation.inputs
    outer, depth = len(indices.type.sizes) - 1, indices.type.sizes[-1]
    moved = []
    for d in range(depth):
        at = values.element(indices, (*index[:outer], Index(d)), scope, guard)
        limit = params.type.sizes[d]
        code = values.check_code(operation, "index {value} is not in [0, {bound})")
        moved.append(Index(0, ((values.let(Checked(at, limit, code, guard), int64, scope), 1),)))
    return values.element(params, (*moved, *index[outer:]), scope, guard)


Maker = Callable[[Values, Operation, Indices, Scope, Within | None], Operand]
_MAKERS: dict[str, Maker] = {
    "reshape": _reshape, "iota": _iota, "pad": _pad, "concat": _concat, "gather": _gather, "gather_nd": _gather_nd,
}  # fmt: skip
