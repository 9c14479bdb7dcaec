import numpy as np

import graphc as tf

init = np.zeros((128, 10), np.float32)
images = tf.placeholder(tf.float32, [64, 784], name="images")
w = tf.get_variable("w", initializer=init)
logits = tf.matmul(images, w)
