"""What the verifier finds, and how it shows it."""

import numpy as np
import pytest

from graphc.dtypes import float32, int32
from graphc.operation import DEFINITIONS, Literal, Operation, TensorType
from graphc.ops import elementwise  # noqa: F401 - defines add
from graphc.ops.constants import CONSTANT, PLACEHOLDER
from graphc.ops.fused import FUSED
from graphc.ops.movement import RESHAPE
from graphc.program import FEED, VARIABLE, Parameter, Program
from graphc.verifier import VerificationError, verify_program

ADD = DEFINITIONS["add"]
VECTOR = TensorType(float32, (3,))


def source(name="x", type_=VECTOR):
    return Operation(PLACEHOLDER, [], {"dtype": type_.dtype, "shape": type_.shape}, [type_], name).output


X = source()


def operation(definition=ADD, inputs=(X, X), attributes=None, types=(VECTOR,), name="y"):
    return Operation(definition, inputs, attributes or {}, types, name)


def program(*operations, fetches=(X,), **others):
    return Program("main", (Parameter(X, FEED, "x:0"),), operations, fetches, **others)


def test_a_good_program_passes():
    y = operation()
    verify_program(program(y, operation(inputs=[y.output, X], name="z"), fetches=(y.output,)))


LATE = operation(name="late")
BODY = Program("body", (), (operation(),), (X,))
INTEGERS = source("i", TensorType(int32, (3,)))

BAD = {
    "operands not defined": (program(operation()).replace(parameters=()), "y takes x:0, which is not defined before it"),
    "operands defined later": (program(operation(inputs=[LATE.output, X]), LATE), "y takes late:0, which is not defined"),
    "an operation twice": (program(LATE, LATE), "late stands in the program twice"),
    "attributes that lack": (program(operation(RESHAPE, [X])), "y lacks the attribute shape"),
    "attributes too many": (program(operation(attributes={"shape": (3,)})), "attribute shape that add does not declare"),
    "attributes of another kind": (
        program(operation(RESHAPE, [X], {"shape": 3})), "y: attribute shape is 3, not of kind tuple",
    ),
    "types that do not follow": (
        program(operation(types=[TensorType(float32, (4,))])), r"y:0 is f32\[4\], its type rule gives f32\[3\]",
    ),
    "element types that do not follow": (
        program(operation(types=[TensorType(int32, (3,))])), r"y:0 is i32\[3\], its type rule gives f32\[3\]",
    ),
    "operands that do not fit": (
        program(operation(RESHAPE, [X], {"shape": (2, 2)}, [TensorType(float32, (2, 2))])), r"y: .*\[3\]",
    ),
    "too many outputs": (program(operation(types=[VECTOR, VECTOR])), "y has 2 outputs, its type rule gives 1"),
    "too few operands": (program(operation(RESHAPE, [], {"shape": (3,)})), "^y: "),
    "results not defined": (program(fetches=(LATE.output,)), "the result late:0 is not defined"),
    "parameters bound twice": (
        program().replace(parameters=(Parameter(X, FEED, "a"), Parameter(X, FEED, "b"))), "parameter 'b' is bound twice",
    ),
    "updates of another type": (
        Program(
            "main", (Parameter(X, VARIABLE, "w"), Parameter(INTEGERS, FEED, "i:0")), (), (), (("w", INTEGERS),)
        ),
        r"variable 'w' holds float32, its new value is i32\[3\]",
    ),
    "bad nested programs": (
        program(operation(FUSED, [], {"body": BODY, "region": "loops"})), "inside y: y takes x:0, which is not defined",
    ),
}  # fmt: skip


@pytest.mark.parametrize("bad, message", BAD.values(), ids=BAD)
def test_bad_programs_are_named(bad, message):
    with pytest.raises(VerificationError, match=message):
        verify_program(bad)


def test_the_line_at_fault_is_underlined():
    constant = Operation(CONSTANT, [], {"value": Literal(np.float32(1)), "dtype": float32}, [TensorType(float32, ())], "one")
    bad = operation(types=[TensorType(float32, (4,))])
    after = operation(inputs=[bad.output, bad.output], types=[TensorType(float32, (4,))], name="z")
    with pytest.raises(VerificationError) as error:
        verify_program(program(constant, bad, after))
    assert str(error.value) == (
        "y:0 is f32[4], its type rule gives f32[3]\n"
        "     1 | program main(%x: f32[3] feed) {\n"
        "     2 |   %one = constant() {value=f32[](1.0), dtype=f32} : f32[]\n"
        "     3 |   %y = add(%x, %x) : f32[4]\n"
        "       |   ^^^^^^^^^^^^^^^^^^^^^^^^^\n"
        "     4 |   %z = add(%y, %y) : f32[4]\n"
        "     5 |   fetch %x"
    )
