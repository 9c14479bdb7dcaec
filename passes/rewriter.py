"""Applies rules to a program in one walk along its data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graphc.location import SourceLocation
from graphc.operation import DEFINITIONS, Collector, OpDef, Operation, Tensor, TensorType, apply, building_into
from graphc.passes.patterns import Match, Rule, any_of_kind
from graphc.program import Program, clone_operation, substitute_results

STEP_LIMIT = 64  # rules applied one after another in the place of one operation
MOST_LOCATIONS = 8  # that an operation made by a rule carries


class RewriteError(Exception):
    """Rules that undo one another, or a rule whose replacement has another type."""


def rewrite(program: Program, rules: Mapping[str, Sequence[Rule]]) -> Program:
    """The program with rules applied until none matches.

    `rules` holds them by the operation at the root of their pattern (see `index_rules`); the first one that matches is
    applied. What a rule builds is rewritten too. Operations made by rules have the name of the operation that they
    replace and the locations of all that matched. What is no longer used stays for `eliminate_dead_code`. Raises
    RewriteError where rules do not come to an end.
    """
    return _Rewriting(program, rules).run()


def index_rules(rules: Iterable[Rule]) -> dict[str, list[Rule]]:
    """Rules by the operation at the root of their pattern, in their order."""
    table: dict[str, list[Rule]] = {}
    for item in rules:
        table.setdefault(item.pattern.name, []).append(item)
    return table


class _Rewriting:
    def __init__(self, program: Program, rules: Mapping[str, Sequence[Rule]]):
        self.program, self.rules = program, rules
        self.candidates: dict[str, Sequence[Rule]] = {}
        self.mapping: dict[Tensor, Tensor] = {}
        self.operations: list[Operation] = []
        self.uses: Counter[Tensor] = Counter(t for operation in program.operations for t in operation.inputs)
        self.uses.update(program.results)
        self.applied: list[str] = []  # the rules applied in the place of the current operation
        self.builder = _RuleBuilder()
        self.replaced = False

    def run(self) -> Program:
        with building_into(self.builder):
            for operation in self.program.operations:
                self.applied.clear()
                self._visit(operation)
        if not self.replaced:
            return self.program
        return substitute_results(self.program.replace(operations=tuple(self.operations)), self.mapping)

    def _visit(self, operation: Operation) -> None:
        inputs = tuple([self.mapping.get(t, t) for t in operation.inputs])
        moved = operation if inputs == operation.inputs else clone_operation(operation, inputs)
        made_by = [t.operation.definition.name for t in inputs]
        for item in self._candidates(operation.definition):
            if not item.may_match(made_by):
                continue
            match = item.match(moved, self.uses.__getitem__)
            if match is not None and self._apply(item, match, operation):
                return
        self.operations.append(moved)
        if moved is not operation:
            self._map(operation.outputs, moved.outputs)

    def _candidates(self, definition: OpDef) -> Sequence[Rule]:
        """The rules for an operation by name, then those for its kind."""
        found = self.candidates.get(definition.name)
        if found is None:
            by_kind = any_of_kind(definition.kind).name
            found = [*self.rules.get(definition.name, ()), *self.rules.get(by_kind, ())]
            self.candidates[definition.name] = found
        return found

    def _apply(self, item: Rule, match: Match, operation: Operation) -> bool:
        """Puts what the rule builds in the place of an operation; False where the rule declines."""
        root = match.root
        self.builder.match = match
        result = item.build(match)
        result = None if result is None else _fit(result, root.output.type, item)
        operations = self.builder.take()
        if result is None:
            return False
        self.replaced = True
        self._count_step(item, root)
        self.uses[result] += 1  # by what is built here, until the result has the uses of the old one
        for built in operations:
            self.uses.update(built.inputs)
        self._release(root.inputs)
        for built in operations:
            self._visit(built)
        final = self.mapping.get(result, result)
        self._map(operation.outputs, [final])
        self.uses[final] -= 1
        return True

    def _count_step(self, item: Rule, root: Operation) -> None:
        self.applied.append(item.name)
        if len(self.applied) > STEP_LIMIT:
            names = ", ".join(dict.fromkeys(self.applied[-8:]))
            raise RewriteError(f"rules do not come to an end at {root.name}; these alternate: {names}")

    def _map(self, old: Sequence[Tensor], new: Sequence[Tensor]) -> None:
        """Lets new tensors stand for old ones and take over their uses."""
        for before, after in zip(old, new):
            if before is not after:
                self.mapping[before] = after
                self.uses[after] += self.uses.pop(before, 0)

    def _release(self, tensors: Iterable[Tensor]) -> None:
        """Takes back one use each; what is not used any more uses nothing either."""
        pending = list(tensors)
        while pending:
            tensor = pending.pop()
            self.uses[tensor] -= 1
            if self.uses[tensor] == 0 and len(tensor.operation.outputs) == 1:
                pending += tensor.operation.inputs


class _RuleBuilder(Collector):
    """Collects what a rule builds, all under the name of what its match replaces."""

    match: Match

    def create_operation(
        self, definition: OpDef, inputs: Sequence[Tensor], attributes: Mapping[str, Any], types: Sequence[TensorType],
        name: str | None, location: SourceLocation | None,
    ) -> Operation:  # fmt: skip
        locations = _merge_locations(self.match.operations)
        operation = Operation(definition, inputs, attributes, types, self.match.root.name, locations)
        self.operations.append(operation)
        return operation


def _merge_locations(operations: Sequence[Operation]) -> tuple[SourceLocation, ...]:
    merged = dict.fromkeys(where for operation in operations for where in operation.locations)
    return tuple(merged)[:MOST_LOCATIONS]


def _fit(result: Tensor, wanted: TensorType, item: Rule) -> Tensor:
    """The result in the shape that is wanted: a rule on broadcast operands may yield the smaller one."""
    if result.type == wanted:
        return result
    if result.type.dtype != wanted.dtype:
        raise RewriteError(f"the rule {item.name} turns {wanted} into {result.type}")
    return apply(DEFINITIONS["broadcast_to"], [result], shape=wanted.shape)
