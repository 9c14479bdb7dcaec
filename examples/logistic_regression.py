"""Softmax regression on real digits: placeholders of unknown batch size, an optimizer, accuracy."""

import numpy as np
from digits import batches, load_digits

import graphc as tf


def main(epochs: int = 60) -> float:
    train_x, train_y, test_x, test_y = load_digits()
    images = tf.placeholder(tf.float32, [None, 8, 8, 1], name="images")
    labels = tf.placeholder(tf.int64, [None], name="labels")
    weights = tf.get_variable("weights", [64, 10], initializer=tf.zeros_initializer())
    biases = tf.get_variable("biases", [10], initializer=tf.zeros_initializer())
    logits = tf.matmul(tf.reshape(images, [-1, 64]), weights) + biases
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))
    train = tf.train.GradientDescentOptimizer(0.5).minimize(loss)
    accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), labels), tf.float32))
    rng = np.random.default_rng(1)
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        for epoch in range(epochs):
            for x, y in batches(train_x, train_y, 64, rng):
                _, value = sess.run([train, loss], {images: x, labels: y})
            if (epoch + 1) % 20 == 0:
                print(f"epoch {epoch + 1:3}  loss {value:.4f}")
        result = float(sess.run(accuracy, {images: test_x, labels: test_y}))
    print(f"test accuracy {result:.2%}")
    return result


if __name__ == "__main__":
    main()
