"""The base of optimizers: gradients in, one update of each variable out.

An optimizer says what slots it keeps (`_create_slots`), what it computes once an update (`_prepare`, `_finish`) and how
one variable is updated (`_apply_dense`). Updates are plain elementwise operations with assignments at their end, which
the compiler fuses into one pass over the memory of the variable and its slots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..collections import GraphKeys
from ..gradients import gradients
from ..graph import get_default_graph
from ..indexed_slices import IndexedSlices
from ..operation import Operation, Tensor
from ..ops.compare import greater, where
from ..ops.constants import convert_to_tensor
from ..ops.filling import ones_like, zeros_like
from ..ops.grouping import group
from ..ops.indexing import scatter_nd
from ..ops.movement import expand_dims
from ..scopes import control_dependencies, init_scope, name_scope
from ..variable_functions import assign_add, trainable_variables
from ..variables import Variable
from .slots import create_slot, create_zeros_slot

GradientsAndVariables = list[tuple[Tensor | IndexedSlices | None, Variable]]


class Optimizer:
    """What all optimizers share. Subclasses override the methods that begin with one underscore."""

    GATE_NONE = 0
    GATE_OP = 1
    GATE_GRAPH = 2

    def __init__(self, use_locking: bool = False, name: str = "Optimizer"):
        if not name:
            raise ValueError("Must specify the optimizer name")
        self._use_locking, self._name = use_locking, name
        self._rows: Tensor | None = None  # of the update that is being built: which rows it is about
        self._slots: dict[str, dict[Variable, Variable]] = {}
        self._non_slots: dict[tuple[str, Any], Variable] = {}

    def get_name(self) -> str:
        return self._name

    def minimize(
        self, loss: Any, global_step: Variable | None = None, var_list: Sequence[Variable] | None = None,
        gate_gradients: int = GATE_OP, aggregation_method: Any = None, colocate_gradients_with_ops: bool = False,
        name: str | None = None, grad_loss: Any = None,
    ) -> Operation:  # fmt: skip
        """An operation that takes one step down the gradient of `loss`, and adds one to `global_step`.

        `var_list` are the variables to train, all trainable ones by default. Raises ValueError where the loss depends on
        none of them.
        """
        pairs = self.compute_gradients(
            loss, var_list, gate_gradients, aggregation_method, colocate_gradients_with_ops, grad_loss
        )
        if all(gradient is None for gradient, _ in pairs):
            names = [str(variable) for _, variable in pairs]
            raise ValueError(
                "No gradients provided for any variable, check your graph for ops that do not support gradients, "
                f"between variables {names} and loss {loss}."
            )
        return self.apply_gradients(pairs, global_step, name)

    def compute_gradients(
        self, loss: Any, var_list: Sequence[Variable] | None = None, gate_gradients: int = GATE_OP,
        aggregation_method: Any = None, colocate_gradients_with_ops: bool = False, grad_loss: Any = None,
    ) -> GradientsAndVariables:  # fmt: skip
        """Pairs of a gradient of `loss` and its variable; None for a variable that the loss does not depend on."""
        if gate_gradients not in (self.GATE_NONE, self.GATE_OP, self.GATE_GRAPH):
            raise ValueError(
                "gate_gradients must be one of: Optimizer.GATE_NONE, Optimizer.GATE_OP, Optimizer.GATE_GRAPH. "
                f"Not {gate_gradients}"
            )
        target = loss() if callable(loss) else loss
        if var_list is None:
            variables = trainable_variables()
        else:
            variables = list(var_list) if isinstance(var_list, Iterable) else [var_list]
        if not variables:
            raise ValueError("No variables to optimize.")
        weights = None if grad_loss is None else [grad_loss]
        return list(zip(gradients(target, variables, grad_ys=weights), variables))

    def apply_gradients(
        self, grads_and_vars: Iterable[tuple[Any, Variable]], global_step: Variable | None = None, name: str | None = None
    ) -> Operation:
        """An operation that updates each variable by its gradient (pairs with None are left out).

        Raises ValueError where no pair has a gradient, TypeError where one is not a gradient and a variable.
        """
        pairs = list(grads_and_vars)
        if not pairs:
            raise ValueError("No variables provided.")
        updated = [(_check_gradient(gradient, variable), variable) for gradient, variable in pairs if gradient is not None]
        if not updated:
            raise ValueError(f"No gradients provided for any variable: {[str(variable) for _, variable in pairs]}.")
        with init_scope():
            self._create_slots([variable for _, variable in updated])
        with name_scope(name, self._name) as scope:
            self._prepare()
            updates = [self._update(gradient, variable) for gradient, variable in updated]
            if global_step is None:
                done = self._finish(updates, scope)
            else:
                with control_dependencies([self._finish(updates, "update")]):
                    done = assign_add(global_step, 1, name=scope).op
        _note_train_op(done)
        return done

    def _update(self, gradient: Tensor | IndexedSlices, variable: Variable) -> Any:
        with name_scope("update_" + variable.op.name):
            if isinstance(gradient, IndexedSlices):
                update = self._apply_sparse(gradient, variable)
            else:
                update = self._apply_dense(gradient, variable)
            if variable.constraint is None:
                return update
            with control_dependencies([update]):
                return variable.assign(variable.constraint(variable.read_value()))

    # -- slots

    def get_slot(self, var: Variable, name: str) -> Variable | None:
        """The slot `name` that was made for a variable, or None."""
        return self._slots.get(name, {}).get(var)

    def get_slot_names(self) -> list[str]:
        return sorted(self._slots)

    def variables(self) -> list[Variable]:
        """The variables that the optimizer keeps in the default graph, by name."""
        graph = get_default_graph()
        kept = [variable for (_, owner), variable in self._non_slots.items() if owner is graph]
        kept += [slot for slots in self._slots.values() for slot in slots.values() if slot.graph is graph]
        return sorted(kept, key=lambda variable: variable.name)

    def _slot_dict(self, slot_name: str) -> dict[Variable, Variable]:
        return self._slots.setdefault(slot_name, {})

    def _zeros_slot(self, var: Variable, slot_name: str, op_name: str) -> Variable:
        """The slot of zeros at first; `op_name` is its name under the variable's."""
        slots = self._slot_dict(slot_name)
        if var not in slots:
            slots[var] = create_zeros_slot(var, op_name)
        return slots[var]

    def _get_or_make_slot(self, var: Variable, val: Any, slot_name: str, op_name: str) -> Variable:
        """The slot that starts from a value."""
        slots = self._slot_dict(slot_name)
        if var not in slots:
            slots[var] = create_slot(var, val, op_name)
        return slots[var]

    def _get_or_make_slot_with_initializer(
        self, var: Variable, initializer: Callable[..., Any], shape: Any, dtype: Any, slot_name: str, op_name: str
    ) -> Variable:
        """The slot that starts from what an initializer gives for a shape and type."""
        slots = self._slot_dict(slot_name)
        if var not in slots:
            slots[var] = create_slot(var, initializer, op_name, shape, dtype)
        return slots[var]

    def _create_non_slot_variable(self, initial_value: Any, name: str, colocate_with: Variable) -> Variable:
        """A variable of the optimizer as a whole, one a graph."""
        key = (name, colocate_with.graph)
        if key not in self._non_slots:
            self._non_slots[key] = Variable(initial_value, name=name, trainable=False)
        return self._non_slots[key]

    def _get_non_slot_variable(self, name: str, graph: Any = None) -> Variable | None:
        return self._non_slots.get((name, graph))

    # -- what subclasses define

    def _create_slots(self, var_list: Sequence[Variable]) -> None:
        """Makes the slots of the variables. By default there are none."""

    def _prepare(self) -> None:
        """Makes the tensors that all updates share, such as the learning rate."""

    def _apply_dense(self, grad: Tensor, var: Variable) -> Any:
        """An operation or tensor that updates one variable."""
        raise NotImplementedError

    def _apply_sparse(self, grad: IndexedSlices, var: Variable) -> Any:
        """An operation or tensor that updates one variable by a gradient of some rows; by default, by the whole gradient."""
        return self._apply_dense(convert_to_tensor(grad, var.dtype), var)

    def _apply_to_rows(self, grad: IndexedSlices, var: Variable) -> Any:
        """`_apply_dense` in which `_write` and `_subtract` leave all rows but those of the gradient as they are."""
        counts = scatter_nd(expand_dims(grad.indices, -1), ones_like(grad.indices), var.shape.as_list()[:1])
        self._rows = greater(counts, 0)
        try:
            return self._apply_dense(convert_to_tensor(grad, var.dtype), var)
        finally:
            self._rows = None

    def _write(self, variable: Variable, value: Tensor) -> Tensor:
        """Sets a variable or slot, or those of its rows that the update is about."""
        return variable.assign(value if self._rows is None else where(self._rows, value, variable.value()))

    def _subtract(self, variable: Variable, step: Tensor) -> Tensor:
        """Subtracts a step from a variable, or from those of its rows that the update is about."""
        return variable.assign_sub(step if self._rows is None else where(self._rows, step, zeros_like(step)))

    def _finish(self, update_ops: Sequence[Any], name_scope: str) -> Operation:
        """The operation that stands for all updates, under the name `name_scope`."""
        return group(*update_ops, name=name_scope)

    def _call_if_callable(self, param: Any) -> Any:
        return param() if callable(param) else param

    def _parameter(self, param: Any, name: str) -> Tensor:
        """A number, tensor or function of an optimizer as a tensor."""
        return convert_to_tensor(self._call_if_callable(param), name=name)


def _check_gradient(gradient: Any, variable: Any) -> Tensor | IndexedSlices:
    if not isinstance(variable, Variable):
        raise TypeError(f"Variable must be a tf.Variable: {variable}")
    if isinstance(gradient, IndexedSlices):
        return gradient
    try:
        return convert_to_tensor(gradient, variable.dtype)
    except TypeError:
        raise TypeError(f"Gradient must be convertible to a Tensor, or None: {gradient}") from None


def _note_train_op(operation: Operation) -> None:
    kept = get_default_graph().get_collection_ref(GraphKeys.TRAIN_OP)
    if operation not in kept:
        kept.append(operation)
