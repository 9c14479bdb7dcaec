"""Sessions: fetches, feeds, variables, defaults, errors. The expected texts are TensorFlow 1.15's."""

import collections

import numpy as np
import pytest

import graphc as tf

Pair = collections.namedtuple("Pair", "first second")


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def make_variable():
    return tf.Variable([1.0, 2.0], name="w")


def run_initialized(fetches, feed_dict=None):
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    return session.run(fetches, feed_dict)


# -- fetches


def test_fetch_keeps_the_structure_of_any_nest():
    w = make_variable()
    x = tf.constant(3.0, name="x")
    fetches = collections.OrderedDict([("b", w), ("a", [x, (x, w.op)]), ("c", Pair(x, {"d": "x:0"}))])
    result = run_initialized(fetches)
    assert list(result) == ["b", "a", "c"]
    assert isinstance(result, collections.OrderedDict)
    np.testing.assert_array_equal(result["b"], [1, 2])
    assert result["a"][0] == 3 and result["a"][1] == (3, None) and isinstance(result["a"], list)
    assert isinstance(result["c"], Pair) and result["c"].second == {"d": 3}


def test_fetch_of_a_defaultdict_keeps_its_factory():
    result = tf.Session().run(collections.defaultdict(list, a=tf.constant(1)))
    assert result == {"a": 1} and result["new"] == []


@pytest.mark.parametrize("empty", [[], (), {}])
def test_fetch_of_nothing(empty):
    tf.constant(1)
    assert tf.Session().run(empty) == empty


def test_fetch_of_an_operation_gives_none():
    w = make_variable()
    session = tf.Session()
    assert session.run(w.initializer) is None
    assert session.run([w.op, w.initializer.name, "w"]) == [None, None, None]


def test_fetch_of_the_same_tensor_twice():
    x = tf.constant([1.0, 2.0]) * 2.0
    first, second, third = tf.Session().run([x, x, x.name])
    np.testing.assert_array_equal(first, [2, 4])
    assert first is second is third


def test_scalars_come_as_numpy_scalars_and_strings_as_bytes():
    number, flag, text, texts = tf.Session().run(
        [tf.constant(2.5), tf.constant(True), tf.constant("a"), tf.constant(["a", "ß"])]
    )
    assert type(number) is np.float32 and number == 2.5
    assert type(flag) is np.bool_ and flag
    assert text == b"a"
    assert texts.dtype == object and texts.tolist() == [b"a", "ß".encode()]


def test_indexed_slices_are_fetched_and_fed_by_their_parts():
    slices = tf.IndexedSlices(tf.constant([[1.0, 2.0]]), tf.constant([3]))
    session = tf.Session()
    (value,) = session.run([slices])
    assert value.values.tolist() == [[1, 2]] and value.indices.tolist() == [3] and value.dense_shape is None
    assert session.run(slices.values * 2.0, {slices: ([[5.0, 6.0]], [0])}).tolist() == [[10, 12]]


def test_results_belong_to_the_caller():
    w = make_variable()
    x = tf.placeholder(tf.float32, [2])
    c = tf.constant([5.0, 6.0])
    session = tf.Session()
    session.run(w.initializer)
    fed = np.zeros(2, np.float32)
    results = session.run([w, x, c], {x: fed})
    for array in results:
        assert array.flags.writeable
        array[:] = 9
    np.testing.assert_array_equal(fed, 0)
    again = session.run([w, x, c], {x: fed})
    np.testing.assert_array_equal(again[0], [1, 2])
    np.testing.assert_array_equal(again[2], [5, 6])
    session.run(w.assign([7.0, 8.0]))
    np.testing.assert_array_equal(again[0], [1, 2])


