"""What a compiled program needs to run, as plain data: kept on disk, so that the next process does not compile it again."""

from __future__ import annotations

import json
import struct
from dataclasses import fields
from typing import Any, NamedTuple

from graphc.dtypes import as_dtype
from graphc.operation import TensorType
from graphc.records import record
from graphc.runtime.executor import Operand, Step

SHARED_FROM = 64 << 10  # bytes: constants of this size that the program itself holds are named, not stored again


class Constant(NamedTuple):
    """Bytes at `offset` of the constants' memory: those of the literal with this digest, or stored where it is ""."""

    offset: int
    nbytes: int
    digest: str = ""


class Binding(NamedTuple):
    """What a value is bound by from outside, and its type."""

    key: str
    type: TensorType


@record
class CompiledRecord:
    """A program as steps over slots, in the order: feeds, variables, results, arena, constants, run key, status cells, and
    the versions of the variables that something kept from run to run is made of, which `remembered` names.

    `kernels` pairs names with the digests of their texts. `reads` are the variables whose values are needed, `variables`
    all that have a slot. `status_slot` is -1 where nothing is checked. `flops` and `bytes_moved` are those of all steps.
    """

    feeds: tuple[Binding, ...]
    reads: tuple[str, ...]
    variables: tuple[str, ...]
    results: tuple[TensorType, ...]
    updates: tuple[Binding, ...]
    draws: bool
    steps: tuple[Step, ...]
    kernels: tuple[tuple[str, str], ...]
    slot_count: int
    status_slot: int
    remembered: tuple[str, ...]
    arena_bytes: int
    constant_bytes: int
    constants: tuple[Constant, ...]
    flops: int
    bytes_moved: int

    @property
    def uses_variables(self) -> bool:
        return bool(self.updates or self.reads)


def record_to_bytes(record: CompiledRecord, memory: memoryview) -> bytes:
    """The record with the bytes of its constants, which lie in `memory`, but for those that it names."""
    values = {item.name: getattr(record, item.name) for item in fields(record)}
    values["feeds"] = [(key, _pack_type(type_)) for key, type_ in record.feeds]
    values["updates"] = [(key, _pack_type(type_)) for key, type_ in record.updates]
    values["results"] = [_pack_type(type_) for type_ in record.results]
    values["steps"] = [(s.kernel, s.operands, s.chunks, s.parallel, s.label, s.remembers) for s in record.steps]
    head = json.dumps(values, separators=(",", ":")).encode()
    stored = [memory[c.offset : c.offset + c.nbytes] for c in record.constants if not c.digest]
    return b"".join([struct.pack("<Q", len(head)), head, *stored])


def record_from_bytes(data: bytes) -> tuple[CompiledRecord, memoryview]:
    """The record, and the bytes of the constants that are stored with it, one after another.

    Raises ValueError where the data are of another form.
    """
    try:
        (length,) = struct.unpack_from("<Q", data)
        values = json.loads(data[8 : 8 + length])
        return _unpack(values), memoryview(data)[8 + length :]
    except (KeyError, TypeError, struct.error) as error:
        raise ValueError("these are not the bytes of a compiled program") from error


def _unpack(values: dict[str, Any]) -> CompiledRecord:
    for name in ("feeds", "updates"):
        values[name] = tuple([Binding(key, _unpack_type(packed)) for key, packed in values[name]])
    values["results"] = tuple([_unpack_type(packed) for packed in values["results"]])
    values["steps"] = tuple([
        Step(kernel, tuple([Operand(slot, offset) for slot, offset in operands]), chunks, parallel, label, remembers)
        for kernel, operands, chunks, parallel, label, remembers in values["steps"]
    ])  # fmt: skip
    values["kernels"] = tuple([(name, digest) for name, digest in values["kernels"]])
    values["constants"] = tuple([Constant(*packed) for packed in values["constants"]])
    for name in ("reads", "variables", "remembered"):
        values[name] = tuple(values[name])
    return CompiledRecord(**values)


def _pack_type(type_: TensorType) -> tuple[str, tuple[int, ...]]:
    return type_.dtype.name, type_.sizes


def _unpack_type(packed: tuple[str, list[int]]) -> TensorType:
    name, sizes = packed
    return TensorType(as_dtype(name), tuple(sizes))
