"""The builtin functions: one that takes feeds as arguments, one that takes fetches and a feed dictionary.

Both do only perfect calls: exact ndarrays of the expected dtype, shape, contiguity and alignment (a plain number may stand
for a 0-d one). Everything else is handed to the Python function behind them, which converts, compiles or raises.
"""

from __future__ import annotations

from graphc.runtime.calls.feeds_code import TYPE_AT, emit_feeds
from graphc.runtime.calls.lock_code import emit_lock
from graphc.runtime.calls.objects import declare_objects, internal, named_object
from graphc.runtime.calls.records import CallRecord, ChainRecord, Shape
from graphc.runtime.calls.results_code import emit_results
from graphc.runtime.calls.run_code import DONE, MISMATCH, STALE, emit_run
from graphc.runtime.emit.function import I1, I32, I64, PTR, Module, Value
from graphc.runtime.jit.routine import NULL, Routine


def call_path_module() -> str:
    """The text of the call path for this interpreter. It defines call_entry, strict_entry and run_entry."""
    module = Module()
    declare_objects(module)
    emit_lock(module)
    emit_feeds(module)
    emit_results(module)
    emit_run(module)
    _emit_call_entry(module, "call_entry")
    _emit_call_entry(module, "strict_entry")
    _emit_match_fetches(module)
    _emit_match_feeds(module)
    _emit_run_entry(module)
    return str(module)


def _emit_call_entry(module: Module, name: str) -> None:
    """`self` is a tuple: a capsule of the record, and what to call where the arguments do not fit.

    `strict_entry` calls nothing else but raises: it is for arguments that were converted already.
    """
    f = Routine(module, name, [("self", PTR), ("arguments", PTR), ("count", I64)], PTR)
    own, given, count = f.arguments
    call = _capsule_pointer(f, own)
    verdict = f.cell(I32, MISMATCH)
    with f.when(f.icmp("eq", count, f.field(call, CallRecord, "feed_count"))):
        answer = f.call("@perform", PTR, [call, given, verdict])
        f.return_if(f.icmp("eq", f.load(verdict, I32), DONE), answer)
    slow = f.foreign("PyTuple_GetItem", PTR, [own, 1])
    if name == "call_entry":
        f.leave(f.foreign("PyObject_Vectorcall", PTR, [slow, given, count, NULL]))
    else:
        stale = f.cast("zext", f.icmp("eq", f.load(verdict, I32), STALE), I64)
        form = Value("@one_number", PTR)
        module.define_global("one_number", 'private unnamed_addr constant [2 x i8] c"L\\00"')
        f.leave(f.foreign("PyObject_CallFunction", PTR, [slow, form, stale], variadic_after=2))
    f.finish()


def _capsule_pointer(f: Routine, own: Value) -> Value:
    capsule = f.foreign("PyTuple_GetItem", PTR, [own, 0])
    return f.foreign("PyCapsule_GetPointer", PTR, [capsule, NULL])


def _emit_match_fetches(module: Module) -> None:
    """Whether a record was made for these fetches, which are `shape` and `count` of objects."""
    arguments = [("call", PTR), ("fetches", PTR), ("shape", I64), ("count", I64)]
    f = internal(module, "match_fetches", arguments, I1, inlined=True)
    call, fetches, shape, count = f.arguments
    f.return_if(f.icmp("ne", shape, f.field(call, CallRecord, "shape")), False)
    f.return_if(f.icmp("ne", count, f.field(call, CallRecord, "item_count")), False)
    expected = f.field(call, CallRecord, "fetches")
    with f.when(f.icmp("eq", shape, Shape.SINGLE)):
        f.leave(f.icmp("eq", fetches, f.load(expected, PTR)))
    for kind, get in ((Shape.LIST, "PyList_GetItem"), (Shape.TUPLE, "PyTuple_GetItem")):
        with f.when(f.icmp("eq", shape, kind)):
            with f.each(count) as index:
                item = f.foreign(get, PTR, [fetches, index])
                f.return_if(f.icmp("ne", item, f.item(expected, index)), False)
            f.leave(True)
    f.leave(False)
    f.finish()


def _emit_match_feeds(module: Module) -> None:
    """Whether the keys of a feed dictionary are those of a record; its values are then in the record's order.

    Keys are compared by identity while the dictionary is walked, so that no hash function of theirs is called; one
    that is used in the same order from run to run needs one comparison a key.
    """
    f = internal(module, "match_feeds", [("call", PTR), ("feeds", PTR), ("values", PTR)], I1, inlined=True)
    call, feeds, values = f.arguments
    keys, count = f.field(call, CallRecord, "keys"), f.field(call, CallRecord, "feed_count")
    position, key, value = f.cell(I64, 0), f.cell(PTR), f.cell(PTR)
    found = f.cell(I64)
    with f.each(count) as index:
        more = f.foreign("PyDict_Next", I32, [feeds, position, key, value])
        f.return_if(f.is_zero(more), False)
        given = f.load(key, PTR)
        f.store(index, found)
        with f.when(f.icmp("ne", given, f.item(keys, index))):
            f.store(count, found)
            with f.each(count) as other:
                with f.when(f.icmp("eq", given, f.item(keys, other))):
                    f.store(other, found)
        place = f.load(found, I64)
        f.return_if(f.icmp("eq", place, count), False)
        f.set_item(values, place, f.load(value, PTR))
    f.leave(True)
    f.finish()


