"""Variables: storage that lives in a session, and what reads, writes and initialises it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .collections import GraphKeys
from .dtypes import DType, as_dtype
from .graph import Graph
from .indexed_slices import IndexedSlices
from .operation import DEFAULT_SESSIONS, Operation, Tensor, apply
from .operators import Operand
from .ops import scatter_updates
from .ops.constants import convert_to_tensor
from .ops.rules import is_tensor
from .ops.state import ASSIGN, ASSIGN_ADD, ASSIGN_SUB, INITIALIZED_VALUE, READ, VARIABLE
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

    def scatter_update(self, sparse_delta: IndexedSlices, use_locking: bool = False, name: str | None = None) -> Tensor:
        """Sets rows; gives the new value. Of equal indices the last one counts."""
        return scatter_updates.scatter_update(self, sparse_delta.indices, sparse_delta.values, name=name)

    def scatter_add(self, sparse_delta: IndexedSlices, use_locking: bool = False, name: str | None = None) -> Tensor:
        """Adds to rows; gives the new value."""
        return scatter_updates.scatter_add(self, sparse_delta.indices, sparse_delta.values, name=name)

    def scatter_sub(self, sparse_delta: IndexedSlices, use_locking: bool = False, name: str | None = None) -> Tensor:
        """Subtracts from rows; gives the new value."""
        return scatter_updates.scatter_sub(self, sparse_delta.indices, sparse_delta.values, name=name)

    def scatter_nd_update(self, indices: Any, updates: Any, name: str | None = None) -> Tensor:
        """Sets the parts that the last dimension of `indices` points to; gives the new value."""
        return scatter_updates.scatter_nd_update(self, indices, updates, name=name)

    def scatter_nd_add(self, indices: Any, updates: Any, name: str | None = None) -> Tensor:
        """Adds to the parts that the last dimension of `indices` points to; gives the new value."""
        return scatter_updates.scatter_nd_add(self, indices, updates, name=name)

    def scatter_nd_sub(self, indices: Any, updates: Any, name: str | None = None) -> Tensor:
        """Subtracts from the parts that the last dimension of `indices` points to; gives the new value."""
        return scatter_updates.scatter_nd_sub(self, indices, updates, name=name)

    def _operand(self, value: Any) -> Tensor:
        return convert_to_tensor(value, None if is_tensor(value) else self.dtype)

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


__all__ = ["Variable"]
