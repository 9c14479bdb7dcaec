"""Rules of algebra as data: what to look for, and what to put in its place.

    x, y = tensors("x y")
    P, Q = attributes("P Q")

    rule(op.add(x, const(0)), x, when=is_integer)
    rule(op.transpose(op.transpose(x, perm=P), perm=Q), lambda m: apply(TRANSPOSE, [m.x], perm=compose(m.P, m.Q)))

A name that stands twice means the same tensor twice. `const(0)` is a constant of zeros of any shape, `const("c")` any
constant that has one value throughout, under that name as a Python number. Operands of commutative operations match in
either order. An operation pattern without operands takes any number of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from math import copysign
from typing import Any

from graphc.operation import DEFINITIONS, Operation, Tensor, apply
from graphc.ops.constants import build_constant
from graphc.records import record

COMMUTATIVE = frozenset((
    "add", "mul", "maximum", "minimum", "equal", "not_equal", "logical_and", "logical_or", "logical_xor", "squared_difference",
    "bitwise_and", "bitwise_or", "bitwise_xor",
))  # fmt: skip
"""Binary operations whose operands may change places without changing a bit of the result."""

_SPREADING = frozenset(("broadcast_to", "reshape"))  # operations that leave one value throughout
_CONSTANTS = _SPREADING | {"constant"}


@record
class TensorVariable:
    """Any tensor."""

    name: str


@record
class AttributeVariable:
    """Any value of an attribute."""

    name: str


@record
class ConstantPattern:
    """A constant with one value throughout: this value, or any under a name."""

    value: bool | int | float | None = None
    name: str | None = None


@record
class OperationPattern:
    """An operation with operands and attributes that match; attributes not named may be anything."""

    name: str
    operands: tuple[Pattern, ...] | None
    attributes: tuple[tuple[str, Any], ...] = ()


Pattern = TensorVariable | ConstantPattern | OperationPattern
Replacement = Pattern | Callable[["Match"], "Tensor | None"]
Condition = Callable[["Match"], bool]


class _OperationPatterns:
    """`op.add(x, y)` is the pattern of the operation "add" on what matches x and y."""

    def __getattr__(self, name: str) -> Callable[..., OperationPattern]:
        def build(*operands: Pattern, **attributes: Any) -> OperationPattern:
            return OperationPattern(name, operands or None, tuple(attributes.items()))

        return build


op = _OperationPatterns()


def tensors(names: str) -> list[TensorVariable]:
    return [TensorVariable(name) for name in names.split()]


def attributes(names: str) -> list[AttributeVariable]:
    return [AttributeVariable(name) for name in names.split()]


def any_of_kind(kind: str) -> OperationPattern:
    """Any operation of a kind (see `OpDef.kind`), as the root of a rule."""
    return OperationPattern(f"any {kind}", None)


def const(value: bool | int | float | str) -> ConstantPattern:
    return ConstantPattern(name=value) if isinstance(value, str) else ConstantPattern(value)


class Match:
    """What the names of a pattern stand for, as attributes: tensors, constants and attribute values.

    `root` is the operation that matched, `uses(tensor)` how many operations and results take a tensor.
    """

    def __init__(self, root: Operation, uses: Callable[[Tensor], int]):
        self.root, self.uses = root, uses
        self.bindings: dict[str, Any] = {}
        self.operations: list[Operation] = [root]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.bindings[name]
        except KeyError:
            raise AttributeError(f"the pattern has no name {name}") from None

    def bind(self, name: str, value: Any) -> bool:
        """Whether a name stands for `value`, from now on if it stood for nothing yet."""
        bound = self.bindings.setdefault(name, value)
        return bound is value or not isinstance(value, Tensor) and bound == value


@record
class Rule:
    """A pattern of an operation, what takes its place, and a condition. A function may decline by returning None."""

    name: str
    pattern: OperationPattern
    replacement: Replacement
    when: Condition | None = None

    @cached_property
    def _makers(self) -> tuple[frozenset[str] | None, ...] | None:
        return _find_makers(self.pattern)

    def may_match(self, made_by: Sequence[str]) -> bool:
        """Whether operands that operations of these names made can match, told at less cost than by `match`."""
        wanted = self._makers
        if wanted is None:
            return True
        if len(wanted) != len(made_by):
            return False
        if _are_made(wanted, made_by):
            return True
        return self.pattern.name in COMMUTATIVE and _are_made(wanted, made_by[::-1])

    def match(self, operation: Operation, uses: Callable[[Tensor], int]) -> Match | None:
        found = Match(operation, uses)
        if not _match_operation(self.pattern, operation, found):
            return None
        return found if self.when is None or self.when(found) else None

    def build(self, match: Match) -> Tensor | None:
        """Makes the replacement in the current builder."""
        if isinstance(self.replacement, (TensorVariable, ConstantPattern, OperationPattern)):
            return _build(self.replacement, match)
        return self.replacement(match)


def rule(pattern: OperationPattern, replacement: Replacement, when: Condition | None = None, name: str | None = None) -> Rule:
    """A rule; its name is the text of its pattern unless given."""
    return Rule(name or _describe(pattern), pattern, replacement, when)


def splat_value(tensor: Tensor) -> bool | int | float | None:
    """The one value of all elements of a constant, or None."""
    operation = tensor.operation
    while operation.definition.name in _SPREADING:
        operation = operation.inputs[0].operation
    if operation.definition.name != "constant":
        return None
    array = operation.attributes["value"].array
    return array.reshape(-1)[0].item() if array.size == 1 and not array.dtype.hasobject else None


# -- matching


def _find_makers(pattern: OperationPattern) -> tuple[frozenset[str] | None, ...] | None:
    """For each operand the operations that can have made it, None where any can; None where nothing can be told."""
    makers = tuple(_makers_of(operand) for operand in pattern.operands or ())
    return makers if any(names is not None for names in makers) else None


def _makers_of(operand: Pattern) -> frozenset[str] | None:
    if isinstance(operand, TensorVariable):
        return None
    return _CONSTANTS if isinstance(operand, ConstantPattern) else frozenset((operand.name,))


def _are_made(wanted: Sequence[frozenset[str] | None], made_by: Sequence[str]) -> bool:
    for names, name in zip(wanted, made_by):
        if names is not None and name not in names:
            return False
    return True


def _match(pattern: Pattern, tensor: Tensor, found: Match) -> bool:
    if isinstance(pattern, TensorVariable):
        return found.bind(pattern.name, tensor)
    if isinstance(pattern, ConstantPattern):
        return _match_constant(pattern, tensor, found)
    if tensor.operation.definition.name != pattern.name:
        return False
    found.operations.append(tensor.operation)
    return _match_operation(pattern, tensor.operation, found)


def _match_constant(pattern: ConstantPattern, tensor: Tensor, found: Match) -> bool:
    value = splat_value(tensor)
    if value is None:
        return False
    if pattern.name is not None:
        found.bindings[pattern.name] = value
        return True
    return value == pattern.value and copysign(1, value) == copysign(1, pattern.value)  # type: ignore[arg-type]


def _match_operation(pattern: OperationPattern, operation: Operation, found: Match) -> bool:
    for name, wanted in pattern.attributes:
        value = operation.attributes[name]
        if isinstance(wanted, AttributeVariable):
            if not found.bind(wanted.name, value):
                return False
        elif value != wanted:
            return False
    if pattern.operands is None:
        return True
    if len(pattern.operands) != len(operation.inputs):
        return False
    if pattern.name not in COMMUTATIVE:
        return _match_operands(pattern.operands, operation.inputs, found)
    bindings, operations = dict(found.bindings), list(found.operations)
    if _match_operands(pattern.operands, operation.inputs, found):
        return True
    found.bindings, found.operations = bindings, operations
    return _match_operands(pattern.operands, operation.inputs[::-1], found)


def _match_operands(patterns: Sequence[Pattern], inputs: Sequence[Tensor], found: Match) -> bool:
    return all(_match(pattern, tensor, found) for pattern, tensor in zip(patterns, inputs))


# -- building


def _build(template: Pattern, match: Match) -> Tensor:
    if isinstance(template, TensorVariable):
        return match.bindings[template.name]
    if isinstance(template, ConstantPattern):
        value = template.value if template.name is None else match.bindings[template.name]
        return build_constant(value, match.root.output.dtype)
    values = {
        name: match.bindings[value.name] if isinstance(value, AttributeVariable) else value
        for name, value in template.attributes
    }
    return apply(DEFINITIONS[template.name], [_build(item, match) for item in template.operands or ()], **values)


def _describe(pattern: Pattern) -> str:
    if isinstance(pattern, ConstantPattern):
        return str(pattern.value) if pattern.name is None else pattern.name
    if isinstance(pattern, TensorVariable):
        return pattern.name
    operands = [_describe(item) for item in pattern.operands] if pattern.operands is not None else ["..."]
    return f"{pattern.name}({', '.join(operands)})"
