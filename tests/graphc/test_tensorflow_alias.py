"""The names of TensorFlow, resolved to graphc."""

import sys

import pytest

import graphc
from graphc import tensorflow_alias


@pytest.fixture(autouse=True)
def alias():
    kept = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "tensorflow"}
    for name in kept:
        del sys.modules[name]
    tensorflow_alias.install()
    yield
    tensorflow_alias.uninstall()
    sys.modules.update(kept)


def test_tensorflow_is_graphc():
    import tensorflow as tf
    import tensorflow.compat.v1 as tf1
    from tensorflow.compat import v1

    assert tf is tf1 is v1 is graphc


def test_modules_below():
    import tensorflow.nn
    from tensorflow.nn import relu
    from tensorflow.python import nn

    assert relu is graphc.nn.relu
    assert nn is graphc.nn is tensorflow.nn
    assert graphc.__name__ == "graphc" and graphc.__spec__.name == "graphc"


@pytest.mark.parametrize("name", ["tensorflow.nothing", "tensorflow.ops", "tensorflow.runtime", "tensorflow.constant"])
def test_what_is_not_there_is_not_found_elsewhere(name):
    with pytest.raises(ModuleNotFoundError, match="graphc"):
        __import__(name)


def test_uninstalling_forgets():
    __import__("tensorflow.compat.v1")
    tensorflow_alias.uninstall()
    assert not any(name.split(".")[0] == "tensorflow" for name in sys.modules)
    assert not any(isinstance(finder, tensorflow_alias.AliasFinder) for finder in sys.meta_path)
    tensorflow_alias.install()
    tensorflow_alias.install()
    assert sum(isinstance(finder, tensorflow_alias.AliasFinder) for finder in sys.meta_path) == 1
