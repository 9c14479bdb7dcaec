"""Results in recycled memory: what a large array leaves behind serves the next one of its size.

A fresh mapping costs a page fault for every page that a kernel writes, often more than the kernel. So large results lie in
mappings of their own; when such an array dies, its mapping is kept for the next result, up to a bound. All of this happens
with the interpreter lock held.
"""

from __future__ import annotations

import ctypes

from graphc.runtime.calls.objects import internal
from graphc.runtime.calls.records import BlockRecord, RecyclerRecord
from graphc.runtime.emit.function import I32, I64, PTR, Module, Value
from graphc.runtime.jit.routine import NULL, Routine

LARGE_PAGE = 2 << 20
MOST_BLOCKS = 64
_READ_WRITE, _PRIVATE_ANONYMOUS, _LARGE_PAGES_ADVICE = 3, 0x22, 14  # of Linux: elsewhere nothing is recycled
_WRITABLE_ARRAY = 0x501  # C-contiguous, aligned, writable
_RECYCLER = Value("@recycler", PTR)
_ARRAY_TYPE = Value("@array_type", PTR)


def emit_recycler(module: Module) -> None:
    """Defines `new_result(dtype, dimension_count, dimensions, recycled_bytes)`: an ndarray, its memory not set.

    It takes over a reference to `dtype`, and returns null with an error set where there is no memory.
    """
    module.define_global("recycler", "external global i8")
    module.declare("PyArray_NewFromDescr", PTR, [PTR, PTR, I32, PTR, PTR, PTR, I32, PTR])
    module.declare("PyArray_SetBaseObject", I32, [PTR, PTR])
    _emit_map(module)
    _emit_unmap(module)
    _emit_take(module)
    _emit_evict(module)
    _emit_give(module)
    _emit_capsule_dies(module)
    _emit_recycled_array(module)
    _emit_new_result(module)


def _emit_map(module: Module) -> None:
    """A new block of that many bytes (whole pages), or null; on a boundary of large pages if it is that large."""
    f = internal(module, "map_block", [("bytes", I64)], PTR)
    (size,) = f.arguments
    large = f.icmp("uge", size, LARGE_PAGE)
    extra = f.select(large, f.coerce(LARGE_PAGE, I64), f.coerce(0, I64))
    span = f.binary("add", size, extra)
    descriptor, zero = f.coerce(-1, I32), f.coerce(0, I64)
    protection, kind = f.coerce(_READ_WRITE, I32), f.coerce(_PRIVATE_ANONYMOUS, I32)
    raw = f.foreign("mmap", PTR, [NULL, span, protection, kind, descriptor, zero])
    start = f.cast("ptrtoint", raw, I64)
    f.return_if(f.icmp("eq", start, -1), NULL)
    data = f.cell(I64, start)
    with f.when(large):
        aligned = f.bit_and(f.binary("add", start, LARGE_PAGE - 1), -LARGE_PAGE)
        f.store(aligned, data)
        end = f.binary("add", aligned, size)
        _unmap_range(f, start, aligned)
        _unmap_range(f, end, f.binary("add", start, span))
        address = f.cast("inttoptr", aligned, PTR)
        f.foreign("madvise", I32, [address, size, f.coerce(_LARGE_PAGES_ADVICE, I32)])
    block = f.foreign("malloc", PTR, [ctypes.sizeof(BlockRecord)])
    address = f.cast("inttoptr", f.load(data, I64), PTR)
    with f.when(f.is_zero(block)):
        f.foreign("munmap", I32, [address, size])
        f.leave(NULL)
    f.set_field(block, BlockRecord, "data", address)
    f.set_field(block, BlockRecord, "bytes", size)
    f.leave(block)
    f.finish()


def _unmap_range(f: Routine, start: Value, end: Value) -> None:
    with f.when(f.icmp("ult", start, end)):
        f.foreign("munmap", I32, [f.cast("inttoptr", start, PTR), f.binary("sub", end, start)])


def _emit_unmap(module: Module) -> None:
    f = internal(module, "unmap_block", [("block", PTR)])
    (block,) = f.arguments
    f.foreign("munmap", I32, [f.field(block, BlockRecord, "data"), f.field(block, BlockRecord, "bytes")])
    f.foreign("free", "void", [block])
    f.return_void()


def _emit_take(module: Module) -> None:
    """A block of just that many bytes, kept or new; null where there is no memory."""
    f = internal(module, "take_block", [("bytes", I64)], PTR)
    (size,) = f.arguments
    link = f.cell(PTR, f.field_address(_RECYCLER, RecyclerRecord, "first"))
    with f.forever() as loop:
        block = f.load(f.load(link, PTR), PTR)
        f.stop(loop, f.is_zero(block))
        with f.when(f.icmp("eq", f.field(block, BlockRecord, "bytes"), size)):
            f.store(f.field(block, BlockRecord, "next"), f.load(link, PTR))
            _count(f, -1, f.binary("sub", 0, size))
            f.leave(block)
        f.store(f.field_address(block, BlockRecord, "next"), link)
    f.leave(f.call("@map_block", PTR, [size]))
    f.finish()


