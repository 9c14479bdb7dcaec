"""The call path: what it takes, what it gives, what it leaves to Python. Each test runs natively and in Python."""

import ctypes
import gc
import pickle
import weakref

import ml_dtypes
import numpy as np
import pytest
from call_samples import (
    F32,
    CheckError,
    Key,
    checking_call,
    copying_call,
    make_executable,
    multiply_add_call,
    refuse,
    show,
)
from sample_kernels import copy_number

from graphc.runtime.call_path import Call, CallChain, Result, Shape, StaleCallError, make_callable, make_run
from graphc.runtime.calls import native_path as native
from graphc.runtime.executor import Operand
from graphc.runtime.memory import guarded_side

A = np.arange(8, dtype=F32)
B = np.full(8, 2, F32)
EXPECTED = A * 2 + 1


@pytest.fixture(params=["native", "python"], autouse=True)
def path(request, monkeypatch):
    if request.param == "native" and guarded_side() is not None:
        pytest.skip("calls with guard pages go through Python")
    monkeypatch.setenv("GRAPHC_CALL_PATH", request.param)
    assert (native.native_path() is None) == (request.param == "python")
    return request.param


# -- what is returned


@pytest.mark.parametrize("release", [False, True])
def test_one_value(release):
    call = multiply_add_call(release=release)
    function = make_callable(call, refuse)
    result = function(A, B)
    assert type(result) is np.ndarray and result.dtype == F32 and np.array_equal(result, EXPECTED)
    assert result.flags.writeable and result.flags.c_contiguous
    other = function(B, A)
    result[:] = 0
    assert np.array_equal(other, EXPECTED) and np.array_equal(call.run([A, B]), EXPECTED)


@pytest.mark.parametrize("shape, kind", [(Shape.LIST, list), (Shape.TUPLE, tuple)])
def test_several_values(shape, kind):
    function = make_callable(multiply_add_call(items=[None, 0, 0, None], shape=shape), refuse)
    result = function(A, B)
    assert type(result) is kind and len(result) == 4
    assert result[0] is None and result[3] is None
    assert all(np.array_equal(value, EXPECTED) for value in result[1:3])
    assert make_callable(multiply_add_call(items=[], shape=shape), refuse)(A, B) == kind()


def test_an_operation_has_no_value():
    assert make_callable(multiply_add_call(items=[None]), refuse)(A, B) is None


SCALARS = [
    np.bool_(True), np.uint8(200), np.int8(-3), np.int16(-300), np.int32(-70000), np.int64(1 << 40), np.float16(0.5),
    np.float32(1.5), np.float64(np.pi), ml_dtypes.bfloat16(2.5),
]  # fmt: skip


@pytest.mark.parametrize("value", SCALARS, ids=lambda v: type(v).__name__)
def test_numbers_in_and_out(value):
    function = make_callable(copying_call(type(value)), show)
    for given in (value, np.array(value)):
        result = function(given)
        if type(value) is ml_dtypes.bfloat16 and given is value:
            assert result[0] == "slow"  # NumPy does not know how such a scalar lies in memory
        else:
            assert type(result) is type(value) and result == value


@pytest.mark.parametrize("shape", [(0,), (3, 0, 2), (1,), (2, 3, 4), (1,) * 8, (1, 2) * 8])
def test_shapes(shape):
    array = np.random.default_rng(0).standard_normal(shape)
    result = make_callable(copying_call(np.float64, shape), refuse)(array)
    assert result.shape == shape and np.array_equal(result, array)


# -- what is taken


def misaligned() -> np.ndarray:
    return np.zeros(33, np.uint8)[1:].view(F32)


class Subclass(np.ndarray):
    pass


UNFIT = {
    "another dtype": A.astype(np.float64),
    "an integer dtype": A.astype(np.int32),
    "another size": A[:7].copy(),
    "more dimensions": A.reshape(2, 4),
    "no dimension": np.float32(2),
    "strides": np.zeros(16, F32)[::2],
    "misaligned": misaligned(),
    "big-endian": A.astype(">f4"),
    "a subclass": A.view(Subclass),
    "a list": A.tolist(),
    "a number": 2.0,
    "None": None,
    "a string": "A",
}


@pytest.mark.parametrize("reason", UNFIT)
def test_what_does_not_fit_goes_to_python_as_it_is(reason):
    call = multiply_add_call()
    function = make_callable(call, show)
    slow, arguments, named = function(A, UNFIT[reason])
    assert slow == "slow" and arguments[0] is A and arguments[1] is UNFIT[reason] and named == {}
    with pytest.raises(TypeError, match=r"float32\[8\], float32\[8\]"):
        call.run([UNFIT[reason], A])


@pytest.mark.parametrize("arguments", [(), (A,), (A, B, B)])
def test_another_number_of_arguments(arguments):
    assert make_callable(multiply_add_call(), show)(*arguments)[1] == arguments
    with pytest.raises(TypeError):
        multiply_add_call().run(arguments)


