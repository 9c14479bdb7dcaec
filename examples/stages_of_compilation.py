"""A walk through the stages of compilation: one small training step, from the script to machine code.

Prints what the step is at each stage. `graphc dump` shows the same for any script.
"""

import numpy as np

import graphc as tf

STAGES = (
    ("graph", "what the script declares, in the order of the script; the gradient is one operation"),
    ("program", "what one run needs: variables are parameters, their new values updates"),
    ("specialise", "the shapes that were fed are known, and with them every other"),
    ("expand_gradients", "derivatives as ordinary operations"),
    ("fuse", "operations that run as one kernel; here the gradients with the updates of their variables"),
    ("memory_plan", "where everything lies: intermediates share one arena, variables are updated in place"),
    ("loops", "what the kernels compute, and how: loops before and after scheduling"),
    ("llvm", "vector code"),
)


def build_step() -> tuple[list, dict]:
    """A linear model with a softplus, its loss and one step of gradient descent."""
    x = tf.placeholder(tf.float32, [None, 4], name="x")
    y = tf.placeholder(tf.float32, [None], name="y")
    w = tf.Variable(np.full((4, 1), 0.5, np.float32), name="w")
    b = tf.Variable(0.1, name="b")
    prediction = tf.nn.softplus(tf.squeeze(tf.matmul(x, w), 1) + b, name="prediction")
    loss = tf.reduce_mean(tf.square(prediction - y), name="loss")
    train = tf.train.GradientDescentOptimizer(0.1).minimize(loss, name="train")
    return [train, loss], {x: (8, 4), y: (8,)}


def main() -> str:
    fetches, shapes = build_step()
    shown = []
    for stage, meaning in STAGES:
        text = tf.dump(fetches, stage=stage, shapes=shapes)
        lines = text.splitlines()
        if len(lines) > 60:
            lines = [*lines[:60], f"... and {len(lines) - 60} lines more"]
        shown.append("\n".join([f"==== {stage}: {meaning}", *lines, ""]))
    result = "\n".join(shown)
    print(result)
    return result


if __name__ == "__main__":
    main()
