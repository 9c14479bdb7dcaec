"""Programs and graphs as text.

    program train(
      %images: f32[64,784] feed                                             @ "train.py":8,
      %w: f32[784,10] variable                                              @ "train.py":11
    ) {
      %logits = matmul(%images, %w) {transpose_b=false} : f32[64,10]        @ "train.py":12
      %y = fused(%logits) {region="rows"} body {
        %hidden = relu(%logits) : f32[64,10]                                @ "train.py":14
        yield %hidden
      } : f32[64,10]
            fetch %y
    }

One syntax serves every operation. `graphc.parser` reads it back. Values are named after their operations, made unique in
the order of the program, so the text of a parsed program is the text it was parsed from. A parameter that is bound by
another key than its name says has the key after its kind. Large constants stand as the digest of their content.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from .dtypes import DType, as_dtype
from .location import SourceLocation
from .operation import Dynamic, Literal, Operation, Tensor
from .program import FEED, VARIABLE, Parameter, Program

if TYPE_CHECKING:
    from .graph import Graph

INLINE_ELEMENTS = 16  # larger constants are printed by digest, unless all elements are the same
DIGEST_CHARACTERS = 20
LOCATION_COLUMN = 72

_INVALID_CHARACTER = re.compile(r"[^A-Za-z0-9_./-]")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def print_program(program: Program, literals: dict[str, Any] | None = None, locations: bool = True) -> str:
    """The program as text.

    `literals` receives what the text names but does not hold: large constants by digest, and Python objects. Without
    `locations` the text says nothing of the user's source.
    """
    return "\n".join(print_lines(program, literals, locations)[0])


def print_lines(
    program: Program, literals: dict[str, Any] | None = None, locations: bool = True
) -> tuple[list[str], dict[Operation, int]]:
    """The lines of a program's text, and the index of the line where each operation begins."""
    printer = _Printer({} if literals is None else literals, locations)
    printer.print_program(program)
    return printer.lines, printer.line_of


def print_graph(graph: Graph, literals: dict[str, Any] | None = None) -> str:
    """A declared graph as text: its operations in order, control dependencies behind `after`."""
    printer = _Printer({} if literals is None else literals, True)
    printer.lines.append("graph {")
    for operation in graph.get_operations():
        printer.print_operation(operation, "  ", with_control=True)
    printer.lines.append("}")
    return "\n".join(printer.lines)


def default_key(kind: str, name: str) -> str:
    """The key of a parameter whose text names none."""
    return f"{name}:0" if kind == FEED else name


def body_locations(body: Program) -> tuple[SourceLocation, ...]:
    """All locations of a nested program, each once: those of the operation around it, unless the text says otherwise."""
    return tuple(dict.fromkeys(where for operation in body.operations for where in operation.locations))


def follows_convention(operation: Operation, body: Program) -> bool:
    """Whether a nested program can be printed with the operation's inputs in the place of its parameters.

    That holds where the parameters are the inputs, one by one and of their types, all inputs different, and where nothing
    but results comes out. What such parameters are bound by has no meaning.
    """
    inputs, parameters = operation.inputs, body.parameters
    return (
        len(inputs) == len(parameters)
        and len(set(inputs)) == len(inputs)
        and not body.updates
        and not body.assumptions
        and all(p.kind == FEED and p.tensor.type == t.type for p, t in zip(parameters, inputs))
    )


