"""Patterns, rules and their application."""

import pytest

from graphc.operation import DEFINITIONS, apply
from graphc.ops import compare, elementwise, movement  # noqa: F401 - define the operations of the texts
from graphc.parser import parse_program
from graphc.passes.eliminate_dead_code import EliminateDeadCode
from graphc.passes.patterns import Match, attributes, const, op, rule, tensors
from graphc.passes.rewriter import MOST_LOCATIONS, RewriteError, index_rules, rewrite
from graphc.verifier import verify_program

x, y = tensors("x y")
P, Q = attributes("P Q")


def rewritten(text: str, *rules) -> str:
    """The text of a program after the rules, without dead code and locations."""
    program = rewrite(parse_program(text), index_rules(rules))
    verify_program(program)
    return str(EliminateDeadCode().run(program, None))


def body_of(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines()[1:-1]]


def test_a_rule_replaces_and_keeps_the_name():
    text = "program a(%x: f32[3] feed, %y: f32[3] feed) {\n %n = neg(%y) : f32[3]\n %z = add(%x, %n) : f32[3]\n fetch %z\n}"
    found = rewritten(text, rule(op.add(x, op.neg(y)), op.sub(x, y)))
    assert body_of(found) == ["%z = sub(%x, %y) : f32[3]", "fetch %z"]


def test_commutative_operands_match_in_either_order():
    text = "program a(%x: f32[3] feed, %y: f32[3] feed) {\n %n = neg(%y) : f32[3]\n %z = add(%n, %x) : f32[3]\n fetch %z\n}"
    found = rewritten(text, rule(op.add(x, op.neg(y)), op.sub(x, y)))
    assert body_of(found) == ["%z = sub(%x, %y) : f32[3]", "fetch %z"]
    unchanged = text.replace("add", "sub")
    assert "neg" in rewritten(unchanged, rule(op.sub(x, op.neg(y)), op.add(x, y)))


def test_a_name_that_stands_twice_means_the_same_tensor():
    rules = rule(op.mul(x, x), op.square(x))
    same = "program a(%x: f32[3] feed, %y: f32[3] feed) {\n %z = mul(%x, %x) : f32[3]\n fetch %z\n}"
    assert "square(%x)" in rewritten(same, rules)
    assert "square" not in rewritten(same.replace("mul(%x, %x)", "mul(%x, %y)"), rules)


CONSTANT = """program a(%x: f32[3] feed) {{
 %c = constant() {{value={value}, dtype={dtype}}} : {type}
 %z = add(%x, %c) : f32[3]
 fetch %z
}}"""


@pytest.mark.parametrize(
    "value, wanted, matches",
    [
        ("f32[](0.0)", 0, True), ("f32[](-0.0)", 0, False), ("f32[](-0.0)", -0.0, True), ("f32[1](0.0)", 0, True),
        ("f32[](1.0)", 0, False), ("f32[](nan)", float("nan"), False), ("f32[](nan)", "c", True), ("f32[](2.5)", "c", True),
        ("f32[3](0.0, 1.0, 0.0)", "c", False),
    ],
)  # fmt: skip
def test_constants_match_by_value_and_sign(value, wanted, matches):
    text = CONSTANT.format(value=value, dtype="f32", type=value.partition("(")[0])
    found = rewritten(text, rule(op.add(x, const(wanted)), x))
    assert ("add" not in found) == matches


def test_numbers_behind_movements_match_too():
    text = CONSTANT.format(value="f32[](2.0)", dtype="f32", type="f32[]").replace(
        "%z = add(%x, %c)", "%b = broadcast_to(%c) {shape=(3,)} : f32[3]\n %z = add(%x, %b)"
    )
    found = rewritten(text, rule(op.add(x, const("c")), lambda m: apply(DEFINITIONS["neg"], [m.x]) if m.c == 2.0 else None))
    assert body_of(found)[0] == "%z = neg(%x) : f32[3]"


