import graphc as tf

bias = tf.get_variable("bias", initializer=tf.zeros([3]))
shifted = bias + 1.0
with tf.Session() as sess:
    sess.run(shifted)
