import graphc as tf

with tf.Graph().as_default():
    x = tf.constant(1.0, name="x")
y = tf.constant(2.0, name="y")
with tf.Session() as sess:
    sess.run(x)