class _Printer:
    """Collects lines; knows the name of every value printed so far."""

    def __init__(self, literals: dict[str, Any], locations: bool):
        self.literals, self.with_locations = literals, locations
        self.lines: list[str] = []
        self.line_of: dict[Operation, int] = {}
        self.names: dict[Tensor | Operation, str] = {}
        self.taken: set[str] = set()
        self.next_suffix: dict[str, int] = {}
        self.directory = os.getcwd() + os.sep

    # -- programs

    def print_program(self, program: Program, indent: str = "", opening: str = "") -> None:
        """`opening` stands before the word `program`, for a program that is an attribute."""
        self._print_head(program, indent, opening)
        inside = indent + "  "
        for key, initialized in program.assumptions:
            self.lines.append(f"{inside}assume {_quote(key)} {'initialized' if initialized else 'uninitialized'}")
        for operation in program.operations:
            self.print_operation(operation, inside)
        for key, tensor in program.updates:
            self.lines.append(f"{inside}update {_quote(key)} = {self._name(tensor)}")
        for tensor in program.fetches:
            self.lines.append(f"{inside}fetch {self._name(tensor)}")
        self.lines.append(indent + "}")

    def _print_head(self, program: Program, indent: str, opening: str) -> None:
        parts = [self._parameter(parameter) for parameter in program.parameters]
        where = [self._locations(p.tensor.operation.locations) for p in program.parameters]
        head = f"{indent}{opening}program {_title(program)}("
        line = head + ", ".join(parts) + ") {"
        if len(line) <= 120 and not any(where):
            self.lines.append(line)
            return
        self.lines.append(head)
        for i, (part, place) in enumerate(zip(parts, where)):
            comma = "," if i < len(parts) - 1 else ""
            self.lines.append(_with_location(f"{indent}  {part}", place) + comma)
        self.lines.append(f"{indent}) {{")

    def _parameter(self, parameter: Parameter) -> str:
        tensor = parameter.tensor
        wanted = tensor.operation.name if tensor.index == 0 else f"{tensor.operation.name}_{tensor.index}"
        name = self._unique(parameter.key if parameter.kind == VARIABLE else wanted)
        self.names[tensor] = "%" + name
        key = "" if parameter.key == default_key(parameter.kind, name) else " " + _quote(parameter.key)
        return f"%{name}: {tensor.type} {parameter.kind}{key}"

    # -- operations

    def print_operation(self, operation: Operation, indent: str, with_control: bool = False) -> None:
        self.line_of[operation] = len(self.lines)
        arguments = ", ".join([self._name(t) for t in operation.inputs])
        head = f"{indent}{self._define(operation)} = {operation.definition.name}({arguments})"
        types = ", ".join([str(t.type) for t in operation.outputs]) or "()"
        attributes, locations = operation.attributes, operation.locations
        bodies = [(name, value) for name, value in attributes.items() if isinstance(value, Program)]
        if bodies:
            head, locations = self._print_bodies(operation, head, indent, bodies)
        elif attributes:
            head += " {" + self._attributes(attributes.items()) + "}"
        after = ""
        if with_control and operation.control_inputs:
            after = " after " + ", ".join([self.names.get(other, "%?") for other in operation.control_inputs])
        self.lines.append(_with_location(f"{head} : {types}{after}", self._locations(locations)))

    def _define(self, operation: Operation) -> str:
        first = self._unique(operation.name)
        names = ["%" + first]
        names += ["%" + self._unique(f"{first}_{tensor.index}") for tensor in operation.outputs[1:]]
        self.names[operation] = names[0]
        self.names.update(zip(operation.outputs, names))
        return ", ".join(names)

    def _print_bodies(
        self, operation: Operation, head: str, indent: str, bodies: Sequence[tuple[str, Program]]
    ) -> tuple[str, tuple[SourceLocation, ...]]:
        """Prints the nested programs; returns the text of the last line so far, and the locations still to be said."""
        merged = tuple(dict.fromkeys(where for _, body in bodies for where in body_locations(body)))
        locations = () if operation.locations == merged else operation.locations
        plain = [(name, value) for name, value in operation.attributes.items() if not isinstance(value, Program)]
        ((name, body), *others) = bodies
        if name == "body" and not others and follows_convention(operation, body):
            options = " {" + self._attributes(plain) + "}" if plain else ""
            title = "" if "%" + body.name == self.names[operation] else f" {_title(body)}"
            self.lines.append(f"{head}{options}{title} {{")
            self._print_body(operation, body, indent)
        else:
            self.lines.append(head + " {" + self._attributes(plain))
            for name, body in bodies:
                with self._inside({}):
                    self.print_program(body, indent + "  ", f"{name}=")
        return indent + "}", locations

    def _print_body(self, operation: Operation, body: Program, indent: str) -> None:
        with self._inside({p.tensor: self._name(t) for p, t in zip(body.parameters, operation.inputs)}):
            for inner in body.operations:
                self.print_operation(inner, indent + "  ")
            self.lines.append(f"{indent}  yield {', '.join([self._name(t) for t in body.fetches])}".rstrip())

    @contextmanager
    def _inside(self, names: dict[Tensor | Operation, str]) -> Iterator[None]:
        """Within a nested program: what stands outside has no name there, even if the same objects are used."""
        outside = self.names, self.line_of
        self.names, self.line_of = names, {}
        try:
            yield
        finally:
            self.names, self.line_of = outside

    # -- names

    def _name(self, tensor: Tensor) -> str:
        found = self.names.get(tensor)
        return found if found is not None else f"%<undefined {tensor.name}>"

    def _unique(self, name: str) -> str:
        valid = _INVALID_CHARACTER.sub("_", name) or "_"
        unique = valid
        if unique in self.taken:
            count = self.next_suffix.get(valid, 1)
            while f"{valid}_{count}" in self.taken:
                count += 1
            self.next_suffix[valid] = count + 1
            unique = f"{valid}_{count}"
        self.taken.add(unique)
        return unique

    # -- attributes

    def _attributes(self, items: Iterable[tuple[str, Any]]) -> str:
        return ", ".join([f"{name}={self._value(value)}" for name, value in items])

    def _value(self, value: Any) -> str:
        if value is None:
            return "none"
        if isinstance(value, (bool, np.bool_)):
            return "true" if value else "false"
        if isinstance(value, (int, np.integer)):
            return str(int(value))
        if isinstance(value, (float, np.floating)):
            return repr(float(value))
        if isinstance(value, str):
            return _quote(value)
        if isinstance(value, tuple):
            inside = ", ".join([self._value(item) for item in value])
            return f"({inside},)" if len(value) == 1 else f"({inside})"
        if isinstance(value, list):
            return "[" + ", ".join([self._value(item) for item in value]) + "]"
        if isinstance(value, DType):
            return value.short
        if isinstance(value, Dynamic):
            return f"dynamic {self._value(value.partial)}"
        if isinstance(value, Literal):
            return self._literal(value)
        return self._object(value)

    def _literal(self, literal: Literal) -> str:
        array = literal.array
        dtype = as_dtype(array.dtype)
        head = f"{dtype.short}[{','.join(map(str, array.shape))}]"
        if dtype.is_complex:
            return f"{head}({self._by_digest(literal)})"
        if array.size <= INLINE_ELEMENTS:
            return f"{head}({', '.join(_elements(array.ravel(), dtype))})"
        if literal.is_uniform:
            return f"{head}({next(_elements(array.ravel()[:1], dtype))}, ...)"
        return f"{head}({self._by_digest(literal)})"

    def _by_digest(self, literal: Literal) -> str:
        digest = literal.digest[:DIGEST_CHARACTERS]
        self.literals[digest] = literal
        return "#" + digest

    def _object(self, value: Any) -> str:
        """A Python object, which text can name but not hold."""
        name = getattr(value, "__qualname__", type(value).__qualname__)
        key = f"{name}#{sum(isinstance(k, str) and '#' in k for k in self.literals)}"
        for known, other in self.literals.items():
            if other is value:
                key = known
        self.literals[key] = value
        return f"object {_quote(key)}"

    # -- locations

    def _locations(self, locations: Sequence[SourceLocation]) -> str:
        if not self.with_locations:
            return ""
        return " ".join([f"{_quote(self._relative(where.file))}:{where.line}" for where in locations])

    def _relative(self, file: str) -> str:
        return file[len(self.directory) :] if file.startswith(self.directory) else file


def _with_location(text: str, locations: str) -> str:
    return f"{text.ljust(LOCATION_COLUMN)} @ {locations}" if locations else text


def _title(program: Program) -> str:
    return program.name if _WORD.fullmatch(program.name) else _quote(program.name)


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _elements(array: np.ndarray, dtype: DType) -> Iterator[str]:
    if dtype.is_bool:
        return ("true" if item else "false" for item in array.tolist())
    if dtype.is_floating:
        return (_float_text(item, array.dtype) for item in array)
    if dtype.kind == "s":
        return (_quote(item) if isinstance(item, str) else repr(item) for item in array.tolist())
    return map(str, array.tolist())


def _float_text(item: Any, dtype: np.dtype) -> str:
    """The shortest decimal number that is exactly `item` again in its type."""
    exact = float(item)
    short = str(item)
    if "." not in short and "e" not in short and "n" not in short:
        short += ".0"
    return short if dtype.type(float(short)) == item or exact != exact else repr(exact)
