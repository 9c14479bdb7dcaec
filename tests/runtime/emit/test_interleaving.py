"""The text builder's interleaved chains: copies in a row, shared values once, loops that carry one value a chain."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from graphc.runtime.emit.function import F32, I64, PTR, Function, Module, constant
from graphc.runtime.jit.engine import load_kernels
from graphc.runtime.kernel import ENTRY, make_kernel


def test_an_instruction_is_written_once_a_chain_in_a_row():
    f = Function(Module(), "f", [("x", F32), ("y", F32)])
    with f.interleaved(3):
        both = f.join_chains([f.arguments[0], f.arguments[1], f.arguments[0]])
        f.fadd(both, 1.0)
        f.fadd(f.arguments[0], 1.0)
    lines = str(f).splitlines()
    assert [line.split(" = ")[1] for line in lines if "fadd" in line] == [
        "fadd float %v1.0, 0x3FF0000000000000",
        "fadd float %v1.1, 0x3FF0000000000000",
        "fadd float %v1.2, 0x3FF0000000000000",
        "fadd float %x, 0x3FF0000000000000",
    ]


def test_chains_join_and_split():
    f = Function(Module(), "f", [("x", F32)])
    x = f.arguments[0]
    assert f.join_chains([x]) is x
    with f.interleaved(2):
        assert [v.ref for v in f.split_chains(x)] == ["%x", "%x"]
        assert len({v.ref for v in f.split_chains(f.join_chains([x, x]))}) == 2
        with pytest.raises(ValueError, match="1 values for 2 chains"):
            f.join_chains([x])
    assert f.chains == 1


def test_a_loop_carries_one_value_a_chain():
    count, chains = 12, 3
    data, out = np.arange(count, dtype=np.float32), np.zeros(chains, np.float32)
    f = Function(Module(), ENTRY, [("operands", PTR), ("chunk", I64)])
    source, target = (f.load(f.offset(f.arguments[0], k, PTR), PTR) for k in range(2))
    with f.interleaved(chains):
        zero = constant(0.0, F32)

        def body(index, totals):
            loaded = [f.load(f.offset(source, f.add(index, k), F32), F32) for k in range(chains)]
            return [f.fadd(totals[0], f.join_chains(loaded))]

        (total,) = f.loop(0, count, chains, [f.join_chains([zero] * chains)], body)
        for k, value in enumerate(f.split_chains(total)):
            f.store(value, f.offset(target, k, F32))
    f.return_void()
    kernel = make_kernel("chains", str(f.module))
    loaded = load_kernels([kernel])
    pointers = (ctypes.c_void_p * 2)(data.ctypes.data, out.ctypes.data)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(loaded[kernel.name])(pointers, 0)
    np.testing.assert_array_equal(out, data.reshape(-1, chains).sum(axis=0))
