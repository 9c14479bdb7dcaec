"""Order along the last axis: stable merge sort of positions by keys, and the first few of such an order.

The keys stay where they are; what moves is a row of 32-bit positions, between the result and a workspace in turn. NaN counts
as larger than every number.
"""

from __future__ import annotations

from graphc.dtypes import DType
from graphc.runtime.emit import vectors
from graphc.runtime.emit.entry import begin_entry
from graphc.runtime.emit.function import I32, I64, PTR, Function, Module, Operand, Value, constant
from graphc.runtime.emit.vectors import TypedValue
from graphc.runtime.kernel import Kernel, make_kernel
from graphc.runtime.schedule.machine import Machine
from graphc.runtime.schedule.reasons import explain_serial, join_notes

ELEMENTS_A_CHUNK = 2048


def build_argsort(rows: int, length: int, dtype: DType, descending: bool, machine: Machine, threads: int) -> Kernel:
    """Operands [keys, positions]: the positions of each row of keys in order, equal keys in the order they stand."""
    sorter = _Sorter(rows, length, dtype, descending, machine, threads)
    function = sorter.begin()

    def sort(row: Operand, workspace: Value) -> None:
        target = function.offset(function.load(function.offset(sorter.operands, 1, PTR), PTR), function.mul(row, length), I32)
        sorter.sort_row(sorter.keys_of(row), target, workspace)

    return sorter.finish("argsort", sort, 2)


def build_top_k(rows: int, length: int, count: int, dtype: DType, machine: Machine, threads: int) -> Kernel:
    """Operands [keys, values, positions]: the `count` largest keys of each row, largest first, and where they stand."""
    sorter = _Sorter(rows, length, dtype, True, machine, threads)
    function = sorter.begin()

    def select(row: Operand, workspace: Value) -> None:
        keys = sorter.keys_of(row)
        order = function.offset(workspace, length, I32)
        sorter.sort_row(keys, order, workspace)
        element = vectors.memory_element(dtype)
        outs = [function.load(function.offset(sorter.operands, i, PTR), PTR) for i in (1, 2)]
        values = function.offset(outs[0], function.mul(row, count), element)
        positions = function.offset(outs[1], function.mul(row, count), I32)

        def copy(k: Operand, _: list[Value]) -> list[Value]:
            at = function.load(function.offset(order, k, I32), I32)
            function.store(at, function.offset(positions, k, I32))
            key = function.load(function.offset(keys, function.cast("zext", at, I64), element), element)
            function.store(key, function.offset(values, k, element))
            return []

        function.loop(0, count, 1, [], copy)

    return sorter.finish("top_k", select, 3)


