"""Pooling operations and their gradients as kernels."""

from __future__ import annotations

from graphc.operation import Operation
from graphc.runtime.kernels.pooling import (
    Pooling,
    build_average_pool,
    build_average_pool_gradient,
    build_max_pool,
    build_max_pool_gradient,
)
from graphc.runtime.lower.lowered import LoweredStep, arguments_of
from graphc.runtime.schedule.machine import Machine

_BUILDERS = {
    "max_pool": build_max_pool,
    "max_pool_gradient": build_max_pool_gradient,
    "avg_pool": build_average_pool,
    "avg_pool_gradient": build_average_pool_gradient,
}


def lower_pooling(operation: Operation, machine: Machine, threads: int) -> list[LoweredStep]:
    """One kernel; the image is the first input, or for the gradient of an average the one that comes out."""
    attributes = operation.attributes
    images, height, width, channels = attributes.get("input_shape") or operation.inputs[0].type.sizes
    (top, bottom), (left, right) = attributes["padding"]
    pooling = Pooling(
        images, height, width, channels, tuple(attributes["ksize"]), tuple(attributes["strides"]),
        (top, bottom, left, right), operation.output.dtype,
    )  # fmt: skip
    kernel = _BUILDERS[operation.definition.name](pooling, machine, threads)
    return [LoweredStep(kernel, arguments_of((*operation.inputs, *operation.outputs)), operation.name)]