def test_attributes_match_and_bind():
    text = """program a(%x: f32[2,3] feed) {
 %y = transpose(%x) {perm=(1, 0)} : f32[3,2]
 %z = transpose(%y) {perm=(1, 0)} : f32[2,3]
 fetch %z
}"""
    assert body_of(rewritten(text, rule(op.transpose(op.transpose(x, perm=P), perm=P), x))) == ["fetch %x"]
    assert "transpose" in rewritten(text, rule(op.transpose(op.transpose(x, perm=(0, 1)), perm=P), x))
    with pytest.raises(AttributeError, match="no name Z"):
        rewritten(text, rule(op.transpose(x, perm=Q), lambda m: m.Z))


def test_what_rules_build_is_rewritten_too():
    rules = [rule(op.neg(op.neg(x)), x), rule(op.sub(x, y), op.add(x, op.neg(y)))]
    text = """program a(%x: f32[3] feed, %y: f32[3] feed) {
 %n = neg(%y) : f32[3]
 %z = sub(%x, %n) : f32[3]
 fetch %z
}"""
    assert body_of(rewritten(text, *rules)) == ["%z = add(%x, %y) : f32[3]", "fetch %z"]


def test_smaller_results_are_broadcast():
    text = CONSTANT.format(value="f32[2,1](0.0, 0.0)", dtype="f32", type="f32[2,1]").replace("%z = add(%x, %c) : f32[3]",
        "%z = add(%x, %c) : f32[2,3]")  # fmt: skip
    found = rewritten(text, rule(op.add(x, y), lambda m: m.x))
    assert body_of(found)[0] == "%z = broadcast_to(%x) {shape=(2, 3)} : f32[2,3]"


def test_a_change_of_the_element_type_is_an_error():
    text = "program a(%x: f32[3] feed) {\n %z = less(%x, %x) : bool[3]\n fetch %z\n}"
    with pytest.raises(RewriteError, match=r"the rule less\(x, y\) turns bool\[3\] into f32\[3\]"):
        rewritten(text, rule(op.less(x, y), x))


def test_rules_that_alternate_are_named():
    text = "program a(%x: f32[3] feed, %y: f32[3] feed) {\n %z = maximum(%x, %y) : f32[3]\n fetch %z\n}"
    with pytest.raises(RewriteError, match=r"do not come to an end at z; these alternate: .*back.*maximum\(x, y\)"):
        rewritten(text, rule(op.maximum(x, y), op.minimum(y, x)), rule(op.minimum(x, y), op.maximum(y, x), name="back"))


def test_rules_see_how_often_a_tensor_is_used():
    seen = []

    def look(m: Match):
        seen.append((m.root.name, m.uses(m.root.inputs[0])))

    text = """program a(%x: f32[3] feed) {
 %a = neg(%x) : f32[3]
 %b = abs(%a) : f32[3]
 %c = abs(%b) : f32[3]
 %d = abs(%b) : f32[3]
 fetch %c
 fetch %d
 fetch %d
}"""
    rewrite(parse_program(text), index_rules([rule(op.abs(x), look)]))
    assert seen == [("b", 1), ("c", 2), ("d", 2)]


def test_locations_of_all_that_matched_are_merged():
    text = """program a(%x: f32[3] feed) {
 %y = neg(%x) : f32[3] @ "/a.py":1 "/a.py":2
 %z = abs(%y) : f32[3] @ "/a.py":3 "/a.py":1
 fetch %z
}"""
    program = rewrite(parse_program(text), index_rules([rule(op.abs(op.neg(x)), op.abs(x))]))
    assert [where.line for where in program.fetches[0].operation.locations] == [3, 1, 2]
    assert MOST_LOCATIONS >= 3


def test_nothing_to_do_gives_the_same_program():
    program = parse_program("program a(%x: f32[3] feed) {\n %z = abs(%x) : f32[3]\n fetch %z\n}")
    assert rewrite(program, index_rules([rule(op.abs(op.neg(x)), x), rule(op.abs(x), lambda m: None)])) is program
