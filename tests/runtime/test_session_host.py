"""Operations that run in Python: functions of the user's, printing, assertions, and programs cut around them."""

import io
import sys

import numpy as np
import pytest

import graphc as tf
from graphc.program import build_program
from graphc.runtime.segments import HostSegment, NativeSegment, cut_program


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def describe(program):
    """What runs where, in order."""
    return [
        [op.definition.name for op in (segment.operations if isinstance(segment, HostSegment) else segment.program.operations)]
        for segment in cut_program(program)
    ]


# -- Python functions


def test_a_function_between_native_parts():
    x = tf.placeholder(tf.float32, [None])
    y = tf.py_func(lambda a: np.sort(a), [x * -1.0], tf.float32)
    y.set_shape([None])
    assert describe(build_program([y + 1.0], (), [x])) == [["constant", "mul"], ["py_func"], ["constant", "add"]]
    np.testing.assert_array_equal(tf.Session().run(y + 1.0, {x: [1, 2, 3]}), [-2, -1, 0])


def test_arguments_are_scalars_arrays_and_bytes():
    seen = []

    def function(*arguments):
        seen.extend(arguments)
        arguments[1][:] = 9  # belongs to the function
        return np.float32(0)

    held = tf.constant([1.0, 2.0])
    text = tf.constant("a")
    result = tf.py_func(function, [tf.constant(1.5), held, text], tf.float32)
    value, after = tf.Session().run([result, held])
    assert type(seen[0]) is np.float32 and seen[2] == b"a"
    assert value == 0
    np.testing.assert_array_equal(after, [1, 2])


def test_several_results_and_none():
    calls = []
    first, second = tf.py_func(lambda a: (a, a + 1), [tf.constant(1, tf.int64)], [tf.int64, tf.int64])
    nothing = tf.py_func(lambda a: calls.append(a), [tf.constant(1.0)], [])
    assert tf.Session().run([first, second, nothing]) == [1, 2, None]
    assert calls == [1.0]


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda a: np.float64(a), "value 0 returned by the function is float64, but expects float32"),
        (lambda a: (a, a), "<lambda> returns 2 values, but expects to see 1 values"),
        (lambda a: None, "<lambda> returns 0 values, but expects to see 1 values"),
    ],
)
def test_wrong_results(function, text):
    y = tf.py_func(function, [tf.constant(1.0)], tf.float32)
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        tf.Session().run(y)
    assert str(caught.value).startswith(text)
    assert "at test_session_host.py:" in str(caught.value)


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (ValueError, tf.errors.InvalidArgumentError),
        (StopIteration, tf.errors.OutOfRangeError),
        (NotImplementedError, tf.errors.UnimplementedError),
        (ZeroDivisionError, tf.errors.UnknownError),
    ],
)
def test_exceptions_come_out_as_tensorflows_with_the_traceback(raised, kind):
    def function(a):
        raise raised("bad thing")

    y = tf.py_func(function, [tf.constant(1.0)], tf.float32)
    with pytest.raises(kind) as caught:
        tf.Session().run(y)
    assert f"{raised.__name__}: bad thing" in str(caught.value)
    assert "in function" in str(caught.value)
    assert caught.value.op is y.op


def test_functions_run_in_the_order_of_their_declaration():
    calls = []
    first = tf.py_func(lambda: np.float32(1), [], tf.float32)
    deep = tf.py_func(lambda a: calls.append("deep") or a, [first + 1.0], tf.float32)
    flat = tf.py_func(lambda: calls.append("flat"), [], [])
    last = tf.py_func(lambda: calls.append("last") or np.float32(1), [], tf.float32) + deep
    tf.Session().run([last, flat])
    assert calls == ["deep", "last", "flat"]  # without results: at the end


def test_a_function_may_run_the_session():
    w = tf.Variable(1.0)
    session = tf.Session()
    session.run(w.initializer)
    add = w.assign_add(1.0)
    y = tf.py_func(lambda a: session.run(add) + a, [w * 1.0], tf.float32)
    assert session.run(y) == 3
    assert session.run(w) == 2


def test_variables_are_written_after_all_host_operations():
    w = tf.Variable([1.0, 2.0])
    x = tf.placeholder(tf.bool, [])
    check = tf.Assert(x, [w, "not so"])
    add = w.assign_add([1.0, 1.0])
    session = tf.Session()
    session.run(w.initializer)
    session.run([add, check], {x: True})
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        session.run([add, check], {x: False})
    assert str(caught.value).splitlines()[0] == "assertion failed: [2 3] [not so]"
    np.testing.assert_array_equal(session.run(w), [2, 3])


