"""Reads the text of `graphc.printer` back into a program."""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np

from .dtypes import DType, from_short
from .location import SourceLocation
from .operation import DEFINITIONS, Dynamic, Literal, Operation, Tensor, TensorType
from .ops.constants import PLACEHOLDER, RUN_KEY
from .ops.state import VARIABLE as VARIABLE_DEFINITION
from .printer import body_locations, default_key
from .program import FEED, RUN, VARIABLE, Parameter, Program
from .shapes import Shape


class ParseError(ValueError):
    """Text that is not a program: says the line and shows it."""


_TOKEN = re.compile(
    r"""\s*(?:
    (?P<value>%[A-Za-z0-9_./-]+)
  | (?P<bytes>b'(?:[^'\\]|\\.)*'|b"(?:[^"\\]|\\.)*")
  | (?P<number>-?(?:inf\b|nan\b|\d+(?:\.\d*)?(?:e[+-]?\d+)?))
  | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<string>"(?:[^"\\]|\\.)*")
  | (?P<digest>\#[0-9a-f]+)
  | (?P<mark>\.\.\.|[(){}\[\],:=@?])
  | (?P<end>\Z)
    )""",
    re.VERBOSE,
)


class _Token(NamedTuple):
    kind: str
    text: str
    position: int


def parse_program(text: str, literals: Mapping[str, Any] | None = None) -> Program:
    """The program that the text says.

    `literals` holds what the text only names, as `print_program` filled it in. Raises ParseError, with the line, for text
    that does not follow the syntax, unknown operations, undefined or repeated values, and constants that are not given.
    """
    parser = _Parser(text, literals or {})
    program = parser.parse_program({})
    parser.expect_end()
    return program