def _emit_run_entry(module: Module) -> None:
    """run(fetches, feed_dict=None). `self` is a tuple: a capsule of the chain, and the Python function behind it."""
    arguments = [("self", PTR), ("arguments", PTR), ("count", I64), ("names", PTR)]
    f = Routine(module, "run_entry", arguments, PTR)
    own, given, count, names = f.arguments
    slow = f.fresh_label("slow")
    feeds = f.cell(PTR, NULL)
    _find_feed_dictionary(f, given, count, names, feeds, slow)
    dictionary = f.load(feeds, PTR)
    feed_count = f.cell(I64, 0)
    with f.when(f.is_set(dictionary)):
        f.store(f.foreign("PyDict_Size", I64, [dictionary]), feed_count)
    wanted = f.load(feed_count, I64)
    values = f.array(PTR, wanted)
    fetches = f.load(given, PTR)
    shape, size = _measure_fetches(f, fetches)
    chain = _capsule_pointer(f, own)
    calls, number, verdict = f.field(chain, ChainRecord, "calls"), f.cell(I64, 0), f.cell(I32)
    with f.forever() as loop:
        call = f.item(calls, f.load(number, I64))
        f.stop(loop, f.is_zero(call))
        f.store(f.binary("add", f.load(number, I64), 1), number)
        f.again(loop, f.icmp("ne", wanted, f.field(call, CallRecord, "feed_count")))
        f.again(loop, f.is_zero(f.call("@match_fetches", I1, [call, fetches, shape, size])))
        with f.when(f.is_set(dictionary)):
            f.again(loop, f.is_zero(f.call("@match_feeds", I1, [call, dictionary, values])))
        answer = f.call("@perform", PTR, [call, values, verdict])
        outcome = f.load(verdict, I32)
        f.return_if(f.icmp("eq", outcome, DONE), answer)
        # Other threads may have run while a stale record was waited for: the array of records may be gone.
        f.stop(loop, f.icmp("eq", outcome, STALE))
    f.branch(slow)
    f.place_label(slow)
    function = f.foreign("PyTuple_GetItem", PTR, [own, 1])
    f.leave(f.foreign("PyObject_Vectorcall", PTR, [function, given, count, names]))
    f.finish()


def _find_feed_dictionary(
    f: Routine, given: Value, count: Value, names: Value, feeds: Value, slow: str
) -> None:
    """Stores the feed dictionary, or null where there is none; goes to `slow` where the call is another one."""
    total = f.cell(I64, count)
    with f.when(f.is_set(names)):
        single = f.both(f.icmp("eq", count, 1), f.icmp("eq", f.foreign("PyTuple_Size", I64, [names]), 1))
        _require(f, single, slow)
        _require(f, f.icmp("eq", f.foreign("PyTuple_GetItem", PTR, [names, 0]), named_object("feed_dict")), slow)
        f.store(f.coerce(2, I64), total)
    arguments = f.load(total, I64)
    _require(f, f.both(f.icmp("sge", arguments, 1), f.icmp("sle", arguments, 2)), slow)
    with f.when(f.icmp("eq", arguments, 2)):
        feed = f.item(given, 1)
        with f.when(f.icmp("ne", feed, named_object("none"))):
            _require(f, f.icmp("eq", f.load(f.at(feed, TYPE_AT), PTR), named_object("dict_type")), slow)
            f.store(feed, feeds)


def _measure_fetches(f: Routine, fetches: Value) -> tuple[Value, Value]:
    shape, size = f.cell(I64, Shape.SINGLE), f.cell(I64, 1)
    type_ = f.load(f.at(fetches, TYPE_AT), PTR)
    for kind, name, length in (
        (Shape.LIST, "list_type", "PyList_Size"),
        (Shape.TUPLE, "tuple_type", "PyTuple_Size"),
    ):
        with f.when(f.icmp("eq", type_, named_object(name))):
            f.store(f.coerce(kind, I64), shape)
            f.store(f.foreign(length, I64, [fetches]), size)
    return f.load(shape, I64), f.load(size, I64)


def _require(f: Routine, condition: Value, otherwise: str) -> None:
    following = f.fresh_label("following")
    f.branch_if(condition, following, otherwise)
    f.place_label(following)
