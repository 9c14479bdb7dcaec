"""Every operation of the scalar vocabulary: native vectors against NumPy, over types and widths."""

from __future__ import annotations

import numpy as np
import pytest
from scalar_running import calling, run_native

from graphc.dtypes import NATIVE, DType, bfloat16, bool_, float16, float32, float64, int8, int32, int64, uint32
from graphc.errors import InvalidArgumentError
from graphc.numpy_scalars import NumpyScalars, widen
from graphc.runtime.emit.expressions import VectorScalars
from graphc.runtime.emit.function import Function, Module
from graphc.runtime.emit.vectors import typed_constant
from graphc.runtime.schedule.machine import AVX512
from graphc.scalars import (
    ANY_UNARY,
    ARITHMETIC,
    BITWISE,
    CLASSIFYING,
    COMPARISONS,
    FLOAT_BINARY,
    FLOAT_UNARY,
    LOGICAL,
    Scalars,
)

WIDTHS = [(1, 1), (8, 1), (16, 2)]
INTEGERS = [d for d in NATIVE if d.is_integer]
FLOATS = [d for d in NATIVE if d.is_floating]
NUMBERS = INTEGERS + FLOATS
TOLERANCE = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 4 * 2.0**-23, "float64": 16 * 2.0**-52}
INEXACT = FLOAT_UNARY | FLOAT_BINARY | {"pow"}


def sample(dtype: DType, count: int = 131, seed: int = 0) -> np.ndarray:
    """Small numbers with all special values of the type in front, in an order that depends on the seed."""
    random = np.random.default_rng(seed)
    if dtype.is_bool:
        return random.integers(0, 2, count).astype(bool)
    if dtype.is_integer:
        low, high = int(dtype.min), int(dtype.max)
        values = random.integers(max(low, -30), 30, count).astype(dtype.numpy)
        special = [low, high, 0, 1, low + 1, high - 1, 2]
    else:
        values = random.normal(0, 10, count)
        special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, 1.0, -1.0, 0.5, 1.5, 2.5, -0.5, 1e30, -1e-30, 200.0]
    values[: len(special)] = special
    with np.errstate(over="ignore"):
        return random.permutation(values).astype(dtype.numpy)


def evaluate(scalar, *arrays: np.ndarray, result: DType) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.asarray(scalar(NumpyScalars(), *[widen(a) for a in arrays])).astype(result.numpy)


def assert_native_is_numpy(scalar, *arrays: np.ndarray, result: DType, exact: bool = True) -> None:
    want = evaluate(scalar, *arrays, result=result)
    for lanes, chains in WIDTHS:
        got = run_native(scalar, *arrays, result=result, lanes=lanes, chains=chains)
        assert got.dtype == want.dtype
        if not result.is_floating:
            np.testing.assert_array_equal(got, want)
            continue
        wide, target = got.astype(np.float64), want.astype(np.float64)
        with np.errstate(all="ignore"):
            error = np.abs(wide - target) / np.abs(target)
            same = (wide == target) | (np.isnan(wide) & np.isnan(target))
            tiny = np.abs(wide - target) <= (0 if exact else 4 * float(np.finfo(want.dtype).tiny) if result.bits > 16 else 1e-7)
        bad = ~(same | (not exact) & (tiny | (error <= TOLERANCE[result.name])))
        at = np.flatnonzero(bad)[:3]
        assert not bad.any(), (lanes, [a[at] for a in arrays], got[at], want[at])


def name_of(dtype: DType) -> str:
    return dtype.name


@pytest.mark.parametrize("dtype", NUMBERS, ids=name_of)
def test_arithmetic(dtype):
    x, y = sample(dtype), sample(dtype, seed=1)
    for name in sorted(ARITHMETIC):
        second = y
        if dtype.is_integer and ("div" in name or "mod" in name):
            second = np.where(y == 0, 3, y).astype(dtype.numpy)
        if dtype.is_integer and name == "pow":
            second = np.abs(y.astype(np.int64)).clip(0, 100).astype(dtype.numpy)
        exact = name not in INEXACT or dtype.is_integer
        assert_native_is_numpy(calling(name), x, second, result=dtype, exact=exact)
        assert_native_is_numpy(calling(name, 7), x, result=dtype, exact=exact)


@pytest.mark.parametrize("dtype", [d for d in INTEGERS if not d.is_unsigned], ids=name_of)
def test_the_smallest_integer_divided_by_minus_one_wraps(dtype):
    x = sample(dtype)
    minus_one = np.full_like(x, -1)
    for name in ("floordiv", "floormod", "truncdiv", "truncmod"):
        assert_native_is_numpy(calling(name, -1), x, result=dtype)
        assert_native_is_numpy(calling(name), x, minus_one, result=dtype)