class _Parser:
    def __init__(self, text: str, literals: Mapping[str, Any]):
        self.text, self.literals = text, literals
        self.tokens = self._tokenize(text)
        self.next = 0
        self.directory = os.getcwd()

    # -- tokens

    def _tokenize(self, text: str) -> list[_Token]:
        tokens: list[_Token] = []
        position = 0
        match = _TOKEN.match
        while True:
            found = match(text, position)
            if found is None:
                self._fail_at(position + len(text[position:]) - len(text[position:].lstrip()), "unexpected character")
            kind = found.lastgroup or "end"
            tokens.append(_Token(kind, found[kind], found.start(kind)))
            if kind == "end":
                return tokens
            position = found.end()

    def _fail(self, problem: str, back: int = 0) -> NoReturn:
        self._fail_at(self.tokens[self.next - back].position, problem)

    def _fail_at(self, position: int, problem: str) -> NoReturn:
        line = self.text.count("\n", 0, position) + 1
        start = self.text.rfind("\n", 0, position) + 1
        source = self.text[start:].partition("\n")[0]
        raise ParseError(f"line {line}: {problem}\n    {source}\n    {' ' * (position - start)}^")

    def _is(self, text: str) -> bool:
        token = self.tokens[self.next]
        return token.text == text and token.kind in ("mark", "word")

    def _accept(self, text: str) -> bool:
        if not self._is(text):
            return False
        self.next += 1
        return True

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            self._fail(f"expected {text!r}, found {self.tokens[self.next].text!r}")

    def _take(self, kind: str, what: str) -> str:
        token = self.tokens[self.next]
        if token.kind != kind:
            self._fail(f"expected {what}, found {token.text!r}")
        self.next += 1
        return token.text

    def _take_string(self) -> str:
        return json.loads(self._take("string", "a quoted text"))

    def _take_integer(self) -> int:
        text = self._take("number", "a whole number")
        if not text.lstrip("-").isdigit():
            self._fail(f"expected a whole number, found {text!r}", back=1)
        return int(text)

    def expect_end(self) -> None:
        if self.tokens[self.next].kind != "end":
            self._fail("expected the end of the text")

    # -- programs

    def parse_program(self, scope: dict[str, Tensor]) -> Program:
        """From the word `program` to the closing brace. `scope` receives the values by name."""
        self._expect("program")
        name = self._parse_title()
        parameters = self._parse_parameters(scope)
        self._expect("{")
        assumptions: list[tuple[str, bool]] = []
        operations: list[Operation] = []
        fetches: list[Tensor] = []
        updates: list[tuple[str, Tensor]] = []
        while not self._accept("}"):
            if self._accept("assume"):
                assumptions.append((self._take_string(), self._take("word", "initialized") == "initialized"))
            elif self._accept("update"):
                key = self._take_string()
                self._expect("=")
                updates.append((key, self._parse_operand(scope)))
            elif self._accept("fetch"):
                fetches.append(self._parse_operand(scope))
            else:
                operations.append(self._parse_operation(scope))
        return Program(name, parameters, tuple(operations), tuple(fetches), tuple(updates), tuple(assumptions))

    def _parse_title(self) -> str:
        named = self.tokens[self.next].kind == "word"
        return self._take("word", "a name") if named else self._take_string()

    def _parse_parameters(self, scope: dict[str, Tensor]) -> tuple[Parameter, ...]:
        self._expect("(")
        parameters: list[Parameter] = []
        while not self._accept(")"):
            if parameters:
                self._expect(",")
            name = self._take("value", "a parameter such as %x")[1:]
            self._expect(":")
            type_ = self._parse_type()
            kind = self._take("word", "feed, variable or run")
            if kind not in (FEED, VARIABLE, RUN):
                self._fail(f"expected feed, variable or run, found {kind!r}", back=1)
            key = self._take_string() if self.tokens[self.next].kind == "string" else default_key(kind, name)
            source = _make_source(kind, name, key, type_, self._parse_locations())
            self._define(scope, [name], source)
            parameters.append(Parameter(source.output, kind, key))
        return tuple(parameters)

    # -- operations

    def _parse_operation(self, scope: dict[str, Tensor]) -> Operation:
        names = [self._take("value", "an operation, an update or a fetch")[1:]]
        while self._accept(","):
            names.append(self._take("value", "a value")[1:])
        self._expect("=")
        definition = DEFINITIONS.get(self._take("word", "the name of an operation"))
        if definition is None:
            self._fail(f"unknown operation {self.tokens[self.next - 1].text}", back=1)
        first = self.next + 1
        inputs = self._parse_operands(scope)
        operands = [token.text[1:] for token in self.tokens[first : self.next] if token.kind == "value"]
        attributes = self._parse_attributes() if self._is("{") and not self._opens_body() else {}
        if not self._is(":"):
            attributes["body"] = self._parse_body(names[0], operands, inputs)
        self._expect(":")
        types = self._parse_types()
        locations = self._parse_locations()
        bodies = [value for value in attributes.values() if isinstance(value, Program)]
        if bodies and not locations:
            locations = tuple(dict.fromkeys(where for body in bodies for where in body_locations(body)))
        if types and len(types) != len(names):
            self._fail(f"{len(names)} values, but {len(types)} types", back=1)
        operation = Operation(definition, inputs, attributes, types, names[0], locations)
        self._define(scope, names, operation)
        return operation

    def _opens_body(self) -> bool:
        """Whether the brace here opens a nested program, not attributes."""
        following = self.tokens[self.next + 1]
        return following.kind == "value" or following.text == "yield"

    def _parse_body(self, default_name: str, operands: Sequence[str], inputs: Sequence[Tensor]) -> Program:
        """A nested program in which the operation's inputs, under their names, are the parameters."""
        name = default_name if self._is("{") else self._parse_title()
        self._expect("{")
        keys = [default_key(FEED, operand) for operand in operands]
        sources = [
            _make_source(FEED, operand, key, t.type, t.operation.locations) for operand, key, t in zip(operands, keys, inputs)
        ]
        parameters = tuple(Parameter(source.output, FEED, key) for source, key in zip(sources, keys))
        scope = {operand: p.tensor for operand, p in zip(operands, parameters)}
        operations: list[Operation] = []
        while not self._accept("yield"):
            operations.append(self._parse_operation(scope))
        fetches = [] if self._is("}") else [self._parse_operand(scope)]
        while self._accept(","):
            fetches.append(self._parse_operand(scope))
        self._expect("}")
        return Program(name, parameters, tuple(operations), tuple(fetches))

    def _parse_operands(self, scope: dict[str, Tensor]) -> list[Tensor]:
        self._expect("(")
        operands: list[Tensor] = []
        while not self._accept(")"):
            if operands:
                self._expect(",")
            operands.append(self._parse_operand(scope))
        return operands

    def _parse_operand(self, scope: Mapping[str, Tensor]) -> Tensor:
        name = self._take("value", "a value such as %x")[1:]
        found = scope.get(name)
        if found is None:
            self._fail(f"%{name} is not defined before it is used", back=1)
        return found

    def _define(self, scope: dict[str, Tensor], names: Sequence[str], operation: Operation) -> None:
        for name in names:
            if name in scope:
                self._fail(f"%{name} is defined twice", back=1)
        scope.update(zip(names, operation.outputs))

    # -- types

    def _parse_types(self) -> list[TensorType]:
        if self._accept("("):
            self._expect(")")
            return []
        types = [self._parse_type()]
        while self._accept(","):
            types.append(self._parse_type())
        return types

    def _parse_type(self) -> TensorType:
        return TensorType(self._parse_dtype(), self._parse_shape())

    def _parse_dtype(self) -> DType:
        text = self._take("word", "an element type such as f32")
        try:
            return from_short(text)
        except KeyError:
            self._fail(f"{text!r} is not an element type", back=1)

    def _parse_shape(self) -> Shape:
        self._expect("[")
        if self._accept("..."):
            self._expect("]")
            return None
        sizes: list[int | None] = []
        while not self._accept("]"):
            if sizes:
                self._expect(",")
            sizes.append(None if self._accept("?") else self._take_integer())
        return tuple(sizes)

    def _parse_locations(self) -> tuple[SourceLocation, ...]:
        locations: list[SourceLocation] = []
        if self._accept("@"):
            while self.tokens[self.next].kind == "string":
                file = self._take_string()
                self._expect(":")
                locations.append(SourceLocation(self._absolute(file), self._take_integer()))
        return tuple(locations)

    def _absolute(self, file: str) -> str:
        return file if file.startswith("<") else os.path.join(self.directory, file)

    # -- attributes

    def _parse_attributes(self) -> dict[str, Any]:
        self._expect("{")
        attributes: dict[str, Any] = {}
        while not self._accept("}"):
            name = self._take("word", "the name of an attribute")
            self._expect("=")
            attributes[name] = self._parse_value()
            self._accept(",")
        return attributes

    def _parse_value(self) -> Any:
        token = self.tokens[self.next]
        if token.kind == "word":
            return self._parse_word(token.text)
        if token.kind == "string":
            return self._take_string()
        if token.kind == "number":
            return self._parse_number()
        if self._accept("("):
            return tuple(self._parse_values(")"))
        if not self._accept("["):
            self._fail(f"expected a value, found {token.text!r}")
        return self._parse_values("]")

    def _parse_word(self, word: str) -> Any:
        if word == "program":
            return self.parse_program({})
        self.next += 1
        if word in _WORDS:
            return _WORDS[word]
        if word == "dynamic":
            return Dynamic(self._parse_value())
        if word == "object":
            return self._given(self._take_string())
        self.next -= 1
        dtype = self._parse_dtype()
        return self._parse_literal(dtype) if self._is("[") else dtype

    def _parse_number(self) -> int | float:
        text = self._take("number", "a number")
        return int(text) if text.lstrip("-").isdigit() else float(text)

    def _parse_values(self, closing: str) -> list[Any]:
        values: list[Any] = []
        while not self._accept(closing):
            values.append(self._parse_value())
            if not self._is(closing):
                self._expect(",")
        return values

    def _parse_literal(self, dtype: DType) -> Literal:
        shape = self._parse_shape()
        if shape is None or None in shape:
            self._fail("the shape of a constant is known", back=1)
        self._expect("(")
        if self.tokens[self.next].kind == "digest":
            literal = self._given(self._take("digest", "a digest")[1:])
            self._expect(")")
            return literal
        elements: list[Any] = []
        splat = False
        while not self._accept(")"):
            splat = self._accept("...")
            if not splat:
                elements.append(self._parse_element())
                self._accept(",")
        if splat:
            return Literal(np.full(shape, elements[0], dtype.numpy))  # type: ignore[arg-type]
        if len(elements) != int(np.prod(shape)):  # type: ignore[arg-type]
            self._fail(f"{len(elements)} elements do not fill the shape", back=1)
        return Literal(np.array(elements, dtype.numpy).reshape(shape))  # type: ignore[arg-type]

    def _parse_element(self) -> Any:
        token = self.tokens[self.next]
        if token.kind != "bytes":
            return self._parse_value()
        self.next += 1
        return ast.literal_eval(token.text)

    def _given(self, key: str) -> Any:
        if key not in self.literals:
            self._fail(f"the value of {key} is not given", back=1)
        return self.literals[key]


_WORDS = {"true": True, "false": False, "none": None}


def _make_source(
    kind: str, name: str, key: str, type_: TensorType, locations: tuple[SourceLocation, ...]
) -> Operation:
    """The operation whose output a parameter is."""
    if kind == FEED:
        attributes: dict[str, Any] = {"dtype": type_.dtype, "shape": type_.shape}
        return Operation(PLACEHOLDER, [], attributes, [type_], name, locations)
    if kind == VARIABLE:
        attributes = {"dtype": type_.dtype, "shape": type_.shape, "key": key}
        return Operation(VARIABLE_DEFINITION, [], attributes, [type_], name, locations)
    return Operation(RUN_KEY, [], {}, [type_], name, locations)
