import graphc as tf

images = tf.placeholder(tf.float32, [None, 8, 8, 3], name="images")
weights = tf.get_variable("weights", [3, 3, 4, 8])
edges = tf.nn.conv2d(images, weights, [1, 1, 1, 1], "SAME")