@pytest.mark.parametrize(
    ("fetch", "kind", "text"),
    [
        (None, TypeError, "Fetch argument None has invalid type <class 'NoneType'>"),
        ([None], TypeError, "Fetch argument None has invalid type <class 'NoneType'>"),
        (3, TypeError, "Fetch argument 3 has invalid type <class 'int'>, must be a string or Tensor. "
                       "(Can not convert a int into a Tensor or Operation.)"),
        ("q:0", ValueError, "Fetch argument 'q:0' cannot be interpreted as a Tensor. (The name 'q:0' refers to a Tensor "
                            "which does not exist. The operation, 'q', does not exist in the graph.)"),
        ("q", ValueError, "Fetch argument 'q' cannot be interpreted as a Tensor. "
                          "(The name 'q' refers to an Operation not in the graph.)"),
    ],
)  # fmt: skip
def test_what_cannot_be_fetched(fetch, kind, text):
    tf.constant(1.0)
    with pytest.raises(kind) as caught:
        tf.Session().run(fetch)
    assert str(caught.value).splitlines()[0] == text


def test_fetch_from_another_graph():
    with tf.Graph().as_default():
        foreign = tf.constant(1.0, name="foreign")
    x = tf.placeholder(tf.float32, [])
    session = tf.Session()
    with pytest.raises(ValueError, match="is not an element of this graph") as caught:
        session.run(foreign)
    assert "test_session.py" in str(caught.value)  # where the user declared it
    with pytest.raises(TypeError, match="Cannot interpret feed_dict key as Tensor: .* is not an element of this graph"):
        session.run(x, {foreign: 1.0})


# -- feeds


def test_feed_of_tensors_names_and_variables():
    w = make_variable()
    x = tf.placeholder(tf.float32, [None], name="x")
    y = x * 2.0
    z = y + w
    np.testing.assert_array_equal(run_initialized(z, {x: [1, 2]}), [3, 6])
    np.testing.assert_array_equal(run_initialized(z, {"x:0": (1, 2)}), [3, 6])
    np.testing.assert_array_equal(run_initialized(z, {y: np.ones(2)}), [2, 3])
    np.testing.assert_array_equal(tf.Session().run(z, {x: [1, 2], w: [10, 20]}), [12, 24])
    np.testing.assert_array_equal(tf.Session().run([z], {(x, w): ([1, 2], [10, 20])}), [[12, 24]])


def test_feed_of_a_fetched_tensor_gives_the_fed_value():
    x = tf.placeholder(tf.float32, [None])
    np.testing.assert_array_equal(tf.Session().run(x, {x: [1, 2]}), [1, 2])


def test_feed_of_other_element_types():
    f, i, b = (tf.placeholder(t, []) for t in (tf.float32, tf.int32, tf.bool))
    session = tf.Session()
    assert session.run(f, {f: 3}) == 3
    assert session.run(f, {f: np.float64(0.1)}) == np.float32(0.1)
    assert session.run(i, {i: 1.9}) == 1  # TensorFlow drops the fraction
    assert session.run(b, {b: 1})
    for tensor, value in [(i, 2**40), (b, 5)]:
        with pytest.raises(TypeError, match="Try explicitly setting the type of the feed tensor to a larger type"):
            session.run(tensor, {tensor: value})


def test_feed_of_arrays_in_any_layout():
    x = tf.placeholder(tf.float32, [3, 4])
    data = np.arange(24, dtype=np.float32).reshape(4, 6)
    for view in (data.T[::2], np.asfortranarray(data[:3, :4]), data[:3, 1:5]):
        np.testing.assert_array_equal(tf.Session().run(x + 1.0, {x: view}), view + 1)


def test_feed_of_the_wrong_shape():
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    with pytest.raises(ValueError) as caught:
        tf.Session().run(x, {x: np.zeros((3, 2))})
    first, operand, where = str(caught.value).splitlines()
    assert first == "Cannot feed value of shape (3, 2) for Tensor 'x:0', which has shape '(?, 3)'"
    assert "f32[?,3]" in operand and operand.endswith('x = tf.placeholder(tf.float32, [None, 3], name="x")')
    assert where.startswith("at test_session.py:") and where.endswith("tf.Session().run(x, {x: np.zeros((3, 2))})")


