import graphc as tf

x = tf.placeholder(tf.float32, [2], name="x")
y = tf.constant([1.0, 2.0], name="y")
z = x + y
with tf.Session() as sess:
    sess.run(z, {x: y})
