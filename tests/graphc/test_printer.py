"""Programs as text and back."""

import numpy as np
import pytest

from graphc.dtypes import ALL, bfloat16, float32, from_short, int32
from graphc.graph import Graph
from graphc.location import SourceLocation
from graphc.operation import Collector, Dynamic, Literal, Operation, TensorType, apply, building_into
from graphc.ops.constants import PLACEHOLDER, build_constant, placeholder
from graphc.ops.elementwise import add
from graphc.ops.fused import FUSED
from graphc.ops.joining import split
from graphc.ops.movement import RESHAPE, reshape
from graphc.ops.state import ASSIGN, READ, VARIABLE
from graphc.parser import ParseError, parse_program
from graphc.printer import print_graph, print_program
from graphc.program import FEED, RUN, Parameter, Program, build_program
from graphc.program import VARIABLE as VARIABLE_KIND


def make_source(name: str, shape: tuple = (3,), dtype=float32, locations=()):
    type_ = TensorType(dtype, shape)
    return Operation(PLACEHOLDER, [], {"dtype": dtype, "shape": shape}, [type_], name, locations).output


def make_program(build, shapes=((3,),)) -> Program:
    """A program of what `build` declares on feeds of the given shapes, and returns as fetches."""
    sources = [make_source(f"x{i}", shape) for i, shape in enumerate(shapes)]
    collector = Collector()
    with building_into(collector):
        fetches = build(*sources)
    parameters = tuple(Parameter(t, FEED, t.name) for t in sources)
    fetches = fetches if isinstance(fetches, (list, tuple)) else [fetches]
    return Program("main", parameters, tuple(collector.operations), tuple(fetches))


def check_round_trip(program: Program) -> Program:
    literals: dict = {}
    text = print_program(program, literals)
    again = parse_program(text, literals)
    assert print_program(again) == text
    return again


def test_text_of_a_program():
    with Graph().as_default() as graph:
        x = placeholder(float32, [None, 3], name="images")
        variable = apply(VARIABLE, [], "w", dtype=float32, shape=(3,), key="w")
        y = add(x, apply(READ, [variable]), name="y")
        write = apply(ASSIGN, [variable, apply(READ, [variable])], validate_shape=True)
        program = build_program([y], [write.operation], [x], name="train")
    assert print_program(program, locations=False) == (
        "program train(%images: f32[?,3] feed, %w: f32[3] variable) {\n"
        "  %y = add(%images, %w) : f32[?,3]\n"
        '  update "w" = %w\n'
        "  fetch %y\n"
        "}"
    )
    assert '@ "' in str(program) and "test_printer.py" in str(program)
    assert print_graph(graph).count("\n") == len(graph.get_operations()) + 1
    check_round_trip(program)


def test_names_are_made_unique_and_valid():
    with Graph().as_default():
        x = placeholder(float32, [4], name="a/b")
    collector = Collector()
    with building_into(collector):
        first = add(x, x, name="strange name>")
        second = add(first, x, name="strange name>")
        parts = split(second, 2, name="strange name>")
    parameters = (Parameter(x, FEED, "a/b:0"), Parameter(make_source("a/b"), FEED, "other key"))
    program = Program("not a word", parameters, tuple(collector.operations), (*parts, first))
    text = print_program(program, locations=False)
    assert '%a/b_1: f32[3] feed "other key"' in text
    assert "%strange_name__1 = add(%strange_name_, %a/b)" in text
    assert "%strange_name__2, %strange_name__2_1 = split(%strange_name__1)" in text
    assert text.startswith('program "not a word"(')
    check_round_trip(program)


def test_locations_are_kept():
    places = (SourceLocation("/somewhere/else.py", 3), SourceLocation("<stdin>", 1))
    x = make_source("x", locations=places[:1])
    operation = Operation(RESHAPE, [x], {"shape": (3,)}, [x.type], "y", places)
    program = Program("main", (Parameter(x, FEED, "x:0"),), (operation,), (operation.output,))
    assert check_round_trip(program).operations[0].locations == places


