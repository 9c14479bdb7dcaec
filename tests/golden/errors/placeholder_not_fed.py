import graphc as tf

x = tf.placeholder(tf.float32, [None, 4], name="x")
y = tf.placeholder(tf.float32, [None, 4], name="y")
error = tf.reduce_mean(tf.square(x - y))
with tf.Session() as sess:
    sess.run(error, {x: [[1.0, 2.0, 3.0, 4.0]]})
