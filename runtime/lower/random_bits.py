"""Random bits: Philox 4x32-10 in vectors, in the layout that graphc.ops.philox states."""

from __future__ import annotations

import functools
import struct

from graphc.dtypes import uint32
from graphc.operation import Operation
from graphc.ops.philox import KEY_STEPS, MULTIPLIERS, ROUNDS
from graphc.runtime.emit import vectors
from graphc.runtime.emit.entry import begin_entry
from graphc.runtime.emit.expressions import VectorScalars
from graphc.runtime.emit.function import I32, I64, PTR, Function, Module, Operand, Value, constant
from graphc.runtime.emit.vectors import TypedValue, typed
from graphc.runtime.kernel import Kernel, make_kernel
from graphc.runtime.lower.lowered import Argument, Immediate, LoweredStep, arguments_of
from graphc.runtime.schedule.machine import Machine
from graphc.runtime.schedule.reasons import explain_serial, join_notes

BLOCKS_A_CHUNK = 4096
_WORD = (1 << 64) - 1


def lower_random_bits(operation: Operation, machine: Machine, threads: int) -> list[LoweredStep]:
    """One kernel, which operations of one size share: the seeds are an operand."""
    graph_seed, op_seed = operation.attributes["seeds"]
    kernel = _build_kernel(operation.output.type.elements, graph_seed is None, machine, threads)
    seeds = Immediate(struct.pack("<QQ", (graph_seed or 0) & _WORD, op_seed & _WORD))
    arguments = (*arguments_of(operation.inputs), Argument(seeds), *arguments_of(operation.outputs))
    return [LoweredStep(kernel, arguments, operation.name)]


@functools.lru_cache(maxsize=256)
def _build_kernel(count: int, seeded_by_run: bool, machine: Machine, threads: int) -> Kernel:
    """The key is derived from the run's and the seeds, then every vector of block numbers gives four vectors of words."""
    blocks, lanes = -(-count // 4), machine.lanes(32)
    chunks = max(1, min(4 * threads, blocks // BLOCKS_A_CHUNK)) if threads > 1 else 1
    module = Module()
    function = begin_entry(module)
    run_key = function.load(function.arguments[0], PTR)
    seeds = function.load(function.offset(function.arguments[0], 1, PTR), PTR)
    out = function.load(function.offset(function.arguments[0], 2, PTR), PTR)
    emitter = _PhiloxEmitter(function, machine, lanes)
    key = emitter.derive_key(run_key if seeded_by_run else seeds, function.offset(seeds, 1, I64))
    run = emitter.words_of(function.load(function.offset(run_key, 1, I64), I64))
    pieces = -(-blocks // lanes)
    chunk = function.arguments[1]
    first = function.udiv(function.mul(chunk, pieces), chunks) if chunks > 1 else 0
    after = function.udiv(function.mul(function.add(chunk, 1), pieces), chunks) if chunks > 1 else pieces

    def body(piece: Operand, _: list[Value]) -> list[Value]:
        start = function.coerce(function.mul(piece, lanes), I64)
        words = emitter.generate(start, key, run)
        for number, word in enumerate(words):
            at = function.add(start, number * blocks)
            limit = min(count, (number + 1) * blocks)
            mask = vectors.tail_mask(function, function.sub(function.maximum(function.coerce(limit, I64), at), at), lanes)
            vectors.store(function, machine, word, function.offset(out, at, I32), uint32, mask)
        return []

    function.loop(first, after, 1, [], body)
    function.return_void()
    serial = explain_serial(chunks, threads, blocks, 2 * BLOCKS_A_CHUNK, "blocks")
    schedule = join_notes(f"{lanes} blocks at once", serial)
    return make_kernel("random_bits", str(module), chunks=chunks, schedule=schedule, bytes_moved=4 * count)


class _PhiloxEmitter:
    def __init__(self, function: Function, machine: Machine, lanes: int):
        self.function, self.lanes = function, lanes
        self.scalars = VectorScalars(function, machine, lanes=lanes)

    def words_of(self, number: Value) -> tuple[TypedValue, TypedValue]:
        """The low and the high word of a 64-bit number, in all lanes."""
        function = self.function
        low = function.cast("trunc", number, I32)
        high = function.cast("trunc", function.lshr(number, 32), I32)
        return typed(function.splat(low, self.lanes), uint32), typed(function.splat(high, self.lanes), uint32)

    def derive_key(self, root: Value, op_seed: Value) -> tuple[TypedValue, TypedValue]:
        """The key from the places of the number that all keys of a graph or a run begin with, and of the operation's own."""
        function = self.function
        mixed = function.bit_xor(self._splitmix(function.load(root, I64)), function.load(op_seed, I64))
        return self.words_of(self._splitmix(mixed))

    def _splitmix(self, value: Value) -> Value:
        function = self.function
        mixed = function.binary("add", value, constant(0x9E3779B97F4A7C15, I64))
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = function.bit_xor(mixed, function.lshr(mixed, shift))
            mixed = function.binary("mul", mixed, constant(factor, I64))
        return function.bit_xor(mixed, function.lshr(mixed, 31))

    def generate(
        self, first: Value, key: tuple[TypedValue, TypedValue], run: tuple[TypedValue, TypedValue]
    ) -> list[TypedValue]:
        """The four words of the blocks first, first + 1 ... in the lanes."""
        s, function = self.scalars, self.function
        c0 = vectors.iota(function, first, uint32, self.lanes)
        c1 = typed(function.splat(function.cast("trunc", function.lshr(first, 32), I32), self.lanes), uint32)
        c2, c3 = run
        k0, k1 = key
        for _ in range(ROUNDS):
            m0, m1 = (self._word(multiplier) for multiplier in MULTIPLIERS)
            high0, low0, high1, low1 = s.mul_high(c0, m0), s.mul(c0, m0), s.mul_high(c2, m1), s.mul(c2, m1)
            c0 = s.bit_xor(s.bit_xor(high1, c1), k0)
            c2 = s.bit_xor(s.bit_xor(high0, c3), k1)
            c1, c3 = low1, low0
            k0, k1 = s.add(k0, self._word(KEY_STEPS[0])), s.add(k1, self._word(KEY_STEPS[1]))
        return [c0, c1, c2, c3]

    def _word(self, value: int) -> TypedValue:
        return vectors.typed_constant(value, uint32, self.lanes)
