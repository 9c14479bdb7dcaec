"""Compiled programs on disk, named by the text of the program and by all else that decides about its code."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from graphc.operation import Literal
from graphc.printer import print_program
from graphc.program import Program
from graphc.runtime.compiled_record import CompiledRecord, record_from_bytes, record_to_bytes
from graphc.runtime.jit.cache import llvm_stamp, package_stamp, shared_cache
from graphc.runtime.memory import Buffer, allocate
from graphc.runtime.schedule.machine import Machine

LARGEST_RECORD = 32 << 20  # bytes; programs with more constants of their own making are not kept

_WITHOUT_EFFECT = frozenset(
    f"GRAPHC_{name}" for name in ("BACKEND", "CACHE", "CACHE_DIR", "CALL_PATH", "DUMP", "GUARD", "MACHINE", "THREADS", "VERIFY")
)
"""Settings that change no code, or that the key has by other ways. Any other one may change code."""


def program_key(program: Program, machine: Machine, threads: int, matmul_precision: str = "") -> str | None:
    """What a compiled program is kept under; None for a program that its text does not describe.

    The user's lines are no part of it: what shows them asks the program itself.
    """
    if shared_cache().folder is None:
        return None
    literals: dict[str, Any] = {}
    text = print_program(program, literals, locations=False)
    if not all(isinstance(item, Literal) for item in literals.values()):
        return None
    settings = sorted(name for name in os.environ if name.startswith("GRAPHC_") and name not in _WITHOUT_EFFECT)
    options = [f"{name}={os.environ[name]}" for name in settings]
    versions = [package_stamp(), llvm_stamp(), np.__version__, str(sys.version_info[:2])]
    digests = [item.digest for item in literals.values()]
    parts = ["program", *versions, repr(machine), str(threads), matmul_precision, *options, *digests, text]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def store_program(key: str, record: CompiledRecord, constants: Buffer) -> None:
    """Keeps a compiled program for other processes."""
    if sum(c.nbytes for c in record.constants if not c.digest) <= LARGEST_RECORD:
        shared_cache().put(key, record_to_bytes(record, constants.view().data))


def find_program(key: str, program: Program) -> tuple[CompiledRecord, Buffer] | None:
    """The compiled form of a program, with the memory of its constants, if it was kept."""
    data = shared_cache().get(key)
    if data is None:
        return None
    try:
        record, stored = record_from_bytes(data)
        return record, _restore_constants(record, stored, program)
    except (KeyError, ValueError):
        return None  # not what this version writes: it is made anew


def constants_of(program: Program) -> Iterator[Literal]:
    """The literals that a program holds itself, outside of nested programs."""
    for operation in program.operations:
        value = operation.attributes.get("value")
        if isinstance(value, Literal):
            yield value


def _restore_constants(record: CompiledRecord, stored: memoryview, program: Program) -> Buffer:
    buffer = allocate(max(1, record.constant_bytes))
    memory, at = buffer.view(), 0
    named = any(constant.digest for constant in record.constants)
    literals = {literal.digest: literal for literal in constants_of(program)} if named else {}
    for offset, nbytes, digest in record.constants:
        source = literals[digest].array.tobytes() if digest else stored[at : at + nbytes]
        memory[offset : offset + nbytes] = np.frombuffer(source, np.uint8)
        at += 0 if digest else nbytes
    return buffer
