"""The worker pool as native code: one parallel region at a time, its unclaimed chunks as the bits of one word.

A thread takes its own chunks first, in their order, then others' from behind. Its own are one stretch of them, the same share
of the work however many chunks there are, so that it finds in its caches what it wrote in the kernel before. A worker that
wakes late finds no bit set and has no effect, so the caller never waits for a worker that took nothing: that keeps the pool
well behaved where cores are oversubscribed. Who finds nothing to do spins for a while, then sleeps on a futex. A caller that
finds the pool busy runs its chunks itself.

Why a claim is safe: a set bit means that the caller still waits for that chunk, so `function` and `argument` stay what
they are until the claimer counts `remaining` down. Why nobody sleeps for ever: a worker announces itself in `sleepers`
before it looks at `mask` for the last time, the caller sets `mask` before it looks at `sleepers`; likewise `joining` and
`remaining` for the caller that waits.
"""

from __future__ import annotations

import ctypes

from graphc.runtime.emit.function import I32, I64, PTR, Module, Value
from graphc.runtime.jit.routine import NULL, Routine
from graphc.runtime.kernel import MAXIMUM_CHUNKS
from graphc.runtime.threads.denormals import flush_denormals

MAXIMUM_THREADS = 64
OWN_FIRST = 1  # the chunk that the caller takes without announcing it, so that it does not wait for who takes another
_FUTEX_CALL = {"x86_64": 202, "aarch64": 98}
_WAIT_PRIVATE, _WAKE_PRIVATE = 128, 129
_SET_MASK = 2
_SIGNAL_SET_BYTES = 128
_LINES = ctypes.c_int64 * 15  # keeps what different threads write two cache lines apart


class Worker(ctypes.Structure):
    """What a thread knows of itself: `own[n]` has the bits of those of n chunks that it takes first."""

    _fields_ = [("pool", ctypes.c_void_p), ("own", ctypes.c_uint64 * (MAXIMUM_CHUNKS + 1))]


class PoolState(ctypes.Structure):
    """The state of a pool; `workers[0]` stands for the caller. What a worker reads to begin lies in one cache line."""

    _fields_ = [
        ("mask", ctypes.c_uint64),
        ("function", ctypes.c_void_p),
        ("argument", ctypes.c_void_p),
        ("chunks", ctypes.c_int64),
        ("_1", ctypes.c_int64 * 12),
        ("remaining", ctypes.c_int32),
        ("joining", ctypes.c_int32),
        ("_2", _LINES),
        ("wakes", ctypes.c_int32),
        ("sleepers", ctypes.c_int32),
        ("_3", _LINES),
        ("busy", ctypes.c_int32),
        ("started", ctypes.c_int32),
        ("_4", _LINES),
        ("threads", ctypes.c_int64),
        ("spins", ctypes.c_int64),
        ("workers", Worker * MAXIMUM_THREADS),
    ]


def emit_pool(module: Module, architecture: str) -> None:
    """Defines the pool for Linux on `architecture`.

    That is `pool_run(pool, function, argument, chunks)`, which calls `function(argument, chunk)` for each chunk below
    `chunks` (at most 64) and returns when all are done, and `pool_pause(count)`, which does what idle threads do.
    """
    _PoolEmitter(module, architecture)


def emit_serial_pool(module: Module) -> None:
    """The same for systems without futexes: all chunks run in the caller."""
    f = Routine(module, "pool_run", [("pool", PTR), ("function", PTR), ("argument", PTR), ("chunks", I64)])
    with f.each(f.arguments[3]) as chunk:
        f.call(f.arguments[1].ref, "void", [f.arguments[2], chunk])
    f.return_void()
    Routine(module, "pool_pause", [("count", I64)]).return_void()


