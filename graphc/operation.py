"""The core: what an operation is, and what one use of it is.

`OpDef` declares an operation once: its type rule, gradient and meaning. `Operation` is one use of it with inputs and
attributes, `Tensor` one of its outputs, `TensorType` the element type and static shape of a tensor. `apply` makes an
operation and hands it to the current builder: the default graph where a user declares, a rewriter where a pass builds.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from graphc.records import identity_record

from . import errors
from .dtypes import DType
from .location import SourceLocation, find_location
from .operators import OPERATORS as OPERATORS
from .operators import Operand
from .shapes import Shape, TensorShape, format_shape, is_known, merge_shapes
from .tensorflow_names import TENSORFLOW_NAMES

if TYPE_CHECKING:
    from .graph import Graph


@dataclass(frozen=True, slots=True)
class TensorType:
    """Element type and static shape; None stands for an unknown dimension, or as the shape for an unknown rank."""

    dtype: DType
    shape: Shape

    def __str__(self) -> str:
        return self.dtype.short + format_shape(self.shape)

    @property
    def rank(self) -> int | None:
        return None if self.shape is None else len(self.shape)

    @property
    def is_known(self) -> bool:
        return is_known(self.shape)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The shape of a type that is known. Raises ValueError where a dimension is not."""
        if self.shape is None or None in self.shape:
            raise ValueError(f"the shape of {self} is not known")
        return self.shape  # type: ignore[return-value]

    @property
    def elements(self) -> int:
        count = 1
        for size in self.sizes:
            count *= size
        return count

    @property
    def nbytes(self) -> int:
        return self.elements * self.dtype.size


class Literal:
    """An array as an attribute: read-only, compared and hashed by content."""

    __slots__ = ("array", "_digest")

    def __init__(self, array: np.ndarray):
        owned = np.array(array, order="C", copy=True)
        owned.flags.writeable = False
        self.array = owned
        self._digest: str | None = None

    @property
    def digest(self) -> str:
        if self._digest is None:
            head = f"{self.array.dtype.str}{self.array.shape}".encode()
            data = repr(self.array.tolist()).encode() if self.array.dtype.hasobject else self.array.tobytes()
            self._digest = hashlib.sha256(head + data).hexdigest()
        return self._digest

    @property
    def is_uniform(self) -> bool:
        """Whether there are elements, and all are the same bit by bit."""
        if self.array.dtype.hasobject or not self.array.size:
            return False
        size = self.array.dtype.itemsize
        words = self.array.reshape(-1, 1).view(f"u{size}" if size in (2, 4, 8) else np.uint8)
        return bool((words[-1] == words[0]).all() and (words == words[0]).all())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Literal) and (self is other or self.digest == other.digest)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Literal({self.array.dtype}{list(self.array.shape)})"


@dataclass(frozen=True, slots=True)
class Dynamic:
    """An attribute whose value is a tensor's, not known yet.

    The tensors stand at the end of the operation's inputs, one for each Dynamic attribute in the order of the attributes.
    `partial` is what is known of the value: a tuple with None for unknown entries (an int or None for a 0-d tensor), or
    None where nothing, not even the length, is known.
    """

    partial: tuple[int | None, ...] | int | None = None


Gradient = Callable[..., Sequence["Tensor | None"]]
TypeRule = Callable[..., "TensorType | Sequence[TensorType]"]


