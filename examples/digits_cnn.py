"""A small convolutional network on real digits, with everything that graphc shows of it.

    python examples/digits_cnn.py --output demo

trains with a progress bar, prints the test accuracy, and leaves in the folder the graph as a picture (graph.svg, and
program.svg with the fused kernels), the optimised program as text, every stage of the compilation of the training step, the
loss curve (loss.svg), the time of each kernel (times.txt), and these times as a trace for ui.perfetto.dev (trace.json).
"""

import argparse
import os
import time

import numpy as np
from digits import batches, load_digits

import graphc as tf

BATCH = 64


def build_model() -> dict:
    """The graph: inputs, the training step, the loss and the accuracy by name."""
    images = tf.placeholder(tf.float32, [None, 8, 8, 1], name="images")
    labels = tf.placeholder(tf.int64, [None], name="labels")
    hidden = tf.layers.conv2d(images, 32, 3, padding="same", activation=tf.nn.relu, name="conv1")
    hidden = tf.layers.conv2d(hidden, 32, 3, padding="same", activation=tf.nn.relu, name="conv2")
    hidden = tf.layers.max_pooling2d(hidden, 2, 2, name="pool")
    hidden = tf.layers.conv2d(hidden, 64, 3, padding="same", activation=tf.nn.relu, name="conv3")
    hidden = tf.layers.flatten(hidden)
    hidden = tf.layers.dense(hidden, 64, activation=tf.nn.relu, name="dense")
    logits = tf.layers.dense(hidden, 10, name="logits")
    with tf.name_scope("loss"):
        loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
    with tf.name_scope("accuracy"):
        accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), labels), tf.float32))
    step = tf.train.get_or_create_global_step()
    rate = tf.train.exponential_decay(2e-3, step, 200, 0.7)
    train = tf.train.AdamOptimizer(rate).minimize(loss, global_step=step)
    return dict(images=images, labels=labels, train=train, loss=loss, accuracy=accuracy)


def train_model(sess: tf.Session, model: dict, epochs: int) -> tuple[list[float], float]:
    """The loss of every step, and the accuracy on the test images."""
    try:
        from tqdm import tqdm
    except ImportError:
        raise ImportError("the progress bar comes with tqdm: pip install 'graphc[examples]'") from None
    train_x, train_y, test_x, test_y = load_digits()
    rng = np.random.default_rng(3)
    losses: list[float] = []
    sess.run(tf.global_variables_initializer())
    with tqdm(total=epochs * (len(train_x) // BATCH), desc="training", unit="step") as bar:
        for _ in range(epochs):
            for x, y in batches(train_x, train_y, BATCH, rng):
                _, loss = sess.run([model["train"], model["loss"]], {model["images"]: x, model["labels"]: y})
                losses.append(float(loss))
                bar.update()
            bar.set_postfix(loss=f"{losses[-1]:.4f}")
    accuracy = sess.run(model["accuracy"], {model["images"]: test_x, model["labels"]: test_y})
    return losses, float(accuracy)


def show_everything(sess: tf.Session, model: dict, losses: list[float], folder: str) -> None:
    """Writes pictures, programs, stages and times into a folder."""
    from graphc.runtime.peaks import machine_peaks
    from graphc.runtime.profile import format_profile, profile_session_run
    from graphc.runtime.trace import write_trace

    os.makedirs(folder, exist_ok=True)
    fetches = [model["train"], model["loss"]]
    train_x, train_y, _, _ = load_digits()
    feed = {model["images"]: train_x[:BATCH], model["labels"]: train_y[:BATCH]}
    shapes = {model["images"]: (BATCH, 8, 8, 1), model["labels"]: (BATCH,)}
    tf.render(sess.graph, os.path.join(folder, "graph.svg"), title="digits_cnn: the declared graph")
    program, _ = sess.find_compiled(fetches, feed)
    tf.render(program.program, os.path.join(folder, "program.svg"), title="digits_cnn: one training step as kernels")
    write_text(os.path.join(folder, "program.txt"), str(program.program))
    write_text(os.path.join(folder, "memory.txt"), str(program.plan))
    tf.dump(fetches, directory=os.path.join(folder, "stages"), shapes=shapes)
    profile = profile_session_run(sess, fetches, feed, 20)
    peaks = machine_peaks(profile.threads)
    times = format_profile(profile, peaks)
    write_text(os.path.join(folder, "times.txt"), times)
    write_trace(os.path.join(folder, "trace.json"), profile, peaks)
    draw_losses(losses, os.path.join(folder, "loss.svg"))
    plan = program.plan
    print(f"one training step: {len(program.executable.steps)} kernels in one native call, arena {plan.arena_bytes:,} bytes "
          f"for {plan.intermediate_bytes:,} bytes of intermediates")  # fmt: skip
    print(times)


def write_text(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text + "\n")


def draw_losses(losses: list[float], path: str) -> None:
    try:
        import matplotlib
    except ImportError:
        raise ImportError("the loss curve comes with matplotlib: pip install 'graphc[examples]'") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    axes.semilogy(losses, linewidth=0.8)
    axes.set(xlabel="step", ylabel="loss", title="digits_cnn: training loss")
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path)


def main(epochs: int = 15, output: str | None = None) -> float:
    tf.set_random_seed(1)
    model = build_model()
    with tf.Session() as sess:
        start = time.perf_counter()
        losses, accuracy = train_model(sess, model, epochs)
        print(f"{len(losses)} steps of {BATCH} images in {time.perf_counter() - start:.1f} s; test accuracy {accuracy:.2%}")
        if output:
            show_everything(sess, model, losses, output)
    return accuracy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--output", help="folder for pictures, programs, stages and times")
    options = parser.parse_args()
    main(options.epochs, options.output)
