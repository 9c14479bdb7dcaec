"""The feeds of a native call: which arguments are taken as they are, and where their values lie."""

from __future__ import annotations

import ctypes

from graphc.runtime.calls.objects import internal, named_object
from graphc.runtime.calls.records import OBJECT_HEAD, ArrayHead, CallRecord, DtypeHead, FeedRecord, Number
from graphc.runtime.emit.function import F32, F64, I1, I8, I32, I64, PTR, Module, Value
from graphc.runtime.jit.routine import Routine

BEHAVED = 0x101  # flags of NumPy: C-contiguous and aligned
EXACT_INTEGERS = 1 << 53  # a float holds every integer up to here
CELL_BYTES = 16  # holds any 0-d value
TYPE_AT = OBJECT_HEAD - 8  # where an object says its type
_BIG_ENDIAN = ord(">")


def emit_feeds(module: Module) -> None:
    """Defines `accept(call, arguments, addresses, cells)`."""
    module.declare("PyArray_ScalarAsCtype", "void", [PTR, PTR])
    _emit_accept_number(module)
    _emit_accept_array(module)
    _emit_accept(module)


def _emit_accept_number(module: Module) -> None:
    """Stores a plain number into the cell of a 0-d feed; whether it could be done without loss of meaning."""
    f = internal(module, "accept_number", [("object", PTR), ("type", PTR), ("feed", PTR), ("cell", PTR)], I1)
    given, type_, feed, cell = f.arguments
    with f.when(f.icmp("eq", type_, f.field(feed, FeedRecord, "scalar_type"))):
        f.call("@PyArray_ScalarAsCtype", "void", [given, cell])
        f.leave(True)
    number = f.field(feed, FeedRecord, "number")
    with f.when(f.icmp("eq", type_, named_object("float_type"))):
        value = f.foreign("PyFloat_AsDouble", F64, [given])
        _store_float(f, number, value, cell)
        f.leave(False)
    with f.when(f.icmp("eq", type_, named_object("int_type"))):
        overflow = f.cell(I32)
        value = f.foreign("PyLong_AsLongLongAndOverflow", I64, [given, overflow])
        f.return_if(f.is_set(f.load(overflow, I32)), False)
        _store_integer(f, number, value, cell)
        f.leave(False)
    boolean = f.both(f.icmp("eq", type_, named_object("bool_type")), f.icmp("eq", number, Number.BOOL))
    with f.when(boolean):
        f.store(f.cast("zext", f.icmp("eq", given, named_object("true_object")), I8), cell)
        f.leave(True)
    f.leave(False)
    f.finish()


def _store_float(f: Routine, number: Value, value: Value, cell: Value) -> None:
    with f.when(f.icmp("eq", number, Number.F32)):
        f.store(f.cast("fptrunc", value, F32), cell)
        f.leave(True)
    with f.when(f.icmp("eq", number, Number.F64)):
        f.store(value, cell)
        f.leave(True)


def _store_integer(f: Routine, number: Value, value: Value, cell: Value) -> None:
    with f.when(f.icmp("eq", number, Number.I64)):
        f.store(value, cell)
        f.leave(True)
    narrow = f.cast("trunc", value, I32)
    fits = f.icmp("eq", f.cast("sext", narrow, I64), value)
    with f.when(f.both(fits, f.icmp("eq", number, Number.I32))):
        f.store(narrow, cell)
        f.leave(True)
    small = f.both(f.icmp("sge", value, -EXACT_INTEGERS), f.icmp("sle", value, EXACT_INTEGERS))
    with f.when(small):
        _store_float(f, number, f.cast("sitofp", value, F64), cell)


def _emit_accept_array(module: Module) -> None:
    """Whether an ndarray is just what a feed expects."""
    f = internal(module, "accept_array", [("array", PTR), ("feed", PTR)], I1, inlined=True)
    array, feed = f.arguments
    head = f.at(array, OBJECT_HEAD)
    flags = f.bit_and(f.field(head, ArrayHead, "flags"), BEHAVED)
    f.return_if(f.icmp("ne", flags, BEHAVED), False)
    count = f.cast("sext", f.field(head, ArrayHead, "dimension_count"), I64)
    f.return_if(f.icmp("ne", count, f.field(feed, FeedRecord, "dimension_count")), False)
    dtype = f.field(head, ArrayHead, "dtype")
    with f.when(f.icmp("ne", dtype, f.field(feed, FeedRecord, "dtype"))):
        facts = f.at(dtype, OBJECT_HEAD)
        kin = f.icmp("eq", f.field(facts, DtypeHead, "type_number"), f.field(feed, FeedRecord, "type_number"))
        order = f.load(f.field_address(facts, DtypeHead, "byte_order"), I8)
        native = f.icmp("ne", order, _BIG_ENDIAN)
        f.return_if(f.is_zero(f.both(kin, native)), False)
    dimensions, expected = f.field(head, ArrayHead, "dimensions"), f.field(feed, FeedRecord, "dimensions")
    with f.each(count) as axis:
        f.return_if(f.icmp("ne", f.item(dimensions, axis, I64), f.item(expected, axis, I64)), False)
    f.leave(True)
    f.finish()


def _emit_accept(module: Module) -> None:
    """Whether all arguments fit; `addresses` are then those of their values, `cells` hold plain numbers."""
    arguments = [("call", PTR), ("arguments", PTR), ("addresses", PTR), ("cells", PTR)]
    f = internal(module, "accept", arguments, I1, inlined=True)
    call, given, addresses, cells = f.arguments
    feeds = f.field(call, CallRecord, "feeds")
    with f.each(f.field(call, CallRecord, "feed_count")) as index:
        feed = f.at(feeds, f.mul(index, ctypes.sizeof(FeedRecord)))
        argument = f.item(given, index)
        type_ = f.load(f.at(argument, TYPE_AT), PTR)
        cell = f.at(cells, f.mul(index, CELL_BYTES))

        def array(argument=argument, feed=feed, index=index) -> None:
            f.return_if(f.is_zero(f.call("@accept_array", I1, [argument, feed])), False)
            f.set_item(addresses, index, f.field(f.at(argument, OBJECT_HEAD), ArrayHead, "data"))

        def number(argument=argument, feed=feed, index=index, type_=type_, cell=cell) -> None:
            f.return_if(f.is_set(f.field(feed, FeedRecord, "dimension_count")), False)
            f.return_if(f.is_zero(f.call("@accept_number", I1, [argument, type_, feed, cell])), False)
            f.set_item(addresses, index, cell)

        f.if_else(f.icmp("eq", type_, named_object("array_type")), array, number)
    f.leave(True)
    f.finish()
