"""Cases for exported networks (ONNX, TorchScript): damaged, lying about themselves, with code."""

from __future__ import annotations

import io
import json
import random
import tempfile
import zipfile
from functools import lru_cache
from pathlib import Path

import torch
from fuzz.damage import damaged, replace_somewhere
from fuzz.prediction import small_predictor

from dextr.export.onnx_file import export
from dextr.weights.exported import SUFFIXES, read_exported
from dextr.weights.load import load_network, save_network

SIZE = 32
CODE = (
    b"print(1)", b"torch.save(x, 'canary')", b"while True:\n  pass", b"(" * 5000, b"\x00", b"a" * 9,
    b"def forward(self, input):\n  return torch.load(input)", b"-" * 100_000 + b"1",
)  # fmt: skip


def load(rng: random.Random, folder: Path) -> None:
    """Read one odd exported file; right is a network that answers in the shape of its input.

    Raises:
        ValueError: The file cannot be used.
        AssertionError: The answer is not right.
    """
    suffix = rng.choice(SUFFIXES)
    path = folder / f"network{suffix}"
    content = _whole(suffix)
    if suffix != ".onnx" and rng.random() < 0.5:
        content = _changed_entry(rng, content)
    path.write_bytes(damaged(rng, content) if rng.random() < 0.6 else content)
    exported = read_exported(path)
    assert exported.description.size >= 16
    if exported.description.size == SIZE:
        logits = exported.network(torch.zeros(2, 4, SIZE, SIZE))
        assert logits.shape == (2, 1, SIZE, SIZE)


@lru_cache(maxsize=2)
def _whole(suffix: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        weights, path = Path(folder) / "w.safetensors", Path(folder) / f"network{suffix}"
        save_network(
            weights, small_predictor().network, size=SIZE, relax=10, threshold=0.5, origin={}
        )
        export(load_network(weights), path, check=False)
        return path.read_bytes()


def _changed_entry(rng: random.Random, content: bytes) -> bytes:
    """Return a TorchScript file with one of its entries exchanged for another."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(changed, "w") as new:
        names = old.namelist()
        ending = rng.choice(("extra/dextr", ".py", ""))
        chosen = rng.choice([name for name in names if name.endswith(ending)])
        for name in names:
            entry = old.read(name)
            if name == chosen and name.endswith("dextr"):
                entry = json.dumps(replace_somewhere(rng, json.loads(entry))).encode()
                if rng.random() < 0.2:
                    entry = b"[" * 100_000
            elif name == chosen:
                entry = rng.choice((entry + b"\n" + rng.choice(CODE), damaged(rng, entry)))
            new.writestr(name, entry)
    return changed.getvalue()