@pytest.mark.parametrize("array", [
    pickle.loads(pickle.dumps(A)),
    np.array(A, dtype=np.dtype(F32, metadata={"unit": "m"})),
    np.array(A, dtype="<f4"),
    np.asfortranarray(A),
    np.broadcast_to(A, (1, 8))[0],
])  # fmt: skip
def test_equal_arrays_of_another_making(array):
    assert np.array_equal(make_callable(multiply_add_call(), refuse)(array, B), EXPECTED)


def test_read_only_feeds():
    array = A.copy()
    array.flags.writeable = False
    assert np.array_equal(make_callable(multiply_add_call(), refuse)(array, B), EXPECTED)


NUMBERS = [
    (np.float32, 0.1, np.float32(0.1)),
    (np.float32, 3, np.float32(3)),
    (np.float32, 16777217, np.float32(16777217)),
    (np.float32, 1e300, np.float32(np.inf)),
    (np.float32, float("nan"), np.float32(np.nan)),
    (np.float64, 0.1, np.float64(0.1)),
    (np.float64, -(1 << 53), np.float64(-(1 << 53))),
    (np.float64, (1 << 53) + 1, None),
    (np.float32, True, None),
    (np.float32, np.float64(0.5), None),
    (np.float16, 0.5, None),
    (np.int32, 7, np.int32(7)),
    (np.int32, -(1 << 31), np.int32(-(1 << 31))),
    (np.int32, 1 << 31, None),
    (np.int32, 0.5, None),
    (np.int32, True, None),
    (np.int64, (1 << 63) - 1, np.int64((1 << 63) - 1)),
    (np.int64, 1 << 63, None),
    (np.int64, -(1 << 200), None),
    (np.bool_, True, np.bool_(True)),
    (np.bool_, False, np.bool_(False)),
    (np.bool_, 1, None),
]


@pytest.mark.parametrize("dtype, given, expected", NUMBERS)
def test_plain_numbers_for_feeds_without_dimensions(dtype, given, expected):
    result = make_callable(copying_call(dtype), show)(given)
    if expected is None:
        assert result[0] == "slow" and result[1][0] is given
        return
    assert type(result) is type(expected)
    assert result == expected or (np.isnan(result) and np.isnan(expected))


# -- run(fetches, feed_dict)


def make_session(slow=refuse, **options):
    fetch, x, y = Key(), Key(), Key()
    chain = CallChain()
    for shape in Shape:
        chain.add(multiply_add_call(shape=shape, fetches=[fetch], keys=[x, y], **options))
    return make_run(chain, slow), chain, fetch, x, y


def test_fetches_and_feeds_are_known_by_identity():
    run, _, fetch, x, y = make_session()
    assert np.array_equal(run(fetch, {x: A, y: B}), EXPECTED)
    assert np.array_equal(run(fetch, {y: B, x: A}), EXPECTED)
    assert np.array_equal(run(fetch, feed_dict={x: A, y: B}), EXPECTED)
    assert np.array_equal(run([fetch], {x: A, y: B})[0], EXPECTED)
    result = run((fetch,), feed_dict={x: A, y: B})
    assert type(result) is tuple and np.array_equal(result[0], EXPECTED)


def test_runs_without_feeds():
    source = np.array([41], np.int64)
    fetch, chain = Key(), CallChain()
    executable = make_executable(copy_number(), map(Operand, range(2)), 2)
    result = Result(np.dtype(np.int64), (), 1)
    call = Call(
        executable, [source.ctypes.data, 0], [], [result], [0], refuse, Shape.SINGLE, fetches=[fetch], keep=[source]
    )
    chain.add(call)
    run = make_run(chain, show)
    assert run(fetch) == run(fetch, None) == run(fetch, {}) == run(fetch, feed_dict=None) == 41
    assert run(fetch, {Key(): 1})[0] == "slow"


class Dictionary(dict):
    pass


def test_other_calls_go_to_python_as_they_are():
    run, _, fetch, x, y = make_session(show)
    feeds = {x: A, y: B}
    other = Key()
    for arguments, named in [
        ((other, feeds), {}),
        (([fetch, fetch], feeds), {}),
        (([fetch, other], feeds), {}),
        (([],), {}),
        (([[fetch]], feeds), {}),
        (({"a": fetch}, feeds), {}),
        ((fetch,), {}),
        ((fetch, {x: A}), {}),
        ((fetch, {x: A, y: B, other: 1}), {}),
        ((fetch, {x: A, other: B}), {}),
        ((fetch, {x: A, y: A[:3]}), {}),
        ((fetch, Dictionary(feeds)), {}),
        ((fetch, [feeds]), {}),
        ((fetch, feeds, None), {}),
        ((fetch,), {"feeds": feeds}),
        ((), {"fetches": fetch, "feed_dict": feeds}),
        ((fetch,), {"feed_dict": feeds, "options": None}),
        ((), {}),
    ]:
        slow, got, got_named = run(*arguments, **named)
        assert slow == "slow" and len(got) == len(arguments) and got_named.keys() == named.keys()
        assert all(a is b for a, b in zip(got, arguments))
        assert all(got_named[name] is named[name] for name in named)