@identity_record
class OpDef:
    """The declaration of an operation.

    infer(types, **attributes) gives the type (or types) of the result and raises ShapeError or DTypeError with a first
    line that says what does not fit. `types` are those of the data inputs (without those behind Dynamic attributes).

    gradient(operation, *output_gradients) gives one tensor or None for each data input; an output without gradient
    comes as None if there are several outputs. `differentiable=False` says that there is none by nature (comparisons,
    indices); an operation with neither is an error when a gradient is wanted through it.

    Exactly one meaning:
    scalar(s, *values, **attributes)   elementwise with broadcasting, in the vocabulary of graphc.scalars
    reduce                             the name of a monoid over the attribute `axes` (keepdims as an attribute)
    movement(attributes, input_shape, output_shape, index) -> input index, for a movement of one input that is affine;
                                       or the string "reshape", "pad" or "concat"
    composite(operation) -> outputs    built from other operations
    kernel                             the name of a family with its own lowering
    host(operation, *arrays)           runs in Python between native parts

    `evaluate(attributes, *arrays)` is the NumPy value for kernel and movement operations, and a faster or more exact one
    for any other. `type_value(types, **attributes)` is the value of an operation that depends on types only (shape,
    size, rank). `effect` is "read", "write" or "host" where order matters.
    """

    name: str
    infer: TypeRule
    gradient: Gradient | None = None
    differentiable: bool = True
    attributes: Mapping[str, type] = field(default_factory=dict)
    scalar: Callable[..., Any] | None = None
    reduce: str | None = None
    movement: Callable[..., Any] | str | None = None
    composite: Callable[[Operation], Any] | None = None
    kernel: str | None = None
    host: Callable[..., Any] | None = None
    evaluate: Callable[..., Any] | None = None
    type_value: Callable[..., np.ndarray] | None = None
    effect: str | None = None

    def __repr__(self) -> str:
        return f"OpDef({self.name})"

    @property
    def kind(self) -> str:
        """Which meaning the operation has, as a word."""
        for kind in ("scalar", "reduce", "movement", "composite", "kernel", "host"):
            if getattr(self, kind) is not None:
                return kind
        return "source"


DEFINITIONS: dict[str, OpDef] = {}


def define(definition: OpDef) -> OpDef:
    """Enters a definition in the table of operations. Raises ValueError for a second one of the same name."""
    if definition.name in DEFINITIONS:
        raise ValueError(f"operation {definition.name} is defined twice")
    DEFINITIONS[definition.name] = definition
    return definition


class Operation:
    """One use of an OpDef: immutable, compared by identity."""

    __slots__ = (
        "definition", "inputs", "attributes", "outputs", "name", "locations", "control_inputs", "graph", "position",
        "__weakref__",
    )  # fmt: skip

    def __init__(
        self,
        definition: OpDef,
        inputs: Sequence[Tensor],
        attributes: Mapping[str, Any],
        types: Sequence[TensorType],
        name: str,
        locations: tuple[SourceLocation, ...] = (),
        control_inputs: tuple[Operation, ...] = (),
        graph: Graph | None = None,
        position: int = -1,
    ):
        self.definition = definition
        self.inputs = tuple(inputs)
        self.attributes = dict(attributes)
        self.name = name
        self.locations = locations
        self.control_inputs = control_inputs
        self.graph = graph
        self.position = position  # order of declaration in the graph
        self.outputs = tuple(Tensor(self, i, type_) for i, type_ in enumerate(types))

    def __repr__(self) -> str:
        return f"<tf.Operation {self.name!r} type={self.type}>"

    @property
    def type(self) -> str:
        """What TensorFlow calls an operation of this definition, where it has one; else the definition's name."""
        return TENSORFLOW_NAMES.get(self.definition.name, self.definition.name)

    @property
    def location(self) -> SourceLocation | None:
        return self.locations[0] if self.locations else None

    @property
    def output(self) -> Tensor:
        """The only output."""
        (output,) = self.outputs
        return output

    @property
    def dynamic_attributes(self) -> list[str]:
        """Names of the attributes whose values are the last inputs."""
        return [name for name, value in self.attributes.items() if isinstance(value, Dynamic)]

    @property
    def data_inputs(self) -> tuple[Tensor, ...]:
        """The inputs without those that stand for attributes."""
        count = len(self.dynamic_attributes)
        return self.inputs[: len(self.inputs) - count] if count else self.inputs

    @property
    def device(self) -> str:
        return ""

    @property
    def op_def(self) -> OpDef:
        return self.definition

    @property
    def node_def(self) -> Operation:
        return self

    def get_attr(self, name: str) -> Any:
        """The value of an attribute. Raises ValueError where there is none of that name."""
        if name not in self.attributes:
            raise ValueError(f"operation {self.name!r} has no attribute {name!r}")
        return self.attributes[name]

    def values(self) -> tuple[Tensor, ...]:
        return self.outputs

    def run(self, feed_dict: Mapping | None = None, session: Any = None) -> None:
        """Runs the operation in `session` or the default session."""
        _session_for(session, f"run {self.name}").run(self, feed_dict)


