"""Variables: storage that lives in a session, and what reads, writes and initialises it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .collections import GraphKeys
from .dtypes import DType, as_dtype, string
from .graph import Graph, get_default_graph
from .operation import DEFAULT_SESSIONS, OpDef, Operation, Tensor, TensorType, apply, define
from .operators import Operand
from .ops.constants import convert_to_tensor
from .ops.grouping import group
from .ops.state import ASSIGN, ASSIGN_ADD, ASSIGN_SUB, INITIALIZED_VALUE, IS_INITIALIZED, READ, VARIABLE
from .scopes import graph_of, init_scope, name_scope
from .shapes import TensorShape, as_shape


class Variable(Operand):
    """A value that stays in the session from run to run.

    `initial_value` is a tensor, a value, or a function of no arguments that gives one; `shape` replaces its shape (with
    unknown dimensions, say). `collections` are the graph's collections that the variable joins (GLOBAL_VARIABLES), and
    TRAINABLE_VARIABLES besides where `trainable`. With `validate_shape` False values of any shape may be assigned.
    `variable_def`, `import_scope`, `caching_device`, `use_resource`, `synchronization` and `aggregation` are accepted
    for TensorFlow's sake and mean nothing here.

    The variable `w` makes the operations `w`, `w/initial_value`, `w/Assign` and `w/read`. Raises ValueError where there
    is no initial value, or its shape is not known.
    """

    __array_priority__ = 100  # NumPy arrays on the left leave operators to us

    def __init__(
        self,
        initial_value: Any = None,
        trainable: bool | None = None,
        collections: Iterable[Any] | None = None,
        validate_shape: bool = True,
        caching_device: Any = None,
        name: str | None = None,
        variable_def: Any = None,
        dtype: Any = None,
        expected_shape: Any = None,
        import_scope: str | None = None,
        constraint: Callable[[Tensor], Tensor] | None = None,
        use_resource: bool | None = None,
        synchronization: Any = None,
        aggregation: Any = None,
        shape: Any = None,
    ):
        if initial_value is None:
            raise ValueError("initial_value must be specified.")
        if collections is not None and not isinstance(collections, (list, tuple, set)):
            raise ValueError(
                "collections argument to Variable constructor must be a list, tuple, or set. "
                f"Got {collections!r} of type {type(collections).__name__}"
            )
        if constraint is not None and not callable(constraint):
            raise ValueError("The `constraint` argument must be a callable.")
        self.trainable = trainable is None or bool(trainable)
        self.constraint = constraint
        self.validate_shape = validate_shape
        with init_scope(), name_scope(name, "Variable") as scope:
            self.initial_value: Tensor = _build_initial_value(initial_value, as_dtype(dtype) if dtype is not None else None)
            self._storage = self._build_storage(scope, shape if shape is not None else expected_shape)
            guarded = _read_initialized(self.initial_value, self.op.name)
            assigned = apply(ASSIGN, [self._storage, guarded], scope + "Assign/", validate_shape=validate_shape)
            self.initializer: Operation = assigned.op
            self._snapshot: Tensor = apply(READ, [self._storage], scope + "read/")
        self._join(collections)

    def _build_storage(self, scope: str, shape: Any) -> Tensor:
        initial = self.initial_value
        sizes = as_shape(shape) if shape is not None else initial.type.shape if self.validate_shape else None
        if self.validate_shape and shape is None and not initial.type.is_known:
            raise ValueError(f"initial_value must have a shape specified: {initial!r}")
        return apply(VARIABLE, [], scope, dtype=initial.dtype, shape=sizes, key=scope[:-1])

    def _join(self, collections: Iterable[Any] | None) -> None:
        names = list(collections) if collections is not None else [GraphKeys.GLOBAL_VARIABLES]
        if self.trainable and GraphKeys.TRAINABLE_VARIABLES not in names:
            names.append(GraphKeys.TRAINABLE_VARIABLES)
        self.graph.add_to_collections(names, self)

    def __repr__(self) -> str:
        return f"<tf.Variable {self.name!r} shape={self.shape} dtype={self.dtype.name}>"

    # -- what it is

    @property
    def op(self) -> Operation:
        return self._storage.op

    @property
    def name(self) -> str:
        return self._storage.name

    @property
    def key(self) -> str:
        """What names the variable in a session."""
        return self.op.attributes["key"]

    @property
    def dtype(self) -> DType:
        return self._storage.dtype

    @property
    def shape(self) -> TensorShape:
        return self._storage.shape

    def get_shape(self) -> TensorShape:
        return self._storage.shape

    def set_shape(self, shape: Any) -> None:
        """Adds what is known of the shape. Raises ValueError where it contradicts."""
        self._storage.set_shape(shape)
        self._snapshot.set_shape(shape)

    @property
    def graph(self) -> Graph:
        graph = self._storage.graph
        assert graph is not None, "variables are declared in graphs"
        return graph

    @property
    def device(self) -> str:
        return ""

    # -- reads

    def _as_tensor(self) -> Tensor:
        """A read that waits for the control dependencies in force; `w/read` where there are none."""
        return self.read_value() if self.graph.has_control_dependencies else self._snapshot

    def _as_graph_element(self) -> Tensor:
        return self._storage

    def value(self) -> Tensor:
        """The value as a tensor."""
        return self._as_tensor()

    def read_value(self) -> Tensor:
        """The value as a tensor of its own, read after the control dependencies in force."""
        with self.graph.name_scope(None):
            return apply(READ, [self._storage], f"{self.op.name}/read")

    def initialized_value(self) -> Tensor:
        """The value where the variable is initialised when the run begins, else its initial value."""
        with init_scope(), self.graph.name_scope(None):
            return apply(INITIALIZED_VALUE, [self._storage, self.initial_value], f"{self.op.name}/initialized_value")

    def eval(self, session: Any = None) -> Any:
        """The value in `session` or the default session."""
        return self._snapshot.eval(session=session)

    # -- writes

    def assign(self, value: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True) -> Any:
        """Sets the variable; gives the new value, or the operation where `read_value` is False."""
        written = apply(ASSIGN, [self._storage, self._operand(value)], name or "Assign", validate_shape=self.validate_shape)
        return written if read_value else written.op

    def assign_add(self, delta: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True) -> Any:
        """Adds `delta` to the variable; gives the new value, or the operation where `read_value` is False."""
        written = apply(ASSIGN_ADD, [self._storage, self._operand(delta)], name or "AssignAdd")
        return written if read_value else written.op

    def assign_sub(self, delta: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True) -> Any:
        """Subtracts `delta` from the variable; gives the new value, or the operation where `read_value` is False."""
        written = apply(ASSIGN_SUB, [self._storage, self._operand(delta)], name or "AssignSub")
        return written if read_value else written.op

    def _operand(self, value: Any) -> Tensor:
        return convert_to_tensor(value, self.dtype)

    def load(self, value: Any, session: Any = None) -> None:
        """Sets the value in `session` or the default session, outside the graph. Raises ValueError without one."""
        found = session if session is not None else DEFAULT_SESSIONS.top
        if found is None:
            raise ValueError(
                "Either session argument should be provided or default session should be established"
            )
        found.run(self.initializer, {self.initializer.inputs[1]: value})

    # -- as a value

    def __getitem__(self, key: Any) -> Tensor:
        return self._as_tensor()[key]

    def __iter__(self) -> Any:
        raise TypeError("'Variable' object is not iterable.")

    def __bool__(self) -> bool:
        return bool(self._snapshot)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self._snapshot.__array__(dtype)




def _build_initial_value(value: Any, dtype: DType | None) -> Tensor:
    if not callable(value):
        return convert_to_tensor(value, dtype, name="initial_value")
    with name_scope("Initializer"):
        return convert_to_tensor(value(), dtype, name="initial_value")


def _read_initialized(initial: Tensor, suffix: str) -> Tensor:
    """`initial`, with reads of other variables replaced by their initialised values.

    So an initial value that depends on another variable is right also where both are initialised in one run.
    """
    order = _operations_between_reads(initial)
    replaced: dict[Tensor, Tensor] = {}
    for operation in order:
        if operation.definition is READ:
            source = _find_variable(operation.inputs[0])
            if source is not None:
                replaced[operation.output] = source.initialized_value()
            continue
        if not any(t in replaced for t in operation.inputs):
            continue
        copied = _copy_operation(operation, [replaced.get(t, t) for t in operation.inputs], suffix)
        replaced.update(zip(operation.outputs, copied.outputs))
    return replaced.get(initial, initial)


def _operations_between_reads(tensor: Tensor) -> list[Operation]:
    """What `tensor` is computed from, no further than reads of variables, in the order of declaration."""
    pending, seen = [tensor.op], {tensor.op}
    while pending:
        operation = pending.pop()
        if operation.definition in (READ, INITIALIZED_VALUE):
            continue
        for source in operation.inputs:
            if source.op not in seen:
                seen.add(source.op)
                pending.append(source.op)
    return sorted(seen, key=lambda operation: operation.position)


def _find_variable(storage: Tensor) -> Variable | None:
    graph = graph_of(storage)
    for key in (GraphKeys.GLOBAL_VARIABLES, GraphKeys.LOCAL_VARIABLES):
        for variable in graph.get_collection(key):
            if isinstance(variable, Variable) and variable.op is storage.op:
                return variable
    return None


def _copy_operation(operation: Operation, inputs: list[Tensor], suffix: str) -> Operation:
    graph = graph_of(operation)
    types = [t.type for t in operation.outputs]
    with graph.name_scope(None):
        name = f"{operation.name}_{suffix}"
        return graph.create_operation(
            operation.definition, inputs, operation.attributes, types, name, operation.location
        )


# -- functions on variables


def assign(ref: Variable, value: Any, validate_shape: bool | None = None, use_locking: bool | None = None,
           name: str | None = None) -> Tensor:  # fmt: skip
    """Sets a variable to `value`; gives the new value."""
    check = ref.validate_shape if validate_shape is None else validate_shape
    storage = ref._as_graph_element()
    return apply(ASSIGN, [storage, convert_to_tensor(value, ref.dtype)], name or "Assign", validate_shape=check)


def assign_add(ref: Variable, value: Any, use_locking: bool | None = None, name: str | None = None) -> Tensor:
    """Adds `value` to a variable; gives the new value."""
    return ref.assign_add(value, name=name)


def assign_sub(ref: Variable, value: Any, use_locking: bool | None = None, name: str | None = None) -> Tensor:
    """Subtracts `value` from a variable; gives the new value."""
    return ref.assign_sub(value, name=name)


def is_variable_initialized(variable: Variable) -> Tensor:
    """Whether the variable is initialised when the run begins: bool of shape []."""
    return apply(IS_INITIALIZED, [variable._as_graph_element()])


def _list_uninitialized(operation: Operation, *initialized: np.ndarray) -> np.ndarray:
    names = operation.attributes["names"]
    return np.array([name.encode() for name, held in zip(names, initialized) if not held], object)


UNINITIALIZED_NAMES = define(
    OpDef(
        "uninitialized_names",
        infer=lambda types, names: TensorType(string, (None,)),
        attributes={"names": tuple},
        differentiable=False,
        host=_list_uninitialized,
    )
)


def report_uninitialized_variables(var_list: Iterable[Variable] | None = None,
                                   name: str = "report_uninitialized_variables") -> Tensor:  # fmt: skip
    """The names of the variables (all global and local ones by default) without value when the run begins: strings."""
    variables = list(var_list) if var_list is not None else [*global_variables(), *local_variables()]
    with name_scope(name):
        flags = [is_variable_initialized(variable) for variable in variables]
        return apply(UNINITIALIZED_NAMES, flags, names=tuple(variable.op.name for variable in variables))


def variables_initializer(var_list: Iterable[Variable], name: str = "init") -> Operation:
    """An operation that initialises the variables."""
    return group(*[variable.initializer for variable in var_list], name=name)


def global_variables_initializer() -> Operation:
    """An operation that initialises all global variables of the default graph."""
    return variables_initializer(global_variables())


def local_variables_initializer() -> Operation:
    """An operation that initialises all local variables of the default graph."""
    return variables_initializer(local_variables())


def initialize_all_variables() -> Operation:
    """global_variables_initializer under its old name."""
    return global_variables_initializer()


def initialize_local_variables() -> Operation:
    """local_variables_initializer under its old name."""
    return local_variables_initializer()


def initialize_variables(var_list: Iterable[Variable], name: str = "init") -> Operation:
    """variables_initializer under its old name."""
    return variables_initializer(var_list, name)


def global_variables(scope: str | None = None) -> list[Variable]:
    """The variables of the default graph; with `scope`, those whose name matches that regular expression."""
    return get_default_graph().get_collection(GraphKeys.GLOBAL_VARIABLES, scope)


def all_variables() -> list[Variable]:
    """global_variables under its old name."""
    return global_variables()


def local_variables(scope: str | None = None) -> list[Variable]:
    """The variables in the collection LOCAL_VARIABLES of the default graph."""
    return get_default_graph().get_collection(GraphKeys.LOCAL_VARIABLES, scope)


def model_variables(scope: str | None = None) -> list[Variable]:
    """The variables in the collection MODEL_VARIABLES of the default graph."""
    return get_default_graph().get_collection(GraphKeys.MODEL_VARIABLES, scope)


def trainable_variables(scope: str | None = None) -> list[Variable]:
    """The variables that optimizers train by default."""
    return get_default_graph().get_collection(GraphKeys.TRAINABLE_VARIABLES, scope)


def moving_average_variables(scope: str | None = None) -> list[Variable]:
    """The variables of which moving averages are kept."""
    return get_default_graph().get_collection(GraphKeys.MOVING_AVERAGE_VARIABLES, scope)


__all__ = [
    "Variable", "assign", "assign_add", "assign_sub", "is_variable_initialized", "variables_initializer",
    "global_variables_initializer", "local_variables_initializer", "initialize_all_variables",
    "initialize_local_variables", "initialize_variables", "global_variables", "all_variables", "local_variables",
    "model_variables", "trainable_variables", "moving_average_variables", "report_uninitialized_variables",
]  # fmt: skip
