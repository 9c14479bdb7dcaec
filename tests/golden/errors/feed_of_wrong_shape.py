import numpy as np

import graphc as tf

images = tf.placeholder(tf.float32, [None, 784], name="images")
total = tf.reduce_sum(images)
with tf.Session() as sess:
    sess.run(total, {images: np.zeros((64, 28, 28))})
