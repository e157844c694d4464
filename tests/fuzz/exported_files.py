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
    content = _lying(rng, _whole()) if rng.random() < 0.5 else _whole()
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
