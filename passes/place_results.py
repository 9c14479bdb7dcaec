"""Results get memory of their own, and operations an order in which variables can be updated in place.

A fetch needs an array that belongs to the caller: where it is a parameter, a constant, a view of one, or fetched twice, a
copy is made. A new value of a variable can be written over the old one when every operation that reads the old one has run:
the operations are ordered so that they come before, where their data allow it. What may fail comes before as well: a run that
fails leaves all variables as they were.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence
from typing import Any

from graphc.operation import Operation, Tensor
from graphc.ops.fused import COPY, FUSED
from graphc.program import FEED, VARIABLE, Parameter, Program
from graphc.records import record


@record
class PlaceResults:
    """Copies results that share memory; puts writers of variables behind their readers and what may fail."""

    name: str = "place_results"

    def run(self, program: Program, context: Any) -> Program:
        return order_for_updates(copy_shared_results(program))


def view_source(tensor: Tensor) -> Tensor:
    """The tensor whose memory a tensor shares: reshapes are views."""
    while tensor.operation.definition.name == "reshape" and tensor.operation.inputs:
        tensor = tensor.operation.inputs[0]
    return tensor


CHECKED_KERNELS = ("gather", "scatter")  # they look at indices
CHECKED_INTEGERS = ("floordiv", "floormod", "truncdiv", "truncmod", "pow")  # they look at divisors and exponents


def may_fail(operation: Operation) -> bool:
    """Whether an operation looks at its data while it runs and may end the run: at indices, at integer divisors."""
    if operation.definition is FUSED:
        return any(may_fail(inner) for inner in operation.attributes["body"].operations)
    if operation.definition.name in CHECKED_INTEGERS:
        return operation.output.dtype.is_integer and not _is_positive_constant(operation.inputs[1])
    return operation.definition.kernel in CHECKED_KERNELS


def _is_positive_constant(tensor: Tensor) -> bool:
    operation = tensor.operation
    return operation.definition.name == "constant" and bool((operation.attributes["value"].array > 0).all())


def build_copy(tensor: Tensor) -> Operation:
    """An operation that writes the values of a tensor to other memory."""
    parameter = Parameter(tensor, FEED, tensor.name)
    inner = Operation(COPY, [tensor], {}, [tensor.type], tensor.operation.name + "/copy", tensor.operation.locations)
    body = Program(inner.name, (parameter,), (inner,), inner.outputs)
    return Operation(FUSED, [tensor], {"body": body, "region": "loops"}, [tensor.type], inner.name, inner.locations)


def copy_shared_results(program: Program) -> Program:
    """Every fetch, and every new value of a variable, is computed by an operation, and no two share memory."""
    parameters = {p.tensor for p in program.parameters}
    taken: set[Tensor] = set()
    copies: list[Operation] = []

    def own(tensor: Tensor) -> Tensor:
        source = view_source(tensor)
        if source in taken or source in parameters or source.operation.definition.name == "constant":
            copies.append(build_copy(tensor))
            tensor = source = copies[-1].output
        taken.add(source)
        return tensor

    fetches = tuple(own(t) for t in program.fetches)
    updates = tuple((key, own(t)) for key, t in program.updates)
    if not copies:
        return program
    return program.replace(operations=(*program.operations, *copies), fetches=fetches, updates=updates)


def order_for_updates(program: Program) -> Program:
    """The operations in an order in which readers of a variable come before what computes its new value.

    Where an operation may fail, all that write variables come as late as their data allow.
    """
    old = {p.key: p.tensor for p in program.parameters if p.kind == VARIABLE}
    writers = {view_source(t).operation: key for key, t in program.updates if key in old}
    position = {op: i for i, op in enumerate(program.operations)}
    readers: dict[Tensor, list[Operation]] = {}
    for operation in program.operations:
        for tensor in operation.inputs:
            readers.setdefault(view_source(tensor), []).append(operation)
    before: dict[Operation, set[Operation]] = {}
    for operation in program.operations:
        before[operation] = {t.operation for t in operation.inputs if t.operation in position}
    late: dict[Operation, set[Operation]] = {}
    for key, tensor in program.updates:
        writer = view_source(tensor).operation
        if key in old and writer in writers:
            late.setdefault(writer, set()).update(r for r in readers.get(old[key], []) if r is not writer)
    last = set(writers) if any(map(may_fail, program.operations)) else set()
    order = _sort(program.operations, before, late, last)
    return program if tuple(order) == program.operations else program.replace(operations=tuple(order))


def _sort(
    operations: Sequence[Operation],
    before: dict[Operation, set[Operation]],
    late: dict[Operation, set[Operation]],
    last: Collection[Operation],
) -> list[Operation]:
    """A topological order close to the given one, but that operations in `last` come when no others can.

    `late` edges are dropped where they would close a cycle.
    """
    listed = [op for op in operations if op not in last] + [op for op in operations if op in last]
    position = {op: i for i, op in enumerate(listed)}
    waiting = {op: len(before[op] | late.get(op, set())) for op in position}
    followers: dict[Operation, list[Operation]] = {op: [] for op in position}
    for operation in position:
        for other in before[operation] | late.get(operation, set()):
            followers[other].append(operation)
    ready = [position[op] for op, count in waiting.items() if not count]
    heapq.heapify(ready)
    done: set[Operation] = set()
    result: list[Operation] = []
    while len(result) < len(listed):
        if not ready:
            stuck = next(op for op in listed if op not in done and before[op] <= done)
            heapq.heappush(ready, position[stuck])
        operation = listed[heapq.heappop(ready)]
        if operation in done:
            continue
        done.add(operation)
        result.append(operation)
        for follower in followers[operation]:
            waiting[follower] -= 1
            if not waiting[follower] and follower not in done:
                heapq.heappush(ready, position[follower])
    return result
