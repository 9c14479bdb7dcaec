import graphc as tf

total = tf.placeholder(tf.int32, [3], name="total")
count = tf.placeholder(tf.int32, [3], name="count")
mean = total // count
with tf.Session() as sess:
    sess.run(mean, {total: [1, 2, 3], count: [1, 0, 2]})
