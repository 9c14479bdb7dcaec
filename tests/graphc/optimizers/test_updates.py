"""Every optimizer against the formulas of its documentation, written in NumPy."""

import numpy as np
import pytest
from numpy_session import numpy_session

from graphc.dtypes import float32, float64
from graphc.graph import Graph
from graphc.ops.constants import constant, placeholder
from graphc.optimizers import (
    AdadeltaOptimizer,
    AdagradOptimizer,
    AdamOptimizer,
    FtrlOptimizer,
    GradientDescentOptimizer,
    MomentumOptimizer,
    RMSPropOptimizer,
)
from graphc.variable_functions import global_variables, global_variables_initializer
from graphc.variables import Variable

START = np.array([[1.0, -2.0], [0.5, 3.0]])
GRADIENTS = [np.array([[0.5, -1.0], [2.0, 0.1]]) * k for k in (1.0, -0.3, 0.7, 1.9)]


def gradient_descent(rate=0.1):
    w = START.copy()
    for g in GRADIENTS:
        w -= rate * g
    return w


def momentum(rate=0.1, decay=0.9, nesterov=False):
    w, a = START.copy(), np.zeros_like(START)
    for g in GRADIENTS:
        a = a * decay + g
        w -= rate * (g + decay * a if nesterov else a)
    return w


def adagrad(rate=0.5, first=0.1):
    w, a = START.copy(), np.full_like(START, first)
    for g in GRADIENTS:
        a = a + g * g
        w -= rate * g / np.sqrt(a)
    return w


def adadelta(rate=1.0, rho=0.8, epsilon=1e-2):
    w, a, d = START.copy(), np.zeros_like(START), np.zeros_like(START)
    for g in GRADIENTS:
        a = rho * a + (1 - rho) * g * g
        step = np.sqrt(d + epsilon) / np.sqrt(a + epsilon) * g
        d = rho * d + (1 - rho) * step * step
        w -= rate * step
    return w


def rmsprop(rate=0.05, decay=0.8, last=0.5, epsilon=1e-3, centered=False):
    w, s, m, p = START.copy(), np.ones_like(START), np.zeros_like(START), np.zeros_like(START)
    for g in GRADIENTS:
        s = decay * s + (1 - decay) * g * g
        m = decay * m + (1 - decay) * g
        p = last * p + rate * g / np.sqrt(s - (m * m if centered else 0) + epsilon)
        w -= p
    return w


def adam(rate=0.1, beta1=0.8, beta2=0.95, epsilon=1e-2):
    w, m, v = START.copy(), np.zeros_like(START), np.zeros_like(START)
    for t, g in enumerate(GRADIENTS, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        w -= rate * np.sqrt(1 - beta2**t) / (1 - beta1**t) * m / (np.sqrt(v) + epsilon)
    return w


def ftrl(rate=0.5, power=-0.5, l1=0.0, l2=0.0, shrinkage=0.0):
    w, a, z = START.copy(), np.full_like(START, 0.1), np.zeros_like(START)
    for g in GRADIENTS:
        new = a + g * g
        z += g + 2 * shrinkage * w - (new**-power - a**-power) / rate * w
        w = np.where(np.abs(z) > l1, (l1 * np.sign(z) - z) / (new**-power / rate + 2 * l2), 0.0)
        a = new
    return w


CASES = {
    "gradient descent": (lambda: GradientDescentOptimizer(0.1), gradient_descent()),
    "momentum": (lambda: MomentumOptimizer(0.1, 0.9), momentum()),
    "nesterov": (lambda: MomentumOptimizer(0.1, 0.9, use_nesterov=True), momentum(nesterov=True)),
    "adagrad": (lambda: AdagradOptimizer(0.5), adagrad()),
    "adadelta": (lambda: AdadeltaOptimizer(1.0, 0.8, 1e-2), adadelta()),
    "rmsprop": (lambda: RMSPropOptimizer(0.05, 0.8, 0.5, 1e-3), rmsprop()),
    "rmsprop, centered": (lambda: RMSPropOptimizer(0.05, 0.8, 0.5, 1e-3, centered=True), rmsprop(centered=True)),
    "adam": (lambda: AdamOptimizer(0.1, 0.8, 0.95, 1e-2), adam()),
    "ftrl": (lambda: FtrlOptimizer(0.5), ftrl()),
    "ftrl, strengths": (lambda: FtrlOptimizer(0.5, -0.3, 0.1, 0.05, 0.1), ftrl(power=-0.3, l1=0.05, l2=0.1)),
    "ftrl, shrinkage": (
        lambda: FtrlOptimizer(0.5, l1_regularization_strength=0.05, l2_shrinkage_regularization_strength=0.1),
        ftrl(l1=0.05, shrinkage=0.1),
    ),
}


@pytest.mark.parametrize("dtype", [float32, float64], ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("name", CASES)
def test_updates(name, dtype):
    make, expected = CASES[name]
    with Graph().as_default():
        variable = Variable(START.astype(dtype.numpy), name="w")
        gradient = placeholder(dtype, START.shape)
        update = make().apply_gradients([(gradient, variable)])
        with numpy_session() as session:
            session.run(global_variables_initializer())
            for value in GRADIENTS:
                session.run(update, {gradient: value})
            np.testing.assert_allclose(session.run(variable), expected, rtol=2e-5)


NAMES = {
    "gradient descent": [],
    "momentum": ["w/Momentum"],
    "nesterov": ["w/Momentum"],
    "adagrad": ["w/Adagrad"],
    "adadelta": ["w/Adadelta", "w/Adadelta_1"],
    "rmsprop": ["w/RMSProp", "w/RMSProp_1"],
    "rmsprop, centered": ["w/RMSProp", "w/RMSProp_1", "w/RMSProp_2"],
    "adam": ["beta1_power", "beta2_power", "w/Adam", "w/Adam_1"],
    "ftrl": ["w/Ftrl", "w/Ftrl_1"],
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_slots(name):
    with Graph().as_default():
        variable = Variable(START, name="w")
        optimizer = CASES[name][0]()
        optimizer.apply_gradients([(constant(START), variable)])
        made = global_variables()[1:]
        assert [v.op.name for v in made] == NAMES[name]
        assert optimizer.variables() == sorted(made, key=lambda v: v.name)
        assert not any(v.trainable for v in made)


def test_arguments_that_are_wrong():
    with pytest.raises(ValueError, match="initial_accumulator_value must be positive"):
        AdagradOptimizer(0.1, 0.0)
    with pytest.raises(ValueError, match="needs to be negative or zero"):
        FtrlOptimizer(0.1, learning_rate_power=1.0)
    with pytest.raises(ValueError, match="initial_accumulator_value"):
        FtrlOptimizer(0.1, initial_accumulator_value=-1.0)
    with pytest.raises(ValueError, match="l1_regularization_strength"):
        FtrlOptimizer(0.1, l1_regularization_strength=-1.0)
