"""A kernel: native code as text, with all that its callers need to know."""

from __future__ import annotations

import hashlib
from dataclasses import field
from functools import cached_property

from graphc.records import record

MAXIMUM_CHUNKS = 64


@record
class Kernel:
    """A piece of native code that knows nothing of the program that it is used in.

    `text` is an LLVM module that defines `void @name(ptr operands, i64 chunk)`. `operands` is an array of pointers: the
    inputs, the outputs, a workspace where `workspace` is not zero, and the status cells where `checks` is not empty.
    Calling it for every chunk number below `chunks`, in any order and on any threads, does the whole work.

    `flops` are the products and sums of contractions and convolutions, those of the direct sum where another way takes
    fewer, so that their rate may exceed the machine's peak; `operations` all other floating-point operations, as
    graphc.scalars counts them.
    """

    name: str
    text: str
    chunks: int = 1
    workspace: int = 0  # bytes, shared by all chunks
    checks: tuple[str, ...] = ()  # messages of the run-time checks; check k reports status[0] = k + 1
    family: str = "loops"
    schedule: str = ""  # what was chosen and why, for people
    flops: int = 0
    operations: int = 0
    bytes_moved: int = 0
    loops: str = field(default="", compare=False)  # the loop nest as text, before and after scheduling

    @cached_property
    def digest(self) -> str:
        """What the text is known by, in memory and on disk."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def content_name(family: str, *parts: str) -> str:
    """A symbol named by content, so that equal kernels have equal names in every program and process."""
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]
    return f"{family}_{digest}"


ENTRY = "kernel_entry"


def make_kernel(family: str, text: str, **facts) -> Kernel:
    """A kernel from a module whose entry is called `@kernel_entry`, which is renamed by the content of the text."""
    name = content_name(family, text)
    return Kernel(name=name, text=text.replace(f"@{ENTRY}(", f"@{name}("), family=family, **facts)
