"""Makes every type of a program concrete, once the shapes of what is fed are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.errors import DTypeError, InvalidArgumentError, ShapeError, format_error
from graphc.evaluate import as_attribute
from graphc.operation import Dynamic, Literal, Operation, Tensor, TensorType, infer_types
from graphc.ops.constants import CONSTANT, PLACEHOLDER
from graphc.program import Parameter, Program, substitute_results
from graphc.shapes import TensorShape, are_compatible, is_known, merge_shapes
from graphc.static_values import StaticValues, partial_value


class NeedsValues(Exception):  # noqa: N818 - an answer more than an error
    """Parts of a program have to run before the rest can be specialised.

    `values` are tensors of the program whose values stand as attributes (the shape of a reshape); `shapes` are tensors whose
    shapes depend on data and that are used further.
    """

    def __init__(self, values: Sequence[Tensor], shapes: Sequence[Tensor]):
        self.values, self.shapes = tuple(values), tuple(shapes)
        super().__init__(f"the values of {[t.name for t in values]} and the shapes of {[t.name for t in shapes]} are needed")


def specialise(
    program: Program, types: Mapping[str, TensorType], known: Mapping[Tensor, np.ndarray] | None = None
) -> Program:
    """The program with concrete types.

    `types` gives the types of parameters by their keys; those left out keep what was declared. `known` gives values of
    tensors of the program, to be used where they decide about shapes. Attributes given as tensors become values, and
    operations that depend on types only (shape, size, rank) become constants. The only shapes left unknown are results of
    operations whose shapes depend on their data.

    Raises ValueError where a parameter's type does not fit what was declared, InvalidArgumentError where the shapes of
    operands do not go together, NeedsValues where a part has to run first.
    """
    return _Specialisation(program, types, known or {}).run()


class _Specialisation:
    def __init__(self, program: Program, types: Mapping[str, TensorType], known: Mapping[Tensor, np.ndarray]):
        self.program, self.types, self.known = program, types, known
        self.mapping: dict[Tensor, Tensor] = {}
        self.static = StaticValues({})
        self.operations: list[Operation] = []
        self.unsettled: set[Tensor] = set()  # new tensors with shapes that depend on data
        self.originals: dict[Tensor, Tensor] = {}  # by the new tensor
        self.needed_values: dict[Tensor, None] = {}
        self.needed_shapes: dict[Tensor, None] = {}

    def run(self) -> Program:
        parameters = tuple(self._specialise_parameter(p) for p in self.program.parameters)
        for operation in self.program.operations:
            self._visit(operation)
        if self.needed_values or self.needed_shapes:
            raise NeedsValues(tuple(self.needed_values), tuple(self.needed_shapes))
        if not self.mapping:
            return self.program
        changed = self.program.replace(parameters=parameters, operations=tuple(self.operations))
        return substitute_results(changed, self.mapping)

    # -- parameters

    def _specialise_parameter(self, parameter: Parameter) -> Parameter:
        tensor = parameter.tensor
        declared, given = tensor.type, self.types.get(parameter.key, tensor.type)
        if given.dtype != declared.dtype or not are_compatible(given.shape, declared.shape):
            raise ValueError(
                f"Cannot feed value of type {given.dtype.name} and shape {TensorShape(given.shape)} for Tensor "
                f"{tensor.name!r}, which has type {declared.dtype.name} and shape '{TensorShape(declared.shape)}'"
            )
        new = tensor
        if given != declared:
            new = _make_source(tensor, given)
            self.mapping[tensor] = new
        self._note(tensor, new)
        return Parameter(new, parameter.kind, parameter.key)

    def _note(self, original: Tensor, new: Tensor) -> None:
        self.originals[new] = original
        if original in self.known:
            self.static.learn(new, self.known[original])
        if not is_known(new.type.shape):
            self.unsettled.add(new)

    # -- operations

    def _visit(self, operation: Operation) -> None:
        inputs = tuple([self.mapping.get(t, t) for t in operation.inputs])
        blocked = any(t in self.unsettled for t in inputs)
        if blocked:
            self._need_shapes(inputs)
        attributes, settled = self._resolve_attributes(operation, inputs)
        data = inputs[: len(operation.data_inputs)]
        new = self._rebuild(operation, data if settled else inputs, attributes)
        if new is not operation:
            self.mapping.update(zip(operation.outputs, new.outputs))
        self.operations.append(new)
        for original, tensor in zip(operation.outputs, new.outputs):
            self._note(original, tensor)

    def _need_shapes(self, inputs: Sequence[Tensor]) -> None:
        """Asks for the shapes of inputs that do not depend on further unknown ones."""
        for tensor in inputs:
            if tensor in self.unsettled and not self._is_blocked(tensor.operation):
                self.needed_shapes[self.originals[tensor]] = None

    def _is_blocked(self, operation: Operation) -> bool:
        return bool(operation.dynamic_attributes) or any(t in self.unsettled for t in operation.inputs)

    def _resolve_attributes(self, operation: Operation, inputs: Sequence[Tensor]) -> tuple[dict[str, Any], bool]:
        """The attributes with the values of those that were tensors, and whether all of them are known."""
        names = operation.dynamic_attributes
        if not names:
            return operation.attributes, True
        attributes, settled = dict(operation.attributes), True
        for name, tensor in zip(names, inputs[len(inputs) - len(names) :]):
            value = self.static.value(tensor)
            if value is not None:
                attributes[name] = as_attribute(value)
                continue
            settled = False
            attributes[name] = Dynamic(partial_value(tensor))
            if tensor not in self.unsettled and not self._is_blocked(tensor.operation):
                self.needed_values[self.originals[tensor]] = None
        return (attributes, True) if settled else (operation.attributes, False)

    def _rebuild(self, operation: Operation, inputs: Sequence[Tensor], attributes: Mapping[str, Any]) -> Operation:
        definition = operation.definition
        data = inputs[: len(operation.data_inputs)]
        if definition.type_value is not None and all(t.type.is_known for t in data):
            value = np.asarray(definition.type_value([t.type for t in data], **attributes), operation.output.dtype.numpy)
            return _make_constant(operation, value)
        types = self._infer(operation, data, attributes)
        unchanged = tuple(inputs) == operation.inputs and attributes is operation.attributes
        if unchanged and all(t.type == type_ for t, type_ in zip(operation.outputs, types)):
            return operation
        return Operation(definition, inputs, attributes, types, operation.name, operation.locations)

    def _infer(self, operation: Operation, data: Sequence[Tensor], attributes: Mapping[str, Any]) -> list[TensorType]:
        """The types by the type rule and what the user said of them."""
        try:
            types = infer_types(operation.definition, data, attributes, operation.location)
            return [TensorType(new.dtype, merge_shapes(new.shape, t.type.shape)) for new, t in zip(types, operation.outputs)]
        except (ShapeError, DTypeError) as error:
            raise InvalidArgumentError(operation, operation, str(error)) from None
        except ValueError as error:
            problem = format_error(f"{operation.definition.name}: {error}", data, operation.location)
            raise InvalidArgumentError(operation, operation, problem) from None


def _make_source(tensor: Tensor, type_: TensorType) -> Tensor:
    """A tensor of another type in the place of a parameter's, under the same name."""
    operation = tensor.operation
    name = operation.name if tensor.index == 0 else f"{operation.name}_{tensor.index}"
    attributes = dict(operation.attributes) if len(operation.outputs) == 1 else {}
    definition = operation.definition
    if definition.kind != "source":
        definition = PLACEHOLDER
    attributes |= {"dtype": type_.dtype, "shape": type_.shape}
    kept = {key: attributes[key] for key in definition.attributes if key in attributes}
    return Operation(definition, [], kept, [type_], name, operation.locations).output


def _make_constant(operation: Operation, value: np.ndarray) -> Operation:
    attributes = {"value": Literal(value), "dtype": operation.output.dtype}
    type_ = TensorType(operation.output.dtype, value.shape)
    return Operation(CONSTANT, [], attributes, [type_], operation.name, operation.locations)
