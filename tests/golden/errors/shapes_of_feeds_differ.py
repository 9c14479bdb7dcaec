import numpy as np

import graphc as tf

a = tf.placeholder(tf.float32, [None, 3], name="a")
b = tf.placeholder(tf.float32, [None, 3], name="b")
doubled = a * 2.0
total = doubled + b
with tf.Session() as sess:
    sess.run(total, {a: np.zeros((2, 3)), b: np.zeros((5, 3))})