@pytest.mark.parametrize("dtype", NUMBERS, ids=name_of)
def test_functions_of_one_number(dtype):
    x = sample(dtype)
    for name in sorted(ANY_UNARY):
        assert_native_is_numpy(calling(name), x, result=dtype)


@pytest.mark.parametrize("dtype", FLOATS, ids=name_of)
def test_functions_of_floats(dtype):
    x, y = sample(dtype), sample(dtype, seed=1)
    for name in sorted(FLOAT_UNARY - {"lgamma", "digamma"}):
        assert_native_is_numpy(calling(name), x, result=dtype, exact=False)
    for name in ("lgamma", "digamma"):  # elsewhere they have zeros, near which only the absolute error is small
        positive = np.abs(x) + dtype.numpy.type(3)
        assert_native_is_numpy(calling(name), positive, result=dtype, exact=False)
    for name in sorted(FLOAT_BINARY):
        assert_native_is_numpy(calling(name), x, y, result=dtype, exact=False)
    for name in sorted(CLASSIFYING):
        assert_native_is_numpy(calling(name), x, result=bool_)


@pytest.mark.parametrize("dtype", NATIVE, ids=name_of)
def test_comparison_and_choice(dtype):
    x, y = sample(dtype), sample(dtype, seed=1)
    y[::3] = x[::3]
    for name in sorted(COMPARISONS):
        assert_native_is_numpy(calling(name), x, y, result=bool_)
    assert_native_is_numpy(lambda s, a, b: s.select(s.eq(a, b), a, b), x, y, result=dtype)
    assert_native_is_numpy(lambda s, a, b: s.select(s.ne(a, b), 1, b), x, y, result=dtype)


@pytest.mark.parametrize("dtype", [bool_, *INTEGERS], ids=name_of)
def test_bits(dtype):
    x, y = sample(dtype), sample(dtype, seed=1)
    for name in sorted(LOGICAL if dtype.is_bool else BITWISE):
        assert_native_is_numpy(calling(name), x, y, result=dtype)
        assert_native_is_numpy(calling(name, 1), x, result=dtype)
    inverse = "logical_not" if dtype.is_bool else "bit_not"
    assert_native_is_numpy(calling(inverse), x, result=dtype)


@pytest.mark.parametrize("source", NATIVE, ids=name_of)
def test_casts(source):
    x = sample(source)
    for target in NATIVE:
        assert_native_is_numpy(calling("cast", target), x, result=target)


def test_casts_of_floats_out_of_range_are_tensorflows_on_x86():
    x = np.array([np.nan, np.inf, -np.inf, 3e9, -3e9, 5e9, 1e20, -1e20, 300.7, -300.7, 2.5, -2.5], np.float32)
    smallest, smallest64, middle, middle64 = -(2**31), -(2**63), 2**31, 2**63
    expected = {
        "int8": [0, 0, 0, 0, 0, 0, 0, 0, 44, -44, 2, -2],
        "uint8": [0, 0, 0, 0, 0, 0, 0, 0, 44, 212, 2, 254],
        "int16": [0, 0, 0, 0, 0, 0, 0, 0, 300, -300, 2, -2],
        "uint16": [0, 0, 0, 0, 0, 0, 0, 0, 300, 65236, 2, 65534],
        "int32": [smallest] * 8 + [300, -300, 2, -2],
        "uint32": [middle] * 3 + [3000000000] + [middle] * 4 + [300, 4294966996, 2, 4294967294],
        "int64": [smallest64] * 3 + [3000000000, -3000000000, 5000000000] + [smallest64] * 2 + [300, -300, 2, -2],
        "uint64": [middle64] * 3 + [3000000000, 18446744070709551616, 5000000000] + [middle64] * 2
        + [300, 18446744073709551316, 2, 18446744073709551614],
        "bool": [True] * 12,
    }  # fmt: skip
    for target in NATIVE:
        if target.name in expected:
            want = np.array(expected[target.name], target.numpy)
            np.testing.assert_array_equal(evaluate(calling("cast", target), x, result=target), want)
            np.testing.assert_array_equal(run_native(calling("cast", target), x, result=target), want)


def test_a_cast_to_a_16_bit_float_rounds_inside_a_function():
    x = np.array([1.0009, 3.00001, 1e-7, 70000.0], np.float32)
    for dtype in (float16, bfloat16):
        assert_native_is_numpy(lambda s, a, to=dtype: s.sub(a, s.cast(a, to)), x, result=float32)


def test_arithmetic_of_random_bits():
    bits = np.random.default_rng(0).integers(0, 2**32, 100, dtype=np.uint32)
    bits[:2] = 0, 2**32 - 1
    assert_native_is_numpy(lambda s, a, b: s.mul_high(a, b), bits, bits[::-1].copy(), result=uint32)
    assert_native_is_numpy(lambda s, a: s.unit_float(a), bits, result=float32)
    assert_native_is_numpy(lambda s, a: s.bitcast(a, float32), bits & 0x7F7FFFFF, result=float32)
    unit = run_native(lambda s, a: s.unit_float(a), bits, result=float32)
    assert unit.min() == 0.0 and unit.max() < 1.0


