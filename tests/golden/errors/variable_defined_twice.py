import graphc as tf

with tf.variable_scope("layer"):
    first = tf.get_variable("kernel", [3, 3])
with tf.variable_scope("layer"):
    second = tf.get_variable("kernel", [3, 3])
