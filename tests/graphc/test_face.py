"""What `import graphc as tf` gives."""

import importlib
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

import graphc as tf
import graphc.layers
import graphc.ops
from graphc import names

HEAVY = ("llvmlite", "networkx", "graphviz", "scipy", "ml_dtypes")


def modules_of(package):
    found = [importlib.import_module(f"{package.__name__}.{info.name}") for info in pkgutil.iter_modules(package.__path__)]
    return [module for module in found if hasattr(module, "__all__")]


def public_values():
    """The ids of everything in tf and its namespaces."""
    spaces = [tf, *(space for space in names.NAMESPACES.values() if isinstance(space, ModuleType))]
    return {id(value) for space in spaces for value in vars(space).values()}


def test_every_public_function_of_the_operations_is_reachable():
    reachable = public_values()
    lacking = [
        f"{module.__name__}.{name}"
        for module in [*modules_of(graphc.ops), *modules_of(graphc.layers)]
        for name in module.__all__
        if id(getattr(module, name)) not in reachable and not name.isupper()
    ]
    assert not lacking


def test_every_module_of_operations_with_public_functions_is_in_the_tables():
    known = {module.__name__ for module in [*names.TOP, *names.NETWORKS]}
    known |= {"graphc.ops.linear_algebra", "graphc.ops.losses"}
    unknown = {module.__name__ for module in modules_of(graphc.ops)} - known
    assert not [name for name in unknown if any(not public.isupper() for public in importlib.import_module(name).__all__)]


def test_names_of_the_tables_exist():
    for name in tf.__all__:
        assert getattr(tf, name) is not None or name == "newaxis"
    assert set(tf.__all__) <= set(dir(tf))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        tf.nonsense  # noqa: B018


def test_names_in_two_places_are_the_same():
    assert tf.nn.tanh is tf.tanh is tf.math.tanh
    assert tf.random.uniform is tf.random_uniform
    assert tf.initializers.zeros is tf.zeros_initializer
    assert tf.linalg.norm is tf.norm
    assert tf.losses.softmax_cross_entropy is not tf.nn.softmax_cross_entropy_with_logits
    assert tf.layers.conv2d is not tf.nn.conv2d
    assert tf.mul is tf.multiply
    assert tf.app.flags is tf.flags
    assert tf.dtypes.float32 is tf.float32
    assert tf.bitwise.bitwise_and is not None


def test_namespaces_are_modules():
    from graphc.nn import relu

    from graphc import nn

    assert nn is tf.nn
    assert relu is tf.nn.relu
    assert importlib.import_module("graphc.compat.v1") is tf
    assert tf.compat.v1 is tf


def test_constants():
    assert tf.__version__ == tf.VERSION == "1.15.0"
    assert tf.graphc_version
    assert tf.newaxis is None
    assert tf.float32 == "float32"
    assert tf.double is tf.float64
    assert not tf.executing_eagerly()
    tf.disable_v2_behavior()
    tf.disable_eager_execution()
    with pytest.raises(RuntimeError, match="no eager execution"):
        tf.enable_eager_execution()


def test_text_and_bytes():
    assert tf.compat.as_bytes("é") == "é".encode()
    assert tf.compat.as_text(b"a") == tf.compat.as_str("a") == "a"
    assert tf.compat.as_str_any(3) == "3"
    assert tf.compat.as_str_any(b"a") == "a"
    with pytest.raises(TypeError, match="Expected binary or unicode string"):
        tf.compat.as_bytes(3)


def test_importing_it_loads_nothing_heavy():
    program = f"import graphc, sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == "[]"


def test_a_script():
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [None])
        w, b = tf.Variable(0.0, name="w"), tf.Variable(0.0, name="b")
        loss = tf.reduce_mean(tf.square(w * x + b - (3.0 * x + 2.0)))
        step = tf.train.GradientDescentOptimizer(0.5).minimize(loss)
        session.run(tf.global_variables_initializer())
        for _ in range(200):
            session.run(step, {x: [0.0, 0.5, 1.0]})
        assert abs(session.run(w) - 3) < 1e-3
        assert abs(b.eval() - 2) < 1e-3
        assert tf.get_default_session() is session
