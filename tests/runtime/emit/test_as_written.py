"""Functions that LLVM leaves as written: only where what they hold is safe that way."""

import pytest

from graphc.runtime.emit.entry import begin_driver, begin_entry, begin_helper
from graphc.runtime.emit.function import F32, I1, I8, I32, I64, PTR, Module, constant, vector_type
from graphc.runtime.jit.target import compile_object
from graphc.runtime.schedule.machine import host_machine

VECTOR = vector_type(F32, 16)


def is_left(function) -> bool:
    function.return_void()
    text = str(function.module)
    assert compile_object(text, host_machine())
    assert ("optnone" in text) == ("noinline optnone nounwind" in text)
    return "optnone" in text


def test_addresses_calls_and_sums_of_vectors_stay_as_written():
    module = Module()
    helper = begin_helper(module, "helper", [("place", PTR), ("count", I64)], as_written=True)
    place, count = helper.arguments

    def step(i, carried):
        at = helper.offset(place, helper.mul(i, 16), F32)
        at = helper.select(helper.icmp("ult", i, 5), at, place)
        helper.store(helper.fadd(helper.load(at, VECTOR), helper.load(place, VECTOR)), at)
        helper.prefetch(at)
        return []

    helper.loop(0, count, 1, [], step)
    helper.return_void()
    driver = begin_driver(module)
    driver.call("@helper", "void", [driver.load(driver.arguments[0], PTR), driver.urem(driver.arguments[1], 7)])
    assert is_left(driver)
    assert str(module).count("optnone") == 2


@pytest.mark.parametrize("kind", ["mask", "shuffle", "lane", "integers", "narrow", "widened", "converted"])
def test_what_may_end_the_process_does_not(kind):
    function = begin_driver(Module())
    place = function.load(function.arguments[0], PTR)
    vector = function.load(place, VECTOR)
    if kind == "mask":
        function.masked_store(vector, place, constant(True, vector_type(I1, 16)))
    elif kind == "shuffle":
        function.store(function.shuffle(vector, vector, [0, 2, 4, 6]), place)
    elif kind == "lane":
        function.store(function.extract(vector, 1), place)
    elif kind == "integers":
        function.store(function.bits(vector), place)
    elif kind == "narrow":
        function.store(function.binary("add", function.load(place, I8), -1), place)
    elif kind == "widened":
        function.store(function.cast("sext", function.load(place, I32), I64), place)
    else:
        function.store(function.cast("fptrunc", vector, vector_type("half", 16)), place)
    assert not is_left(function)


def test_entries_are_improved_unless_they_drive():
    assert not is_left(begin_entry(Module()))
    assert is_left(begin_driver(Module()))