class Tensor(Operand):
    """A value of the graph: output `index` of an operation. Operators build operations; equality is identity."""

    __slots__ = ("operation", "index", "type", "__weakref__")

    def __init__(self, operation: Operation, index: int, type_: TensorType):
        self.operation, self.index, self.type = operation, index, type_

    def __repr__(self) -> str:
        return f"<tf.Tensor {self.name!r} shape={TensorShape(self.type.shape)} dtype={self.type.dtype.name}>"

    @property
    def name(self) -> str:
        return f"{self.operation.name}:{self.index}"

    @property
    def op(self) -> Operation:
        return self.operation

    @property
    def graph(self) -> Graph | None:
        return self.operation.graph

    @property
    def dtype(self) -> DType:
        return self.type.dtype

    @property
    def shape(self) -> TensorShape:
        return TensorShape(self.type.shape)

    def get_shape(self) -> TensorShape:
        return TensorShape(self.type.shape)

    @property
    def value_index(self) -> int:
        return self.index

    @property
    def device(self) -> str:
        return ""

    def set_shape(self, shape: Any) -> None:
        """Adds what is known of the shape. Raises ValueError where it contradicts."""
        self.type = TensorType(self.type.dtype, merge_shapes(self.type.shape, TensorShape(shape).sizes))

    def consumers(self) -> list[Operation]:
        """The operations of the graph that take this tensor."""
        operations = self.graph.get_operations() if self.graph is not None else []
        return [op for op in operations if any(t is self for t in op.inputs)]

    def eval(self, feed_dict: Mapping | None = None, session: Any = None) -> Any:
        """The value of the tensor in `session` or the default session."""
        return _session_for(session, f"evaluate {self.name}").run(self, feed_dict)

    __hash__ = object.__hash__  # by identity; tables of tensors are looked up all the time

    def __eq__(self, other: object) -> bool:
        return self is other

    def __bool__(self) -> bool:
        raise TypeError(
            "Using a `tf.Tensor` as a Python `bool` is not allowed. Use `if t is not None:` instead of `if t:` to test "
            "if a tensor is defined, and use TensorFlow ops such as tf.cond to execute subgraphs conditioned on the "
            "value of a tensor."
        )

    def __len__(self) -> int:
        raise TypeError("len of a tensor is not defined; use tensor.shape[0] or tf.shape(tensor)[0]")

    def __iter__(self) -> Iterator[Tensor]:
        shape = self.type.shape
        if not shape or shape[0] is None:
            raise TypeError("Tensor objects are only iterable when their first dimension is known")
        return iter([self[i] for i in range(shape[0])])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise NotImplementedError(f"Cannot convert a symbolic Tensor ({self.name}) to a numpy array.")


class DefaultStack(threading.local):
    """A stack of defaults, one for each thread: the default graph or session is its top."""

    def __init__(self) -> None:
        self.items: list[Any] = []

    @contextmanager
    def push(self, item: Any) -> Iterator[Any]:
        self.items.append(item)
        try:
            yield item
        finally:
            if not self.items or self.items[-1] is not item:
                raise RuntimeError("nesting of defaults is violated: another one was left open")
            self.items.pop()

    @property
    def top(self) -> Any:
        return self.items[-1] if self.items else None


DEFAULT_SESSIONS = DefaultStack()


def _session_for(session: Any, what: str) -> Any:
    found = session if session is not None else DEFAULT_SESSIONS.top
    if found is None:
        raise ValueError(
            f"Cannot {what}: No default session is registered. Use `with sess.as_default()` or pass an explicit "
            "session to `eval(session=sess)` or `run(session=sess)`"
        )
    return found


