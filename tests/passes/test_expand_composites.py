"""Opening composites."""

import pytest

import graphc  # noqa: F401 - defines all operations
from graphc.dtypes import float32
from graphc.operation import OpDef, Operation, TensorType, apply
from graphc.ops.constants import PLACEHOLDER
from graphc.ops.elementwise import add, negative, tanh
from graphc.parser import parse_program
from graphc.passes.base import Context
from graphc.passes.expand_composites import ExpandComposites
from graphc.program import FEED, Parameter, Program

VECTOR = TensorType(float32, (3,))


def opened(definition: OpDef, outputs: int = 1) -> Program:
    x = Operation(PLACEHOLDER, [], {"dtype": float32, "shape": (3,)}, [VECTOR], "x").output
    types = [VECTOR] * outputs
    operation = Operation(definition, [x], {}, types, "outer")
    after = Operation(INNER, [operation.outputs[-1]], {}, [VECTOR], "after")
    fetches = (*operation.outputs, after.output)
    program = Program("main", (Parameter(x, FEED, "x:0"),), (operation, after), fetches)
    return ExpandComposites().run(program, Context())


INNER = OpDef("inner", infer=lambda types: types[0], composite=lambda operation: negative(operation.inputs[0]))
OUTER = OpDef(
    "outer", infer=lambda types: types[0], composite=lambda op: tanh(apply(INNER, [add(op.inputs[0], op.inputs[0])], "middle"))
)


def test_composites_inside_composites_are_opened_under_their_names():
    program = opened(OUTER)
    assert [(o.definition.name, o.name) for o in program.operations] == [
        ("add", "outer/Add"), ("neg", "outer/middle/Neg"), ("tanh", "outer/Tanh"), ("neg", "after/Neg"),
    ]  # fmt: skip


def test_operands_may_be_results():
    program = opened(OpDef("same", infer=lambda types: types[0], composite=lambda operation: operation.inputs[0]))
    assert program.fetches[0] is program.parameters[0].tensor and len(program.operations) == 1


def test_several_results():
    both = OpDef("both", infer=lambda types: types * 2, composite=lambda o: (o.inputs[0], negative(o.inputs[0])))
    program = opened(both, 2)
    assert [t.operation.definition.name for t in program.fetches] == ["placeholder", "neg", "neg"]


def test_a_result_of_another_type_is_an_error():
    wrong = OpDef("wrong", infer=lambda types: types[0], composite=lambda operation: operation.inputs[0] > 0)
    with pytest.raises(TypeError, match=r"wrong declares f32\[3\] and is built to give bool\[3\]"):
        opened(wrong)


def test_primitives_stay():
    program = parse_program("program a(%x: f32[3] feed) {\n %y = tanh(%x) : f32[3]\n fetch %y\n}")
    assert ExpandComposites().run(program, Context()) is program
