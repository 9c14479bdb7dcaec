"""Checks that a program is well formed: what every pass may rely on, and must leave behind."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import DTypeError, ShapeError
from .operation import Dynamic, Operation, Tensor, TensorType
from .printer import print_lines
from .program import Program
from .shapes import are_compatible

CONTEXT_LINES = 2  # shown on either side of the line at fault


class VerificationError(Exception):
    """A program that is not well formed: what is wrong, and the text around the line at fault with that line underlined."""


def verify_program(program: Program) -> None:
    """Raises VerificationError unless the program is well formed.

    Each operand is a parameter or an output of an earlier operation (so there is no cycle); no operation stands twice; the
    attributes are those of the definition, of the declared kinds; the type rule accepts the inputs and gives types that are
    compatible with the outputs; results are defined; new values of variables have the variables' types. Nested programs
    are checked too.
    """
    _Verifier(program).verify()


class _Verifier:
    def __init__(self, program: Program, outermost: Program | None = None):
        self.program = program
        self.outermost = outermost or program
        self.defined: set[Tensor] = set()

    def verify(self) -> None:
        for parameter in self.program.parameters:
            if parameter.tensor in self.defined:
                self._fail(f"parameter {parameter.key!r} is bound twice")
            self.defined.add(parameter.tensor)
        seen: set[Operation] = set()
        for operation in self.program.operations:
            if operation in seen:
                self._fail(f"{operation.name} stands in the program twice", operation)
            seen.add(operation)
            self._verify_operation(operation)
            self.defined.update(operation.outputs)
        self._verify_results()

    def _verify_operation(self, operation: Operation) -> None:
        for tensor in operation.inputs:
            if tensor not in self.defined:
                self._fail(f"{operation.name} takes {tensor.name}, which is not defined before it", operation)
        for tensor in operation.outputs:
            if tensor in self.defined:
                self._fail(f"{tensor.name} is defined twice", operation)
        self._verify_attributes(operation)
        self._verify_types(operation)
        for value in operation.attributes.values():
            if isinstance(value, Program):
                self._verify_nested(operation, value)

    def _verify_attributes(self, operation: Operation) -> None:
        declared, given = operation.definition.attributes, operation.attributes
        for name in declared:
            if name not in given:
                self._fail(f"{operation.name} lacks the attribute {name}", operation)
        for name, value in given.items():
            if name not in declared:
                problem = f"{operation.name} has an attribute {name} that {operation.definition.name} does not declare"
                self._fail(problem, operation)
            if not _is_of_kind(value, declared[name]):
                self._fail(f"{operation.name}: attribute {name} is {value!r}, not of kind {declared[name].__name__}", operation)

    def _verify_types(self, operation: Operation) -> None:
        found = self._infer(operation)
        if len(found) != len(operation.outputs):
            self._fail(f"{operation.name} has {len(operation.outputs)} outputs, its type rule gives {len(found)}", operation)
        for tensor, type_ in zip(operation.outputs, found):
            if type_.dtype != tensor.type.dtype or not are_compatible(type_.shape, tensor.type.shape):
                self._fail(f"{tensor.name} is {tensor.type}, its type rule gives {type_}", operation)

    def _infer(self, operation: Operation) -> Sequence[TensorType]:
        types = [t.type for t in operation.data_inputs]
        try:
            found = operation.definition.infer(types, **operation.attributes)
        except (ShapeError, DTypeError, ValueError, TypeError, IndexError, KeyError) as error:
            self._fail(f"{operation.name}: {error}", operation)
        return [found] if isinstance(found, TensorType) else list(found)

    def _verify_nested(self, operation: Operation, body: Program) -> None:
        try:
            _Verifier(body, self.outermost).verify()
        except VerificationError as error:
            problem = str(error).partition("\n")[0]
            self._fail(f"inside {operation.name}: {problem}", operation)

    def _verify_results(self) -> None:
        for tensor in self.program.results:
            if tensor not in self.defined:
                self._fail(f"the result {tensor.name} is not defined")
        variables = {p.key: p.tensor.type for p in self.program.parameters if p.kind == "variable"}
        for key, tensor in self.program.updates:
            type_ = variables.get(key)
            if type_ is not None and type_.dtype != tensor.type.dtype:
                self._fail(f"variable {key!r} holds {type_.dtype.name}, its new value is {tensor.type}", tensor.operation)

    def _fail(self, problem: str, operation: Operation | None = None) -> None:
        raise VerificationError(f"{problem}\n{_excerpt(self.outermost, operation)}")


def _is_of_kind(value: object, kind: type) -> bool:
    if isinstance(value, (kind, Dynamic)):
        return True
    return kind is float and isinstance(value, int)


def _excerpt(program: Program, operation: Operation | None) -> str:
    """The lines around an operation with its own underlined, or the last lines."""
    lines, line_of = print_lines(program)
    at = line_of.get(operation, len(lines) - 1) if operation is not None else len(lines) - 1
    shown = []
    for index in range(max(0, at - CONTEXT_LINES), min(len(lines), at + CONTEXT_LINES + 1)):
        line = lines[index]
        shown.append(f"{index + 1:>6} | {line}")
        if index == at:
            indent = len(line) - len(line.lstrip())
            shown.append("       | " + " " * indent + "^" * (len(line) - indent))
    return "\n".join(shown)