def test_feed_of_what_is_no_array():
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    session = tf.Session()
    with pytest.raises(ValueError, match="Cannot convert the value fed for Tensor 'x:0' to float32: setting an array"):
        session.run(x, {x: [[1, 2], [3]]})
    with pytest.raises(ValueError, match="could not convert string to float"):
        session.run(x, {x: "abc"})
    with pytest.raises(TypeError, match="The value of a feed cannot be a tf.Tensor object"):
        session.run(x, {x: tf.constant([[1.0, 2.0, 3.0]])})
    with pytest.raises(TypeError, match="The value of a feed cannot be a tf.Tensor object"):
        session.run(x, {x: make_variable()})


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("nope:0", "The name 'nope:0' refers to a Tensor which does not exist. The operation, 'nope', does not exist"),
        ("x", "The name 'x' refers to an Operation, not a Tensor. "),
        (3, "Can not convert a int into a Tensor"),
    ],
)
def test_feed_of_what_is_no_tensor(key, text):
    x = tf.placeholder(tf.float32, [], name="x")
    with pytest.raises(TypeError) as caught:
        tf.Session().run(x, {key: 1})
    assert str(caught.value).startswith("Cannot interpret feed_dict key as Tensor: " + text)


def test_feed_dict_that_is_no_dictionary():
    x = tf.placeholder(tf.float32, [])
    with pytest.raises(TypeError, match="must be a dictionary"):
        tf.Session().run(x, [(x, 1)])


def test_a_placeholder_that_was_not_fed():
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    y = x * 2.0
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        tf.Session().run(y)
    assert str(caught.value).startswith("You must feed a value for placeholder tensor 'x' with dtype float32 and shape [?, 3]")
    assert "test_session.py" in str(caught.value)
    assert caught.value.op is x.op


def test_one_program_serves_many_shapes():
    x = tf.placeholder(tf.float32, [None])
    y = x * 2.0 + 1.0
    session = tf.Session()
    for size in (0, 1, 5, 1, 100):
        np.testing.assert_array_equal(session.run(y, {x: np.ones(size)}), np.full(size, 3))


def test_strings_pass_through():
    s = tf.placeholder(tf.string, [None])
    assert tf.Session().run(s, {s: ["a", b"b"]}).tolist() == [b"a", b"b"]
    assert tf.Session().run(tf.identity(s), {s: np.array(["a", "c"])}).tolist() == [b"a", b"c"]


# -- variables


def test_an_uninitialized_variable_is_reported_with_the_users_lines():
    w = make_variable()
    y = w * 2.0
    with pytest.raises(tf.errors.FailedPreconditionError) as caught:
        tf.Session().run(y)
    lines = str(caught.value).splitlines()
    assert lines[0] == "Attempting to use uninitialized value w"
    assert 'return tf.Variable([1.0, 2.0], name="w")' in lines[1]
    assert lines[2].endswith("y = w * 2.0")
    assert caught.value.op is w.op
    with pytest.raises(tf.errors.FailedPreconditionError):
        tf.Session().run(w)


def test_sessions_have_their_own_variables():
    w = make_variable()
    one, two = tf.Session(), tf.Session()
    one.run(w.initializer)
    two.run(w.assign([5.0, 6.0]))
    np.testing.assert_array_equal(one.run(w), [1, 2])
    np.testing.assert_array_equal(two.run(w), [5, 6])


def test_a_read_sees_the_start_of_the_run_unless_it_depends_on_the_write(graph):
    w = make_variable()
    plain = w * 1.0
    written = w.assign_add([10.0, 10.0])
    with graph.control_dependencies([written]):
        later = w.read_value() * 1.0
    session = tf.Session()
    session.run(w.initializer)
    before, after, value = session.run([plain, later, written])
    np.testing.assert_array_equal(before, [1, 2])
    np.testing.assert_array_equal(after, [11, 12])
    np.testing.assert_array_equal(value, [11, 12])
    np.testing.assert_array_equal(session.run(w), [11, 12])


def test_programs_follow_what_is_initialized_in_the_meantime():
    w = make_variable()
    held = tf.is_variable_initialized(w)
    value = w.initialized_value()
    session = tf.Session()
    assert not session.run(held)
    np.testing.assert_array_equal(session.run(value), [1, 2])
    session.run(w.assign([3.0, 4.0]))
    assert session.run(held)
    np.testing.assert_array_equal(session.run(value), [3, 4])


