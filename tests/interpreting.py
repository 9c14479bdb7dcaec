"""Values of tensors of the default graph, computed by the interpreter alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc.operation import Tensor, TensorType
from graphc.passes.base import Context
from graphc.passes.expand_gradients import ExpandGradients
from graphc.passes.specialise import NeedsValues, specialise
from graphc.program import build_program
from graphc.runtime.interpreter import interpret


def value_of(fetches: Any, feeds: Mapping[Tensor, Any] | None = None) -> Any:
    """The value of a tensor, or a list of values for a list of tensors."""
    tensors = list(fetches) if isinstance(fetches, (list, tuple)) else [fetches]
    arrays = {t: np.asarray(a, t.dtype.numpy) for t, a in (feeds or {}).items()}
    program = build_program(tensors, feeds=arrays)
    try:
        special = specialise(program, {t.name: TensorType(t.dtype, a.shape) for t, a in arrays.items()})
        program = ExpandGradients().run(special, Context())
    except NeedsValues:
        pass  # shapes that depend on data: the interpreter finds them as it goes
    values, _ = interpret(program, {t.name: a for t, a in arrays.items()})
    return values if isinstance(fetches, (list, tuple)) else values[0]
