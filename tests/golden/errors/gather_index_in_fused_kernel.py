import graphc as tf

table = tf.placeholder(tf.float32, [4, 3], name="table")
ids = tf.placeholder(tf.int64, [None], name="ids")
rows = tf.nn.embedding_lookup(table, ids)
loss = tf.reduce_sum(tf.square(rows))
with tf.Session() as sess:
    sess.run(loss, {table: [[0.0] * 3] * 4, ids: [3, -1]})
