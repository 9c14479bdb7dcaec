"""Every stage of a compilation as text: in files (GRAPHC_DUMP=dir), or in hand (`graphc.dump`)."""

from __future__ import annotations

import io
import itertools
import os
import re
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.dtypes import as_dtype
from graphc.graph import Graph
from graphc.operation import Literal, Operation, Tensor
from graphc.printer import print_graph, print_program
from graphc.program import Program, build_program
from graphc.runtime.lower.given import given_of
from graphc.runtime.segments import NativeSegment, cut_program
from graphc.visualize import find_elements, write_aside

if TYPE_CHECKING:
    from graphc.runtime.compiler import Compilation
    from graphc.runtime.lower.lowered import LoweredStep

UNKNOWN_SIZE = 32  # that `dump` takes for a dimension that nobody gave
LITERALS = "literals.npz"

STAGES = ("graph", "program", "specialise", "memory_plan", "kernels", "loops", "llvm", "assembly")
"""What `dump` knows besides the names of the passes, in the order of their making."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class StageList:
    """Keeps the stages of one compilation, in order; safe to use from many threads."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, str]] = []
        self.literals: dict[str, Any] = {}
        self._lock = threading.Lock()

    def add(self, stage: str, text: str, kind: str = "txt") -> None:
        """Takes the text of a stage; `kind` is the ending of a file for it."""
        with self._lock:
            self.stages.append((stage, text))

    def add_program(self, stage: str, program: Program) -> None:
        """Takes a program after a pass; a number before the name of the pass is left out."""
        self.add(stage.lstrip("0123456789-"), print_program(program, self.literals))


class Dumper(StageList):
    """Writes each stage into a numbered file of a directory, and constants that the texts only name into literals.npz.

    The same program may be read again with `read_program`. Files appear whole or not at all.
    """

    def __init__(self, directory: str | os.PathLike[str]):
        super().__init__()
        self.directory = os.fspath(directory)
        os.makedirs(self.directory, exist_ok=True)
        self._numbers = itertools.count()

    def add(self, stage: str, text: str, kind: str = "txt") -> None:
        name = f"{next(self._numbers):02d}-{_UNSAFE.sub('_', stage)[:80]}.{kind}"
        write_aside(os.path.join(self.directory, name), text.encode() + b"\n")

    def add_program(self, stage: str, program: Program) -> None:
        known = len(self.literals)
        super().add_program(stage, program)
        if len(self.literals) > known:
            write_literals(os.path.join(self.directory, LITERALS), self.literals)


_COMPILATIONS = itertools.count(1)


def start_dump(program: Program) -> Dumper | None:
    """A dumper into a new folder below the directory in GRAPHC_DUMP, begun with `program`; None where that is not set."""
    root = os.environ.get("GRAPHC_DUMP")
    if not root:
        return None
    dumper = Dumper(os.path.join(root, f"{next(_COMPILATIONS):03d}-{_UNSAFE.sub('_', program.name)}"))
    graph = find_graph(program)
    if graph is not None:
        dumper.add("graph", print_graph(graph))
    dumper.add_program("program", program)
    return dumper


def find_graph(program: Program) -> Graph | None:
    """The declared graph that a program was pruned from, as long as its operations say so."""
    candidates = [*(p.tensor.operation for p in program.parameters), *program.operations]
    return next((operation.graph for operation in candidates if operation.graph is not None), None)


def record_compilation(sink: StageList, compilation: Compilation) -> None:
    """Adds what was made of an optimised program: memory plan, table of kernels, loops, LLVM IR and assembly of each."""
    from graphc.runtime.jit.target import assembly
    from graphc.runtime.schedule.machine import host_machine

    sink.add("memory_plan", str(compilation.plan))
    sink.add("kernels", describe_kernels(compilation))
    machine = host_machine()
    seen: set[str] = set()
    for number, (operation, step) in enumerate(compilation.steps):
        kernel = step.kernel
        if kernel.name in seen:
            continue
        seen.add(kernel.name)
        heading = describe_origin(operation, step)
        name = f"{number:03d}-{step.label or operation.name}"
        if kernel.loops:
            sink.add(f"loops-{name}", f"{_comment(heading, '#')}\n{kernel.loops}")
        sink.add(f"llvm-{name}", f"{_comment(heading, ';')}\n{kernel.text}", "ll")
        sink.add(f"assembly-{name}", f"{_comment(heading, '#')}\n{assembly(kernel.text, machine)}", "s")


def describe_kernels(compilation: Compilation) -> str:
    """A table of the steps of a compiled program: kernel, chunks, work, what was chosen, and where it comes from."""
    rows = [("step", "family", "chunks", "flops", "bytes", "operation", "kernel", "chosen")]
    for number, (operation, step) in enumerate(compilation.steps):
        kernel = step.kernel
        rows.append((
            str(number), kernel.family, str(kernel.chunks), str(kernel.flops or kernel.operations), str(kernel.bytes_moved),
            step.label or operation.name, kernel.name, kernel.schedule.partition("\n")[0],
        ))  # fmt: skip
    return format_table(rows, right={0, 2, 3, 4})


def format_table(rows: Sequence[tuple[str, ...]], right: set[int]) -> str:
    """Rows in columns, those in `right` with their ends below one another; the first row is the head."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.rjust(w) if i in right else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def describe_origin(operation: Operation, step: LoweredStep) -> str:
    """What a kernel computes, with the user's lines."""
    body = operation.attributes.get("body")
    inner = body.operations if isinstance(body, Program) else [operation]
    lines = [f"{step.kernel.name}: {step.label or operation.name}"]
    if step.kernel.schedule:
        lines += [f"  {line}" for line in step.kernel.schedule.splitlines()]
    values = {part: part.attributes["value"].array.item() for part in given_of(operation)}
    names = {part: f"given{place} = {value}: " for place, (part, value) in enumerate(values.items())}
    for part in inner:
        where = f"    {part.location}:  {part.location.source}" if part.location is not None else ""
        types = ", ".join(str(t.type) for t in part.outputs)
        lines.append(f"  {names.get(part, '')}{part.name} = {part.definition.name} : {types}{where}")
    return "\n".join(lines)


