"""LLVM IR as text: functions, instruction by instruction.

Text is written directly because building the same IR as Python objects costs several times the time of parsing the
finished text. A `Value` is a name with an LLVM type; Python numbers stand for constants wherever a value is expected, and
integer arithmetic on two Python numbers folds here, so that a static shape never costs an instruction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from graphc.runtime.emit.module import Module
from graphc.runtime.emit.values import (
    BF16,
    BITS,
    F16,
    F32,
    F64,
    FLOATS,
    I1,
    I8,
    I16,
    I32,
    I64,
    PTR,
    Operand,
    Value,
    constant,
    element_of,
    float_of,
    format_number,
    integer_of,
    lanes_of,
    suffix_of,
    vector_constant,
    vector_type,
)

__all__ = [
    "BF16", "BITS", "CHAIN", "F16", "F32", "F64", "FLOATS", "I1", "I8", "I16", "I32", "I64", "PTR", "Function", "Module",
    "Operand", "Value", "constant", "element_of", "format_number", "lanes_of", "suffix_of", "vector_constant", "vector_type",
]  # fmt: skip


CHAIN = "~"
_CHAIN_NAMES = tuple(str(k) for k in range(16))


class Function:
    """Emits the body of one function, instruction by instruction.

    `arguments` are (name, type) pairs; a type may carry attributes after its first word, as in `ptr noalias`.

    Interleaving: within `interleaved(n)`, a value may stand for n values of n independent chains (`join_chains` makes one).
    An instruction that takes such a value is written once for each chain, the copies in a row, so that chains too long for
    an out-of-order window overlap; one that takes none is written once and shared. In a name the mark `~` stands for the
    number of the chain.
    """

    def __init__(
        self,
        module: Module,
        name: str,
        arguments: Sequence[tuple[str, str]],
        result: str = "void",
        attributes: str = "nounwind",
        linkage: str = "",
    ):
        self.module, self.name, self.result = module, name, result
        self.arguments = [Value("%" + n, t if t[0] == "<" else t.split(" ")[0]) for n, t in arguments]
        parameters = ", ".join(f"{t} %{n}" for n, t in arguments)
        self._head = " ".join(f"define {linkage} {result} @{name}({parameters}) {attributes} {{".split())
        self._lines = ["entry:"]
        self._count = 0
        self.block = "entry"
        self.chains = 1
        module.functions[name] = self

    def __str__(self) -> str:
        return self._head + "\n" + "\n".join(self._lines) + "\n}\n"

    # -- instructions and blocks

    def instruction(self, text: str, type_: str) -> Value:
        """Appends `%n = text` and returns %n of the given type."""
        self._count += 1
        if CHAIN in text:
            ref = f"%v{self._count}.~"
            line = f"  {ref} = {text}"
            self._lines += [line.replace(CHAIN, chain) for chain in _CHAIN_NAMES[: self.chains]]
        else:
            ref = f"%v{self._count}"
            self._lines.append(f"  {ref} = {text}")
        return Value(ref, type_)

    def emit(self, text: str) -> None:
        if CHAIN in text:
            self._lines += ["  " + text.replace(CHAIN, chain) for chain in _CHAIN_NAMES[: self.chains]]
        else:
            self._lines.append("  " + text)

    @contextmanager
    def interleaved(self, chains: int) -> Iterator[None]:
        """Values joined inside stand for `chains` (at most 16) chains; they mean nothing outside."""
        outside, self.chains = self.chains, chains
        yield
        self.chains = outside

    def join_chains(self, values: Sequence[Value]) -> Value:
        """One value that stands for values[k] in chain k; all have the same type."""
        if len(values) != self.chains:
            raise ValueError(f"{len(values)} values for {self.chains} chains")
        if len(values) == 1:
            return values[0]
        self._count += 1
        type_ = values[0].type
        for value, chain in zip(values, _CHAIN_NAMES):
            self._lines.append(f"  %v{self._count}.{chain} = bitcast {value} to {type_}")
        return Value(f"%v{self._count}.~", type_)

    def split_chains(self, value: Value) -> list[Value]:
        """The value of each chain; a shared value comes as often as there are chains."""
        return [Value(value.ref.replace(CHAIN, chain), value.type) for chain in _CHAIN_NAMES[: self.chains]]

    def fresh_label(self, stem: str) -> str:
        self._count += 1
        return f"{stem}{self._count}"

    def place_label(self, name: str) -> None:
        self._lines.append(name + ":")
        self.block = name

    def branch(self, target: str) -> None:
        self.emit(f"br label %{target}")

    def branch_if(self, condition: Value, yes: str, no: str, metadata: str = "") -> None:
        self.emit(f"br i1 {condition.ref}, label %{yes}, label %{no}{metadata}")

    def return_void(self) -> None:
        self.emit("ret void")

    def return_value(self, value: Value) -> None:
        self.emit(f"ret {value}")

    def phi(self, type_: str, *incoming: tuple[Operand, str]) -> Value:
        text = ", ".join(f"[ {self.coerce(v, type_).ref}, %{block} ]" for v, block in incoming)
        return self.instruction(f"phi {type_} {text}", type_)

    def open_phi(self, type_: str, interleaved: bool = False) -> tuple[Value, int]:
        """A phi whose incoming values are given later through `close_phi`; `interleaved` makes one for each chain."""
        at = len(self._lines)
        if not interleaved:
            return self.instruction(f"phi {type_} ", type_), at
        self._count += 1
        self._lines += [f"  %v{self._count}.{chain} = phi {type_} " for chain in _CHAIN_NAMES[: self.chains]]
        return Value(f"%v{self._count}.~", type_), at

    def close_phi(self, handle: tuple[Value, int], *incoming: tuple[Operand, str]) -> None:
        value, at = handle
        text = ", ".join(f"[ {self.coerce(v, value.type).ref}, %{block} ]" for v, block in incoming)
        if CHAIN not in value.ref:
            self._lines[at] += text
            return
        for k in range(self.chains):
            self._lines[at + k] += text.replace(CHAIN, _CHAIN_NAMES[k])

    def hide_steps(self, value: Value) -> Value:
        """The value, an index or a pointer that a loop carries, so that LLVM does not see how it steps.

        Loop strength reduction, a quarter of the time that code generation takes, then finds nothing to do: the emitter
        chooses itself which pointers a loop carries. Both intrinsics are dropped before instructions are selected.
        """
        if CHAIN in value.ref or value.type not in (I64, PTR):
            return value
        if value.type == PTR:
            return self.intrinsic("llvm.strip.invariant.group.p0", PTR, [value])
        return self.intrinsic("llvm.expect.i64", I64, [value, constant(0, I64)])

    # -- operands

    def coerce(self, value: Operand, type_: str) -> Value:
        return value if isinstance(value, Value) else constant(value, type_)

    def _pair(self, a: Operand, b: Operand, default: str = I64) -> tuple[Value, Value]:
        if isinstance(a, Value):
            return a, self.coerce(b, a.type)
        if isinstance(b, Value):
            return self.coerce(a, b.type), b
        return constant(a, default), constant(b, default)

    def binary(self, opcode: str, a: Operand, b: Operand) -> Value:
        left, right = self._pair(a, b)
        return self.instruction(f"{opcode} {left.type} {left.ref}, {right.ref}", left.type)

    # -- floating point

    def fadd(self, a: Operand, b: Operand) -> Value:
        return self.binary("fadd", a, b)

    def fsub(self, a: Operand, b: Operand) -> Value:
        return self.binary("fsub", a, b)

    def fmul(self, a: Operand, b: Operand) -> Value:
        return self.binary("fmul", a, b)

    def fdiv(self, a: Operand, b: Operand) -> Value:
        return self.binary("fdiv", a, b)

    def fneg(self, a: Value) -> Value:
        return self.instruction(f"fneg {a}", a.type)

    def fma(self, a: Operand, b: Operand, c: Operand) -> Value:
        type_ = next(v.type for v in (a, b, c) if isinstance(v, Value))
        operands = [self.coerce(v, type_) for v in (a, b, c)]
        return self.intrinsic(f"llvm.fma.{suffix_of(type_)}", type_, operands)

    def fabs(self, a: Value) -> Value:
        return self.unary_intrinsic("fabs", a)

    def sqrt(self, a: Value) -> Value:
        return self.unary_intrinsic("sqrt", a)

    def round_even(self, a: Value) -> Value:
        return self.unary_intrinsic("roundeven", a)

    def floor(self, a: Value) -> Value:
        return self.unary_intrinsic("floor", a)

    def ceil(self, a: Value) -> Value:
        return self.unary_intrinsic("ceil", a)

    def trunc_float(self, a: Value) -> Value:
        return self.unary_intrinsic("trunc", a)

    def copysign(self, a: Operand, b: Operand) -> Value:
        left, right = self._pair(a, b)
        return self.intrinsic(f"llvm.copysign.{suffix_of(left.type)}", left.type, [left, right])

    def min_keep_nan(self, x: Value, bound: Operand) -> Value:
        """x where x <= bound or x is nan, else bound: one instruction on x86."""
        bound = self.coerce(bound, x.type)
        return self.select(self.fcmp("olt", bound, x), bound, x)

    def max_keep_nan(self, x: Value, bound: Operand) -> Value:
        """x where x >= bound or x is nan, else bound."""
        bound = self.coerce(bound, x.type)
        return self.select(self.fcmp("ogt", bound, x), bound, x)

    # -- integers: two Python numbers fold

    def add(self, a: Operand, b: Operand) -> Operand:
        if isinstance(a, int) and isinstance(b, int):
            return a + b
        if isinstance(b, int) and b == 0:
            return a
        if isinstance(a, int) and a == 0:
            return b
        return self.binary("add", a, b)

    def sub(self, a: Operand, b: Operand) -> Operand:
        if isinstance(a, int) and isinstance(b, int):
            return a - b
        if isinstance(b, int) and b == 0:
            return a
        return self.binary("sub", a, b)

    def mul(self, a: Operand, b: Operand) -> Operand:
        if isinstance(a, int) and isinstance(b, int):
            return a * b
        if isinstance(a, int):
            a, b = b, a
        if isinstance(b, int) and b == 1:
            return a
        if isinstance(b, int) and b == 0:
            return 0
        return self.binary("mul", a, b)

    def udiv(self, a: Operand, b: Operand) -> Operand:
        if isinstance(a, int) and isinstance(b, int):
            return a // b
        if isinstance(b, int) and b == 1:
            return a
        if isinstance(b, int) and b & (b - 1) == 0:
            return self.lshr(a, b.bit_length() - 1)
        return self.binary("udiv", a, b)

    def urem(self, a: Operand, b: Operand) -> Operand:
        if isinstance(a, int) and isinstance(b, int):
            return a % b
        if isinstance(b, int) and b == 1:
            return 0
        if isinstance(b, int) and b & (b - 1) == 0:
            return self.bit_and(a, b - 1)
        return self.binary("urem", a, b)

    def minimum(self, a: Operand, b: Operand) -> Operand:
        """The smaller of two signed integers."""
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b)
        left, right = self._pair(a, b)
        return self.select(self.icmp("slt", left, right), left, right)

    def maximum(self, a: Operand, b: Operand) -> Operand:
        """The larger of two signed integers."""
        if isinstance(a, int) and isinstance(b, int):
            return max(a, b)
        left, right = self._pair(a, b)
        return self.select(self.icmp("sgt", left, right), left, right)

    def bit_and(self, a: Operand, b: Operand) -> Value:
        return self.binary("and", a, b)

    def bit_or(self, a: Operand, b: Operand) -> Value:
        return self.binary("or", a, b)

    def bit_xor(self, a: Operand, b: Operand) -> Value:
        return self.binary("xor", a, b)

    def shl(self, a: Operand, b: Operand) -> Value:
        return self.binary("shl", a, b)

    def lshr(self, a: Operand, b: Operand) -> Value:
        return self.binary("lshr", a, b)

    def ashr(self, a: Operand, b: Operand) -> Value:
        return self.binary("ashr", a, b)

    # -- comparison and selection

    def fcmp(self, predicate: str, a: Operand, b: Operand) -> Value:
        left, right = self._pair(a, b)
        type_ = vector_type(I1, left.lanes)
        return self.instruction(f"fcmp {predicate} {left.type} {left.ref}, {right.ref}", type_)

    def icmp(self, predicate: str, a: Operand, b: Operand) -> Value:
        left, right = self._pair(a, b)
        type_ = vector_type(I1, left.lanes)
        return self.instruction(f"icmp {predicate} {left.type} {left.ref}, {right.ref}", type_)

    def select(self, condition: Value, a: Operand, b: Operand) -> Value:
        left, right = self._pair(a, b)
        return self.instruction(f"select {condition}, {left}, {right}", left.type)

    # -- conversion and lanes

    def cast(self, opcode: str, a: Value, type_: str) -> Value:
        return self.instruction(f"{opcode} {a} to {type_}", type_)

    def bits(self, a: Value) -> Value:
        """A float as the integer of the same width."""
        return self.cast("bitcast", a, vector_type(integer_of(element_of(a.type)), a.lanes))

    def floats(self, a: Value) -> Value:
        """An integer as the float of the same width (i16 as half)."""
        return self.cast("bitcast", a, vector_type(float_of(element_of(a.type)), a.lanes))

    def splat(self, a: Value, lanes: int) -> Value:
        """All lanes equal to the scalar a."""
        if lanes == 1:
            return a
        type_ = vector_type(a.type, lanes)
        first = self.instruction(f"insertelement {type_} poison, {a}, i64 0", type_)
        text = f"shufflevector {first}, {type_} poison, <{lanes} x i32> zeroinitializer"
        return self.instruction(text, type_)

    def extract(self, a: Value, lane: int) -> Value:
        return a if a.lanes == 1 else self.instruction(f"extractelement {a}, i64 {lane}", element_of(a.type))

    def insert(self, a: Value, scalar: Value, lane: int) -> Value:
        return self.instruction(f"insertelement {a}, {scalar}, i64 {lane}", a.type)

    def shuffle(self, a: Value, b: Value, lanes: Sequence[int]) -> Value:
        """Lanes taken from a (below its lane count) and b (above)."""
        mask = ", ".join(f"i32 {lane}" for lane in lanes)
        type_ = vector_type(element_of(a.type), len(lanes))
        return self.instruction(f"shufflevector {a}, {b}, <{len(lanes)} x i32> <{mask}>", type_)

    def iota(self, lanes: int, element: str = I64) -> Value:
        return vector_constant(range(lanes), element)

    # -- memory

    def offset(self, base: Value, index: Operand, element: str) -> Value:
        """The address of base[index] for elements of the given type; i1 is not addressable."""
        if isinstance(index, int) and index == 0:
            return base
        at = index if isinstance(index, Value) else constant(index, I64)
        return self.instruction(f"getelementptr inbounds {element}, ptr {base.ref}, {at}", PTR)

    def load(self, pointer: Value, type_: str, align: int | None = None, metadata: str = "") -> Value:
        align = align or max(1, BITS[element_of(type_)] // 8)
        return self.instruction(f"load {type_}, ptr {pointer.ref}, align {align}{metadata}", type_)

    def store(self, value: Value, pointer: Value, align: int | None = None, metadata: str = "") -> None:
        align = align or max(1, BITS[element_of(value.type)] // 8)
        self.emit(f"store {value}, ptr {pointer.ref}, align {align}{metadata}")

    def masked_load(self, pointer: Value, mask: Value, type_: str, otherwise: float | int = 0) -> Value:
        align = max(1, BITS[element_of(type_)] // 8)
        name = f"llvm.masked.load.{suffix_of(type_)}.p0"
        self.module.declare(name, type_, [PTR, mask.type, type_])
        passthrough = constant(otherwise, type_)
        return self.instruction(f"call {type_} @{name}(ptr align {align} {pointer.ref}, {mask}, {passthrough})", type_)

    def masked_store(self, value: Value, pointer: Value, mask: Value) -> None:
        align = max(1, BITS[element_of(value.type)] // 8)
        name = f"llvm.masked.store.{suffix_of(value.type)}.p0"
        self.module.declare(name, "void", [value.type, PTR, mask.type])
        self.emit(f"call void @{name}({value}, ptr align {align} {pointer.ref}, {mask})")

    def prefetch(self, pointer: Value, write: bool = False, locality: int = 3) -> None:
        self.module.declare("llvm.prefetch.p0", "void", [PTR, I32, I32, I32])
        self.emit(f"call void @llvm.prefetch.p0({pointer}, i32 {int(write)}, i32 {locality}, i32 1)")

    def allocate(self, type_: str, count: int = 1, align: int = 64) -> Value:
        """Room on the stack; call it in the entry block only."""
        return self.instruction(f"alloca {type_}, i64 {count}, align {align}", PTR)

    # -- calls

    def intrinsic(self, name: str, result: str, arguments: Sequence[Value]) -> Value:
        self.module.declare(name, result, [a.type for a in arguments])
        return self.instruction(f"call {result} @{name}({', '.join(map(str, arguments))})", result)

    def unary_intrinsic(self, name: str, a: Value) -> Value:
        return self.intrinsic(f"llvm.{name}.{suffix_of(a.type)}", a.type, [a])

    def call(self, target: str, result: str, arguments: Sequence[Value]) -> Value:
        """Calls `@name` or a function pointer `%p`; for a void function the returned value must not be used."""
        text = f"call {result} {target}({', '.join(map(str, arguments))})"
        if result != "void":
            return self.instruction(text, result)
        self.emit(text)
        return Value("void", "void")

    # -- structured control flow

    def loop(
        self,
        start: Operand,
        stop: Operand,
        step: int,
        carried: Sequence[Value],
        body: Callable[[Operand, list[Value]], Sequence[Value]],
        metadata: str = "",
    ) -> list[Value]:
        """A counted i64 loop, tested at the bottom: the caller guarantees at least one iteration.

        `body(index, values)` returns the next values of what is carried; the final ones are returned. With constant
        bounds a loop without iterations gives `carried`, and one with a single iteration is emitted inline.
        """
        if isinstance(start, int) and isinstance(stop, int):
            if stop <= start:
                return list(carried)
            if start + step >= stop:
                return list(body(start, list(carried)))
        head, done, before = self.fresh_label("loop"), self.fresh_label("done"), self.block
        self.branch(head)
        self.place_label(head)
        index = self.open_phi(I64)
        phis = [self.open_phi(v.type, CHAIN in v.ref) for v in carried]
        values = list(body(self.hide_steps(index[0]), [self.hide_steps(phi[0]) for phi in phis]))
        following = self.instruction(f"add nuw nsw i64 {index[0].ref}, {step}", I64)
        self.close_phi(index, (start, before), (following, self.block))
        for phi, first, again in zip(phis, carried, values):
            self.close_phi(phi, (first, before), (again, self.block))
        self.branch_if(self.icmp("slt", following, stop), head, done, metadata)
        self.place_label(done)
        return values

    @contextmanager
    def when(self, condition: Value | bool) -> Iterator[None]:
        """The body runs where the condition holds; a Python bool must be True (the caller tests it)."""
        if isinstance(condition, bool):
            yield
            return
        then, end = self.fresh_label("then"), self.fresh_label("endif")
        self.branch_if(condition, then, end)
        self.place_label(then)
        yield
        self.branch(end)
        self.place_label(end)

    def if_else(self, condition: Value | bool, then: Callable[[], None], otherwise: Callable[[], None]) -> None:
        if isinstance(condition, bool):
            (then if condition else otherwise)()
            return
        yes, no, end = self.fresh_label("then"), self.fresh_label("else"), self.fresh_label("endif")
        self.branch_if(condition, yes, no)
        self.place_label(yes)
        then()
        self.branch(end)
        self.place_label(no)
        otherwise()
        self.branch(end)
        self.place_label(end)