def test_a_variable_may_change_its_shape_where_it_is_allowed_to():
    w = tf.Variable([1.0, 2.0], validate_shape=False)
    y = w * 2.0
    session = tf.Session()
    session.run(w.initializer)
    np.testing.assert_array_equal(session.run(y), [2, 4])
    x = tf.placeholder(tf.float32, [None])
    assign = w.assign(x)
    session.run(assign, {x: [1.0, 2.0, 3.0]})
    np.testing.assert_array_equal(session.run(y), [2, 4, 6])


def test_variables_are_read_and_written_from_outside():
    w = make_variable()
    session = tf.Session()
    session.run(w.initializer)
    values = session.read_variables([w.key])
    values[w.key][:] = 7
    np.testing.assert_array_equal(session.run(w), [1, 2])
    session.write_variables(values)
    np.testing.assert_array_equal(session.run(w), [7, 7])
    with pytest.raises(KeyError):
        session.read_variables(["nothing"])


def test_string_variables():
    w = tf.Variable("abc")
    session = tf.Session()
    session.run(w.initializer)
    assert session.run(w) == b"abc"
    session.run(w.assign("de"))
    assert session.run(w) == b"de"


# -- the session itself


def test_make_callable():
    w = make_variable()
    x = tf.placeholder(tf.float32, [None], name="x")
    session = tf.Session()
    assert session.make_callable(w.initializer)() is None
    call = session.make_callable([w * 2.0, "x:0"], feed_list=[x])
    doubled, fed = call([1, 2, 3])
    np.testing.assert_array_equal(doubled, [2, 4])
    np.testing.assert_array_equal(fed, [1, 2, 3])
    with_options = session.make_callable(w, accept_options=True)
    np.testing.assert_array_equal(with_options(options=None, run_metadata=None), [1, 2])
    with pytest.raises(tf.errors.InvalidArgumentError):
        call()
    with pytest.raises(TypeError, match="`feed_list` must be a list or tuple"):
        session.make_callable(w, feed_list=x)
    with pytest.raises(TypeError):
        session.make_callable(None)


def test_a_with_block_makes_session_and_graph_the_default_and_closes():
    other = tf.Graph()
    with other.as_default():
        w = make_variable()
        init = tf.global_variables_initializer()
    with tf.Session(graph=other) as session:
        assert tf.get_default_session() is session
        assert tf.get_default_graph() is other is session.graph
        init.run()
        np.testing.assert_array_equal(w.eval(), [1, 2])
        np.testing.assert_array_equal((w * 2.0).eval(), [2, 4])
    assert tf.get_default_session() is None
    assert tf.get_default_graph() is not other
    with pytest.raises(RuntimeError, match="^Attempted to use a closed Session.$"):
        session.run(w)


def test_as_default_leaves_the_session_open():
    x = tf.constant(1.0)
    session = tf.Session()
    with session.as_default() as entered:
        assert entered is session and x.eval() == 1
    with pytest.raises(ValueError, match="No default session is registered"):
        x.eval()
    assert x.eval(session=session) == 1


def test_interactive_sessions_may_be_closed_in_any_order():
    x = tf.constant(1.0)
    one, two = tf.InteractiveSession(), tf.InteractiveSession()
    assert tf.get_default_session() is two
    one.close()
    assert x.eval() == 1
    two.close()
    assert tf.get_default_session() is None
    graph = tf.Graph()
    three = tf.InteractiveSession(graph=graph)
    assert tf.get_default_graph() is graph
    three.close()
    assert tf.get_default_graph() is not graph


def test_arguments_of_a_session():
    with pytest.raises(TypeError, match='Argument `graph` must be a tf.Graph, but got "int"'):
        tf.Session(graph=3)
    with pytest.raises(TypeError, match='Argument `target` must be a string, but got "int"'):
        tf.Session(3)
    with pytest.raises(TypeError, match='Argument `config` must be a tf.ConfigProto, but got "int"'):
        tf.Session(config=3)
    with pytest.raises(tf.errors.NotFoundError):
        tf.Session("grpc://localhost:2222")
    with pytest.raises(RuntimeError, match=r"The Session graph is empty. Add operations to the graph before calling run\(\)."):
        tf.Session(graph=tf.Graph()).run([])
    (device,) = tf.Session().list_devices()
    assert device.device_type == "CPU" and device.memory_limit_bytes > 0
