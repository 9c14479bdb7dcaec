"""What loops accumulate, in registers: one value an accumulator, or value and position for argmax and argmin.

The order in which things are combined is fixed by the shape: lanes and chains each collect every so-many-th element, chains
are combined first, then lanes by halves.
"""

from __future__ import annotations

from graphc.dtypes import DType, int64
from graphc.records import record
from graphc.runtime.emit import vectors
from graphc.runtime.emit.function import I64, Function, Value, constant, vector_type
from graphc.runtime.emit.vectors import TypedValue, typed
from graphc.runtime.loops.nodes import Accumulator

NO_POSITION = int64.max


@record
class Total:
    """The registers of an accumulator."""

    values: tuple[TypedValue, ...]


def _is_position(accumulator: Accumulator) -> bool:
    return accumulator.monoid in ("argmax", "argmin")


def _extreme(accumulator: Accumulator) -> str:
    return "max" if accumulator.monoid == "argmax" else "min"


def start(function: Function, accumulator: Accumulator, lanes: int) -> Total:
    """The identity of the monoid in every lane."""
    if not _is_position(accumulator):
        identity = vectors.identity(accumulator.monoid, accumulator.dtype)
        return Total((vectors.typed_constant(identity, accumulator.dtype, lanes),))
    worst = vectors.identity(_extreme(accumulator), accumulator.dtype)
    position = typed(constant(NO_POSITION, vector_type(I64, lanes)), int64)
    return Total((vectors.typed_constant(worst, accumulator.dtype, lanes), position))


def restore(totals: dict[Accumulator, Total], accumulators: list[Accumulator], values: list[Value]) -> None:
    """Puts back flat values in the order of the accumulators."""
    at = 0
    for accumulator in accumulators:
        dtypes = [v.dtype for v in totals[accumulator].values]
        group = values[at : at + len(dtypes)]
        totals[accumulator] = Total(tuple(typed(v, d) for v, d in zip(group, dtypes)))
        at += len(dtypes)


def add(
    function: Function, accumulator: Accumulator, total: Total, value: TypedValue, position: Value | None, mask: Value | None
) -> Total:
    """One more value in every lane that is on."""
    if position is None:
        if mask is not None:
            identity = vectors.typed_constant(vectors.identity(accumulator.monoid, accumulator.dtype), value.dtype, value.lanes)
            value = typed(function.select(mask, value, identity), value.dtype)
        return Total((vectors.combine(function, accumulator.monoid, total.values[0], value, accumulator.dtype),))
    better = _is_better(function, accumulator, (value, position), (total.values[0], total.values[1]))
    if mask is not None:
        better = function.bit_and(better, mask)
    return _choose(function, better, (value, position), total)


def _choose(function: Function, better: Value, new: tuple[Value, Value], old: Total) -> Total:
    value = typed(function.select(better, new[0], old.values[0]), old.values[0].dtype)
    return Total((value, typed(function.select(better, new[1], old.values[1]), int64)))


def _is_better(
    function: Function, accumulator: Accumulator, new: tuple[Value, Value], old: tuple[Value, Value]
) -> Value:
    """Whether (value, position) comes before another: a NaN before numbers, the extreme, then the lower position."""
    dtype, largest = accumulator.dtype, accumulator.monoid == "argmax"
    earlier = function.icmp("slt", new[1], old[1])
    if dtype.is_floating:
        beats = function.fcmp("ogt" if largest else "olt", new[0], old[0])
        equal = function.fcmp("oeq", new[0], old[0])
        new_nan, old_nan = function.fcmp("uno", new[0], new[0]), function.fcmp("uno", old[0], old[0])
        first_nan = function.bit_and(new_nan, function.bit_xor(old_nan, constant(True, old_nan.type)))
        tie = function.bit_or(equal, function.bit_and(new_nan, old_nan))
        return function.bit_or(function.bit_or(beats, first_nan), function.bit_and(tie, earlier))
    sign = "u" if dtype.is_unsigned or dtype.is_bool else "s"
    beats = function.icmp(sign + ("gt" if largest else "lt"), new[0], old[0])
    tie = function.bit_and(function.icmp("eq", new[0], old[0]), earlier)
    return function.bit_or(beats, tie)


def combine_chains(function: Function, accumulator: Accumulator, total: Total) -> Total:
    """The interleaved chains of a total as one."""
    if not _is_position(accumulator):
        return Total((vectors.reduce_chains(function, accumulator.monoid, total.values[0]),))
    parts = list(zip(*(function.split_chains(v) for v in total.values)))
    best = Total((typed(parts[0][0], accumulator.dtype), typed(parts[0][1], int64)))
    for value, position in parts[1:]:
        better = _is_better(function, accumulator, (value, position), (best.values[0], best.values[1]))
        best = _choose(function, better, (value, position), best)
    return best


def combine_lanes(function: Function, accumulator: Accumulator, total: Total) -> Total:
    """The lanes of a total as a scalar."""
    if not _is_position(accumulator):
        return Total((vectors.reduce_lanes(function, accumulator.monoid, total.values[0]),))
    lanes = total.values[0].lanes
    while lanes > 1:
        lanes //= 2
        halves = [
            (function.extract(v, 0), function.extract(v, 1)) if lanes == 1
            else (function.shuffle(v, v, range(lanes)), function.shuffle(v, v, range(lanes, 2 * lanes)))
            for v in total.values
        ]  # fmt: skip
        low = Total((typed(halves[0][0], accumulator.dtype), typed(halves[1][0], int64)))
        better = _is_better(function, accumulator, (halves[0][1], halves[1][1]), (low.values[0], low.values[1]))
        total = _choose(function, better, (halves[0][1], halves[1][1]), low)
    return total


def combine_totals(function: Function, accumulator: Accumulator, before: Total, after: Total) -> Total:
    """A total that was there before with one that was collected since."""
    if not _is_position(accumulator):
        return Total((vectors.combine(function, accumulator.monoid, before.values[0], after.values[0], accumulator.dtype),))
    better = _is_better(function, accumulator, after.values, before.values)  # type: ignore[arg-type]
    return _choose(function, better, (after.values[0], after.values[1]), before)


def result(function: Function, accumulator: Accumulator, total: Total, dtype: DType) -> TypedValue:
    """The value of the accumulator; of argmax and argmin the position, 0 where nothing came."""
    if not _is_position(accumulator):
        return total.values[0]
    position = total.values[1]
    known = function.icmp("ne", position, NO_POSITION)
    index = function.select(known, position, constant(0, position.type))
    if dtype.bits == 64:
        return typed(index, dtype)
    return typed(function.cast("trunc", index, vectors.register_type(dtype, index.lanes)), dtype)
