"""A training loop of one's own: raw tf.gradients, clipping by hand, momentum as assignments, and a curvature.

Fits a small network to a noisy sine. Gradients are tensors like others: they are clipped, looked at, and differentiated
again for a Hessian-vector product.
"""

import numpy as np

import graphc as tf


def main(steps: int = 1500) -> float:
    rng = np.random.default_rng(0)
    xs = rng.uniform(-3, 3, (256, 1)).astype(np.float32)
    ys = np.sin(xs) + 0.05 * rng.standard_normal((256, 1)).astype(np.float32)

    x = tf.placeholder(tf.float32, [None, 1], name="x")
    y = tf.placeholder(tf.float32, [None, 1], name="y")
    w1 = tf.Variable(0.5 * rng.standard_normal((1, 32)).astype(np.float32), name="w1")
    b1 = tf.Variable(rng.uniform(-1, 1, 32).astype(np.float32), name="b1")
    w2 = tf.Variable(0.3 * rng.standard_normal((32, 1)).astype(np.float32), name="w2")
    b2 = tf.Variable(np.zeros(1, np.float32), name="b2")
    variables = [w1, b1, w2, b2]
    prediction = tf.matmul(tf.tanh(tf.matmul(x, w1) + b1), w2) + b2
    loss = tf.reduce_mean(tf.square(prediction - y))

    gradients = tf.gradients(loss, variables)
    norm = tf.global_norm(gradients)
    scale = tf.minimum(1.0, 1.0 / (norm + 1e-6))
    updates = []
    for variable, gradient in zip(variables, gradients):
        velocity = tf.Variable(tf.zeros_like(variable.initialized_value()), trainable=False, name="velocity")
        new = tf.assign(velocity, 0.9 * velocity + scale * gradient)
        updates.append(tf.assign_sub(variable, 0.1 * new))
    step = tf.group(*updates)
    # the Hessian times the gradient, from the derivative of a gradient: how curved the loss is where we go
    along = sum(tf.reduce_sum(g * tf.stop_gradient(g)) for g in gradients)
    curvature = tf.global_norm(tf.gradients(along, variables)) / (norm + 1e-12)

    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        for number in range(1, steps + 1):
            _, value, size = sess.run([step, loss, norm], {x: xs, y: ys})
            if number % 300 == 0:
                bend = sess.run(curvature, {x: xs, y: ys})
                print(f"step {number:5}  loss {value:.5f}  gradient norm {size:.4f}  curvature {bend:.3f}")
    return float(value)


if __name__ == "__main__":
    main()
