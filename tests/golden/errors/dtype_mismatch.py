import graphc as tf

counts = tf.placeholder(tf.int32, [3], name="counts")
weights = tf.placeholder(tf.float32, [3], name="weights")
scaled = counts * weights