CONSTANTS = [
    np.float32(0.1), [1.5, np.inf, -np.inf, np.nan, -0.0, 1e-45, 3.4e38], np.float16(0.1), np.float64(1 / 3), np.arange(100),
    np.zeros((0, 3), np.float32), np.full((40, 2), 7, np.uint8), [True, False], np.bool_(True), np.int8(-128),
    np.uint64(2**64 - 1), np.array([1 + 2j]), np.array(["a", 'b"\n'], object), np.array([b"\x00a"], object),
    np.full(40, -0.0, np.float32), np.array(0.1).astype(bfloat16.numpy), np.linspace(0, 1, 16).astype(np.float32),
]  # fmt: skip


@pytest.mark.parametrize("value", CONSTANTS, ids=lambda value: str(np.asarray(value).dtype))
def test_constants_come_back_bit_by_bit(value):
    program = make_program(lambda x: build_constant(np.asarray(value)))
    found = check_round_trip(program).operations[0].attributes["value"].array
    wanted = program.operations[0].attributes["value"].array
    assert found.dtype == wanted.dtype and found.shape == wanted.shape
    assert found.tolist() == wanted.tolist() if found.dtype.hasobject else found.tobytes() == wanted.tobytes()


def test_every_finite_half_is_printed_exactly():
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)]
    for block in np.array_split(finite, len(finite) // 16 + 1):
        program = make_program(lambda x, block=block: build_constant(block))
        found = check_round_trip(program).operations[0].attributes["value"].array
        assert found.tobytes() == block.tobytes()


def test_large_constants_stand_as_digests():
    program = make_program(lambda x: build_constant(np.arange(100)))
    literals: dict = {}
    text = print_program(program, literals)
    (digest,) = literals
    assert f"i64[100](#{digest})" in text
    with pytest.raises(ParseError, match=f"line 2: the value of {digest} is not given"):
        parse_program(text)


ATTRIBUTES = [
    True, 3, -2, 0.1, float("inf"), float("-inf"), 1e300, -0.0, "a \"quoted\" text\n", None, (), (1,), (1, (2.0, None)),
    [1, 2], float32, Dynamic(None), Dynamic((None, 3)), Dynamic(4), Literal(np.arange(3)),
]  # fmt: skip


@pytest.mark.parametrize("value", ATTRIBUTES, ids=repr)
def test_attributes_come_back(value):
    x = make_source("x")
    operation = Operation(RESHAPE, [x], {"shape": value, "b": value}, [x.type], "y")
    program = Program("main", (Parameter(x, FEED, "x:0"),), (operation,), (operation.output,))
    found = check_round_trip(program).operations[0].attributes
    assert found == operation.attributes and list(found) == ["shape", "b"]
    assert [type(v) for v in found.values()] == [type(value)] * 2


def test_objects_stand_beside_the_text():
    x = make_source("x")
    operation = Operation(RESHAPE, [x], {"function": make_source, "other": make_program, "again": make_source}, [], "y")
    program = Program("main", (Parameter(x, FEED, "x:0"),), (operation,), (x,))
    assert check_round_trip(program).operations[0].attributes == operation.attributes


def test_types_come_back():
    for dtype in ALL:
        for shape in ((), (0,), (2, None), None):
            x = make_source("x", shape, dtype)
            program = Program("main", (Parameter(x, FEED, "x:0"),), (), (x,))
            assert check_round_trip(program).fetches[0].type == x.type
        assert from_short(dtype.short) is dtype


def test_all_kinds_of_parameters_and_assumptions():
    parameters = (
        Parameter(make_source("x"), FEED, "x:0"),
        Parameter(make_source("w"), VARIABLE_KIND, "w"),
        Parameter(make_source("v"), VARIABLE_KIND, "other"),
        Parameter(make_source("key", (2,), int32), RUN, "key"),
    )
    updates = (("w", parameters[0].tensor), ("new one", parameters[1].tensor))
    program = Program("main", parameters, (), (), updates, (("w", True), ("z", False)))
    again = check_round_trip(program)
    assert [(p.kind, p.key) for p in again.parameters] == [(p.kind, p.key) for p in parameters]
    assert again.assumptions == program.assumptions and [key for key, _ in again.updates] == ["w", "new one"]


def test_operations_without_and_with_many_outputs():
    x = make_source("x", (4,))
    nothing = Operation(RESHAPE, [x], {}, [], "nothing")
    collector = Collector()
    with building_into(collector):
        parts = split(x, 2)
    operations = (nothing, *collector.operations)
    program = Program("main", (Parameter(x, FEED, "x:0"),), operations, tuple(parts))
    assert "%nothing = reshape(%x) : ()" in str(program)
    assert "%split, %split_1 = split(%x)" in str(program)
    check_round_trip(program)


def make_fused(types_match: bool = True) -> Program:
    x = make_source("x")
    inner = make_source("inner", (3,) if types_match else (None,))
    collector = Collector("", (SourceLocation("/a.py", 1),))
    with building_into(collector):
        result = add(inner, inner, name="sum")
    body = Program("region", (Parameter(inner, FEED, "inner:0"),), tuple(collector.operations), (result,))
    fused = Operation(FUSED, [x], {"region": "loops", "body": body}, [result.type], "region", (SourceLocation("/a.py", 1),))
    return Program("main", (Parameter(x, FEED, "x:0"),), (fused,), (fused.output,))


def test_fused_operations_show_their_body_in_place():
    program = make_fused()
    assert print_program(program, locations=False) == (
        "program main(%x: f32[3] feed) {\n"
        '  %region = fused(%x) {region="loops"} {\n'
        "    %sum = add(%x, %x) : f32[3]\n"
        "    yield %sum\n"
        "  } : f32[3]\n"
        "  fetch %region\n"
        "}"
    )
    (fused,) = check_round_trip(program).operations
    assert fused.locations == program.operations[0].locations
    assert [o.definition.name for o in fused.attributes["body"].operations] == ["add"]


def test_other_nested_programs_have_parameters_of_their_own():
    program = make_fused(types_match=False)
    assert 'body=program region(%inner: f32[?] feed) {' in str(program)
    (fused,) = check_round_trip(program).operations
    assert fused.attributes["body"].name == "region"


ERRORS = {
    "nothing": ("", "line 1: expected 'program', found ''"),
    "an undefined value": (
        "program a(%x: f32[3] feed) {\n  %y = add(%x, %z) : f32[3]\n}", r"line 2: %z is not defined before it is used",
    ),
    "an unknown operation": ("program a() {\n  %y = nonsense() : f32[3]\n}", "line 2: unknown operation nonsense"),
    "a value defined twice": ("program a(%x: f32[3] feed, %x: f32[3] feed) {}", "line 1: %x is defined twice"),
    "a bad type": ("program a(%x: f31[3] feed) {\n}", "line 1: 'f31' is not an element type"),
    "too many types": (
        "program a(%x: f32[3] feed) {\n %y = neg(%x) : f32[3], f32[3]\n}", "line 2: 1 values, but 2 types",
    ),
    "a strange character": ("program a() {\n  $\n}", "line 2: unexpected character"),
    "an open end": ("program a() {\n", "line 2: expected an operation, an update or a fetch, found ''"),
    "more after the end": ("program a() {\n}\nfetch", "line 3: expected the end of the text"),
    "too few elements": (
        "program a() {\n %c = constant() {value=f32[3](1.0), dtype=f32} : f32[3]\n}", "1 elements do not fill the shape",
    ),
}  # fmt: skip


@pytest.mark.parametrize("text, message", ERRORS.values(), ids=ERRORS)
def test_errors_say_the_line(text, message):
    with pytest.raises(ParseError, match=message) as error:
        parse_program(text)
    assert str(error.value).splitlines()[-1].strip() == "^"


def test_reshape_in_a_declared_program_keeps_what_is_dynamic():
    with Graph().as_default():
        x = placeholder(float32, [None, 4], name="x")
        shape = placeholder(int32, [2], name="shape")
        program = build_program([reshape(x, shape)], (), [x, shape])
    again = check_round_trip(program)
    assert again.operations[-1].attributes["shape"] == Dynamic((None, None))
