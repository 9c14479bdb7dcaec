import graphc as tf

places = tf.placeholder(tf.int32, [None, 1], name="places")
spread = tf.scatter_nd(places, tf.constant([1.0, 2.0]), [4])
with tf.Session() as sess:
    sess.run(spread, {places: [[1], [4]]})