class Builder(Protocol):
    """Where new operations go: a graph, or a collector of detached operations in a pass."""

    def create_operation(
        self, definition: OpDef, inputs: Sequence[Tensor], attributes: Mapping[str, Any], types: Sequence[TensorType],
        name: str | None, location: SourceLocation | None,
    ) -> Operation: ...  # fmt: skip


_BUILDERS = DefaultStack()
_default_builder: list[Callable[[], Builder]] = []


def set_default_builder(function: Callable[[], Builder]) -> None:
    """What builds when no builder was pushed: the process-wide default graph."""
    _default_builder[:] = [function]


def current_builder() -> Builder:
    return _BUILDERS.top or _default_builder[0]()


def pushed_builders() -> list[Any]:
    """The builders in force in this thread, the innermost last."""
    return _BUILDERS.items


def building_into(builder: Builder) -> Any:
    """A context in which `apply` gives new operations to `builder`."""
    return _BUILDERS.push(builder)


class Collector:
    """Takes detached operations in the order of their making: what passes build into.

    New operations are named under `name`, and carry the given locations.
    """

    def __init__(self, name: str = "", locations: tuple[SourceLocation, ...] = ()):
        self.operations: list[Operation] = []
        self.name, self.locations = name, locations

    def take(self) -> list[Operation]:
        """What was made since this was asked for last."""
        taken, self.operations = self.operations, []
        return taken

    def create_operation(
        self, definition: OpDef, inputs: Sequence[Tensor], attributes: Mapping[str, Any], types: Sequence[TensorType],
        name: str | None, location: SourceLocation | None,
    ) -> Operation:  # fmt: skip
        inner = name or definition.name
        full = f"{self.name}/{inner}" if self.name else inner
        operation = Operation(definition, inputs, attributes, types, full, self.locations)
        self.operations.append(operation)
        return operation


def apply(definition: OpDef, inputs: Sequence[Tensor], name: str | None = None, **attributes: Any) -> Any:
    """Makes an operation: its only output, a tuple of several, or the Operation itself where there is none.

    An attribute may be given as a tensor: its value where that is known now, else a Dynamic attribute with the tensor
    among the inputs. Raises what the type rule raises, with operands and the user's line added.
    """
    builder = current_builder()
    location = find_location() if not isinstance(builder, Collector) else None
    plain, operands = dict(attributes), list(inputs)
    for key, value in attributes.items():
        if isinstance(value, Tensor):
            plain[key] = _attribute_value(value)
            if isinstance(plain[key], Dynamic):
                operands.append(value)
    types = infer_types(definition, inputs, plain, location)
    operation = builder.create_operation(definition, operands, plain, types, name, location)
    if not operation.outputs:
        return operation
    return operation.outputs[0] if len(operation.outputs) == 1 else operation.outputs


STATIC_VALUE: list[Callable[[Tensor], Any]] = []
"""How the value of a tensor is found while graphs are declared (graphc.static_values puts itself here)."""


def _attribute_value(tensor: Tensor) -> Any:
    """A tuple or number where the tensor's value is known, else a Dynamic with what is known."""
    return STATIC_VALUE[0](tensor) if STATIC_VALUE else Dynamic()


def infer_types(
    definition: OpDef, inputs: Sequence[Tensor], attributes: Mapping[str, Any], location: SourceLocation | None
) -> list[TensorType]:
    """The result types of a definition on tensors. Errors carry the operands and the location."""
    try:
        types = definition.infer([t.type for t in inputs], **attributes)
    except (errors.ShapeError, errors.DTypeError) as error:
        problem = str(error)
        if "\n" in problem:
            raise
        text = problem if problem.startswith(definition.name) else f"{definition.name}: {problem}"
        raise type(error)(errors.format_error(text, inputs, location)) from None
    return [types] if isinstance(types, TensorType) else list(types)