def test_the_host_sees_values_of_variables_and_results_of_writes():
    w = tf.Variable(1.0)
    start = tf.py_func(lambda a: a, [w], tf.float32)
    written = tf.py_func(lambda a: a, [w.assign_add(1.0)], tf.float32)
    session = tf.Session()
    session.run(w.initializer)
    assert session.run([start, written, w]) == [1, 2, 1]
    assert session.run(w) == 2


def test_only_what_the_host_needs_runs_before_it():
    x = tf.placeholder(tf.float32, [])
    head = x * 2.0
    body = (head + 1.0) * (x + 3.0)
    y = tf.py_func(lambda a: a, [head], tf.float32)
    y.set_shape([])
    program = build_program([y * body], (), [x])
    native = [segment for segment in cut_program(program) if isinstance(segment, NativeSegment)]
    assert [op.definition.name for op in native[0].program.operations] == ["constant", "mul"]
    assert len(native[1].program.operations) == 6
    assert tf.Session().run(y * body, {x: 2.0}) == 4 * 25


def test_programs_without_host_operations_stay_whole():
    program = build_program([tf.constant(1.0) * 2.0])
    (segment,) = cut_program(program)
    assert isinstance(segment, NativeSegment) and segment.program is program


# -- printing


def run_printing(capsys, operation):
    tf.Session().run(operation)
    return capsys.readouterr()


def test_old_print(capsys):
    w = tf.constant([1.0, 2.0])
    data = [w, "q", np.zeros([3, 4], np.float32), 3, True, 62.0399551391]
    printed = tf.Print(w, data, message="msg: ", first_n=2)
    assert describe(build_program([printed]))[-1] == ["print"]
    session = tf.Session()
    for _ in range(3):
        np.testing.assert_array_equal(session.run(printed), [1, 2])
    line = "msg: [1 2][q][[0 0 0...]...][3][1][62.0399551]\n"
    assert capsys.readouterr().err == 2 * line


def test_new_print(capsys):
    w = tf.constant([1.0, 2.0])
    matrix = tf.constant(np.arange(63, dtype=np.float32).reshape(7, 9) / 2 - 30)
    inputs = ["a", w, np.arange(10), matrix, {"k": w}, [w, 1], tf.constant("s"), 2.5]
    printed = run_printing(capsys, tf.print(*inputs, output_stream=sys.stdout))
    assert printed.out == (
        "a [1 2] [0 1 2 ... 7 8 9] [[-30 -29.5 -29 ... -27 -26.5 -26]\n"
        " [-25.5 -25 -24.5 ... -22.5 -22 -21.5]\n"
        " [-21 -20.5 -20 ... -18 -17.5 -17]\n"
        " ...\n"
        " [-12 -11.5 -11 ... -9 -8.5 -8]\n"
        " [-7.5 -7 -6.5 ... -4.5 -4 -3.5]\n"
        ' [-3 -2.5 -2 ... 0 0.5 1]] {\'k\': [1 2]} [[1 2], 1] "s" 2.5\n'
    )
    assert run_printing(capsys, tf.print(w, w, sep="|", end="END\n", summarize=-1)).err == "[1 2]|[1 2]END\n"


def test_print_to_files_and_functions(tmp_path, capsys):
    stream, lines = io.StringIO(), []
    x = tf.constant(1)
    path = tmp_path / "log"
    session = tf.Session()
    session.run([tf.print("x", x, output_stream=stream), tf.print(x, output_stream=lines.append)])
    session.run(tf.print("x", x, output_stream=f"file://{path}"))
    assert stream.getvalue() == "x 1\n" and lines == ["1"] and path.read_text() == "x 1\n"


def test_print_as_a_control_dependency(graph, capsys):
    x = tf.constant([1.0, 2.0])
    with graph.control_dependencies([tf.print("x =", x)]):
        y = x * 2.0
    np.testing.assert_array_equal(tf.Session().run(y), [2, 4])
    assert capsys.readouterr().err == "x = [1 2]\n"


# -- assertions


