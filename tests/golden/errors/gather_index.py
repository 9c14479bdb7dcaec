import graphc as tf

table = tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], name="table")
ids = tf.placeholder(tf.int32, [None], name="ids")
rows = tf.gather(table, ids)
with tf.Session() as sess:
    sess.run(rows, {ids: [0, 2, 7]})
