"""The linear regression of TensorFlow 1's introductions, as it stands in books: run it with `graphc run`."""

import numpy as np
import tensorflow as tf

rng = np.random.RandomState(0)
train_x = rng.rand(100).astype(np.float32)
train_y = 3.0 * train_x + 2.0 + rng.normal(scale=0.05, size=100).astype(np.float32)

X = tf.placeholder(tf.float32, name="X")
Y = tf.placeholder(tf.float32, name="Y")

W = tf.Variable(rng.randn(), dtype=tf.float32, name="weight")
b = tf.Variable(rng.randn(), dtype=tf.float32, name="bias")

prediction = W * X + b
cost = tf.reduce_mean(tf.square(prediction - Y))
optimizer = tf.train.GradientDescentOptimizer(0.5).minimize(cost)

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for epoch in range(200):
        _, c = sess.run([optimizer, cost], feed_dict={X: train_x, Y: train_y})
        if (epoch + 1) % 50 == 0:
            print("epoch %3d  cost %.5f  W %.3f  b %.3f" % (epoch + 1, c, sess.run(W), sess.run(b)))
    weight, bias = sess.run([W, b])

assert abs(weight - 3.0) < 0.1 and abs(bias - 2.0) < 0.1, (weight, bias)
print("y = %.3f x + %.3f" % (weight, bias))
