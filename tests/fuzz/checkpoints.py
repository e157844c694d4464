"""Cases for checkpoints: damage must be noticed, whatever it hits."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from fuzz.damage import damaged

from dextr.common.tensor_files import read_tensors, write_tensors

CONTENT = {"step": 7, "weights": {"a": torch.arange(300.0)}, "names": ["x", None, 2.5, True]}


def read(rng: random.Random, folder: Path) -> None:
    """Read a checkpoint that is damaged, or is not; right is what was written.

    Raises:
        ValueError: It is damaged.
        AssertionError: Something else came back.
    """
    file = folder / "step-7.pt"
    write_tensors(file, CONTENT)
    file.write_bytes(damaged(rng, file.read_bytes()))
    found = read_tensors(file)
    assert found.keys() == CONTENT.keys()
    assert torch.equal(found["weights"]["a"], CONTENT["weights"]["a"])
    assert (found["step"], found["names"]) == (CONTENT["step"], CONTENT["names"])
