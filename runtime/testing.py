"""tf.test: test cases with sessions, and what machine there is."""

from __future__ import annotations

import tempfile
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from graphc.errors import OpError
from graphc.graph import Graph, get_default_graph, reset_default_graph
from graphc.runtime.session import Session, get_default_session


class TestCase(unittest.TestCase):
    """A test case that begins with an empty default graph."""

    __test__ = False  # the class itself is no test; subclasses are

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        cls.__test__ = True

    def setUp(self) -> None:
        super().setUp()
        reset_default_graph()

    @contextmanager
    def session(self, graph: Graph | None = None, config: Any = None, use_gpu: bool = False,
                force_gpu: bool = False) -> Iterator[Any]:  # fmt: skip
        """A session that is the default inside."""
        with Session(graph=graph if graph is not None else get_default_graph(), config=config) as session:
            yield session

    @property
    def cached_session(self) -> Any:
        return self.session

    @property
    def test_session(self) -> Any:  # no method, which would count as a test by its name
        return self.session

    def evaluate(self, tensors: Any) -> Any:
        """The values of a nest of tensors in the default session, or in one of its own."""
        found = get_default_session()
        if found is not None:
            return found.run(tensors)
        with Session() as session:
            return session.run(tensors)

    def get_temp_dir(self) -> str:
        return get_temp_dir()

    def assertAllEqual(self, a: Any, b: Any, msg: str | None = None) -> None:
        np.testing.assert_array_equal(self._array(a), self._array(b), msg or "")

    def assertAllClose(self, a: Any, b: Any, rtol: float = 1e-6, atol: float = 1e-6, msg: str | None = None) -> None:
        if isinstance(a, dict):
            self.assertEqual(set(a), set(b), msg)
            for key in a:
                self.assertAllClose(a[key], b[key], rtol, atol, msg)
            return
        np.testing.assert_allclose(self._array(a), self._array(b), rtol=rtol, atol=atol, err_msg=msg or "")

    def assertArrayNear(self, farray1: Any, farray2: Any, err: float, msg: str | None = None) -> None:
        self.assertAllClose(farray1, farray2, rtol=0, atol=err, msg=msg)

    def assertNear(self, f1: float, f2: float, err: float, msg: str | None = None) -> None:
        self.assertTrue(abs(f1 - f2) <= err, msg or f"{f1} and {f2} differ by more than {err}")

    def assertShapeEqual(self, np_array: Any, tf_tensor: Any, msg: str | None = None) -> None:
        self.assertEqual(list(np_array.shape), tf_tensor.get_shape().as_list(), msg)

    def assertRaisesOpError(self, expected_err_re_or_predicate: str) -> Any:
        return self.assertRaisesRegex(OpError, expected_err_re_or_predicate)

    def _array(self, value: Any) -> np.ndarray:
        return np.asarray(self.evaluate(value) if hasattr(value, "graph") else value)


def main(argv: Any = None) -> None:
    """Runs the tests of the script."""
    unittest.main(argv=argv)


def get_temp_dir() -> str:
    return tempfile.mkdtemp()


def is_gpu_available(cuda_only: bool = False, min_cuda_compute_capability: Any = None) -> bool:
    """False: programs run on the processor."""
    return False


def gpu_device_name() -> str:
    """The empty name: programs run on the processor."""
    return ""


def is_built_with_cuda() -> bool:
    return False


def is_built_with_gpu_support() -> bool:
    return False


__all__ = [
    "TestCase", "get_temp_dir", "gpu_device_name", "is_built_with_cuda", "is_built_with_gpu_support", "is_gpu_available",
    "main",
]  # fmt: skip
