"""Graphs are run once, elsewhere and within bounds, before they are used."""

import hashlib
import json

import pytest
import torch
from support.exported import inputs

from dextr.weights import exported
from dextr.weights.content import Content
from dextr.weights.exported import read_exported
from dextr.weights.load import load_network

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

ABOUT = {
    "format": 1, "network": {}, "size": 64, "relax": 20, "threshold": 0.5,
    "weights": {"name": "x", "sha256": None, "trained": True},
}  # fmt: skip
# Graphs that are ONNX, but no network of ours; MEAN is one.
MEAN = onnx.helper.make_node("ReduceMean", ["input", "axis"], ["m"], keepdims=1)
AXIS = onnx.helper.make_tensor("axis", onnx.TensorProto.INT64, [1], [1])


def graph(*nodes, takes=("n", 4, 64, 64), gives=None, more=(), said=None):
    """A file whose last node's output is its own."""
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in (MEAN, *nodes)]
    nodes[-1].output[0] = "logits"
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("input", takes), ("logits", gives))
    ]
    made = onnx.helper.make_graph(nodes, "g", values[:1], values[1:], [AXIS, *more])
    model = onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", 18)])
    model.ir_version = 8
    about = json.dumps({**ABOUT, **(said or {})})
    onnx.helper.set_model_props(model, {"dextr": about})
    return model.SerializeToString()


def node(kind, *inputs, **attributes):
    return onnx.helper.make_node(kind, list(inputs), ["out"], **attributes)


def whole_numbers(name, *values):
    return onnx.helper.make_tensor(name, onnx.TensorProto.INT64, [len(values)], values)


def endless_loop():
    names = onnx.helper.make_tensor_value_info
    flag, value = onnx.TensorProto.BOOL, onnx.TensorProto.FLOAT
    copies = [onnx.helper.make_node("Identity", [k], [k + "2"]) for k in ("go", "v")]
    body = onnx.helper.make_graph(
        copies, "b",
        [names("i", onnx.TensorProto.INT64, []), names("go", flag, []), names("v", value, None)],
        [names("go2", flag, []), names("v2", value, None)],
    )  # fmt: skip
    true = onnx.helper.make_tensor("true", flag, [], [True])
    return graph(node("Loop", "", "true", "m", body=body), more=[true])


def huge_constant():
    parts = [node("ConstantOfShape", "shape"), node("ReduceSum", "big", keepdims=0)]
    parts[0].output[0], parts[1].output[0] = "big", "sum"
    return graph(*parts, node("Add", "m", "sum"), more=[whole_numbers("shape", 10**11)])


def failing_node():
    return graph(node("Reshape", "m", "shape"), more=[whole_numbers("shape", 7, 13)])


ODD = {
    "batch 0": (lambda: graph(takes=(0, 4, 64, 64)), "batches of 0: expected 1 to 256"),
    "batch 10^9": (lambda: graph(takes=(10**9, 4, 64, 64)), "batches of 1000000000: expected"),
    "3 channels": (lambda: graph(takes=("n", 3, 64, 64)), "expected an input of float32"),
    "any size": (lambda: graph(takes=("n", 4, "h", "w")), "expected an input of float32"),
    "another rank": (lambda: graph(node("Squeeze", "m")), r"expected logits \(N, 1, S, S\)"),
    "4 maps": (lambda: graph(node("Neg", "input")), r"got float32 \[1, 4, 64, 64\]"),
    "size 20000": (
        lambda: graph(takes=("n", 4, 20_000, 20_000), said={"size": 20_000}), "from 16 to 2048",
    ),
    "an input that is not there": (lambda: graph(node("Log", "x")), "no ONNX file that can be run"),
    "a failing node": (failing_node, "no ONNX file that can be run"),
    "an endless loop": (endless_loop, "more time or memory than any network"),
    "a huge constant": (huge_constant, "no ONNX file that can be run|more time or memory"),
}  # fmt: skip


def test_a_graph_of_the_right_form(tmp_path):
    (tmp_path / "x.onnx").write_bytes(graph())
    x = inputs(2)
    logits = read_exported(tmp_path / "x.onnx")(x)
    torch.testing.assert_close(logits, x.mean(dim=1, keepdim=True))


@pytest.mark.parametrize("kind", ODD)
def test_graphs_that_are_no_network_of_ours(tmp_path, monkeypatch, kind):
    content, message = ODD[kind]
    (tmp_path / "x.onnx").write_bytes(content())
    monkeypatch.setattr(exported, "LIMITS", {**exported.LIMITS, "seconds": 1})
    with pytest.raises(ValueError, match=rf"x\.onnx: .*({message})") as caught:
        load_network(tmp_path / "x.onnx")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_logits_that_are_not_finite(tmp_path):
    minus = node("Neg", "input")
    minus.output[0] = "minus"
    roots = [node("Sqrt", "minus"), node("ReduceMean", "roots", "axis", keepdims=1)]
    roots[0].output[0] = "roots"
    (tmp_path / "x.onnx").write_bytes(graph(minus, *roots))
    with pytest.raises(ValueError, match="its logits are not finite"):
        read_exported(tmp_path / "x.onnx")


def test_a_node_that_fails_later(tmp_path):
    # A batch of one can be squeezed, any other cannot.
    content = graph(node("Reshape", "m", "shape"), more=[whole_numbers("shape", 1, 1, 64, 64)])
    (tmp_path / "x.onnx").write_bytes(content)
    network = read_exported(tmp_path / "x.onnx")
    with pytest.raises(ValueError, match=r"x\.onnx: it cannot be run") as caught:
        network(inputs(2))
    assert "\n" not in str(caught.value)


def test_what_is_run_is_what_was_tried(tmp_path):
    path = tmp_path / "x.onnx"
    path.write_bytes(graph())
    content = Content.read(path)
    path.write_bytes(b"something else by now")
    assert read_exported(content).digest == hashlib.sha256(graph()).hexdigest()
