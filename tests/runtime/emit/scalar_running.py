"""Compiles one scalar function as a loop over arrays, for tests and for benchmarks/numerics.py."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.dtypes import DType, as_dtype
from graphc.runtime.emit import vectors
from graphc.runtime.emit.expressions import VectorScalars
from graphc.runtime.emit.function import I64, PTR, Function, Module, Value, constant
from graphc.runtime.emit.vectors import TypedValue, typed
from graphc.runtime.jit.engine import load_kernels
from graphc.runtime.kernel import ENTRY, make_kernel
from graphc.runtime.schedule.machine import Machine, host_machine

Scalar = Callable[..., Any]


def calling(name: str, *constants: Any) -> Scalar:
    """The scalar function that calls one operation, with constants as its last operands."""
    return lambda s, *values: getattr(s, name)(*values, *constants)


def kernel_text(
    scalar: Scalar, operands: Sequence[DType], result: DType, count: int, lanes: int, chains: int, machine: Machine
) -> str:
    """A module that maps `count` elements of each operand array to a result array; `count` divides by lanes * chains."""
    f = Function(Module(), ENTRY, [("operands", PTR), ("chunk", I64)])
    *inputs, output, status = [f.load(f.offset(f.arguments[0], k, PTR), PTR) for k in range(len(operands) + 2)]

    def report_unless(holds: Value, _: TypedValue) -> None:
        with f.when(vectors.any_lane(f, f.bit_xor(holds, constant(True, holds.type)))):
            f.store(constant(1, I64), status)

    s = VectorScalars(f, machine, report_unless, lanes)

    def body(index: Any, _: Any) -> list:
        starts = [f.add(index, lanes * k) for k in range(chains)]
        with f.interleaved(chains):
            values = []
            for pointer, dtype in zip(inputs, operands):
                element = vectors.memory_element(dtype)
                loaded = [vectors.load(f, machine, f.offset(pointer, at, element), dtype, lanes) for at in starts]
                values.append(typed(f.join_chains(loaded), dtype))
            value = scalar(s, *values)
            assert value.dtype is result.compute, (value.dtype, result)
            element = vectors.memory_element(result)
            for part, at in zip(f.split_chains(value), starts):
                vectors.store(f, machine, typed(part, result), f.offset(output, at, element), result)
        return []

    f.loop(0, count, lanes * chains, [], body)
    f.return_void()
    return str(f.module)


class Native:
    """`scalar` compiled for arrays of `count` elements."""

    def __init__(
        self, scalar: Scalar, operands: Sequence[DType], result: DType, count: int, lanes: int = 0, chains: int = 1,
        machine: Machine | None = None,
    ):  # fmt: skip
        machine = machine or host_machine()
        lanes = lanes or machine.lanes(max(operands[0].compute.bits, 32))
        kernel = make_kernel("scalar", kernel_text(scalar, operands, result, count, lanes, chains, machine))
        self._loaded = load_kernels([kernel], machine)
        self._function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(self._loaded[kernel.name])
        self.result, self.count = result, count

    def bind(self, *arrays: np.ndarray) -> tuple[Callable[[], None], np.ndarray, np.ndarray]:
        """A call, the array that it fills and the status cells that it writes."""
        out = np.zeros(self.count, self.result.numpy)
        status = np.zeros(4, np.int64)
        pointers = (ctypes.c_void_p * (len(arrays) + 2))(*[a.ctypes.data for a in (*arrays, out, status)])
        owners = (arrays, out, status)

        def call() -> None:
            assert owners
            self._function(pointers, 0)

        return call, out, status


def run_native(
    scalar: Scalar, *arrays: np.ndarray, result: DType | None = None, lanes: int = 0, chains: int = 1,
    machine: Machine | None = None, status: list[int] | None = None,
) -> np.ndarray:  # fmt: skip
    """The native value of `scalar` on arrays of one length; the last elements are repeated to fill the vectors.

    `status`, if given, becomes [1] where a check failed, else [0].
    """
    operands = [as_dtype(a.dtype) for a in arrays]
    machine = machine or host_machine()
    lanes = lanes or machine.lanes(max(operands[0].compute.bits, 32))
    count = arrays[0].size
    padding = -count % (lanes * chains)
    padded = [np.concatenate([a.ravel(), np.repeat(a.ravel()[-1:], padding)]) for a in arrays]
    native = Native(scalar, operands, result or operands[0], count + padding, lanes, chains, machine)
    call, out, cells = native.bind(*padded)
    call()
    if status is not None:
        status[:] = [int(cells[0])]
    return out[:count]
