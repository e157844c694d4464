"""Cases for exported networks (ONNX): damaged, or lying about themselves."""

from __future__ import annotations

import json
import random
import tempfile
from functools import lru_cache
from pathlib import Path

import onnx
import torch
from fuzz.damage import damaged, replace_somewhere
from fuzz.prediction import small_predictor

from dextr.export.onnx_file import export
from dextr.weights.exported import read_exported
from dextr.weights.load import load_network, save_network
from dextr.weights.state_files import METADATA_KEY

SIZE = 32


def load(rng: random.Random, folder: Path) -> None:
    """Read one odd exported file; right is a network that answers in the shape of its input.

    Raises:
        ValueError: The file cannot be used.
        AssertionError: The answer is not right.
    """
    path = folder / "network.onnx"
    change = rng.choice((_lying, _odd_graph, _odd_graph, lambda _, content: content))
    content = change(rng, _whole())
    path.write_bytes(damaged(rng, content) if rng.random() < 0.6 else content)
    exported = read_exported(path)
    assert exported.about.size >= 16
    if exported.about.size == SIZE:
        logits = exported(torch.zeros(2, 4, SIZE, SIZE))
        assert logits.shape == (2, 1, SIZE, SIZE)


@lru_cache(maxsize=1)
def _whole() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        weights, path = Path(folder) / "w.safetensors", Path(folder) / "network.onnx"
        save_network(
            weights, small_predictor().network, size=SIZE, relax=10, threshold=0.5, origin={}
        )
        export(load_network(weights), path, check=False)
        return path.read_bytes()


def _lying(rng: random.Random, content: bytes) -> bytes:
    """Return a file that says something else of itself."""
    model = onnx.load_from_string(content)
    (entry,) = model.metadata_props
    about = json.dumps(replace_somewhere(rng, json.loads(entry.value)))
    odd = (about, about, about, "[" * 100_000, "", "7", "[1]", "NaN")
    onnx.helper.set_model_props(model, {METADATA_KEY: rng.choice(odd)})
    return model.SerializeToString()


def _odd_graph(rng: random.Random, content: bytes) -> bytes:
    """Return a file whose graph takes, gives or computes something else."""
    model = onnx.load_from_string(content)
    graph, kind = model.graph, rng.randrange(6)
    if kind == 0:
        shape = rng.choice((graph.input, graph.output))[0].type.tensor_type.shape
        odd = rng.choice((0, 1, 3, 7, 33, 10**4, 10**9, -1))
        rng.choice(shape.dim).dim_value = odd
    elif kind == 1:
        rng.choice(graph.node).op_type = rng.choice(("Neg", "Log", "Sqrt", "Squeeze", "Shape", "X"))
    elif kind == 2:
        del graph.node[rng.randrange(len(graph.node))]
    elif kind == 3:
        node = rng.choice([n for n in graph.node if n.input])
        node.input[rng.randrange(len(node.input))] = rng.choice(("", "input", "logits", "none"))
    elif kind == 4:
        _compute_first(rng, graph)
    else:
        constant = rng.choice(graph.initializer)
        constant.dims[:] = [rng.choice((0, 1, 10**5, 2**40)) for _ in constant.dims]
    return model.SerializeToString()


def _compute_first(rng: random.Random, graph: onnx.GraphProto) -> None:
    """Put a huge constant, or a loop that hardly ends, before all else."""
    helper, whole = onnx.helper, onnx.TensorProto.INT64
    count = helper.make_tensor("count", whole, [1], [rng.choice((3, 10**6, 10**10, 2**62))])
    graph.initializer.append(count)
    nodes = [
        helper.make_node("ConstantOfShape", ["count"], ["huge"]),
        helper.make_node("ReduceMax", ["huge"], ["zero"], keepdims=0),
        helper.make_node("Add", ["logits_before", "zero"], ["logits"]),
    ]
    for node in graph.node:
        node.output[:] = ["logits_before" if name == "logits" else name for name in node.output]
    graph.node.extend(nodes)
