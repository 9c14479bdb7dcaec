"""The cost count of scalar meaning, and the special functions that NumPy lacks."""

from __future__ import annotations

import numpy as np
import pytest

from graphc import numpy_special
from graphc.dtypes import NATIVE, bfloat16, bool_, float32, float64, int32
from graphc.scalars import CostScalars, Scalars, Typed, count_operations, issue_cost, operand_type


def test_cost_adds_up_instructions():
    assert issue_cost(lambda s, x: s.add(x, 1.0), [float32]) == 1
    assert issue_cost(lambda s, x, y: s.add(s.mul(x, y), s.constant(2.0)), [float32, float32]) == 2
    assert issue_cost(lambda s, x: s.add(x, 1.0), [float64]) == 2
    assert issue_cost(lambda s, x, alpha: s.maximum(x, s.mul(alpha, x)), [float32], {"alpha": 0.1}) == 4
    assert issue_cost(lambda s, x: s.exp(x), [float32]) > 10 * issue_cost(lambda s, x: s.neg(x), [float32])
    assert issue_cost(lambda s, x: s.add(x, 1.0), [bfloat16]) == 1


def test_operations_are_calls_on_floats():
    assert count_operations(lambda s, x: s.add(s.exp(x), 1.0), [float32]) == 2
    assert count_operations(lambda s, x: s.add(s.tanh(x), 1.0), [float64]) == 2
    assert count_operations(lambda s, x: s.select(s.lt(x, 0.0), s.cast(s.cast(x, int32), float32), x), [bfloat16]) == 1
    assert count_operations(lambda s, x: s.add(s.mul(x, 3), x), [int32]) == 0


def test_cost_follows_types_through_a_function():
    def scalar(s, x):
        chosen = s.select(s.logical_and(s.lt(x, 0.0), s.is_finite(x)), s.cast(s.floor(x), int32), 0)
        assert chosen.dtype is int32
        return s.lt(chosen, 3)

    assert issue_cost(scalar, [float64]) > 5
    assert scalar(CostScalars(), Typed(float32)).dtype is bool_


def test_cost_knows_the_whole_vocabulary():
    counter = CostScalars()
    for name in (n for n in vars(Scalars) if not n.startswith("_")):
        assert callable(getattr(counter, name))
    with pytest.raises(AttributeError):
        counter.no_such_operation  # noqa: B018


def test_operands_have_one_type():
    assert operand_type("add", [Typed(float32), 1.0, Typed(float32)]) is float32
    with pytest.raises(TypeError, match="float32 and int32"):
        operand_type("add", [Typed(float32), Typed(int32)])
    with pytest.raises(TypeError, match="add"):
        operand_type("add", [1.0, 2.0])


@pytest.mark.parametrize("name", ["erf", "erfc", "lgamma", "digamma"])
def test_special_functions_against_40_digits(name):
    mp = pytest.importorskip("mpmath")
    random = np.random.default_rng(0)
    tiny = np.exp(random.uniform(-30, 0, 200))
    arguments = {
        "erf": [random.normal(0, 2, 400), tiny],
        "erfc": [random.uniform(-6, 26, 400), random.normal(0, 1, 400)],
        "lgamma": [random.uniform(0, 3, 400), random.uniform(0, 20, 400), 1 / tiny, 1 + tiny, 2 - tiny],
        "digamma": [random.uniform(2, 20, 400), np.exp(random.uniform(-30, -0.7, 200)), np.exp(random.uniform(1, 30, 200))],
    }  # fmt: skip
    x = np.concatenate(arguments[name])
    got = getattr(numpy_special, name)(x)
    with mp.workdps(40):
        function = {"lgamma": lambda v: mp.log(abs(mp.gamma(v)))}.get(name) or getattr(mp, name)
        want = [function(mp.mpf(float(v))) for v in x]
        error = [float(abs(mp.mpf(float(g)) - w) / abs(w)) for g, w in zip(got, want)]
    assert max(error) < 8 * 2.0**-52, (max(error), x[np.argmax(error)])


def test_special_functions_at_special_values():
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -1.0, -2.5, 1.0, 2.0])
    with np.errstate(all="ignore"):
        erf, erfc = numpy_special.erf(x), numpy_special.erfc(x)
        lgamma, digamma = numpy_special.lgamma(x), numpy_special.digamma(x)
    np.testing.assert_allclose(erf[:5], [0, 0, 1, -1, np.nan])
    assert np.signbit(erf[1])
    np.testing.assert_allclose(erfc[:5], [1, 1, 0, 2, np.nan])
    np.testing.assert_allclose(lgamma, [np.inf, np.inf, np.inf, np.inf, np.nan, np.inf, -0.05624371649767405, 0, 0])
    np.testing.assert_allclose(digamma[[0, 3, 4, 5]], np.nan)
    np.testing.assert_allclose(digamma[[2, 6, 7]], [np.inf, 1.103156640645243, -0.5772156649015329])


def test_all_types_have_a_computed_type():
    assert {d.compute.name for d in NATIVE} >= {"float32", "float64", "int32", "bool"}