def test_nan_passes_through_extremes_and_clip():
    x = np.array([np.nan, 1.0, -5.0, 7.0], np.float32)
    y = np.array([1.0, np.nan, np.nan, 2.0], np.float32)
    for name in ("maximum", "minimum"):
        assert np.isnan(run_native(calling(name), x, y)[:3]).all()
        assert_native_is_numpy(calling(name, 2.0), x, result=float32)
    clipped = run_native(lambda s, a: s.clip(a, -1.0, 2.0), x)
    np.testing.assert_array_equal(clipped, np.array([np.nan, 1, -1, 2], np.float32))


def test_a_constant_meets_vectors_of_any_width():
    x = np.arange(5, dtype=np.float32)
    for scalar in (
        lambda s, a: s.mul(s.constant(3.0), a),
        lambda s, a: s.mul(s.constant(3.0, a), a),
        lambda s, a: s.mul(s.constant(3.0, float32), a),
        lambda s, a: s.select(s.constant(True, bool_), s.mul(3.0, a), a),
    ):
        assert_native_is_numpy(scalar, x, result=float32)


@pytest.mark.parametrize("dtype", [int8, int32, int64, uint32], ids=name_of)
def test_bad_integers_are_reported_and_do_no_harm(dtype):
    x = np.array([1, 2, 3, 4, 5], dtype.numpy)
    zero_inside = np.array([1, 2, 0, 1, 2], dtype.numpy)
    status: list[int] = []
    for name in ("floordiv", "floormod", "truncdiv", "truncmod"):
        divide = calling(name)
        for lanes, chains in WIDTHS:
            got = run_native(divide, x, zero_inside, lanes=lanes, chains=chains, status=status)
            assert status == [1]
            assert got[2] == (3 if "div" in name else 0)
            run_native(divide, x, x, lanes=lanes, chains=chains, status=status)
            assert status == [0]
        with pytest.raises(InvalidArgumentError, match="division by zero"):
            evaluate(divide, x, zero_inside, result=dtype)
    if not dtype.is_unsigned:
        negative = np.array([1, -1, 0, 1, 2], dtype.numpy)
        assert run_native(lambda s, a, b: s.pow(a, b), x, negative, status=status)[1] == 1
        assert status == [1]
        with pytest.raises(InvalidArgumentError, match="negative integer powers"):
            evaluate(lambda s, a, b: s.pow(a, b), x, negative, result=dtype)


def test_remainders_of_floats_are_exact():
    random = np.random.default_rng(0)
    x = (random.normal(size=500) * 10.0 ** random.integers(-5, 30, 500)).astype(np.float32)
    y = (random.normal(size=500) * 10.0 ** random.integers(-5, 5, 500)).astype(np.float32)
    for dtype in (float32, float64):
        a, b = x.astype(dtype.numpy), y.astype(dtype.numpy)
        assert_native_is_numpy(lambda s, u, v: s.truncmod(u, v), a, b, result=dtype)
        assert_native_is_numpy(lambda s, u, v: s.floormod(u, v), a, b, result=dtype)


def emitter() -> tuple[VectorScalars, Function]:
    function = Function(Module(), "f", [])
    return VectorScalars(function, AVX512), function


def test_operands_that_do_not_fit_are_refused():
    s, _ = emitter()
    x, i = typed_constant(1.0, float32, 4), typed_constant(1, int32, 4)
    for wrong in (
        lambda: s.add(x, i),
        lambda: s.add(1.0, 2.0),
        lambda: s.exp(i),
        lambda: s.div(i, i),
        lambda: s.exp(1.0),
        lambda: s.add(i, 0.5),
        lambda: s.bit_and(x, x),
        lambda: s.logical_and(i, i),
        lambda: s.select(i, x, x),
        lambda: s.bitcast(x, int64),
        lambda: s.mul_high(i, i),
    ):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(ZeroDivisionError):
        s.floordiv(i, 0)


def test_the_interpreters_have_the_whole_vocabulary():
    names = {name for name in vars(Scalars) if not name.startswith("_")}
    for interpreter in (VectorScalars, NumpyScalars):
        missing = names - set(dir(interpreter))
        assert not missing, (interpreter.__name__, missing)


def test_shared_values_are_emitted_once_for_all_chains():
    s, function = emitter()
    with function.interleaved(2):
        shared = typed_constant(2.0, float32, 4)
        chained = function.join_chains([shared, shared])
        s.exp(shared)
        before = str(function).count("\n")
        s.add(s.constant(1.0, shared), shared)
        assert str(function).count("\n") == before + 1
        s.add(type(shared)(chained.ref, chained.type, float32), shared)
        assert str(function).count("\n") == before + 3