class _PoolEmitter:
    def __init__(self, module: Module, architecture: str):
        self.architecture = architecture
        self.module = module
        self._worker()
        self._start()
        self._run()
        self._pauses()

    def _pauses(self) -> None:
        f = Routine(self.module, "pool_pause", [("count", I64)])
        with f.each(f.arguments[0]):
            self._pause(f)
        f.return_void()

    def _run(self) -> None:
        f = Routine(self.module, "pool_run", [("pool", PTR), ("function", PTR), ("argument", PTR), ("chunks", I64)])
        pool, function, argument, chunks = f.arguments
        several = f.icmp("sgt", chunks, 1)
        threaded = f.icmp("sgt", f.field(pool, PoolState, "threads"), 1)
        serial = f.fresh_label("serial")
        self._otherwise(f, f.both(several, threaded), serial)
        busy = f.field_address(pool, PoolState, "busy")
        self._otherwise(f, f.exchange_if(busy, 0, 1, I32), serial)
        with f.when(f.is_zero(f.field(pool, PoolState, "started"))):
            f.call("@pool_start", "void", [pool])
        f.set_field(pool, PoolState, "function", function)
        f.set_field(pool, PoolState, "argument", argument)
        f.set_field(pool, PoolState, "chunks", chunks)
        f.atomic_store(f.cast("trunc", chunks, I32), f.field_address(pool, PoolState, "remaining"), I32, "monotonic")
        bits = f.bit_and(f.lshr(f.coerce(-1, I64), f.binary("sub", 64, chunks)), ~OWN_FIRST)
        f.atomic("xchg", f.field_address(pool, PoolState, "mask"), bits, I64)
        sleepers = f.atomic_load(f.field_address(pool, PoolState, "sleepers"), I32)
        with f.when(f.is_set(sleepers)):
            f.atomic("add", f.field_address(pool, PoolState, "wakes"), 1, I32)
            needed = f.cast("trunc", f.binary("sub", chunks, 1), I32)
            fewer = f.select(f.icmp("slt", needed, sleepers), needed, sleepers)
            self._futex(f, f.field_address(pool, PoolState, "wakes"), _WAKE_PRIVATE, fewer)
        f.call(function.ref, "void", [argument, f.coerce(0, I64)])
        f.atomic("sub", f.field_address(pool, PoolState, "remaining"), 1, I32)
        self._take_chunks(f, pool, f.field_address(pool, PoolState, "workers"), wakes_caller=False)
        self._join(f, pool)
        f.atomic_store(0, busy, I32, "release")
        f.return_void()
        f.place_label(serial)
        with f.each(chunks) as chunk:
            f.call(function.ref, "void", [argument, chunk])
        f.return_void()

    def _otherwise(self, f: Routine, condition: Value, target: str) -> None:
        following = f.fresh_label("following")
        f.branch_if(condition, following, target)
        f.place_label(following)

    def _take_chunks(self, f: Routine, pool: Value, worker: Value, wakes_caller: bool) -> None:
        """Runs chunks until none is unclaimed."""
        mask_at = f.field_address(pool, PoolState, "mask")
        remaining_at = f.field_address(pool, PoolState, "remaining")
        owns = f.field_address(worker, Worker, "own")
        with f.forever() as loop:
            mask = f.atomic_load(mask_at, I64, "acquire")
            f.stop(loop, f.is_zero(mask))
            mine = f.bit_and(mask, f.item(owns, f.field(pool, PoolState, "chunks"), I64))
            first, last = self._lowest_bit(f, mine), f.bit_xor(self._leading_zeros(f, mask), 63)
            chunk = f.select(f.is_set(mine), first, last)
            bit = f.shl(f.coerce(1, I64), chunk)
            before = f.atomic("and", mask_at, f.bit_xor(bit, -1), I64, "acq_rel")
            f.again(loop, f.is_zero(f.bit_and(before, bit)))
            function = f.field(pool, PoolState, "function")
            f.call(function.ref, "void", [f.field(pool, PoolState, "argument"), chunk])
            left = f.atomic("sub", remaining_at, 1, I32)
            if wakes_caller:
                joining = f.atomic_load(f.field_address(pool, PoolState, "joining"), I32)
                with f.when(f.both(f.icmp("eq", left, 1), f.is_set(joining))):
                    self._futex(f, remaining_at, _WAKE_PRIVATE, f.coerce(1, I32))

    def _lowest_bit(self, f: Routine, bits: Value) -> Value:
        f.module.declare("llvm.cttz.i64", I64, [I64, "i1"])
        return f.instruction(f"call i64 @llvm.cttz.i64({bits}, i1 false)", I64)

    def _leading_zeros(self, f: Routine, bits: Value) -> Value:
        f.module.declare("llvm.ctlz.i64", I64, [I64, "i1"])
        return f.instruction(f"call i64 @llvm.ctlz.i64({bits}, i1 true)", I64)

    def _join(self, f: Routine, pool: Value) -> None:
        """Waits until no chunk remains: awake for a while, then asleep."""
        remaining_at = f.field_address(pool, PoolState, "remaining")
        joining_at = f.field_address(pool, PoolState, "joining")
        rounds = f.cell(I64, 0)
        with f.forever() as loop:
            f.stop(loop, f.is_zero(f.atomic_load(remaining_at, I32, "acquire")))
            self._pause(f)
            following = f.binary("add", f.load(rounds, I64), 1)
            f.store(following, rounds)
            f.again(loop, f.icmp("slt", following, f.field(pool, PoolState, "spins")))
            f.atomic_store(1, joining_at, I32)
            remaining = f.atomic_load(remaining_at, I32)
            with f.when(f.is_set(remaining)):
                self._futex(f, remaining_at, _WAIT_PRIVATE, remaining)
            f.atomic_store(0, joining_at, I32)

    def _worker(self) -> None:
        f = Routine(self.module, "pool_worker", [("worker", PTR)], result=PTR, linkage="internal")
        (worker,) = f.arguments
        pool = f.field(worker, Worker, "pool")
        mask_at = f.field_address(pool, PoolState, "mask")
        sleepers_at = f.field_address(pool, PoolState, "sleepers")
        wakes_at = f.field_address(pool, PoolState, "wakes")
        rounds = f.cell(I64)
        flush_denormals(f, self.architecture)
        with f.forever():
            f.store(f.coerce(0, I64), rounds)
            with f.forever() as spin:
                f.stop(spin, f.is_set(f.atomic_load(mask_at, I64, "acquire")))
                self._pause(f)
                following = f.binary("add", f.load(rounds, I64), 1)
                f.store(following, rounds)
                f.again(spin, f.icmp("slt", following, f.field(pool, PoolState, "spins")))
                wakes = f.atomic_load(wakes_at, I32)
                f.atomic("add", sleepers_at, 1, I32)
                with f.when(f.is_zero(f.atomic_load(mask_at, I64))):
                    self._futex(f, wakes_at, _WAIT_PRIVATE, wakes)
                f.atomic("sub", sleepers_at, 1, I32)
                f.store(f.coerce(0, I64), rounds)
            self._take_chunks(f, pool, worker, wakes_caller=True)
        f.finish()

    def _start(self) -> None:
        """Starts the threads. They take no signals: Python wants those in its own."""
        f = Routine(self.module, "pool_start", [("pool", PTR)], linkage="internal")
        (pool,) = f.arguments
        every, before = f.cell("i8", count=_SIGNAL_SET_BYTES), f.cell("i8", count=_SIGNAL_SET_BYTES)
        handle = f.cell(I64)
        f.foreign("sigfillset", I32, [every])
        f.foreign("pthread_sigmask", I32, [f.coerce(_SET_MASK, I32), every, before])
        others = f.binary("sub", f.field(pool, PoolState, "threads"), 1)
        workers = f.field_address(pool, PoolState, "workers")
        with f.each(others) as index:
            at = f.binary("mul", f.binary("add", index, 1), ctypes.sizeof(Worker))
            entry = Value("@pool_worker", PTR)
            failure = f.foreign("pthread_create", I32, [handle, NULL, entry, f.at(workers, at)])
            with f.when(f.is_zero(failure)):
                f.foreign("pthread_detach", I32, [f.load(handle, I64)])
        f.foreign("pthread_sigmask", I32, [f.coerce(_SET_MASK, I32), before, NULL])
        f.set_field(pool, PoolState, "started", 1)
        f.return_void()

    def _futex(self, f: Routine, address: Value, operation: int, value: Value) -> None:
        number = f.coerce(_FUTEX_CALL[self.architecture], I64)
        arguments = [number, address, f.coerce(operation, I64), value, NULL, NULL, f.coerce(0, I64)]
        f.foreign("syscall", I64, arguments, variadic_after=1)

    def _pause(self, f: Routine) -> None:
        if self.architecture == "x86_64":
            f.module.declare("llvm.x86.sse2.pause", "void", [])
            f.emit("call void @llvm.x86.sse2.pause()")
        else:
            f.module.declare("llvm.aarch64.hint", "void", [I32])
            f.emit("call void @llvm.aarch64.hint(i32 1)")
