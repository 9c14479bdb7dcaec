"""How far constants are folded."""

import numpy as np

from graphc.dtypes import float32
from graphc.graph import Graph
from graphc.ops import elementwise, filling, joining, movement, reduce, sequences  # noqa: F401 - define operations
from graphc.ops.constants import constant, placeholder
from graphc.ops.random import random_uniform
from graphc.passes.base import Context
from graphc.passes.expand_composites import ExpandComposites
from graphc.passes.fold_constants import FoldConstants
from graphc.program import build_program


def folded(build, **options) -> list[str]:
    """The types of the operations that the fetches of a program come from, after folding."""
    with Graph().as_default():
        fetches = build()
        fetches = fetches if isinstance(fetches, (list, tuple)) else [fetches]
        program = build_program(fetches, (), [])
    program = ExpandComposites().run(program, Context())
    return [t.operation.definition.name for t in FoldConstants(**options).run(program, Context()).fetches]


def test_large_values_are_not_made():
    small = np.ones(64, np.float32)
    assert folded(lambda: movement.tile(constant(small), [16])) == ["constant"]
    assert folded(lambda: movement.tile(constant(small), [16]), largest=1024) == ["reshape"]


def test_large_values_are_made_smaller():
    assert folded(lambda: reduce.reduce_sum(constant(np.ones(4096, np.float32))), largest=1024) == ["constant"]
    assert folded(lambda: elementwise.tanh(constant(np.ones(4096, np.float32))), largest=1024) == ["constant"]


def test_filled_and_counted_arrays_stay_unless_small():
    assert folded(lambda: [filling.fill([100], 1.0), filling.fill([4], 1.0)]) == ["broadcast_to", "constant"]
    assert folded(lambda: [filling.range(100), filling.range(4)]) == ["iota", "constant"]
    assert folded(lambda: reduce.reduce_sum(filling.range(100))) == ["constant"]


def test_random_numbers_are_not_constants():
    assert folded(lambda: random_uniform([4])) != ["constant"]


def test_nothing_to_fold_gives_the_same_program():
    with Graph().as_default():
        x = placeholder(float32, [3])
        program = build_program([elementwise.add(x, 1.0)], (), [x])
    assert FoldConstants().run(program, Context()) is program
