import graphc as tf

x = tf.placeholder(tf.float32, [2], name="x")
with tf.Graph().as_default():
    y = tf.placeholder(tf.float32, [2], name="y")
    z = x + y
