"""Cases for weights files: damaged, lying about themselves, or with code inside."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import struct
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from fuzz.damage import damaged, replace_somewhere
from fuzz.prediction import small_predictor

from dextr.weights.load import load_network, save_network

CANARY = "canary"
SUFFIXES = (*("safetensors",) * 8, "pth", "pth", "pt", "npz", "npz", "x")


class Code:
    """What a pickle calls when it is read: here, something that leaves a file behind."""

    def __init__(self, canary: Path, how: int) -> None:
        self.canary = str(canary)
        self.how = how

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return (
            (os.system, (f"touch '{self.canary}'",)),
            (eval, (f"open({self.canary!r}, 'w')",)),
            (open, (self.canary, "w")),
        )[self.how]


def load(rng: random.Random, folder: Path) -> None:
    """Load one odd weights file; right is a network whose every value is finite, and no code run.

    Raises:
        ValueError: The file cannot be used.
        AssertionError: The answer is not right, or code was run.
    """
    path = folder / f"weights.{rng.choice(SUFFIXES)}"
    path.write_bytes(_content(rng, path.suffix, folder / CANARY))
    try:
        loaded = load_network(path)
        for value in loaded.network.state_dict().values():
            assert value.isfinite().all()
        assert loaded.about.size >= 16
        assert 0 <= loaded.about.threshold <= 1
    finally:
        assert not (folder / CANARY).exists(), "code in the file was executed"


def _content(rng: random.Random, suffix: str, canary: Path) -> bytes:
    state = dict(small_predictor().network.state_dict())
    if suffix == ".npz":
        content = _npz(rng, state, canary)
    elif suffix in (".pth", ".pt"):
        content = _pickled(rng, state, canary)
    else:
        content = _safetensors(rng)
    return damaged(rng, content) if rng.random() < 0.5 else content


def _npz(rng: random.Random, state: dict[str, torch.Tensor], canary: Path) -> bytes:
    arrays = {name: value.numpy() for name, value in state.items()}
    if rng.random() < 0.5:
        arrays["code"] = np.array([Code(canary, rng.randrange(3))], object)
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _pickled(rng: random.Random, state: dict[str, torch.Tensor], canary: Path) -> bytes:
    values: dict[object, object] = dict(state)
    kind = rng.randrange(10)
    if kind > 5:
        name = rng.choice(list(state))
        values[name] = _odd_tensor(rng, state[name])
        values = _wrapped(rng, values)
    elif kind < 2:
        values[rng.choice(("code", 7))] = Code(canary, rng.randrange(3))
    elif kind == 2:
        values = {"weights": values, "format": 1, "network": Code(canary, 0)}
    elif kind == 3:
        values[rng.choice(("conv1.weight", "x"))] = rng.choice(
            (None, 3, [1], torch.tensor([np.nan]))
        )
    file = io.BytesIO()
    if rng.random() < 0.3:
        pickle.dump(values, file)
    else:
        torch.save(values, file, _use_new_zipfile_serialization=rng.random() < 0.7)
    return file.getvalue()


def _odd_tensor(rng: random.Random, value: torch.Tensor) -> object:
    """A tensor of another kind, type, range or size than the right one."""
    wide = value.double()
    return rng.choice((
        lambda: value.to(rng.choice((torch.int32, torch.uint8, torch.bool, torch.complex64))),
        lambda: value.to(rng.choice((torch.float8_e4m3fn, torch.float16, torch.bfloat16))),
        lambda: value.to_sparse() if value.ndim else value,
        lambda: value.to("meta"),
        lambda: torch.quantize_per_tensor(value.float(), 0.1, 0, torch.qint8),
        lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        lambda: torch.zeros(1).expand(rng.choice((7, 10**10))),
        lambda: wide + rng.choice((1e300, float("nan"), -1e9, 0)),
        lambda: value.flatten()[: rng.randrange(3)],
        lambda: torch.nn.Parameter(wide),
        lambda: value,
    ))()  # fmt: skip


def _wrapped(rng: random.Random, values: dict[object, object]) -> dict[object, object]:
    """A state in a wrapping of others, or in a checkpoint of ours with odd fields."""
    prefix = rng.choice(("", "", "module.", "_orig_mod.", "module._orig_mod."))
    values = {f"{prefix}{name}": value for name, value in values.items()}
    if rng.random() < 0.2:
        return {rng.choice(("state_dict", "model", "epoch")): values}
    odd = rng.choice((torch.ones(3), torch.ones(1), None, {}, 3, "x", [values]))
    fields = {
        "format": 1, "weights": values, "ema": None, "size": 32, "relax": 10, "threshold": 0.5,
        "network": small_predictor().network.config.to_dict(), "origin": {}, "epoch": 1, "step": 2,
    }  # fmt: skip
    if rng.random() < 0.5:
        fields[rng.choice(list(fields))] = odd
    if rng.random() < 0.3:
        fields |= rng.choice(({"size": 20_000}, {"relax": 10**5}, {"size": 16}, {"relax": 0}))
    return dict(fields)


@lru_cache(maxsize=1)
def _whole() -> bytes:
    network = small_predictor().network
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "whole.safetensors"
        save_network(path, network, size=32, relax=10, threshold=0.5, origin={})
        return path.read_bytes()


def _safetensors(rng: random.Random) -> bytes:
    content = _whole()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    kind = rng.randrange(7)
    if kind < 2:
        about = json.loads(header["__metadata__"]["dextr"])
        header["__metadata__"]["dextr"] = json.dumps(replace_somewhere(rng, about))
    elif kind == 2:
        deep = rng.choice(("[", '{"a":')) * rng.choice((10, 100_000))
        header["__metadata__"]["dextr"] = rng.choice((deep, "", "7", "\x00", "[1]", "NaN"))
    elif kind == 3:
        name = rng.choice([n for n in header if n != "__metadata__"])
        header[name] = replace_somewhere(rng, header[name])
    text = json.dumps(header).encode()
    said = rng.choice((len(text),) * 30 + (0, 2**63, 2**40, len(text) - 1))
    return struct.pack("<Q", said) + text + content[8 + length :]
