import graphc as tf

x = tf.placeholder(tf.float32, [2], name="x")
loss = tf.reduce_sum(x, name="loss")
with tf.Session() as sess:
    sess.run("losses:0", {x: [1.0, 2.0]})
