"""Records against the data classes that they stand for."""

from dataclasses import dataclass, field, fields, replace

import pytest

from graphc.records import identity_record, record


def make_pair(body: dict, **annotations: str) -> list[type]:
    """A class with these annotated fields, as a frozen data class and as a record."""
    make = [dataclass(frozen=True), record]
    return [decorate(type("Thing", (), {"__annotations__": annotations, "__module__": __name__, **body})) for decorate in make]


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_records_compare_hash_and_print_as_data_classes_do(count):
    names = ["a", "b", "c"][:count]
    frozen, made = make_pair({}, **dict.fromkeys(names, "int"))
    for first in range(3):
        for second in range(3):
            expected = frozen(*[first] * count) == frozen(*[second] * count)
            assert (made(*[first] * count) == made(*[second] * count)) == expected
    one, other = made(*range(count)), made(*range(count))
    assert hash(one) == hash(other) and one == other and not one != other
    assert repr(one) == repr(frozen(*range(count)))
    assert [f.name for f in fields(made)] == names


def test_fields_that_are_not_compared_or_shown_are_left_out():
    body = {"b": field(default=0, compare=False), "c": field(default=0, repr=False)}
    frozen, made = make_pair(body, a="int", b="int", c="int")
    assert made(1, 2, 3) == made(1, 5, 3) != made(1, 2, 4)
    assert hash(made(1, 2, 3)) == hash(made(1, 5, 3))
    assert repr(made(1, 2, 3)) == repr(frozen(1, 2, 3))


def test_records_of_different_classes_differ():
    @record
    class One:
        a: int

    @record
    class Two(One):
        pass

    assert One(1) != Two(1) and One(1) != (1,) and len({One(1), Two(1), One(1)}) == 2


def test_defaults_and_replacement():
    @record
    class Thing:
        a: int
        b: list = field(default_factory=list)
        c: str = "c"

    thing = Thing(1)
    assert replace(thing, a=2) == Thing(2, [], "c") and thing.b is not Thing(1).b


def test_constructors_take_what_those_of_data_classes_take():
    frozen, made = make_pair({"c": 3}, a="int", b="tuple[int, ...]", c="int")
    for arguments, named in [((1, 2), {}), ((1,), {"b": 2}), ((), {"c": 1, "b": 2, "a": 3}), ((1, 2, 4), {})]:
        assert repr(made(*arguments, **named)) == repr(frozen(*arguments, **named))
    for arguments, named in [((), {}), ((1,), {}), ((1, 2, 3, 4), {}), ((1, 2), {"d": 1}), ((1, 2), {"a": 1})]:
        messages = []
        for kind in (frozen, made):
            with pytest.raises(TypeError) as caught:
                kind(*arguments, **named)
            messages.append(str(caught.value))
        assert messages[0] == messages[1]


def test_inherited_fields_come_first():
    @record
    class Base:
        a: int
        b: int = 2

    @record
    class Derived(Base):
        c: int = 3

    assert repr(Derived(1, c=4)).endswith("Derived(a=1, b=2, c=4)") and Base(1) == Base(1, 2)
    with pytest.raises(TypeError, match="a field without default follows one with default"):

        @record
        class Wrong(Base):
            c: int


def test_what_a_constructor_also_does_is_done():
    @record
    class Thing:
        a: int

        def __post_init__(self):
            self.b = 2 * self.a

    assert Thing(2).b == 4


def test_own_methods_stay():
    @record
    class Thing:
        a: int

        def __eq__(self, other):
            return True

        def __hash__(self):
            return 7

        def __repr__(self):
            return "thing"

    assert Thing(1) == Thing(2) and hash(Thing(1)) == 7 and repr(Thing(1)) == "thing"


def test_an_identity_record_equals_itself_alone():
    @identity_record
    class Thing:
        a: list

    one, other = Thing([]), Thing([])
    assert one == one and one != other and len({one, other}) == 2 and repr(one) == repr(other)
