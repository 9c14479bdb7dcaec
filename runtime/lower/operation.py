"""Operations as kernels: which family lowers what.

Families that many programs do without are imported when an operation asks for them.
"""

from __future__ import annotations

import os
from functools import partial

from graphc.operation import Operation
from graphc.program import Program
from graphc.runtime.emit.statements import emit_nest, workspace_of
from graphc.runtime.kernel import Kernel, make_kernel
from graphc.runtime.loops.count import count_nest_operations
from graphc.runtime.loops.nodes import LoopNest
from graphc.runtime.loops.simplify import simplify_nest, split_offsets
from graphc.runtime.lower.bulk import lower_bulk
from graphc.runtime.lower.given import find_given, pack_given
from graphc.runtime.lower.lowered import Argument, Immediate, LoweredStep, arguments_of
from graphc.runtime.lower.random_bits import lower_random_bits
from graphc.runtime.lower.region import lower_region
from graphc.runtime.lower.sharing import Lower, lower_once
from graphc.runtime.schedule.apply import apply_schedule
from graphc.runtime.schedule.choose import choose_schedule
from graphc.runtime.schedule.machine import Machine
from graphc.shapes import count_elements


def lower_operation(
    operation: Operation, machine: Machine, threads: int, prepared: int | None = None
) -> list[LoweredStep]:
    """The kernels that compute the outputs of an operation, in order; `prepared` is the operand of a matrix product that its
    one step reads prepared, as it offered.

    Raises ValueError for an operation that has no lowering.
    """
    if all(t.type.elements == 0 for t in operation.outputs):
        return []
    lower = _FAMILIES.get(operation.definition.kernel or "")
    if lower is None:
        raise ValueError(f"{operation.name}: {operation.definition.name} has no lowering")
    options = [f"{name}={os.environ.get(name, '')}" for name in ("GRAPHC_SCHEDULE", "GRAPHC_CONVOLUTION")]
    if prepared is not None:
        lower = partial(_lower_fused, prepared=prepared)
    return lower_once(lower, operation, machine, threads, " ".join([*options, f"prepared={prepared}"]))


def _lower_fused(operation: Operation, machine: Machine, threads: int, prepared: int | None = None) -> list[LoweredStep]:
    body: Program = operation.attributes["body"]
    region = operation.attributes["region"]
    if region == "contraction":
        from graphc.runtime.lower.contraction import lower_contraction

        return lower_contraction(body, operation.inputs, operation.outputs, machine, threads, operation.name, prepared)
    if region == "convolution":
        from graphc.runtime.lower.convolution import lower_convolution

        return lower_convolution(body, operation.inputs, operation.outputs, machine, threads, operation.name)
    nest, starts = split_offsets(lower_region(body, "region"))
    inputs = [
        Argument(tensor, starts.get(buffer, 0) * tensor.dtype.size) for tensor, buffer in zip(operation.inputs, nest.buffers)
    ]
    simple = simplify_nest(nest)
    bulk = lower_bulk(simple, threads)
    if bulk is not None:
        source = Argument(bulk.source) if isinstance(bulk.source, Immediate) else inputs[bulk.source]
        arguments = (source, *arguments_of(operation.outputs), Argument(bulk.sizes))
        return [LoweredStep(bulk.kernel, arguments, operation.name)]
    kernel = _build_kernel(nest, simple, machine, threads)
    numbers = [Argument(pack_given(find_given(body, region)))] if nest.given else []
    return [LoweredStep(kernel, (*inputs, *arguments_of(operation.outputs), *numbers), operation.name)]


def build_nest_kernel(nest: LoopNest, machine: Machine, threads: int) -> Kernel:
    """Simplifies, schedules and emits a nest."""
    return _build_kernel(nest, simplify_nest(nest), machine, threads)


def _build_kernel(nest: LoopNest, simple: LoopNest, machine: Machine, threads: int) -> Kernel:
    schedule = choose_schedule(simple, machine, threads)
    scheduled = apply_schedule(simple, schedule)
    return make_kernel(
        "loops",
        emit_nest(scheduled, machine),
        chunks=scheduled.chunks,
        workspace=workspace_of(scheduled) * scheduled.chunks,
        checks=scheduled.checks,
        schedule=str(schedule),
        operations=count_nest_operations(simple),
        bytes_moved=sum(b.size * b.dtype.size for b in nest.buffers if b.role != "local"),
        loops=f"{nest}\n\n{scheduled}",
    )


def _lower_scan(operation: Operation, machine: Machine, threads: int) -> list[LoweredStep]:
    from graphc.runtime.lower.scans import lower_cumulative, lower_scatter

    lower = lower_cumulative if operation.definition.kernel == "cumulative" else lower_scatter
    kernel = build_nest_kernel(lower(operation), machine, threads)
    return [LoweredStep(kernel, arguments_of((*operation.inputs, *operation.outputs)), operation.name)]


def _lower_pooling(operation: Operation, machine: Machine, threads: int) -> list[LoweredStep]:
    from graphc.runtime.lower.pooling import lower_pooling

    return lower_pooling(operation, machine, threads)


def _lower_sort(operation: Operation, machine: Machine, threads: int) -> list[LoweredStep]:
    from graphc.runtime.kernels.sorting import build_argsort, build_top_k

    *outer, length = operation.inputs[0].type.sizes
    rows, dtype = count_elements(outer), operation.inputs[0].dtype
    if operation.definition.name == "top_k":
        kernel = build_top_k(rows, length, operation.attributes["k"], dtype, machine, threads)
    else:
        kernel = build_argsort(rows, length, dtype, operation.attributes["descending"], machine, threads)
    return [LoweredStep(kernel, arguments_of((*operation.inputs, *operation.outputs)), operation.name)]


_FAMILIES: dict[str, Lower] = {
    "sort": _lower_sort,
    "top_k": _lower_sort,
    "fused": _lower_fused,
    "cumulative": _lower_scan,
    "scatter": _lower_scan,
    "pooling": _lower_pooling,
    "random_bits": lower_random_bits,
}
