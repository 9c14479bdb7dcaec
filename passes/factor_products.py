"""Sums of products with a common factor, as one product: d*a + d*b becomes d * (a + b).

The gradient of an activation of several terms, such as tanh's approximation of gelu, arrives as a sum in which every term
has the gradient from behind as a factor. What is left without it depends on forward values only: fusion computes it where
the activation is computed, keeps it instead of what its terms are made of, and the gradient is one multiplication.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Any

from graphc.operation import DEFINITIONS, Operation, Tensor, apply
from graphc.ops.constants import build_constant
from graphc.passes.regions import CONTRACTIONS
from graphc.program import Program, replace_results
from graphc.records import record

FEWEST = 4  # operations that the factor is carried through, for which taking it out is worth its multiplication
FARTHEST = 32  # operations behind the factor that are looked through for what depends on it


@record
class FactorProducts:
    """Takes results of contractions out of the sums of products that they are factors of."""

    name: str = "factor_products"

    def run(self, program: Program, context: Any) -> Program:
        search = _Search(program)
        chains = [chain for operation in program.operations if (chain := search.follow(operation)) is not None]
        return replace_results(program, {chain.linear[-1]: chain.build for chain in chains})


@record
class _Chain:
    """Operations in the order of data, each linear in `factor`; only the result of the last is used elsewhere."""

    factor: Tensor
    linear: tuple[Operation, ...]

    def build(self, replaced: Mapping[Tensor, Tensor]) -> Tensor:
        """The last result: the factor times what the operations make of one, which is None here."""
        of_one: dict[Tensor, Tensor | None] = {self.factor: None}
        for operation in self.linear:
            is_linear = [t in of_one for t in operation.inputs]
            values = [of_one[t] if t in of_one else replaced[t] for t in operation.inputs]
            of_one[operation.output] = self._of_one(operation, values, is_linear)
        coefficient = of_one[self.linear[-1].output]
        assert coefficient is not None
        return apply(DEFINITIONS["mul"], [replaced[self.factor], coefficient])

    def _of_one(self, operation: Operation, values: list[Tensor | None], is_linear: list[bool]) -> Tensor:
        if operation.definition.name == "mul" and None in values:
            return next(value for value in values if value is not None)
        given = [build_constant(1, self.factor.dtype) if value is None else value for value in values]
        return apply(operation.definition, given)


class _Search:
    """Looks for chains in one program."""

    def __init__(self, program: Program):
        self.position = {op: i for i, op in enumerate(program.operations)}
        self.consumers, self.results = program.consumers(), set(program.results)

    def follow(self, start: Operation) -> _Chain | None:
        """The chain behind a contraction, where one is worth it."""
        if start.definition.name not in CONTRACTIONS or not start.output.dtype.is_floating:
            return None
        factor = start.output
        inside, linear, sums = {factor}, list[Operation](), 0
        pending = self._positions(factor)
        while pending:
            _, operation = heapq.heappop(pending)
            if linear and operation is linear[-1] or not self._is_linear(operation, inside, factor):
                continue
            linear.append(operation)
            inside.add(operation.output)
            sums += operation.definition.name != "mul"
            for item in self._positions(operation.output):
                heapq.heappush(pending, item)
        if sums == 0 or len(linear) < FEWEST:
            return None
        return _Chain(factor, tuple(linear)) if self._ends_in_one(factor, linear) else None

    def _positions(self, tensor: Tensor) -> list[tuple[int, Operation]]:
        return sorted(((self.position[op], op) for op in self.consumers[tensor]), key=lambda item: item[0])

    def _is_linear(self, operation: Operation, inside: set[Tensor], factor: Tensor) -> bool:
        """Whether the result is the factor times something that does not depend on it."""
        if operation.definition.name not in ("mul", "add", "sub") or operation.output.type != factor.type:
            return False
        others = [t for t in operation.inputs if t not in inside]
        if operation.definition.name != "mul":
            return not others
        return len(others) == 1 and not self._depends(others[0], inside, self.position[factor.operation])

    def _depends(self, tensor: Tensor, inside: set[Tensor], start: int) -> bool:
        """Whether a tensor may depend on the factor: what was computed before it does not."""
        seen: set[Tensor] = set()
        pending = [tensor]
        while pending:
            current = pending.pop()
            if current in inside or len(seen) > FARTHEST:
                return True
            if current not in seen and self.position.get(current.operation, -1) >= start:
                seen.add(current)
                pending += current.operation.inputs
        return False

    def _ends_in_one(self, factor: Tensor, linear: list[Operation]) -> bool:
        """Whether nothing but the last result is used by others."""
        own = set(linear)
        before = [factor, *(operation.output for operation in linear[:-1])]
        return not any(t in self.results or any(op not in own for op in self.consumers[t]) for t in before)
