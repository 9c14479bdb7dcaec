"""Convolutions and their gradients with what follows them, as sequences of kernels."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from graphc.operation import Operation, Tensor
from graphc.program import Program
from graphc.runtime.kernel import Kernel
from graphc.runtime.kernels.convolution import Convolution
from graphc.runtime.kernels.convolution_kernels import (
    build_convolution,
    build_convolution_filter_gradient,
    build_convolution_input_gradient,
)
from graphc.runtime.kernels.depthwise import (
    DepthwiseConvolution,
    build_depthwise,
    build_depthwise_input_gradient,
)
from graphc.runtime.kernels.depthwise_filter import build_depthwise_filter_gradient
from graphc.runtime.kernels.sequence import KernelSequence, single
from graphc.runtime.lower.epilogue import RegionEpilogue, TileAccess, count_elementwise
from graphc.runtime.lower.given import find_given, given_arguments
from graphc.runtime.lower.lowered import Argument, LoweredStep, Temporary, arguments_of
from graphc.runtime.schedule.machine import Machine
from graphc.shapes import count_elements

Build = Callable[..., KernelSequence | Kernel]

_BUILDERS: dict[str, tuple[Build, bool]] = {
    "conv2d": (build_convolution, False),
    "conv2d_input_gradient": (build_convolution_input_gradient, True),
    "conv2d_filter_gradient": (build_convolution_filter_gradient, False),
    "depthwise_conv2d": (build_depthwise, False),
    "depthwise_conv2d_input_gradient": (build_depthwise_input_gradient, True),
    "depthwise_conv2d_filter_gradient": (build_depthwise_filter_gradient, False),
}
"""How each operation is built, and whether its kernel takes the operands the other way round."""


def lower_convolution(body: Program, inputs: Sequence[Tensor], outputs: Sequence[Tensor], machine: Machine, threads: int,
                      label: str) -> list[LoweredStep]:  # fmt: skip
    """The steps of a region around one convolution; `inputs` and `outputs` stand for its parameters and fetches."""
    anchor = next(op for op in body.operations if op.definition.name in _BUILDERS)
    build, is_turned = _BUILDERS[anchor.definition.name]
    columns = _count_columns(anchor)
    given = find_given(body, "convolution")
    extras = [*_find_extras(body, anchor), *(op.output for op in given)]
    epilogue = None
    if body.fetches != (anchor.output,):
        accesses = {t: _tile_access(t, anchor, columns) for t in extras}
        results = [(t, TileAccess(columns, 1)) for t in body.fetches]
        epilogue = RegionEpilogue(body, anchor, accesses, results, machine)
    built = build(describe_convolution(anchor), machine, threads, epilogue)
    sequence = built if isinstance(built, KernelSequence) else single(built, 2 + len(extras) + len(outputs))
    if epilogue is not None:
        sequence = sequence.with_operations(count_elementwise(body))
    actual = {p.tensor: t for p, t in zip(body.parameters, inputs)}
    operands = [actual[t] for t in anchor.inputs]
    if is_turned:
        operands.reverse()
    operands += [actual[t] for t in extras if t in actual]
    return place_sequence(sequence, [*arguments_of(operands), *given_arguments(given), *arguments_of(outputs)], label)


def place_sequence(sequence: KernelSequence, operands: Sequence[Argument], label: str) -> list[LoweredStep]:
    """The steps of a sequence of kernels on these operands, with temporaries between them."""
    arguments = [*operands] + [Argument(Temporary(size)) for size in sequence.temporaries]
    return [
        LoweredStep(step.kernel, tuple(arguments[i] for i in step.operands), label, prepares=step.prepares)
        for step in sequence.steps
    ]


def _count_columns(anchor: Operation) -> int:
    """The channels of the result; of a depthwise filter, all that come of one tap."""
    sizes = anchor.output.type.sizes
    return sizes[-2] * sizes[-1] if anchor.definition.name == "depthwise_conv2d_filter_gradient" else sizes[-1]


def describe_convolution(anchor: Operation) -> Convolution | DepthwiseConvolution:
    """The forward convolution that an operation is, or is a gradient of.

    GRAPHC_CONVOLUTION is the method of all convolutions that have a choice.
    """
    attributes = anchor.attributes
    first, second = (t.type.sizes for t in anchor.inputs)
    images, window = first, second
    if anchor.definition.name.endswith("input_gradient"):
        images, window = attributes["input_shape"], first
    elif anchor.definition.name.endswith("filter_gradient"):
        window = attributes["filter_shape"]
    (top, bottom), (left, right) = attributes["padding"]
    count, height, width, channels = images
    shapes = (
        count, height, width, channels, window[0], window[1], window[3], tuple(attributes["strides"]),
        (top, bottom, left, right), tuple(attributes["dilations"]), anchor.output.dtype,
    )  # fmt: skip
    if anchor.definition.name.startswith("depthwise"):
        return DepthwiseConvolution(*shapes)
    return Convolution(*shapes, os.environ.get("GRAPHC_CONVOLUTION", ""))


def _find_extras(body: Program, anchor: Operation) -> list[Tensor]:
    """What the epilogue reads besides the result of the convolution, in the order of the parameters."""
    read = {t for op in body.operations if op is not anchor for t in op.inputs}
    return [p.tensor for p in body.parameters if p.tensor in read]


def _tile_access(tensor: Tensor, anchor: Operation, columns: int) -> TileAccess:
    """An operand of the result's shape, one value a channel, or one value."""
    if tensor.type.sizes == anchor.output.type.sizes:
        return TileAccess(columns, 1)
    return TileAccess(0, 1 if count_elements(tensor.type.sizes) > 1 else 0)
