"""The results of a native call: arrays to run into, and what the caller gets of them."""

from __future__ import annotations

import ctypes

from graphc.runtime.calls.feeds_code import CELL_BYTES
from graphc.runtime.calls.objects import internal, named_object
from graphc.runtime.calls.records import OBJECT_HEAD, ArrayHead, CallRecord, ResultRecord, Shape
from graphc.runtime.calls.recycler_code import emit_recycler
from graphc.runtime.emit.function import I1, I32, I64, PTR, Module, Value
from graphc.runtime.jit.routine import NULL


def emit_results(module: Module) -> None:
    """Defines allocate, drop, wrap_scalars and pack."""
    module.declare("PyArray_Scalar", PTR, [PTR, PTR, PTR])
    emit_recycler(module)
    _emit_drop(module)
    _emit_allocate(module)
    _emit_wrap_scalars(module)
    _emit_pack(module)


def _emit_allocate(module: Module) -> None:
    """Makes an array for each result but the 0-d ones, which get a cell; False with an error set, and none made."""
    arguments = [("call", PTR), ("made", PTR), ("addresses", PTR), ("cells", PTR)]
    f = internal(module, "allocate", arguments, I1, inlined=True)
    call, made, addresses, cells = f.arguments
    results = f.field(call, CallRecord, "results")
    with f.each(f.field(call, CallRecord, "result_count")) as index:
        result = f.at(results, f.mul(index, ctypes.sizeof(ResultRecord)))
        count = f.field(result, ResultRecord, "dimension_count")

        def cell(index=index) -> None:
            f.set_item(made, index, NULL)
            f.set_item(addresses, index, f.at(cells, f.mul(index, CELL_BYTES)))

        def array(index=index, result=result, count=count) -> None:
            dtype, dimensions = (f.field(result, ResultRecord, name) for name in ("dtype", "dimensions"))
            bytes_ = f.field(result, ResultRecord, "recycled_bytes")
            f.foreign("Py_IncRef", "void", [dtype])
            new = f.call("@new_result", PTR, [dtype, f.cast("trunc", count, I32), dimensions, bytes_])
            with f.when(f.is_zero(new)):
                f.call("@drop", "void", [made, index])
                f.leave(False)
            f.set_item(made, index, new)
            f.set_item(addresses, index, f.field(f.at(new, OBJECT_HEAD), ArrayHead, "data"))

        f.if_else(f.is_zero(count), cell, array)
    f.leave(True)
    f.finish()


def _emit_drop(module: Module) -> None:
    """Gives up `count` objects, some of them null."""
    f = internal(module, "drop", [("objects", PTR), ("count", I64)])
    objects, count = f.arguments
    with f.each(count) as index:
        f.foreign("Py_DecRef", "void", [f.item(objects, index)])  # which ignores null
    f.return_void()


def _emit_wrap_scalars(module: Module) -> None:
    """Makes the NumPy scalars of 0-d results; False with an error set."""
    f = internal(module, "wrap_scalars", [("call", PTR), ("made", PTR), ("cells", PTR)], I1, inlined=True)
    call, made, cells = f.arguments
    results = f.field(call, CallRecord, "results")
    with f.each(f.field(call, CallRecord, "result_count")) as index:
        with f.when(f.is_zero(f.item(made, index))):
            result = f.at(results, f.mul(index, ctypes.sizeof(ResultRecord)))
            cell = f.at(cells, f.mul(index, CELL_BYTES))
            scalar = f.call("@PyArray_Scalar", PTR, [cell, f.field(result, ResultRecord, "dtype"), NULL])
            f.return_if(f.is_zero(scalar), False)
            f.set_item(made, index, scalar)
    f.leave(True)
    f.finish()


def _emit_pack(module: Module) -> None:
    """A new reference to what the caller gets: one value, or a list or tuple of them."""
    f = internal(module, "pack", [("call", PTR), ("made", PTR)], PTR, inlined=True)
    call, made = f.arguments
    items = f.field(call, CallRecord, "items")
    shape, count = f.field(call, CallRecord, "shape"), f.field(call, CallRecord, "item_count")

    def value_of(index: Value | int) -> Value:
        number = f.item(items, index, I64)
        value = f.cell(PTR, named_object("none"))
        with f.when(f.icmp("sge", number, 0)):
            f.store(f.item(made, number), value)
        found = f.load(value, PTR)
        f.foreign("Py_IncRef", "void", [found])
        return found

    with f.when(f.icmp("eq", shape, Shape.SINGLE)):
        f.leave(value_of(0))
    for kind, new, put in (
        (Shape.LIST, "PyList_New", "PyList_SetItem"),
        (Shape.TUPLE, "PyTuple_New", "PyTuple_SetItem"),
    ):
        with f.when(f.icmp("eq", shape, kind)):
            sequence = f.foreign(new, PTR, [count])
            f.return_if(f.is_zero(sequence), NULL)
            with f.each(count) as index:
                f.foreign(put, I32, [sequence, index, value_of(index)])
            f.leave(sequence)
    f.leave(NULL)
    f.finish()
