import math

import numpy as np
import pytest
from numpy_session import numpy_session

from graphc.dtypes import int64
from graphc.graph import Graph
from graphc.ops.constants import constant, placeholder
from graphc.optimizers import (
    cosine_decay,
    cosine_decay_restarts,
    exponential_decay,
    inverse_time_decay,
    linear_cosine_decay,
    natural_exp_decay,
    piecewise_constant,
    polynomial_decay,
)

STEPS = [0, 1, 3, 5, 7, 8, 10, 15, 25]


def restarted(step, first=4.0, growth=2.0, height=0.5):
    share, scale = step / first, 1.0
    while share >= 1:
        share, scale = (share - 1) / growth, scale * height
    return scale * (1 + math.cos(math.pi * share)) / 2


def clamped(step):
    return min(step / 10, 1.0)


SCHEDULES = {
    "exponential": (lambda s: exponential_decay(0.1, s, 10, 0.5), lambda s: 0.1 * 0.5 ** (s / 10)),
    "staircase": (lambda s: exponential_decay(0.1, s, 10, 0.5, staircase=True), lambda s: 0.1 * 0.5 ** (s // 10)),
    "natural": (lambda s: natural_exp_decay(0.1, s, 10, 0.5), lambda s: 0.1 * math.exp(-0.5 * s / 10)),
    "inverse": (lambda s: inverse_time_decay(0.1, s, 10, 0.5, True), lambda s: 0.1 / (1 + 0.5 * (s // 10))),
    "pieces": (lambda s: piecewise_constant(s, [3, 7], [0.1, 0.2, 0.3]), lambda s: 0.1 if s <= 3 else 0.2 if s <= 7 else 0.3),
    "polynomial": (lambda s: polynomial_decay(0.1, s, 10, 0.01, 2.0), lambda s: 0.09 * (1 - clamped(s)) ** 2 + 0.01),
    "cycle": (
        lambda s: polynomial_decay(0.1, s, 10, 0.01, 2.0, cycle=True),
        lambda s: 0.09 * (1 - s / (10 * max(1, math.ceil(s / 10)))) ** 2 + 0.01,
    ),
    "cosine": (
        lambda s: cosine_decay(0.1, s, 10, 0.1), lambda s: 0.1 * (0.9 * (1 + math.cos(math.pi * clamped(s))) / 2 + 0.1)
    ),
    "linear cosine": (
        lambda s: linear_cosine_decay(0.1, s, 10),
        lambda s: 0.1 * ((1 - clamped(s)) * (1 + math.cos(math.pi * clamped(s))) / 2 + 0.001),
    ),
    "restarts": (lambda s: cosine_decay_restarts(0.1, s, 4, 2.0, 0.5, 0.1), lambda s: 0.1 * (0.9 * restarted(s) + 0.1)),
    "equal restarts": (
        lambda s: cosine_decay_restarts(0.1, s, 4, 1.0, 0.5), lambda s: 0.1 * restarted(s, growth=1.0)
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name):
    make, expected = SCHEDULES[name]
    with Graph().as_default():
        step = placeholder(int64, [])
        rate = make(step)
        with numpy_session() as session:
            found = [session.run(rate, {step: value}) for value in STEPS]
    np.testing.assert_allclose(found, [expected(value) for value in STEPS], rtol=1e-5, atol=1e-9)


def test_types_follow_the_learning_rate():
    with Graph().as_default():
        assert exponential_decay(constant(0.1, "float64"), constant(3), 10, 0.5).dtype.name == "float64"
        assert piecewise_constant(constant(1), [2.5], [1, 2]).dtype.name == "int32"


def test_arguments_that_are_wrong():
    with Graph().as_default():
        with pytest.raises(ValueError, match="global_step is required"):
            exponential_decay(0.1, None, 10, 0.5)
        with pytest.raises(ValueError, match="boundaries should be 1 less"):
            piecewise_constant(constant(1), [2, 3], [1.0, 2.0])
        with pytest.raises(ValueError, match="all with the same dtype"):
            piecewise_constant(constant(1), [2], [1.0, 2])
