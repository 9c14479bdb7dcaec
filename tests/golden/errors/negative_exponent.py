import graphc as tf

base = tf.placeholder(tf.int32, [2], name="base")
exponent = tf.placeholder(tf.int32, [2], name="exponent")
power = tf.pow(base, exponent)
with tf.Session() as sess:
    sess.run(power, {base: [2, 3], exponent: [2, -1]})
