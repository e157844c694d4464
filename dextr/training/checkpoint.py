"""All that a run needs to go on, in one file that is whole or not there."""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from dextr.common.errors import UserError
from dextr.common.files import replacing
from dextr.common.tensor_files import read_tensors, write_tensors
from dextr.training.hard_objects import HardExamples
from dextr.training.optim import MovingAverage, restore_optimizer
from networks import DextrNet, load_strict

FORMAT = 1
KEPT = 2
NAME = re.compile(r"(?:step|snapshot)-\d+\.pt")
PROGRESS = ("epoch", "epoch_step", "step", "best", "best_of", "losses")
# What every checkpoint has, also those of earlier versions.
FIELDS: dict[str, Any] = {
    "network": dict, "weights": dict, "ema": dict | None, "optimizer": dict, "scaler": dict,
    "epoch": int, "epoch_step": int, "step": int, "best": float | None, "losses": list,
    "hard": dict | None, "random": dict, "config": dict, "log_length": int, "data": dict | None,
}  # fmt: skip


@dataclass
class TrainState:
    """What training moves forward: the network without wrappers, and what goes with it.

    Attributes:
        scaler: Loss scaling for half precision; does nothing otherwise.
        average: Moving average of the weights, if kept; `hard` objects, if they come back oftener.
        epoch: Complete epochs; `epoch_step`: steps done in the one begun; `step`: steps in all.
        best: Best score of an evaluation so far; `best_of` so many objects.
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
    best_of: int | None = None
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

    def restore(self, saved: Mapping[str, Any], data_changed: bool = False) -> None:
        """Take everything over from `to_dict`; where data changed, not what was learned about them.

        Raises:
            ValueError: Something is missing, of another type, or fits another network.
        """
        try:
            self._restore(saved, data_changed)
        except (LookupError, TypeError, AttributeError, RuntimeError, OverflowError) as error:
            reason = str(error).splitlines()[0] if str(error) else ""
            raise UserError(
                f"the checkpoint is damaged or of another version ({type(error).__name__}: "
                f"{reason}): name an earlier one with --resume"
            ) from error

    def _restore(self, saved: Mapping[str, Any], data_changed: bool) -> None:
        load_strict(self.network, saved["weights"])
        if self.average is not None:
            load_strict(self.average.network, saved["ema"])
        restore_optimizer(self.optimizer, saved["optimizer"])
        self.scaler.load_state_dict(saved["scaler"])
        for name in PROGRESS:
            setattr(self, name, saved.get(name) if name == "best_of" else saved[name])
        if not all(isinstance(loss, float) for loss in self.losses):
            raise TypeError("losses are not numbers")
        if data_changed:
            self.best = self.best_of = None
        elif self.hard is not None:
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
        OSError: The disk is full, or the like; the checkpoints so far stay.
    """
    content = on_cpu(content)
    broken = [k for k, v in content["weights"].items() if not torch.isfinite(v).all()]
    if broken:
        raise UserError(f"weights are not finite ({broken[0]} first); no checkpoint written")
    path = folder / f"{'snapshot' if keep else 'step'}-{content['step']:09d}.pt"
    for damaged in [p for p in checkpoints(folder) if step_of(p) > content["step"]]:
        # The run went on from before it, so it could not be read.
        damaged.replace(damaged.with_suffix(".damaged"))
    with replacing(path) as temporary:
        write_tensors(temporary, {"format": FORMAT, **content})
    passing = [p for p in checkpoints(folder)[KEPT:] if p.name.startswith("step-")]
    unfinished = folder.glob(".*.pt")  # left by a run that was killed while it wrote
    for old in [*passing, *unfinished]:
        old.unlink()
    return path


def on_cpu(content: Any, device: str = "cuda") -> Any:
    """Return nested dictionaries and lists with the tensors of a device copied to the CPU.

    They are copied as one for each type of number: a copy by itself waits for the GPU.
    """
    found = [t for t in _tensors(content) if t.device.type == device]
    copies: dict[int, Tensor] = {}
    for dtype in {t.dtype for t in found}:
        alike = [t for t in found if t.dtype == dtype]
        flat = torch.cat([t.flatten() for t in alike]).cpu()
        for tensor, part in zip(alike, flat.split([t.numel() for t in alike]), strict=True):
            copies[id(tensor)] = part.view(tensor.shape).clone()
    return _replaced(content, copies)


def _tensors(content: Any) -> Iterator[Tensor]:
    if isinstance(content, Tensor):
        yield content
    elif isinstance(content, Mapping | list):
        for value in content.values() if isinstance(content, Mapping) else content:
            yield from _tensors(value)


def _replaced(content: Any, copies: Mapping[int, Tensor]) -> Any:
    if isinstance(content, Mapping):
        return {key: _replaced(value, copies) for key, value in content.items()}
    if isinstance(content, list):
        return [_replaced(value, copies) for value in content]
    return copies.get(id(content), content)


def checkpoints(folder: Path) -> list[Path]:
    """Return a run's checkpoints, the newest first."""
    found = [p for p in folder.glob("*.pt") if NAME.fullmatch(p.name)]
    return sorted(found, key=lambda p: (step_of(p), p.stat().st_mtime_ns), reverse=True)


def step_of(path: Path) -> int:
    """Return the number of steps done when a checkpoint was written, by its name."""
    return int(path.stem.split("-")[1])


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return a checkpoint's content; no code in it is executed.

    Raises:
        ValueError: The file is damaged or not a training checkpoint; the message names it.
    """
    try:
        content = read_tensors(path)
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{path}: not a training checkpoint of this program")
    for name, kind in FIELDS.items():
        if not isinstance(content.get(name), kind):
            got = type(content[name]).__name__ if name in content else "nothing"
            raise UserError(f"{path}: damaged: its field {name!r} holds {got}")
    if min(content[name] for name in ("epoch", "epoch_step", "step", "log_length")) < 0:
        raise UserError(f"{path}: damaged: it counts below 0")
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
