"""Every operation: native code against the reference, or where there is none against NumPy's evaluation."""

import pytest
from native_running import run_native
from op_cases import Sample, all_cases, assert_same

from graphc.runtime.interpreter import interpret


def samples_of(item):
    return [Sample(item, arrays) for arrays in item.samples]


@pytest.mark.parametrize("item", all_cases(), ids=str)
def test_native_values(item):
    for sample in samples_of(item):
        declared = sample.declare()
        program = declared.program
        if any(op.definition.host is not None for op in program.operations):
            pytest.skip("runs in Python")
        expected = sample.expected()
        if expected is None:
            expected, _ = interpret(program, declared.bindings)
        found = run_native(program, declared.bindings)
        for a, b, tensor in zip(found, expected, declared.outputs):
            assert_same(a, b, tensor.dtype, 8 * item.rounding, str(sample))


