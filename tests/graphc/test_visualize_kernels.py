"""Large programs drawn kernel by kernel."""

import numpy as np
import pytest

import graphc as tf
from graphc.operation import apply
from graphc.ops.constants import PLACEHOLDER
from graphc.ops.fused import FUSED
from graphc.program import FEED, VARIABLE, Parameter, Program
from graphc.visualize import make_drawing, render_svg

LIMIT = 8  # boxes, so that small programs count as large


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def fuse(inputs, build, name):
    """A fused operation with the results that `build` makes of stand-ins of the inputs."""
    with tf.Graph().as_default() as inner, tf.name_scope(name.partition("/")[0]):
        places = [apply(PLACEHOLDER, [], "a", dtype=tf.float32, shape=t.type.sizes) for t in inputs]
        results = build(*places)
        operations = tuple(op for op in inner.get_operations() if op.definition.name != "placeholder")
    body = Program("body", tuple(Parameter(t, FEED, str(i)) for i, t in enumerate(places)), operations, tuple(results))
    found = apply(FUSED, inputs, name, body=body, region="loops")
    return found if isinstance(found, tuple) else (found,)


def make_step():
    """A layer, the mean of its squares, and one kernel that updates the weights with a momentum."""
    x = tf.placeholder(tf.float32, [4], name="x")
    variables = [tf.Variable(np.ones(4, np.float32), name=name) for name in ("layer/w", "layer/w_slot")]
    w, slot = (v.op.outputs[0] for v in variables)
    (y,) = fuse([x, w], lambda x, w: [tf.tanh(x * w)], "layer/Tanh")
    (loss,) = fuse([y], lambda y: [tf.reduce_sum(tf.square(y))], "loss")
    (dy,) = fuse([y, w], lambda y, w: [(1 - y * y) * w], "gradients/Tanh_grad")

    def update(w, slot, gradient):
        total = slot * 0.9 + gradient
        return [w - total * 0.1, total]

    new = fuse([w, slot, dy], update, "Momentum/update")
    parameters = (Parameter(x, FEED, "x:0"), *(Parameter(v.op.outputs[0], VARIABLE, v.key) for v in variables))
    operations = (y.op, loss.op, dy.op, new[0].op)
    updates = tuple((v.key, tensor) for v, tensor in zip(variables, new))
    return Program("main", parameters, operations, (loss,), updates)


def labels(drawing):
    return {node.label: node for node in drawing.nodes}


def test_a_kernel_is_one_box():
    boxes = labels(make_drawing(make_step(), limit=LIMIT * 2))
    assert boxes["mul + tanh"].detail == "Tanh" and boxes["mul + tanh"].kind == "scalar"
    assert boxes["square + reduce_sum"].kind == "reduce"
    assert boxes["mul + 3"].detail == "writes layer/w + 1"
    assert "writes layer/w, layer/w_slot" in boxes["mul + 3"].tooltip


def test_state_of_one_kernel_is_part_of_its_box():
    drawing = make_drawing(make_step(), limit=LIMIT * 2)
    assert [node.name for node in drawing.nodes if node.kind in ("variable", "write")] == ["w"]
    update = labels(drawing)["mul + 3"]
    (source,) = [edge.source for edge in drawing.edges if edge.target == update.key]
    assert source == next(node.key for node in drawing.nodes if node.gradient)


def test_no_operation_is_lost():
    program = make_step()
    opened = make_drawing(program, limit=10**6)
    assert any(node.kind == "write" for node in opened.nodes)
    for limit in (LIMIT, 2 * LIMIT):
        closed = make_drawing(program, limit=limit)
        assert sum(node.count for node in closed.nodes) == sum(node.count for node in opened.nodes)


def test_scopes_can_be_kept_open():
    drawing = make_drawing(make_step(), limit=LIMIT * 2, expand=["Momentum"])
    assert [cluster.label for cluster in drawing.clusters.values() if cluster.kind == "fused"] == ["fused loops"]
    assert sum(node.kind == "write" for node in drawing.nodes) == 2


def test_frames_around_one_box_are_left_out():
    drawing = make_drawing(make_step(), limit=LIMIT * 2)
    assert [cluster.label for cluster in drawing.clusters.values()] == ["layer"]


def test_variables_without_scope_stand_beside_the_kernels_that_read_them():
    step = tf.Variable(0.0, name="step")
    value = step.op.outputs[0]
    (rate,) = fuse([value], lambda s: [tf.exp(s)], "Train/rate")
    (new,) = fuse([value], lambda s: [s + 1.0], "Train/count")
    chain = [rate]
    for number in range(2 * LIMIT):
        chain.append(tf.negative(chain[-1], name=f"n{number}"))
    operations = (rate.op, new.op, *(t.op for t in chain[1:]))
    program = Program("main", (Parameter(value, VARIABLE, "step"),), operations, (chain[-1],), (("step", new),))
    drawing = make_drawing(program, limit=4 * LIMIT, expand=())
    assert labels(drawing)["step"].scope == ()  # all is open: the drawing is small
    drawing = make_drawing(program, limit=2 * LIMIT + 4)
    variable, update = labels(drawing)["step"], labels(drawing)["add"]
    assert variable.scope == update.scope == ("Train",)
    assert (variable.key, update.key) in {(edge.source, edge.target) for edge in drawing.edges}


@pytest.mark.parametrize("engine", ["own", "auto"])
def test_pictures_of_closed_kernels(engine):
    text = render_svg(make_step(), limit=LIMIT * 2, engine=engine)
    assert "writes layer/w + 1" in text and "\0" not in text
