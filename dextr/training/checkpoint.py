"""All that a run needs to go on, in one file that is whole or not there."""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from dextr.common.errors import UserError
from dextr.common.files import replacing
from dextr.training.hard_objects import HardExamples
from dextr.training.optim import MovingAverage
from networks import DextrNet, load_strict

FORMAT = 1
KEPT = 2
PROGRESS = ("epoch", "epoch_step", "step", "best", "losses")


@dataclass
class TrainState:
    """What training moves forward: the network without wrappers, and what goes with it.

    Attributes:
        scaler: Loss scaling for half precision; does nothing otherwise.
        average: Moving average of the weights, if kept; `hard` objects, if they come back oftener.
        epoch: Complete epochs; `epoch_step`: steps done in the one begun; `step`: steps in all.
        best: Best score of an evaluation so far.
        losses: Losses of the last steps that are not in the log yet.
    """

    network: DextrNet
    optimizer: Optimizer
    scaler: GradScaler
    average: MovingAverage | None = None
    hard: HardExamples | None = None
    epoch: int = 0
    epoch_step: int = 0
    step: int = 0
    best: float | None = None
    losses: list[float] = field(default_factory=list)

    @property
    def result(self) -> DextrNet:
        """The network that is evaluated and saved."""
        return self.network if self.average is None else self.average.network

    def to_dict(self) -> dict[str, Any]:
        """Return everything as tensors and plain values."""
        return {
            "network": self.network.config.to_dict(),
            "weights": self.network.state_dict(),
            "ema": None if self.average is None else self.average.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            **{name: getattr(self, name) for name in PROGRESS},
            "hard": None if self.hard is None else self.hard.to_dict(),
            "random": random_states(),
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take everything over from `to_dict`."""
        load_strict(self.network, saved["weights"])
        if self.average is not None:
            load_strict(self.average.network, saved["ema"])
        # Whether the optimiser is fused is up to this machine, not the one that saved.
        optimizer = saved["optimizer"]
        pairs = zip(self.optimizer.param_groups, optimizer["param_groups"], strict=False)
        groups = [{**group, "fused": own["fused"]} for own, group in pairs]
        self.optimizer.load_state_dict({**optimizer, "param_groups": groups})
        self.scaler.load_state_dict(saved["scaler"])
        for name in PROGRESS:
            setattr(self, name, saved[name])
        if self.hard is not None:
            self.hard.restore(saved["hard"])
        restore_random_states(saved["random"])


def random_states() -> dict[str, Any]:
    """Return the states of all global random generators, loadable without executing code."""
    version, internal, gauss = random.getstate()
    kind, keys, *rest = np.random.get_state(legacy=True)
    return {
        "python": [version, list(internal), gauss],
        "numpy": [kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_states(states: Mapping[str, Any]) -> None:
    """Take the states of `random_states` over; those of GPUs only if there are as many."""
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(states["torch"])
    if torch.cuda.is_available() and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])


def save_checkpoint(folder: Path, content: Mapping[str, Any], keep: bool = False) -> Path:
    """Write a checkpoint and remove old ones: the newest two and those to `keep` stay.

    Its content is `TrainState.to_dict()` and what describes the run.

    Raises:
        ValueError: A weight is not finite; nothing is written.
    """
    broken = [k for k, v in content["weights"].items() if not torch.isfinite(v).all()]
    if broken:
        raise UserError(f"weights are not finite ({broken[0]} first); no checkpoint written")
    path = folder / f"{'snapshot' if keep else 'step'}-{content['step']:09d}.pt"
    with replacing(path) as temporary:
        torch.save({"format": FORMAT, **content}, temporary)
    passing = [p for p in checkpoints(folder)[KEPT:] if p.name.startswith("step-")]
    unfinished = folder.glob(".*.pt")  # left by a run that was killed while it wrote
    for old in [*passing, *unfinished]:
        old.unlink()
    return path


def checkpoints(folder: Path) -> list[Path]:
    """Return a run's checkpoints, the newest first."""
    found = {p: re.fullmatch(r"(?:step|snapshot)-(\d+)\.pt", p.name) for p in folder.glob("*.pt")}
    steps = {p: (int(match[1]), p.stat().st_mtime_ns) for p, match in found.items() if match}
    return sorted(steps, key=lambda p: steps[p], reverse=True)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return a checkpoint's content; no code in it is executed.

    Raises:
        ValueError: The file is broken or not a training checkpoint.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{path}: cannot be read: {reason}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{path}: not a training checkpoint of this program")
    return content


def newest_checkpoint(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """Return the newest checkpoint that can be read; None if the run has none.

    Raises:
        ValueError: There are some, and none can be read.
    """
    found = checkpoints(folder)
    for path in found:
        try:
            return path, load_checkpoint(path)
        except ValueError as error:  # noqa: PERF203 - files, so few
            warnings.warn(f"{error}; trying the one before", stacklevel=2)
    if found:
        raise UserError(f"{folder}: none of the {len(found)} checkpoints can be read")
    return None
