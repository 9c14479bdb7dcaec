import graphc as tf

images = tf.placeholder(tf.float32, [None], name="images")
total = tf.reduce_sum(images)
with tf.Session() as sess:
    sess.run(total, {images: ["one", "two"]})
