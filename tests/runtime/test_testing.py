import unittest

import numpy as np

import graphc as tf


def run(case):
    loader = unittest.defaultTestLoader
    result = unittest.TestResult()
    loader.loadTestsFromTestCase(case).run(result)
    return result


def test_test_cases():
    class Case(tf.test.TestCase):
        def test_values(self):
            with self.test_session() as session:
                x = tf.constant([1.0, 2.0])
                self.assertAllClose((x * 2.0).eval(), [2.0, 4.0])
                self.assertAllEqual(x, [1, 2])
                self.assertAllClose({"a": x}, {"a": [1.0, 2.0]})
                self.assertShapeEqual(np.zeros(2), x)
                self.assertArrayNear(x, [1.1, 2.1], 0.2)
                self.assertNear(1.0, 1.05, 0.1)
                self.assertIs(tf.get_default_session(), session)

        def test_graphs_are_empty(self):
            self.assertEqual(tf.get_default_graph().get_operations(), [])
            tf.constant(1.0)
            self.assertEqual(self.evaluate(tf.constant(2.0)), 2)

        def test_graphs_are_empty_again(self):
            self.assertEqual(tf.get_default_graph().get_operations(), [])

        def test_errors(self):
            x = tf.placeholder(tf.float32, [], name="fed")
            with self.cached_session() as session, self.assertRaisesOpError("must feed a value"):
                session.run(x)

        def test_that_fails(self):
            self.assertAllClose([1.0], [2.0])

    result = run(Case)
    assert result.testsRun == 5
    assert not result.errors
    assert [failure[0].id().split(".")[-1] for failure in result.failures] == ["test_that_fails"]


def test_the_machine():
    assert not tf.test.is_gpu_available()
    assert tf.test.gpu_device_name() == ""
    assert not tf.test.is_built_with_cuda()
    assert not tf.test.is_built_with_gpu_support()
    assert tf.test.get_temp_dir()