def _comment(text: str, mark: str) -> str:
    return "\n".join(f"{mark} {line}" for line in text.splitlines())


def dump(
    subject: Any,
    stage: str | None = None,
    directory: str | os.PathLike[str] | None = None,
    shapes: Mapping[Any, Any] | None = None,
) -> str:
    """What a program, or what is needed for tensors and operations, becomes on its way to machine code.

    `stage` is the name of a pass, or one of STAGES: the declared graph, the pruned program, the program with known
    shapes, the memory plan, the table of kernels, the loops before and after scheduling, LLVM IR, or assembly; without
    it, the text has all of them under headings. With a `directory` each stage goes into a file of its own there.

    All placeholders are taken as fed. `shapes` gives shapes by tensors or names; dimensions that stay unknown count as
    32, an unknown rank as 0-d. Raises ValueError for a stage that does not exist or that this program does not have.
    """
    sink = StageList() if directory is None else Dumper(directory)
    collect_stages(subject, sink, shapes or {}, stage)
    if directory is not None:
        return os.fspath(directory)
    return select_stages(sink.stages, stage)


def collect_stages(subject: Any, sink: StageList, shapes: Mapping[Any, Any], stage: str | None = None) -> None:
    """Hands the stages of a program, or of what is needed for tensors and operations, to a sink.

    Nothing is compiled where `stage` is an earlier one. Raises ValueError for a stage that does not exist.
    """
    from graphc.runtime.compiler import PASS_NAMES, dump_compilation

    if stage is not None and stage not in (*STAGES, *PASS_NAMES):
        raise ValueError(f"there is no stage {stage!r}; there are {', '.join((*STAGES, *PASS_NAMES))}")
    program = subject if isinstance(subject, Program) else prune(subject)
    graph = find_graph(program)
    if graph is not None:
        sink.add("graph", print_graph(graph))
    sink.add_program("program", program)
    if stage in ("graph", "program"):
        return
    for segment in cut_program(program):
        if isinstance(segment, NativeSegment):
            shapes_of_all = fill_shapes(segment.program, shapes)
            dump_compilation(segment.program, shapes_of_all, sink, stage in PASS_NAMES)


def select_stages(stages: list[tuple[str, str]], stage: str | None) -> str:
    """The text of all stages under headings, or of those that a name stands for."""
    if stage is None:
        return "\n\n".join(f"==== {name}\n{text}" for name, text in stages)
    chosen = [text for name, text in stages if name == stage or name.startswith(f"{stage}-")]
    if not chosen:
        raise ValueError(f"the program has no stage {stage!r}; it has {', '.join(dict.fromkeys(n for n, _ in stages))}")
    return "\n\n".join(chosen)


def prune(fetches: Any) -> Program:
    """The program for tensors, operations and variables of a graph, every placeholder that they need taken as fed."""
    elements = find_elements(fetches)
    tensors = [element for element in elements if isinstance(element, Tensor)]
    targets = [element for element in elements if isinstance(element, Operation)]
    pending, seen = [t.operation for t in tensors] + targets, set()
    while pending:
        operation = pending.pop()
        if operation not in seen:
            seen.add(operation)
            pending += [t.operation for t in operation.inputs]
            pending += operation.control_inputs
    feeds = [operation.output for operation in seen if operation.definition.name == "placeholder"]
    return build_program(tensors, targets, sorted(feeds, key=lambda t: t.operation.position))


def fill_shapes(program: Program, shapes: Mapping[Any, Any]) -> dict[Tensor, tuple[int, ...]]:
    """A shape for every parameter: as given by tensor or key, else as declared with 32 for what is unknown."""
    given = {getattr(key, "name", key): tuple(shape) for key, shape in shapes.items()}
    filled: dict[Tensor, tuple[int, ...]] = {}
    for parameter in program.parameters:
        tensor = parameter.tensor
        found = given.get(parameter.key, given.get(tensor.name, given.get(tensor.operation.name)))
        declared = tensor.type.shape or ()
        filled[tensor] = found if found is not None else tuple(UNKNOWN_SIZE if s is None else s for s in declared)
    return filled


def write_literals(path: str, literals: Mapping[str, Any]) -> None:
    """Constants by digest and element type, for `read_program`. Python objects cannot be kept."""
    arrays: dict[str, Any] = {}
    for key, item in literals.items():
        if isinstance(item, Literal) and not item.array.dtype.hasobject:
            array = item.array
            plain = array.view(f"u{array.itemsize}") if array.dtype.kind == "V" else array  # NumPy cannot store bfloat16
            arrays[f"{key} {as_dtype(array.dtype).name}"] = plain
    data = io.BytesIO()
    np.savez(data, **arrays)
    write_aside(path, data.getvalue())


def read_program(path: str | os.PathLike[str]) -> Program:
    """A program from a file that a dump left, with the constants beside it. Raises ParseError, OSError."""
    from graphc.parser import parse_program

    with open(path, encoding="utf-8") as file:
        text = file.read()
    beside = os.path.join(os.path.dirname(os.fspath(path)), LITERALS)
    literals: dict[str, Literal] = {}
    if os.path.exists(beside):
        with np.load(beside, allow_pickle=False) as stored:
            for name in stored.files:
                key, dtype = name.split(" ")
                literals[key] = Literal(stored[name].view(as_dtype(dtype).numpy))
    return parse_program(text, literals)
