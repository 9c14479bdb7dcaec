"""Operands that are prepared once: shared within a run, kept from run to run, and never out of date."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from test_program_store import run_script

import graphc as tf
from graphc.runtime.lower import preparing
from graphc.runtime.schedule.machine import host_machine
from graphc.runtime.variable_store import VariableStore

ROWS, COLUMNS, DEPTH = 8, 96, 128
WIDE = host_machine().has_avx512  # others read some of these operands as well where they lie


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def steps_of(session, fetches, feeds=None):
    """The steps that prepare something, and those that read it."""
    program, _ = session.find_compiled(fetches, feeds)
    steps = [step for _, step in program.compilation.steps]
    return [s for s in steps if s.prepares], [s for s in steps if "right prepacked" in s.kernel.schedule]


def remembering(session, fetches, feeds=None):
    program, _ = session.find_compiled(fetches, feeds)
    return sum(step.remembers for step in program.executable.steps)


@pytest.fixture
def model():
    """A product with a variable that is kept packed; what it must give for any value of the variable."""
    x = tf.placeholder(tf.float32, [ROWS, DEPTH])
    w = tf.get_variable("w", initializer=random(COLUMNS, DEPTH))
    y = tf.nn.relu(tf.matmul(x, w, transpose_b=True))
    data = random(ROWS, DEPTH, seed=1)

    def expected(value):
        return np.maximum(data.astype(np.float64) @ value.T.astype(np.float64), 0)

    return x, w, y, data, expected


def test_a_variable_that_the_program_does_not_write_is_kept(model):
    x, w, y, data, expected = model
    session = tf.Session()
    session.run(w.initializer)
    for _ in range(3):
        np.testing.assert_allclose(session.run(y, {x: data}), expected(random(COLUMNS, DEPTH)), atol=1e-4)
    prepared, readers = steps_of(session, y, {x: data})
    assert len(prepared) == len(readers) == remembering(session, y, {x: data}) == 1
    assert prepared[0].label == "w" and prepared[0].kernel.family == "panel_packing"


def writers(session, w):
    """Every way to write a variable, each with a value of its own."""
    placeholder = tf.placeholder(tf.float32, [COLUMNS, DEPTH])
    assign = w.assign(placeholder)
    add = w.assign_add(tf.ones([COLUMNS, DEPTH]))
    scattered = tf.scatter_update(w, [3], np.full((1, DEPTH), 2, np.float32))
    loss = tf.reduce_sum(tf.square(tf.matmul(tf.constant(random(5, DEPTH)), w, transpose_b=True)))
    step = tf.train.GradientDescentOptimizer(1e-3).minimize(loss)
    on_host = w.assign(tf.py_func(lambda: random(COLUMNS, DEPTH, seed=9), [], tf.float32, stateful=True) + tf.zeros_like(w))
    quick = session.make_callable(add.op)
    return {
        "assign": lambda: session.run(assign, {placeholder: random(COLUMNS, DEPTH, seed=4)}),
        "assign with conversion": lambda: session.run(assign.op, {placeholder: random(COLUMNS, DEPTH, seed=5).tolist()}),
        "add": lambda: session.run(add.op),
        "callable": quick,
        "scatter": lambda: session.run(scattered),
        "optimizer": lambda: session.run([step, loss]),
        "host": lambda: session.run(on_host),
        "load": lambda: w.load(random(COLUMNS, DEPTH, seed=6), session),
        "write": lambda: session.write_variables({w.key: random(COLUMNS, DEPTH, seed=7)}),
        "initializer": lambda: session.run(w.initializer),
        "all": lambda: session.run(tf.global_variables_initializer()),
    }


@pytest.mark.parametrize("way", ["run", "callable"])
def test_no_write_is_missed(model, way):
    x, w, y, data, expected = model
    session = tf.Session()
    session.run(w.initializer)
    infer = session.make_callable(y, [x]) if way == "callable" else lambda value: session.run(y, {x: value})
    every = writers(session, w)
    infer(data)
    for round_ in range(3):  # at first through Python, then natively
        for name, write in every.items():
            before = session.run(w)
            write()
            now = session.run(w)
            for _ in range(2):
                np.testing.assert_allclose(infer(data), expected(now), atol=2e-2, err_msg=f"{name}, round {round_}")
            assert name in ("initializer", "all", "scatter", "host") or (before != now).any(), name
    assert remembering(session, y, {x: data}) == 1


def test_writes_by_programs_that_were_compiled_before(model):
    """A native call made before anybody watched the variable must count its writes from then on."""
    x, w, y, data, expected = model
    session = tf.Session()
    session.run(w.initializer)
    add = w.assign_add(tf.ones([COLUMNS, DEPTH]))
    write = session.make_callable(add.op)
    for _ in range(3):
        write()
    infer = session.make_callable(y, [x])
    for number in range(4):
        np.testing.assert_allclose(infer(data), expected(random(COLUMNS, DEPTH) + 3 + number), atol=2e-2)
        write()


def test_a_program_that_writes_the_variable_does_not_keep_it(model):
    x, w, y, data, _ = model
    session = tf.Session()
    session.run(w.initializer)
    fetches = [y, w.assign_add(tf.ones([COLUMNS, DEPTH]))]
    session.run(fetches, {x: data})
    assert remembering(session, fetches, {x: data}) == 0


def test_sessions_do_not_share_what_they_keep(model):
    x, w, y, data, expected = model
    sessions = [tf.Session() for _ in range(3)]
    for number, session in enumerate(sessions):
        session.run(w.initializer)
        w.load(random(COLUMNS, DEPTH, seed=number), session)
    for _ in range(2):
        for number, session in enumerate(sessions):
            np.testing.assert_allclose(session.run(y, {x: data}), expected(random(COLUMNS, DEPTH, seed=number)), atol=1e-4)


def test_one_program_on_several_stores(model):
    """Whoever runs a compiled program on other variables gets the values of those."""
    x, w, y, data, expected = model
    session = tf.Session()
    session.run(w.initializer)
    session.run(y, {x: data})
    program, feeds = session.find_compiled(y, {x: data})
    stores = [VariableStore() for _ in range(3)]
    for number, store in enumerate(stores):
        store.assign(w.key, random(COLUMNS, DEPTH, seed=number))
    for number, store in [*enumerate(stores)] * 2:
        (found,) = program.run(feeds, store, np.zeros(2, np.int64))
        np.testing.assert_allclose(found, expected(random(COLUMNS, DEPTH, seed=number)), atol=1e-4)


def test_versions_tell_writes_and_variables_apart():
    stores = [VariableStore(), VariableStore()]
    seen = set()
    for _ in range(3):
        for store in stores:
            for key in "ab":
                store.version(key)
                store.assign(key, np.zeros(2, np.float32))
                seen.add(store.version(key).value)
    assert len(seen) == 12 and 0 not in seen
    layout, cell = stores[0].layout, stores[0].version("a")
    assert stores[0].version("a") is cell and stores[0].layout == layout
    stores[0].version("new")
    assert stores[0].layout == layout + 1
    assert stores[0].watched(["a", "other"]) == [cell]


def test_concurrent_runs_and_writes(model):
    x, w, y, data, expected = model
    session = tf.Session()
    session.run(w.initializer)
    value = tf.placeholder(tf.float32, [COLUMNS, DEPTH])
    assign = w.assign(value)
    known = [random(COLUMNS, DEPTH, seed=seed) for seed in range(4)]
    right = [expected(value) for value in known]
    session.run(assign.op, {value: known[0]})
    infer = session.make_callable(y, [x])

    def work(number):
        for round_ in range(25):
            if number == 0:
                session.run(assign.op, {value: known[round_ % 4]})
                continue
            found = infer(data) if number % 2 else session.run(y, {x: data})
            assert min(abs(found - one).max() for one in right) < 1e-3  # one of them, not a mixture

    with ThreadPoolExecutor(6) as pool:
        for future in [pool.submit(work, number) for number in range(6)]:
            future.result()
    session.run(assign.op, {value: known[2]})
    np.testing.assert_allclose(infer(data), right[2], atol=1e-4)


def test_a_run_inside_a_run_may_write():
    x, w = tf.placeholder(tf.float32, [ROWS, DEPTH]), tf.get_variable("v", initializer=np.zeros((COLUMNS, DEPTH), np.float32))
    session = tf.Session()
    session.run(w.initializer)
    add = w.assign_add(tf.ones([COLUMNS, DEPTH]))

    def write(value):
        session.run(add.op)
        return value

    product = tf.matmul(tf.py_func(write, [x], tf.float32), w, transpose_b=True)
    product.set_shape([ROWS, COLUMNS])
    ones = np.ones((ROWS, DEPTH), np.float32)
    for _ in range(4):
        found = session.run(product, {x: ones})
        np.testing.assert_array_equal(session.run(tf.matmul(x, w, transpose_b=True), {x: ones}), session.run(w)[0].sum())
        assert found[0, 0] in (session.run(w)[0].sum(), session.run(w)[0].sum() - DEPTH)


def test_constants_and_other_operands():
    """Constants on either side, batches, slices of a variable, an operand that two layouts are made of."""
    rng = np.random.default_rng(3)
    w = tf.get_variable("w", initializer=random(2 * COLUMNS, DEPTH))
    many = tf.get_variable("many", initializer=random(3, COLUMNS, DEPTH))
    x = tf.placeholder(tf.float32, [ROWS, DEPTH])
    xs = tf.placeholder(tf.float32, [3, ROWS, DEPTH])
    left = rng.standard_normal((DEPTH, COLUMNS)).astype(np.float32)
    right = rng.standard_normal((COLUMNS, DEPTH)).astype(np.float32)
    fetches = [
        tf.matmul(x, tf.constant(right), transpose_b=True),
        tf.matmul(tf.constant(left), x, transpose_a=True, transpose_b=True),
        tf.matmul(x, w[COLUMNS:], transpose_b=True),
        tf.matmul(xs, many, transpose_b=True),
        tf.tensordot(xs, w[:COLUMNS], [[2], [1]]),
    ]
    data, several = random(ROWS, DEPTH, seed=1), random(3, ROWS, DEPTH, seed=2)
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    for scale in (1, 2):
        values, all_values = random(2 * COLUMNS, DEPTH) * scale, random(3, COLUMNS, DEPTH) * scale
        w.load(values, session)
        many.load(all_values, session)
        expected = [data @ right.T, left.T @ data.T, data @ values[COLUMNS:].T, several @ np.swapaxes(all_values, 1, 2),
                    several @ values[:COLUMNS].T]  # fmt: skip
        for found, wanted in zip(session.run(fetches, {x: data, xs: several}), expected, strict=True):
            np.testing.assert_allclose(found, wanted, atol=5e-4)
    assert remembering(session, fetches, {x: data, xs: several}) >= (4 if WIDE else 1)


def recurrent(steps, batch, units):
    """An unrolled cell: the gradient reads the transposed weight once a step."""
    x = tf.placeholder(tf.float32, [steps, batch, units], name="x")
    w = tf.get_variable("cell", initializer=random(units, units) * 0.1)
    h = tf.zeros([batch, units])
    for i in range(steps):
        h = tf.tanh(tf.matmul(h, w) + x[i])
    loss = tf.reduce_sum(tf.square(h))
    return x, w, loss


def test_steps_of_a_recurrent_network_share_one_packed_weight():
    x, w, loss = recurrent(6, 8, 64)
    train = tf.train.GradientDescentOptimizer(0.01).minimize(loss)
    session = tf.Session()
    session.run(w.initializer)
    data = random(6, 8, 64)
    before = session.run(w)
    session.run([loss, train], {x: data})
    prepared, readers = steps_of(session, [loss, train], {x: data})
    assert len(prepared) == 1 and len(readers) == 5
    assert remembering(session, [loss, train], {x: data}) == 0
    hs, value = [np.zeros((8, 64))], before.astype(np.float64)
    for i in range(6):
        hs.append(np.tanh(hs[-1] @ value + data[i]))
    gradient, back = np.zeros_like(value), 2 * hs[-1]
    for i in reversed(range(6)):
        inner = back * (1 - hs[i + 1] ** 2)
        gradient, back = gradient + hs[i].T @ inner, inner @ value.T
    np.testing.assert_allclose(session.run(w), before - 0.01 * gradient, atol=1e-4)


def test_an_operand_that_is_computed_or_fed_is_shared():
    a, b = tf.placeholder(tf.float32, [COLUMNS, DEPTH]), tf.placeholder(tf.float32, [COLUMNS, DEPTH])
    xs = [tf.placeholder(tf.float32, [ROWS, DEPTH]) for _ in range(4)]
    total = a + b
    results = [tf.matmul(x, total, transpose_b=True) for x in xs]
    feeds = {x: random(ROWS, DEPTH, seed=i) for i, x in enumerate(xs)}
    session = tf.Session()
    values = {a: random(COLUMNS, DEPTH, seed=7), b: random(COLUMNS, DEPTH, seed=8)}
    for given, value in [(values, values[a] + values[b]), ({total: values[b]}, values[b]), ({total: values[a]}, values[a])]:
        found = session.run(results, {**feeds, **given})
        prepared, readers = steps_of(session, results, {**feeds, **given})
        assert (len(prepared), len(readers)) == (1, 4) or not WIDE
        for x, result in zip(xs, found):
            np.testing.assert_allclose(result, feeds[x] @ value.T, atol=1e-4)


def test_a_fed_variable_is_no_variable(model):
    x, w, y, data, expected = model
    read = w.value()
    product = tf.matmul(x, read, transpose_b=True)
    session = tf.Session()
    session.run(w.initializer)
    for seed in range(3):
        value = random(COLUMNS, DEPTH, seed=seed)
        np.testing.assert_allclose(session.run(product, {x: data, read: value}), data @ value.T, atol=1e-4)
        np.testing.assert_allclose(session.run(product, {x: data}), data @ random(COLUMNS, DEPTH).T, atol=1e-4)


def build_all(threads):
    with tf.Graph().as_default():
        x, w, loss = recurrent(5, 8, 80)
        kept = tf.get_variable("kept", initializer=random(600, 80))
        y = tf.matmul(x[0], kept, transpose_b=True)
        gradient = tf.gradients(loss, w)
        with tf.Session(config=tf.ConfigProto(intra_op_parallelism_threads=threads)) as session:
            session.run(tf.global_variables_initializer())
            runs = [session.run([y, gradient], {x: random(5, 8, 80)}) for _ in range(3)]
            return [np.asarray(part).tobytes() for y, (gradient,) in runs for part in (y, gradient)]


def test_the_same_bits_prepared_or_not_at_any_number_of_threads(monkeypatch):
    prepared = [build_all(threads) for threads in (1, 2, 4)]
    monkeypatch.setenv("GRAPHC_CACHE", "off")
    monkeypatch.setattr(preparing, "_choose_groups", lambda steps, uses: {})
    assert prepared == [build_all(threads) for threads in (1, 2, 4)]


@pytest.mark.parametrize("method", ["winograd", "direct"])
def test_filters_are_kept_too(monkeypatch, method):
    monkeypatch.setenv("GRAPHC_CONVOLUTION", method)
    x = tf.placeholder(tf.float32, [2, 12, 12, 16])
    w = tf.get_variable("filter", initializer=random(3, 3, 16, 16) * 0.1)
    y = tf.nn.conv2d(x, w, [1, 1, 1, 1], "SAME")
    (gradient,) = tf.gradients(y, x)
    fetches, data = [y, gradient], random(2, 12, 12, 16)
    session = tf.Session()
    session.run(w.initializer)
    base = session.run(fetches, {x: data})
    for scale in (2.0, 0.5):
        w.load(random(3, 3, 16, 16) * np.float32(0.1 * scale), session)
        for found, one in zip(session.run(fetches, {x: data}), base, strict=True):
            np.testing.assert_allclose(found, one * scale, atol=1e-3)
    assert remembering(session, fetches, {x: data}) == {"winograd": 3, "direct": 1}[method]


SCRIPT = """
import numpy as np
import graphc as tf

rng = np.random.default_rng(0)
x = tf.placeholder(tf.float32, [8, 128])
w = tf.Variable(rng.standard_normal((96, 128)).astype(np.float32))
y = tf.matmul(x, w, transpose_b=True) + tf.matmul(x, tf.constant(rng.standard_normal((96, 128)), tf.float32), transpose_b=True)
add = w.assign_add(tf.ones([96, 128]))
data = rng.standard_normal((8, 128)).astype(np.float32)
with tf.Session() as session:
    session.run(w.initializer)
    for _ in range(3):
        print(hash(session.run(y, {x: data}).tobytes()))
        session.run(add.op)
    program, _ = session.find_compiled(y, {x: data})
    print(sum(step.remembers for step in program.executable.steps), "optimise" in program.seconds)
"""


def test_programs_from_the_disk_keep_operands_too(tmp_path):
    first, second = (run_script(SCRIPT, tmp_path / "cache", tmp_path, PYTHONHASHSEED="0").split() for _ in range(2))
    assert first[:3] == second[:3] and len(set(first[:3])) == 3
    assert first[3:] == ["2", "True"] and second[3:] == ["2", "False"]
