"""Vectors in registers and in memory: element types, loads and stores that convert, lanes combined, moved and indexed.

In memory a bool is a byte, float16 and bfloat16 take two bytes; in registers a bool is one bit (i1), and float16 and bfloat16
are float32 (`DType.compute`). Everything works for any number of lanes, one lane being the scalar itself, and for interleaved
chains, except where said.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.dtypes import DType, bfloat16, bool_, float16
from graphc.runtime.emit.function import (
    F16,
    F32,
    F64,
    I1,
    I8,
    I16,
    I32,
    I64,
    PTR,
    Function,
    Operand,
    Value,
    constant,
    element_of,
    suffix_of,
    vector_constant,
    vector_type,
)
from graphc.runtime.schedule.machine import Machine


class TypedValue(Value):
    """A value in registers with the element type that it has in the language (LLVM's integers have no sign)."""

    __slots__ = ("dtype",)

    def __init__(self, ref: str, type_: str, dtype: DType):
        self.ref, self.type, self.dtype = ref, type_, dtype


def typed(value: Value, dtype: DType) -> TypedValue:
    """`value`, whose type is the register type of `dtype`, with that element type."""
    return TypedValue(value.ref, value.type, dtype.compute)


_INTEGERS = {8: I8, 16: I16, 32: I32, 64: I64}


def register_element(dtype: DType) -> str:
    """The LLVM type of one element in a register."""
    if dtype.is_bool:
        return I1
    if dtype.is_floating:
        return F64 if dtype.bits == 64 else F32
    return _INTEGERS[dtype.bits]


def register_type(dtype: DType, lanes: int) -> str:
    return vector_type(register_element(dtype), lanes)


def memory_element(dtype: DType) -> str:
    """The LLVM type by which one element is loaded and stored; the 16-bit floats travel as integers."""
    if dtype.is_floating and dtype.bits > 16:
        return register_element(dtype)
    return _INTEGERS[dtype.bits]


def typed_constant(value: float | int | bool, dtype: DType, lanes: int) -> TypedValue:
    return typed(constant(value, register_type(dtype, lanes)), dtype)


def splat(function: Function, value: TypedValue, lanes: int) -> TypedValue:
    """All lanes equal to the scalar `value`."""
    return typed(function.splat(value, lanes), value.dtype)


def iota(function: Function, start: Operand, dtype: DType, lanes: int) -> TypedValue:
    """start, start + 1 ... as integers of `dtype`; `start` is a number or a scalar i64."""
    element = register_element(dtype)
    if not isinstance(start, Value):
        return typed(vector_constant(range(int(start), int(start) + lanes), element), dtype)
    first = start if element == I64 else function.cast("trunc", start, element)
    steps = vector_constant(range(lanes), element)
    return typed(function.binary("add", function.splat(first, lanes), steps), dtype)


# -- memory


def load(
    function: Function, machine: Machine, pointer: Value, dtype: DType, lanes: int, mask: Value | None = None,
    otherwise: float | int = 0, align: int | None = None, metadata: str = "",
) -> TypedValue:  # fmt: skip
    """`lanes` consecutive elements at `pointer`. Lanes off in `mask` are not read and hold `otherwise` (an integer for bool
    and integers, for floats of 16 bits their bits)."""
    type_ = vector_type(memory_element(dtype), lanes)
    if mask is None:
        raw = function.load(pointer, type_, align, metadata)
    else:
        raw = function.masked_load(pointer, mask, type_, otherwise)
    return from_memory(function, machine, raw, dtype)


def store(
    function: Function, machine: Machine, value: TypedValue, pointer: Value, dtype: DType, mask: Value | None = None,
    align: int | None = None, metadata: str = "",
) -> None:  # fmt: skip
    """Stores the lanes of `value` (those on in `mask`) as elements of `dtype`, rounding into the 16-bit floats."""
    raw = to_memory(function, machine, value, dtype)
    if mask is not None and mask.ref == _first_lane(mask.lanes).ref:
        # LLVM 22 stores four bytes for the one lane of a vector of 16-bit elements that was truncated before.
        raw, mask = function.extract(raw, 0), None
    if mask is None:
        function.store(raw, pointer, align, metadata)
    else:
        function.masked_store(raw, pointer, mask)


def _first_lane(lanes: int) -> Value:
    return vector_constant([lane == 0 for lane in range(lanes)], I1)


def from_memory(function: Function, machine: Machine, raw: Value, dtype: DType) -> TypedValue:
    """A loaded vector as it is computed with."""
    if dtype.is_bool:
        return typed(function.icmp("ne", raw, 0), dtype)
    if dtype is float16:
        return typed(half_to_float(function, machine, raw), dtype)
    if dtype is bfloat16:
        return typed(bfloat_to_float(function, raw), dtype)
    return typed(raw, dtype)


def to_memory(function: Function, machine: Machine, value: Value, dtype: DType) -> Value:
    """A computed vector as it is stored."""
    if dtype.is_bool:
        return function.cast("zext", value, vector_type(I8, value.lanes))
    if dtype is float16:
        return float_to_half(function, machine, value)
    if dtype is bfloat16:
        return float_to_bfloat(function, value)
    return value


def bfloat_to_float(function: Function, bits: Value) -> Value:
    wide = function.cast("zext", bits, vector_type(I32, bits.lanes))
    return function.floats(function.shl(wide, 16))


def float_to_bfloat(function: Function, value: Value) -> Value:
    """The bits of bfloat16, rounded to nearest even; a NaN stays one.

    Integer arithmetic, because the conversion instruction of some processors takes denormals for zero.
    """
    bits = function.bits(value)
    high = function.lshr(bits, 16)
    odd = function.bit_and(high, 1)
    rounded = function.lshr(function.binary("add", bits, function.binary("add", odd, 0x7FFF)), 16)
    quiet = function.bit_or(high, 0x40)
    chosen = function.select(function.fcmp("uno", value, value), quiet, rounded)
    return function.cast("trunc", chosen, vector_type(I16, value.lanes))


def half_to_float(function: Function, machine: Machine, bits: Value) -> Value:
    """float32 of the bits of a float16."""
    if machine.has_f16_conversion:
        half = function.cast("bitcast", bits, vector_type(F16, bits.lanes))
        return function.cast("fpext", half, vector_type(F32, bits.lanes))
    wide = function.cast("zext", bits, vector_type(I32, bits.lanes))
    magnitude = function.bit_and(wide, 0x7FFF)
    # The exponent moves by 112 through a multiplication, which normalises denormals as well.
    scaled = function.bits(function.fmul(function.floats(function.shl(magnitude, 13)), 2.0**112))
    special = function.icmp("uge", magnitude, 0x7C00)
    exponent = function.select(special, constant(0x7F800000, wide.type), 0)
    sign = function.shl(function.bit_and(wide, 0x8000), 16)
    return function.floats(function.bit_or(function.bit_or(scaled, exponent), sign))


def float_to_half(function: Function, machine: Machine, value: Value) -> Value:
    """The bits of float16, rounded to nearest even."""
    if machine.has_f16_conversion:
        half = function.cast("fptrunc", value, vector_type(F16, value.lanes))
        return function.cast("bitcast", half, vector_type(I16, value.lanes))
    size = function.fabs(value)
    bits = function.bits(size)
    odd = function.bit_and(function.lshr(bits, 13), 1)
    bias = function.binary("add", odd, 0xFFF - (112 << 23))
    normal = function.lshr(function.binary("add", bits, bias), 13)
    # Adding 0.5, whose last place is the smallest float16, rounds a denormal.
    denormal = function.binary("sub", function.bits(function.fadd(size, 0.5)), 0x3F000000)
    finite = function.select(function.fcmp("olt", size, 2.0**-14), denormal, normal)
    bounded = function.select(function.fcmp("oge", size, 65520.0), constant(0x7C00, bits.type), finite)
    result = function.select(function.fcmp("uno", size, size), constant(0x7E00, bits.type), bounded)
    sign = function.bit_and(function.lshr(function.bits(value), 16), 0x8000)
    return function.cast("trunc", function.bit_or(result, sign), vector_type(I16, value.lanes))


def tail_mask(function: Function, remaining: Operand, lanes: int) -> Value:
    """Lane k is on where k < remaining; `remaining` is a number or a scalar i64."""
    if not isinstance(remaining, Value):
        return vector_constant([lane < remaining for lane in range(lanes)], I1)
    bound = function.splat(remaining, lanes)
    steps = function.iota(lanes) if lanes > 1 else constant(0, I64)
    return function.icmp("ult", steps, bound)


def gather(
    function: Function, machine: Machine, base: Value, index: Value, dtype: DType, mask: Value | None = None
) -> TypedValue:
    """base[index] in each lane; `index` counts elements, as i32 or i64. Lanes off in `mask` are not read and hold 0."""
    element = memory_element(dtype)
    if index.lanes == 1 and mask is None:
        raw = function.load(function.offset(base, index, element), element)
        return from_memory(function, machine, raw, dtype)
    type_, pointers, mask = _lane_addresses(function, base, index, element, mask)
    name = f"llvm.masked.gather.{suffix_of(type_)}.{suffix_of(pointers.type)}"
    function.module.declare(name, type_, [pointers.type, mask.type, type_])
    align = dtype.size
    raw = function.instruction(f"call {type_} @{name}({_aligned(pointers, align)}, {mask}, {type_} zeroinitializer)", type_)
    if index.lanes == 1:
        raw = function.cast("bitcast", raw, element)
    return from_memory(function, machine, raw, dtype)


def scatter(
    function: Function, machine: Machine, value: TypedValue, base: Value, index: Value, dtype: DType, mask: Value | None = None
) -> None:
    """base[index] = value in each lane, lowest lane first, so that the highest of equal indices wins."""
    element = memory_element(dtype)
    raw = to_memory(function, machine, value, dtype)
    if index.lanes == 1 and mask is None:
        function.store(raw, function.offset(base, index, element))
        return
    type_, pointers, mask = _lane_addresses(function, base, index, element, mask)
    name = f"llvm.masked.scatter.{suffix_of(type_)}.{suffix_of(pointers.type)}"
    function.module.declare(name, "void", [type_, pointers.type, mask.type])
    if index.lanes == 1:
        raw = function.cast("bitcast", raw, type_)
    function.emit(f"call void @{name}({raw}, {_aligned(pointers, dtype.size)}, {mask})")


def _lane_addresses(
    function: Function, base: Value, index: Value, element: str, mask: Value | None
) -> tuple[str, Value, Value]:
    """Type of the lanes, their addresses and their mask, as vectors even of one lane: the intrinsics take nothing else."""
    lanes = index.lanes
    type_, pointer_type, mask_type = (f"<{lanes} x {t}>" for t in (element, PTR, I1))
    if lanes == 1:
        index = function.cast("bitcast", index, f"<1 x {index.type}>")
        mask = function.cast("bitcast", mask, mask_type) if mask is not None else None
    pointers = function.instruction(f"getelementptr {element}, ptr {base.ref}, {index}", pointer_type)
    return type_, pointers, mask if mask is not None else constant(True, mask_type)


def _aligned(pointers: Value, align: int) -> str:
    return f"{pointers.type} align {align} {pointers.ref}"


# -- lanes combined

REDUCTIONS = ("sum", "prod", "min", "max", "any", "all")


def combine(function: Function, kind: str, a: Value, b: Value, dtype: DType) -> TypedValue:
    """One step of the reduction `kind`: sum, prod, min and max of numbers (NaN propagates), any and all of bools."""
    if kind == "any" or (dtype.is_bool and kind == "max"):
        return typed(function.bit_or(a, b), dtype)
    if kind == "all" or (dtype.is_bool and kind == "min"):
        return typed(function.bit_and(a, b), dtype)
    if dtype.is_floating:
        if kind in ("min", "max"):
            return typed(extreme_float(function, a, b, kind == "max"), dtype)
        return typed(function.fadd(a, b) if kind == "sum" else function.fmul(a, b), dtype)
    if kind in ("min", "max"):
        sign = "u" if dtype.is_unsigned else "s"
        predicate = sign + ("gt" if kind == "max" else "lt")
        return typed(function.select(function.icmp(predicate, a, b), a, b), dtype)
    return typed(function.binary("add" if kind == "sum" else "mul", a, b), dtype)


def extreme_float(function: Function, a: Operand, b: Operand, largest: bool) -> Value:
    """The larger or smaller of two floats, NaN if one is; a number costs one instruction on x86, two values three."""
    if isinstance(b, Value) and not isinstance(a, Value):
        a, b = b, a
    if not isinstance(a, Value):
        raise TypeError("one operand must be a value")
    predicate = "ogt" if largest else "olt"
    if not isinstance(b, Value):
        if b != b:
            return constant(b, a.type)
        return (function.max_keep_nan if largest else function.min_keep_nan)(a, b)
    chosen = function.select(function.fcmp(predicate, a, b), a, b)  # b where either is NaN
    return function.select(function.fcmp("uno", a, a), a, chosen)


def identity(kind: str, dtype: DType) -> float | int | bool:
    """The value that leaves the others of a reduction as they are."""
    if kind in ("sum", "any"):
        return False if dtype.is_bool else 0
    if kind in ("prod", "all"):
        return True if dtype.is_bool else 1
    if dtype.is_bool:
        return kind == "min"
    if dtype.is_floating:
        return float("-inf") if kind == "max" else float("inf")
    return int(dtype.min) if kind == "max" else int(dtype.max)


def reduce_lanes(function: Function, kind: str, value: TypedValue) -> TypedValue:
    """The lanes of `value` combined into a scalar, by halves: lane k with lane k + n/2, and so on. Each chain for itself."""
    lanes = value.lanes
    if element_of(value.type) == I1 and lanes > 1:
        return typed(_reduce_bits(function, kind, value), value.dtype)
    while lanes > 1:
        if lanes % 2:
            raise ValueError(f"cannot halve {lanes} lanes")
        lanes //= 2
        low = function.shuffle(value, value, range(lanes))
        high = function.shuffle(value, value, range(lanes, 2 * lanes))
        if lanes == 1:
            low, high = function.extract(value, 0), function.extract(value, 1)
        value = combine(function, kind, low, high, value.dtype)
    return value


def _reduce_bits(function: Function, kind: str, value: Value) -> Value:
    name = {"any": "or", "max": "or", "all": "and", "min": "and"}[kind]
    return function.intrinsic(f"llvm.vector.reduce.{name}.{suffix_of(value.type)}", I1, [value])


def reduce_chains(function: Function, kind: str, value: TypedValue) -> TypedValue:
    """The chains of `value` combined lane by lane, neighbours first."""
    parts = [typed(part, value.dtype) for part in function.split_chains(value)]
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2])
        rest = parts[-1:] if len(parts) % 2 else []
        parts = [combine(function, kind, a, b, value.dtype) for a, b in pairs] + rest
    return parts[0]


def any_lane(function: Function, condition: Value) -> Value:
    """A scalar i1: whether the condition holds in any lane of any chain."""
    everything = reduce_chains(function, "any", typed(condition, bool_))
    return reduce_lanes(function, "any", everything)


def transpose(function: Function, rows: Sequence[Value]) -> list[Value]:
    """The columns of a square of vectors: result[i] lane j is rows[j] lane i. The number of lanes is a power of two."""
    lanes = rows[0].lanes
    if len(rows) != lanes:
        raise ValueError(f"{len(rows)} rows of {lanes} lanes are no square")
    result = list(rows)
    half = 1
    while half < lanes:
        # Exchanges the off-diagonal blocks of every 2 half x 2 half block.
        low = [lane if lane % (2 * half) < half else lanes + lane - half for lane in range(lanes)]
        high = [lane + half if lane % (2 * half) < half else lanes + lane for lane in range(lanes)]
        swapped = list(result)
        for first in (i for i in range(lanes) if i % (2 * half) < half):
            a, b = result[first], result[first + half]
            swapped[first] = function.shuffle(a, b, low)
            swapped[first + half] = function.shuffle(a, b, high)
        result = swapped
        half *= 2
    return result