class _Sorter:
    """One kernel over rows of keys, cut into chunks of rows."""

    def __init__(self, rows: int, length: int, dtype: DType, descending: bool, machine: Machine, threads: int):
        self.rows, self.length, self.dtype, self.descending = rows, length, dtype, descending
        self.machine = machine
        pieces = rows * length // ELEMENTS_A_CHUNK
        self.chunks = max(1, min(rows, 4 * threads, pieces)) if threads > 1 else 1
        self.serial = explain_serial(self.chunks, threads, rows * length, 2 * ELEMENTS_A_CHUNK, "elements")
        self.module = Module()

    def begin(self) -> Function:
        self.function = begin_entry(self.module)
        self.operands = self.function.arguments[0]
        return self.function

    def finish(self, family: str, work, operand_count: int) -> Kernel:
        """Runs `work(row, workspace)` for the rows of a chunk; the workspace has two rows of positions."""
        function, chunk = self.function, self.function.arguments[1]
        own = 2 * self.length
        base = function.load(function.offset(self.operands, operand_count, PTR), PTR)
        workspace = function.offset(base, function.mul(chunk, own), I32)
        first = function.udiv(function.mul(chunk, self.rows), self.chunks) if self.chunks > 1 else 0
        after = function.udiv(function.mul(function.add(chunk, 1), self.rows), self.chunks) if self.chunks > 1 else self.rows

        def body(row: Operand, _: list[Value]) -> list[Value]:
            work(row, workspace)
            return []

        function.loop(first, after, 1, [], body)
        function.return_void()
        moved = self.rows * self.length * (self.dtype.size + 4)
        return make_kernel(
            family, str(self.module), chunks=self.chunks, workspace=4 * own * self.chunks,
            schedule=join_notes("merge sort", self.serial), bytes_moved=moved,
        )  # fmt: skip

    def keys_of(self, row: Operand) -> Value:
        keys = self.function.load(self.operands, PTR)
        return self.function.offset(keys, self.function.mul(row, self.length), vectors.memory_element(self.dtype))

    def sort_row(self, keys: Value, target: Value, spare: Value) -> None:
        """Merges runs of 1, 2, 4 ... positions; begun so that the last merge writes to the target."""
        function, length = self.function, self.length
        rounds = max(0, (length - 1).bit_length())
        start, other = (target, spare) if rounds % 2 == 0 else (spare, target)

        def number(i: Operand, _: list[Value]) -> list[Value]:
            position = function.cast("trunc", function.coerce(i, I64), I32) if isinstance(i, Value) else constant(i, I32)
            function.store(position, function.offset(start, i, I32))
            return []

        function.loop(0, length, 1, [], number)

        def merge_round(stage: Operand, pointers: list[Value]) -> list[Value]:
            width = function.shl(constant(1, I64), stage)
            double = function.shl(width, 1)
            blocks = function.udiv(function.add(function.sub(double, 1), length), double)

            def merge_block(block: Operand, _: list[Value]) -> list[Value]:
                low = function.mul(block, double)
                middle = function.minimum(function.add(low, width), length)
                high = function.minimum(function.add(low, double), length)
                self._merge(keys, pointers[0], pointers[1], low, middle, high)
                return []

            function.loop(0, blocks, 1, [], merge_block)
            return [pointers[1], pointers[0]]

        function.loop(0, rounds, 1, [start, other], merge_round)

    def _merge(self, keys: Value, source: Value, target: Value, low: Operand, middle: Operand, high: Operand) -> None:
        function, last = self.function, self.length - 1

        def step(k: Operand, ends: list[Value]) -> list[Value]:
            left, right = ends
            a = function.load(function.offset(source, function.minimum(left, last), I32), I32)
            b = function.load(function.offset(source, function.minimum(right, last), I32), I32)
            left_is_empty = function.icmp("sge", left, middle)
            better = self._comes_before(self._key(keys, b), self._key(keys, a))
            take = function.bit_and(function.icmp("slt", right, high), function.bit_or(left_is_empty, better))
            function.store(function.select(take, b, a), function.offset(target, k, I32))
            taken = function.cast("zext", take, I64)
            return [function.binary("sub", function.binary("add", left, 1), taken), function.binary("add", right, taken)]

        carried = [function.coerce(low, I64), function.coerce(middle, I64)]
        function.loop(low, high, 1, carried, step)

    def _key(self, keys: Value, position: Value) -> TypedValue:
        at = function_offset(self.function, keys, position, self.dtype)
        return vectors.load(self.function, self.machine, at, self.dtype, 1)

    def _comes_before(self, a: TypedValue, b: TypedValue) -> Value:
        """Whether key a stands strictly before key b."""
        function = self.function
        if self.dtype.is_floating:
            a_nan, b_nan = function.fcmp("uno", a, a), function.fcmp("uno", b, b)
            beats = function.fcmp("ogt" if self.descending else "olt", a, b)
            first, second = (a_nan, b_nan) if self.descending else (b_nan, a_nan)
            extreme = function.bit_and(first, function.bit_xor(second, constant(True, second.type)))
            return function.bit_or(beats, extreme)
        sign = "u" if self.dtype.is_unsigned or self.dtype.is_bool else "s"
        return function.icmp(sign + ("gt" if self.descending else "lt"), a, b)


def function_offset(function: Function, keys: Value, position: Value, dtype: DType) -> Value:
    """The address of the key at a 32-bit position."""
    return function.offset(keys, function.cast("zext", position, I64), vectors.memory_element(dtype))


