"""A multi-layer perceptron on real digits, with tf.layers, dropout and Adam."""

import numpy as np
from digits import batches, load_digits

import graphc as tf


def build_model() -> dict:
    """The graph: inputs, the training step, the loss and the accuracy by name."""
    images = tf.placeholder(tf.float32, [None, 8, 8, 1], name="images")
    labels = tf.placeholder(tf.int64, [None], name="labels")
    training = tf.placeholder_with_default(False, [], name="training")
    hidden = tf.layers.flatten(images)
    for number, units in enumerate((256, 128)):
        hidden = tf.layers.dense(hidden, units, activation=tf.nn.relu, name=f"hidden{number}")
        hidden = tf.layers.dropout(hidden, 0.2, training=training)
    logits = tf.layers.dense(hidden, 10, name="logits")
    with tf.name_scope("loss"):
        loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
    with tf.name_scope("accuracy"):
        correct = tf.equal(tf.argmax(logits, 1), labels)
        accuracy = tf.reduce_mean(tf.cast(correct, tf.float32))
    train = tf.train.AdamOptimizer(1e-3).minimize(loss)
    return dict(images=images, labels=labels, training=training, train=train, loss=loss, accuracy=accuracy)


def main(epochs: int = 40) -> float:
    tf.set_random_seed(7)
    train_x, train_y, test_x, test_y = load_digits()
    model = build_model()
    rng = np.random.default_rng(2)
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        for epoch in range(epochs):
            for x, y in batches(train_x, train_y, 64, rng):
                feed = {model["images"]: x, model["labels"]: y, model["training"]: True}
                _, loss = sess.run([model["train"], model["loss"]], feed)
            if (epoch + 1) % 10 == 0:
                print(f"epoch {epoch + 1:3}  loss {loss:.4f}")
        accuracy = float(sess.run(model["accuracy"], {model["images"]: test_x, model["labels"]: test_y}))
    print(f"test accuracy {accuracy:.2%}")
    return accuracy


if __name__ == "__main__":
    main()