def test_assert_shows_its_data():
    check = tf.Assert([True, False], [tf.constant([1, 2, 3, 4]), "msg"], summarize=2)
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        tf.Session().run(check)
    assert str(caught.value).splitlines()[0] == "assertion failed: [1 2...] [msg]"
    assert caught.value.op is check
    assert tf.Session().run(tf.Assert(True, [])) is None


# -- gradients across host operations


def test_gradients_through_a_program_that_the_host_cuts():
    w = tf.Variable([1.0, -2.0, 3.0])
    h = w * w
    positive = tf.boolean_mask(h, h > 2.0)  # the mask needs what the gradient goes back through
    loss = tf.reduce_sum(positive * positive)
    (gradient,) = tf.gradients(loss, [w])
    update = w.assign_sub(0.5 * gradient)
    session = tf.Session()
    session.run(w.initializer)
    value, found, _ = session.run([loss, gradient, update])
    assert value == 16 + 81
    np.testing.assert_allclose(found, [0, 4 * -8, 4 * 27])
    np.testing.assert_allclose(session.run(w), [1, -2 + 16, 3 - 54])


def test_gradients_pass_through_old_print(capsys):
    w = tf.Variable(3.0)
    loss = tf.Print(w * w, [w], message="w: ")
    (gradient,) = tf.gradients(loss, [w])
    session = tf.Session()
    session.run(w.initializer)
    assert session.run(gradient) == 6
    assert capsys.readouterr().err == "w: [3]\n"


def test_no_gradient_through_a_python_function():
    w = tf.Variable(3.0)
    y = tf.py_func(lambda a: a * 2, [w], tf.float32)
    assert tf.gradients(y, [w]) == [None]


def test_wrong_values_on_the_host_are_reported_with_the_users_line():
    words = tf.constant(["a", "b"])
    index = tf.placeholder(tf.int32, [])
    y = tf.gather(words, index)
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        tf.Session().run(y, {index: 5})
    assert str(caught.value).startswith("gather: index 5 is not in [0, 2)")
    assert "y = tf.gather(words, index)" in str(caught.value)
    assert caught.value.op is y.op
    assert tf.Session().run(y, {index: 1}) == b"b"


# -- random programs, with and without functions that change nothing


def build_random_program(seed, cuts):
    """Outputs and a training step over random arithmetic; with `cuts`, Python functions stand between some of it."""
    random = np.random.default_rng(seed)
    x = tf.placeholder(tf.float32, [3], name="x")
    variables = [tf.Variable(random.random(3).astype(np.float32)) for _ in range(2)]
    tensors = [x, *(v.read_value() for v in variables)]
    for _ in range(20):
        a, b = (tensors[i] for i in random.integers(0, len(tensors), 2))
        made = [tf.add, tf.multiply, tf.subtract, tf.maximum][random.integers(4)](a * 0.5, b)
        kind = random.integers(12)
        if cuts and kind < 3:
            made = _pass_through(made, kind)
        tensors.append(made)
    outputs = [tensors[i] for i in random.integers(3, len(tensors), 4)]
    updates = [variables[0].assign_add(outputs[0]), variables[1].assign(outputs[1])]
    return x, outputs, updates


def _pass_through(tensor, kind):
    if kind == 0:
        copied = tf.py_func(lambda a: a, [tensor], tf.float32)
        copied.set_shape([3])
        return copied
    guard = tf.Assert(True, [tensor]) if kind == 1 else tf.py_func(lambda a: None, [tensor], [])
    with tf.control_dependencies([guard]):
        return tf.identity(tensor)


def run_random_program(seed, cuts):
    with tf.Graph().as_default():
        x, outputs, updates = build_random_program(seed, cuts)
        session = tf.Session()
        session.run(tf.global_variables_initializer())
        feed = {x: np.array([0.5, -1.0, 2.0])}
        rounds = [session.run([outputs, updates], feed) for _ in range(3)]
        return [np.concatenate([*values, *news]) for values, news in rounds], session.run(tf.global_variables())


def check_random_program(seed):
    (plain, plain_variables), (cut, cut_variables) = run_random_program(seed, False), run_random_program(seed, True)
    np.testing.assert_allclose(cut, plain, rtol=1e-5)
    np.testing.assert_allclose(cut_variables, plain_variables, rtol=1e-5)


@pytest.mark.parametrize("seed", range(8))
def test_cuts_change_nothing(seed):
    check_random_program(seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(8, 200))
def test_cuts_change_nothing_in_many_programs(seed):
    check_random_program(seed)
