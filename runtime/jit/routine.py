"""Structured LLVM IR for the runtime's own routines: local cells, loops with exits, records, atomic operations.

Kernels are emitted as values; the routines that drive them (pool, walk, call path) are mostly control flow and fields of
records that Python fills. Local variables are cells on the stack, which LLVM's passes turn into registers; fields are
found by the `ctypes.Structure` that both sides share, so their offsets cannot drift apart.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from graphc.runtime.emit.function import I1, I8, I32, I64, PTR, Function, Module, Operand, Value

NULL = Value("null", PTR)
_TYPES = {ctypes.c_void_p: PTR, ctypes.c_int64: I64, ctypes.c_uint64: I64, ctypes.c_int32: I32}
_BYTES = {PTR: 8, I64: 8, I32: 4, I8: 1}


class Exits(NamedTuple):
    """Where `stop` and `again` lead in a loop."""

    end: str
    head: str


class Routine(Function):
    """A function with local cells, loops with exits, fields and atomic operations."""

    def __init__(
        self,
        module: Module,
        name: str,
        arguments: Sequence[tuple[str, str]],
        result: str = "void",
        attributes: str = "nounwind",
        linkage: str = "",
    ):
        super().__init__(module, name, arguments, result, attributes, linkage)
        self._cells_end = 1  # cells stand in front of everything else in the entry block

    # -- local cells

    def cell(self, type_: str, first: Operand | None = None, count: int = 1) -> Value:
        """Room for `count` values on the stack, the first of them set to `first`."""
        self._count += 1
        value = Value(f"%v{self._count}", PTR)
        self._lines.insert(self._cells_end, f"  {value.ref} = alloca {type_}, i64 {count}, align 64")
        self._cells_end += 1
        if first is not None:
            self.store(self.coerce(first, type_), value)
        return value

    def array(self, type_: str, count: Value) -> Value:
        """Room on the stack for a number of values known at run time."""
        return self.instruction(f"alloca {type_}, i64 {count.ref}, align 64", PTR)

    # -- control flow

    @contextmanager
    def forever(self) -> Iterator[Exits]:
        """Repeats its body until `stop`."""
        head, end = self.fresh_label("head"), self.fresh_label("end")
        self.branch(head)
        self.place_label(head)
        yield Exits(end, head)
        self.branch(head)
        self.place_label(end)

    @contextmanager
    def each(self, count: Operand) -> Iterator[Value]:
        """Runs its body for every i64 index from 0 below `count`, perhaps never."""
        index = self.cell(I64, 0)
        with self.forever() as loop:
            at = self.load(index, I64)
            self.stop(loop, self.icmp("uge", at, count))
            yield at
            following = self.add(at, 1)
            self.store(self.coerce(following, I64), index)

    def stop(self, loop: Exits, condition: Value | None = None) -> None:
        """Leaves the loop, where the condition holds."""
        self._leave(loop.end, condition)

    def again(self, loop: Exits, condition: Value | None = None) -> None:
        """Begins the next round of a `forever` loop, where the condition holds."""
        self._leave(loop.head, condition)

    def return_if(self, condition: Value, value: Operand | None = None) -> None:
        """Leaves the function where the condition holds."""
        with self.when(condition):
            self.leave(value)

    def leave(self, value: Operand | None = None) -> None:
        """Returns; what is emitted after it belongs to a block that nothing reaches."""
        if value is None:
            self.return_void()
        else:
            self.return_value(self.coerce(value, self.result))
        self.place_label(self.fresh_label("unreached"))

    def _leave(self, target: str, condition: Value | None) -> None:
        following = self.fresh_label("following")
        if condition is None:
            self.branch(target)
        else:
            self.branch_if(condition, target, following)
        self.place_label(following)

    def finish(self) -> None:
        """Closes a function whose end is not reached."""
        self.emit("unreachable")

    # -- conditions and addresses

    def is_zero(self, value: Value) -> Value:
        return self.icmp("eq", value, NULL if value.type == PTR else 0)

    def is_set(self, value: Value) -> Value:
        return self.icmp("ne", value, NULL if value.type == PTR else 0)

    def both(self, a: Value, b: Value) -> Value:
        return self.bit_and(a, b)

    def at(self, base: Value, offset: Operand) -> Value:
        """The address some bytes behind `base`."""
        return self.element(base, offset, I8)

    def element(self, base: Value, index: Operand, type_: str = PTR) -> Value:
        """The address of an element of an array."""
        where = self.coerce(index, I64)
        return self.instruction(f"getelementptr inbounds {type_}, ptr {base.ref}, {where}", PTR)

    def item(self, base: Value, index: Operand, type_: str = PTR) -> Value:
        """An element of an array."""
        return self.load(self.element(base, index, type_), type_)

    def set_item(self, base: Value, index: Operand, value: Operand, type_: str = PTR) -> None:
        self.store(self.coerce(value, type_), self.element(base, index, type_))

    # -- records

    def field_address(self, base: Value, record: type[ctypes.Structure], name: str) -> Value:
        return self.at(base, getattr(record, name).offset)

    def field(self, base: Value, record: type[ctypes.Structure], name: str) -> Value:
        return self.load(self.field_address(base, record, name), _field_type(record, name))

    def set_field(self, base: Value, record: type[ctypes.Structure], name: str, value: Operand) -> None:
        self.store(self.coerce(value, _field_type(record, name)), self.field_address(base, record, name))

    # -- atomic operations, sequentially consistent unless told otherwise

    def atomic_load(self, pointer: Value, type_: str, order: str = "seq_cst") -> Value:
        return self.instruction(f"load atomic {type_}, ptr {pointer.ref} {order}, align {_BYTES[type_]}", type_)

    def atomic_store(self, value: Operand, pointer: Value, type_: str, order: str = "seq_cst") -> None:
        self.emit(f"store atomic {self.coerce(value, type_)}, ptr {pointer.ref} {order}, align {_BYTES[type_]}")

    def atomic(self, operation: str, pointer: Value, value: Operand, type_: str, order: str = "seq_cst") -> Value:
        """`operation` is one of LLVM's: add, sub, and, or, xchg. Returns the value before."""
        return self.instruction(f"atomicrmw {operation} ptr {pointer.ref}, {self.coerce(value, type_)} {order}", type_)

    def exchange_if(self, pointer: Value, expected: Operand, wanted: Operand, type_: str) -> Value:
        """Stores `wanted` where `expected` stands; whether it did."""
        pair = f"{self.coerce(expected, type_)}, {self.coerce(wanted, type_)}"
        result = self.instruction(f"cmpxchg ptr {pointer.ref}, {pair} seq_cst seq_cst", f"{{ {type_}, i1 }}")
        return self.instruction(f"extractvalue {result.type} {result.ref}, 1", I1)

    # -- foreign functions

    def foreign(self, name: str, result: str, arguments: Sequence[Operand], variadic_after: int | None = None) -> Value:
        """Calls a C function. Python numbers are i64; `variadic_after` counts the declared arguments of a variadic one."""
        values = [value if isinstance(value, Value) else self.coerce(value, I64) for value in arguments]
        types = [value.type for value in values]
        if variadic_after is None:
            self.module.declare(name, result, types)
            return self.call(f"@{name}", result, values)
        signature = [*types[:variadic_after], "..."]
        self.module.declare(name, result, signature)
        return self.call_typed(name, result, signature, values)

    def call_typed(self, name: str, result: str, signature: Sequence[str], values: Sequence[Value]) -> Value:
        text = f"call {result} ({', '.join(signature)}) @{name}({', '.join(map(str, values))})"
        if result != "void":
            return self.instruction(text, result)
        self.emit(text)
        return Value("void", "void")


def _field_type(record: type[ctypes.Structure], name: str) -> str:
    return next(_TYPES[field[1]] for field in record._fields_ if field[0] == name)  # type: ignore[misc]
