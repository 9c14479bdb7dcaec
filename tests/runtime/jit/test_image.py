"""Linked images against LLVM's own loader: the same object, loaded both ways, does the same."""

import ctypes
import gc

import pytest

from graphc.runtime.jit.image import Image, link
from graphc.runtime.jit.loader import load_images, load_objects
from graphc.runtime.jit.target import compile_object
from graphc.runtime.schedule.machine import host_machine

UNARY = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)

CALLS_C = """
declare double @sqrt(double)
declare double @pow(double, double)
define i64 @f(i64 %n) nounwind {
  %x = sitofp i64 %n to double
  %r = call double @sqrt(double %x)
  %p = call double @pow(double %r, double 2.000000e+00)
  %s = call double @sqrt(double %p)
  %i = fptosi double %s to i64
  ret i64 %i
}"""
CONSTANTS = """
@table = private unnamed_addr constant [4 x i64] [i64 3, i64 1, i64 4, i64 1], align 64
@more = private unnamed_addr constant [2 x i64] [i64 100, i64 200], align 64
define i64 @f(i64 %n) nounwind {
  %k = and i64 %n, 3
  %p = getelementptr i64, ptr @table, i64 %k
  %x = load i64, ptr %p
  %j = and i64 %n, 1
  %q = getelementptr i64, ptr @more, i64 %j
  %y = load i64, ptr %q
  %z = add i64 %x, %y
  ret i64 %z
}"""
FUNCTIONS = """
define internal i64 @hidden(i64 %n) noinline nounwind {
  %x = mul i64 %n, 3
  ret i64 %x
}
define i64 @g(i64 %n) noinline nounwind {
  %x = call i64 @hidden(i64 %n)
  %y = add i64 %x, 1
  ret i64 %y
}
define i64 @f(i64 %n) nounwind {
  %x = call i64 @g(i64 %n)
  ret i64 %x
}"""
STATE = """
@count = global i64 5
@zeros = internal global [100 x i64] zeroinitializer
define i64 @f(i64 %n) nounwind {
  %x = load i64, ptr @count
  %y = add i64 %x, %n
  store i64 %y, ptr @count
  %p = getelementptr i64, ptr @zeros, i64 7
  %z = load i64, ptr %p
  %w = add i64 %z, 1
  store i64 %w, ptr %p
  %s = mul i64 %w, 1000
  %r = add i64 %y, %s
  ret i64 %r
}"""
POINTERS = """
@choices = constant [3 x ptr] [ptr @one, ptr @two, ptr getelementptr (i8, ptr @bytes, i64 2)]
@bytes = constant [4 x i8] c"abcd"
define i64 @one(i64 %n) nounwind {
  ret i64 1
}
define i64 @two(i64 %n) nounwind {
  %m = mul i64 %n, 2
  ret i64 %m
}
define i64 @f(i64 %n) nounwind {
  %k = and i64 %n, 1
  %p = getelementptr ptr, ptr @choices, i64 %k
  %t = load ptr, ptr %p
  %r = call i64 %t(i64 %n)
  %q = load ptr, ptr getelementptr (ptr, ptr @choices, i64 2)
  %b = load i8, ptr %q
  %w = zext i8 %b to i64
  %s = add i64 %r, %w
  ret i64 %s
}"""
SWITCH = "\n".join(
    ["define i64 @f(i64 %n) nounwind {", "entry:", "  switch i64 %n, label %other ["]
    + [f"    i64 {k}, label %case{k}" for k in range(12)]
    + ["  ]"]
    + [f"case{k}:\n  ret i64 {(k * 37) % 11}" for k in range(12)]
    + ["other:", "  ret i64 -1", "}"]
)
MODULES = {
    "calls_c": CALLS_C,
    "constants": CONSTANTS,
    "functions": FUNCTIONS,
    "state": STATE,
    "pointers": POINTERS,
    "switch": SWITCH,
}


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("optimise", [False, True])
def test_an_image_does_what_the_object_does(name, optimise):
    data = compile_object(MODULES[name], host_machine(), optimise)
    image = link(data)
    assert image is not None
    linked = load_images([Image.from_bytes(image.to_bytes())])
    loaded = load_objects([data], ["f"])
    first, second = UNARY(linked.addresses["f"]), UNARY(loaded.addresses["f"])
    assert [first(n) for n in range(15)] == [second(n) for n in range(15)]


def test_several_images_share_a_block():
    machine = host_machine()
    texts = [MODULES[name].replace("@f(", f"@f_{name}(") for name in MODULES]
    images = [link(compile_object(text, machine)) for text in texts]
    block = load_images(images)
    alone = [load_images([image]) for image in images]
    for name, single in zip(MODULES, alone):
        a, b = UNARY(block.addresses[f"f_{name}"]), UNARY(single.addresses[f"f_{name}"])
        assert [a(n) for n in range(6)] == [b(n) for n in range(6)], name


def test_symbols_may_be_given():
    text = """
@outside = external global i64
declare i64 @twice(i64)
define i64 @f(i64 %n) nounwind {
  %x = call i64 @twice(i64 %n)
  %y = load i64, ptr @outside
  %z = add i64 %x, %y
  ret i64 %z
}"""
    cell = ctypes.c_int64(1000)
    callback = UNARY(lambda n: 2 * n)
    symbols = {"outside": ctypes.addressof(cell), "twice": ctypes.cast(callback, ctypes.c_void_p).value}
    block = load_images([link(compile_object(text, host_machine()))], symbols)
    assert UNARY(block.addresses["f"])(21) == 1042


def test_an_unknown_symbol_is_an_error_and_no_crash():
    text = """
declare i64 @no_such_function(i64)
define i64 @f(i64 %n) {
  %x = call i64 @no_such_function(i64 %n)
  ret i64 %x
}"""
    with pytest.raises(LookupError, match="no C library has no_such_function"):
        load_images([link(compile_object(text, host_machine()))])


@pytest.mark.parametrize("data", [b"", b"\x7fELF\x01\x01\x01" + bytes(80), b"\xcf\xfa\xed\xfe" + bytes(80)])
def test_other_formats_are_left_alone(data):
    assert link(data) is None


def test_code_is_unmapped_when_nobody_holds_it():
    image = link(compile_object(CONSTANTS, host_machine()))
    block = load_images([image])
    address = block.addresses["f"]
    assert permissions_at(address) == "r-xp"
    del block
    gc.collect()
    assert permissions_at(address) != "r-xp"


def test_code_cannot_be_written_nor_data_executed():
    image = link(compile_object(STATE, host_machine()))
    block = load_images([image])
    function = block.addresses["f"]
    start = function - image.exports["f"]
    assert permissions_at(function) == "r-xp"
    assert permissions_at(start + image.writable_from) == "rw-p"
    assert UNARY(function)(1) == 1006


def permissions_at(address: int) -> str:
    with open("/proc/self/maps") as maps:
        for line in maps:
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            if start <= address < end:
                return line.split()[1]
    return ""