def _count(f: Routine, blocks: int, size: Value) -> None:
    for name, change in (("blocks", f.coerce(blocks, I64)), ("bytes", size)):
        f.set_field(_RECYCLER, RecyclerRecord, name, f.binary("add", f.field(_RECYCLER, RecyclerRecord, name), change))


def _emit_evict(module: Module) -> None:
    """Unmaps the block not used for longest; there is at least one."""
    f = internal(module, "evict_block", [])
    link = f.cell(PTR, f.field_address(_RECYCLER, RecyclerRecord, "first"))
    with f.forever() as loop:
        block = f.load(f.load(link, PTR), PTR)
        with f.when(f.is_zero(f.field(block, BlockRecord, "next"))):
            f.store(NULL, f.load(link, PTR))
            _count(f, -1, f.binary("sub", 0, f.field(block, BlockRecord, "bytes")))
            f.call("@unmap_block", "void", [block])
            f.leave()
        f.store(f.field_address(block, BlockRecord, "next"), link)
        f.again(loop)
    f.finish()


def _emit_give(module: Module) -> None:
    """Keeps a block for later, and drops the oldest ones while there are too many."""
    f = internal(module, "give_block", [("block", PTR)])
    (block,) = f.arguments
    f.set_field(block, BlockRecord, "next", f.field(_RECYCLER, RecyclerRecord, "first"))
    f.set_field(_RECYCLER, RecyclerRecord, "first", block)
    _count(f, 1, f.field(block, BlockRecord, "bytes"))
    with f.forever() as loop:
        blocks, size = (f.field(_RECYCLER, RecyclerRecord, name) for name in ("blocks", "bytes"))
        limit = f.field(_RECYCLER, RecyclerRecord, "limit")
        many = f.bit_or(f.icmp("sgt", blocks, MOST_BLOCKS), f.icmp("sgt", size, limit))
        f.stop(loop, f.is_zero(f.both(many, f.icmp("sgt", blocks, 0))))
        f.call("@evict_block", "void", [])
    f.return_void()


def _emit_capsule_dies(module: Module) -> None:
    f = internal(module, "capsule_dies", [("capsule", PTR)])
    f.call("@give_block", "void", [f.foreign("PyCapsule_GetPointer", PTR, [f.arguments[0], NULL])])
    f.return_void()


def _emit_recycled_array(module: Module) -> None:
    arguments = [("dtype", PTR), ("count", I32), ("dimensions", PTR), ("bytes", I64)]
    f = internal(module, "recycled_array", arguments, PTR)
    dtype, count, dimensions, size = f.arguments
    block = f.call("@take_block", PTR, [size])
    with f.when(f.is_zero(block)):
        f.foreign("Py_DecRef", "void", [dtype])
        f.leave(f.foreign("PyErr_NoMemory", PTR, []))
    capsule = f.foreign("PyCapsule_New", PTR, [block, NULL, Value("@capsule_dies", PTR)])
    with f.when(f.is_zero(capsule)):
        f.call("@give_block", "void", [block])
        f.foreign("Py_DecRef", "void", [dtype])
        f.leave(NULL)
    data, flags = f.field(block, BlockRecord, "data"), f.coerce(_WRITABLE_ARRAY, I32)
    array = f.call("@PyArray_NewFromDescr", PTR, [_ARRAY_TYPE, dtype, count, dimensions, NULL, data, flags, NULL])
    with f.when(f.is_zero(array)):
        f.foreign("Py_DecRef", "void", [capsule])
        f.leave(NULL)
    failed = f.is_set(f.call("@PyArray_SetBaseObject", I32, [array, capsule]))
    with f.when(failed):
        f.foreign("Py_DecRef", "void", [array])
        f.leave(NULL)
    f.leave(array)
    f.finish()


def _emit_new_result(module: Module) -> None:
    arguments = [("dtype", PTR), ("count", I32), ("dimensions", PTR), ("bytes", I64)]
    f = internal(module, "new_result", arguments, PTR, inlined=True)
    dtype, count, dimensions, size = f.arguments
    with f.when(f.is_set(size)):
        f.leave(f.call("@recycled_array", PTR, [dtype, count, dimensions, size]))
    none = f.coerce(0, I32)
    f.leave(f.call("@PyArray_NewFromDescr", PTR, [_ARRAY_TYPE, dtype, count, dimensions, NULL, NULL, none, NULL]))
    f.finish()


def recycled_bytes(nbytes: int, page: int, smallest: int) -> int:
    """The size of the mapping for a result: whole pages, or 0 for one that NumPy should allocate."""
    return -(-nbytes // page) * page if nbytes >= smallest else 0


