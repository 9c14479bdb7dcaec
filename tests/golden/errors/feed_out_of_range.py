import graphc as tf

level = tf.placeholder(tf.uint8, [], name="level")
half = level // 2
with tf.Session() as sess:
    sess.run(half, {level: 300})
