"""The instructions on matrix tiles as functions, so that code that uses them runs on processors without them."""

from __future__ import annotations

import re

from graphc.runtime.emit.function import F32, I16, I32, I64, PTR, Function, Module, Value

TILE_WORDS = 256  # 16 rows of 64 bytes


def emulate_matrix_tiles(text: str) -> str:
    """The text of a module with every instruction on matrix tiles replaced by a call of its emulation."""
    text = re.sub(r"^declare void @llvm\.x86\.(tile|ldtile|tdp).*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"call void @llvm\.x86\.(tile\w+|tdp\w+)\(", r"call void @emulated_\1(", text)
    text = re.sub(r"call void @llvm\.x86\.ldtilecfg\(", "call void @emulated_ldtilecfg(", text)
    text = re.sub(r"i8 (\d)(?=[,)])", r"i64 \1", "\n".join(_widen(line) for line in text.splitlines()))
    lines = str(_emulation()).splitlines()
    return "\n".join([text, *(line for line in lines if not line.startswith("declare ") or line not in text)])


def _widen(line: str) -> str:
    return line if "@emulated_" in line else line.replace("i8 ", "i8  ")


def _emulation() -> Module:
    module = Module()
    tiles = module.define_global("emulated_tiles", f"internal global [8 x [{TILE_WORDS} x i32]] zeroinitializer, align 64")

    def tile(function: Function, number: Value) -> Value:
        return function.offset(tiles, function.mul(number, TILE_WORDS), I32)

    def over(function: Function, count: int, body) -> None:
        def step(index, _):
            body(index)
            return []

        function.loop(0, count, 1, [], step)

    def define(name: str, arguments: list[tuple[str, str]]) -> Function:
        return Function(module, f"emulated_{name}", arguments, attributes="noinline nounwind", linkage="internal")

    define("ldtilecfg", [("sizes", PTR)]).return_void()
    define("tilerelease", []).return_void()

    zero = define("tilezero", [("t", I64)])
    place = tile(zero, zero.arguments[0])
    over(zero, TILE_WORDS, lambda i: zero.store(zero.coerce(0, I32), zero.offset(place, i, I32)))
    zero.return_void()

    for name in ("tileloadd64", "tilestored64"):
        function = define(name, [("t", I64), ("p", PTR), ("stride", I64)])
        number, pointer, stride = function.arguments
        base = tile(function, number)

        def row(r, function=function, base=base, pointer=pointer, stride=stride, name=name):
            outside = function.offset(pointer, function.mul(r, stride), "i8")
            inside = function.offset(base, function.mul(r, 16), I32)

            def word(w):
                source, target = (outside, inside) if name == "tileloadd64" else (inside, outside)
                function.store(function.load(function.offset(source, w, I32), I32, 1), function.offset(target, w, I32), 1)

            over(function, 16, word)

        over(function, 16, row)
        function.return_void()

    dot = define("tdpbf16ps", [("c", I64), ("a", I64), ("b", I64)])
    c, a, b = (tile(dot, number) for number in dot.arguments)

    def half(base: Value, word, which: int) -> Value:
        bits = dot.load(dot.offset(dot.offset(base, word, I32), which, I16), I16)
        return dot.floats(dot.shl(dot.cast("zext", bits, I32), 16))

    def element(m):
        def column(n):
            at = dot.offset(c, dot.add(dot.mul(m, 16), n), F32)

            def pair(k, total):
                left, right = dot.add(dot.mul(m, 16), k), dot.add(dot.mul(k, 16), n)
                for which in range(2):
                    total = [dot.fadd(total[0], dot.fmul(half(a, left, which), half(b, right, which)))]
                return total

            dot.store(dot.loop(0, 16, 1, [dot.load(at, F32)], pair)[0], at)

        over(dot, 16, column)

    over(dot, 16, element)
    dot.return_void()
    return module