def test_the_first_call_that_fits_is_taken():
    fetch, x, y = Key(), Key(), Key()
    chain = CallChain()
    run = make_run(chain, show)
    calls = {count: multiply_add_call(count, fetches=[fetch], keys=[x, y]) for count in (4, 8, 16)}
    for call in calls.values():
        chain.add(call)
    for count in calls:
        ones = np.ones(count, F32)
        assert np.array_equal(run(fetch, {x: ones, y: ones}), ones * 2)
    chain.remove(calls[8])
    assert run(fetch, {x: A, y: B})[0] == "slow"
    chain.clear()
    assert run(fetch, {x: np.ones(4, F32), y: np.ones(4, F32)})[0] == "slow"


# -- failures


def test_a_failed_check_is_raised():
    call = checking_call()
    function = make_callable(call, refuse)
    assert function(9) == [9]
    for run in (function, lambda value: call.run([value])):
        with pytest.raises(CheckError) as caught:
            run(np.int64(12))
        assert caught.value.args == ((0, 12, 10, 0),)
    assert function(3) == [3]


def test_an_error_that_nobody_raised():
    with pytest.raises(RuntimeError, match="nobody raised"):
        make_callable(checking_call(report=lambda failure: None), refuse)(99)


def test_errors_of_the_function_behind_pass():
    with pytest.raises(AssertionError, match="was not taken"):
        make_callable(multiply_add_call(), refuse)(None)
    run, *_ = make_session()
    with pytest.raises(AssertionError, match="was not taken"):
        run(None)


# -- the life of a call


def test_an_invalidated_call_is_not_used():
    run, chain, fetch, x, y = make_session(show)
    call = chain.calls[-1]
    function = make_callable(call, show)
    assert call.valid
    for each in chain.calls:
        each.invalidate()
    assert not call.valid
    assert function(A, B)[0] == run(fetch, {x: A, y: B})[0] == "slow"
    with pytest.raises(StaleCallError):
        call.run([A, B])
    with pytest.raises(TypeError):
        call.run([A])


def test_slots_may_move():
    cells = [np.array([value], np.int64) for value in (1, 2)]
    executable = make_executable(copy_number(), map(Operand, range(2)), 2)
    call = Call(
        executable, [cells[0].ctypes.data, 0], [], [Result(np.dtype(np.int64), (), 1)], [0], refuse, Shape.SINGLE
    )
    assert call.run([]) == 1
    call.set_slot(0, cells[1].ctypes.data, keep=cells[1])
    assert call.run([]) == 2


def test_the_status_may_move():
    call, cells = checking_call(), np.zeros(4, np.int64)
    call.set_slot(2, cells.ctypes.data, keep=cells)
    with pytest.raises(CheckError):
        call.run([50])
    assert cells.tolist() == [1, 50, 10, 0]


def test_runs_are_counted():
    counter, number = ctypes.c_int64(10), ctypes.c_int64()
    options = {"run_counter": ctypes.addressof(counter), "run_number": ctypes.addressof(number)}
    executable = make_executable(copy_number(), map(Operand, range(2)), 2)
    results = [Result(np.dtype(np.int64), (), 1)]
    call = Call(
        executable, [ctypes.addressof(number), 0], [], results, [0], refuse, Shape.SINGLE, keep=[number], **options
    )
    assert [call.run([]) for _ in range(3)] == [11, 12, 13]
    assert counter.value == 13


def test_wrong_numbers_of_slots_are_refused():
    executable = make_executable(copy_number(), map(Operand, range(2)), 2)
    with pytest.raises(ValueError, match="2 slots, not 1"):
        Call(executable, [0], [], [], [], refuse)


def test_a_session_is_collected_with_all_that_it_made():
    class Session:
        def __init__(self):
            self.chain = CallChain()
            self.run = make_run(self.chain, self.slow)
            self.function = make_callable(multiply_add_call(), self.slow)
            self.chain.add(multiply_add_call(fetches=[self], keys=[self, self.chain]))

        def slow(self, *arguments):
            return arguments

    session = Session()
    assert session.run(1) == (1,)
    known = weakref.ref(session), weakref.ref(session.chain.calls[0])
    del session
    gc.collect()
    assert [reference() for reference in known] == [None, None]


def test_a_call_goes_without_the_collector():
    gc.disable()
    try:
        call = multiply_add_call()
        known = weakref.ref(call)
        del call
        assert known() is None
    finally:
        gc.enable()


def test_an_unknown_interpreter_has_the_path_in_python(monkeypatch):
    monkeypatch.setattr(native, "_layout_is_known", lambda: False)
    monkeypatch.setattr(native, "_checked_path", native._checked_path.__wrapped__)
    assert native.native_path() is None
    assert np.array_equal(make_callable(multiply_add_call(), refuse)(A, B), EXPECTED)


def test_builtin_functions_describe_themselves(path):
    if path == "native":
        run, *_ = make_session()
        assert run.__name__ == "run" and run.__text_signature__ == "($self, fetches, feed_dict=None)"
