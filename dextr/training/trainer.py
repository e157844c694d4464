"""A whole training run: epochs, evaluations, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from dextr.batch import Batch, in_groups, on_device
from dextr.common.files import write_json
from dextr.common.processes import World
from dextr.evaluation.cases import score_and_picture
from dextr.evaluation.mask_sources import NetworkMasks, Objects
from dextr.evaluation.protocol import EvaluationSettings
from dextr.evaluation.report import as_dict, table
from dextr.evaluation.scoring import evenly_spaced_rows
from dextr.evaluation.summary import Summary, summarize
from dextr.geometry import Margin
from dextr.metrics import ObjectScore
from dextr.predictor import Predictor
from dextr.samples import THRESHOLD
from dextr.training.checkpoint import TrainState, save_checkpoint
from dextr.training.config import OptimConfig, RunConfig
from dextr.training.corrections import correct
from dextr.training.interrupt import Stopped, StopRequest
from dextr.training.log import RunLog
from dextr.training.optim import learning_rate_factor, set_learning_rate
from dextr.training.step import LossWatch, train_step
from dextr.visualize import save_picture
from dextr.weights.load import save_network
from networks.sync_norm import synchronize_batch_norm


class Loader(Protocol):
    """Where batches come from: so many per epoch, each shared by all processes."""

    def __len__(self) -> int: ...

    def batches(self, epoch: int, start: int, hard: Sequence[int]) -> Iterable[Batch]:
        """This process's shares of an epoch's batches from `start` on; rows `hard` come oftener."""


class Validation(Objects, Protocol):
    """The validation objects."""

    name: str
    category_names: tuple[str, ...]


@dataclass
class Trainer:
    """Runs the epochs of a new or restored state; the first of the processes writes the folder.

    Attributes:
        validation: The objects of the evaluations; None: there are none.
        about: What checkpoints say of the run: `config`, `size`, `relax`, and `public`, the part of
            `config` that weights say too.
        stop: Tells when somebody wants the run to stop.
    """

    state: TrainState
    loader: Loader
    validation: Validation | None
    optim: OptimConfig
    run: RunConfig
    about: dict[str, Any]
    folder: Path
    log: RunLog
    world: World
    stop: StopRequest

    def __post_init__(self) -> None:
        self.steps = -(-len(self.loader) // self.optim.accumulate)
        network: nn.Module = self.state.network
        if self.run.compile:
            # An epoch's smaller last batch gets its own code; one for any size would be slower.
            network = torch.compile(network, dynamic=False)  # type: ignore[assignment]
        # Crops have one size, so that trying out convolutions pays.
        torch.backends.cudnn.benchmark = True
        self.model = shared(network, self.world)
        if self.state.average is not None and self.world.size > 1:
            synchronize_batch_norm(self.state.average.network)
        self.settings = EvaluationSettings(thresholds=(THRESHOLD,), seed=self.run.seed)
        self.saved_at = time.monotonic()

    def fit(self) -> None:
        """Train until the last epoch; evaluate and save on the way.

        Raises:
            Stopped: Somebody asked; everything is saved.
            ValueError: The loss is not finite.
        """
        state, optim, run = self.state, self.optim, self.run
        while state.epoch < optim.epochs:
            self.train_one_epoch()
            number = state.epoch + 1
            due = run.eval_every and number % run.eval_every == 0 and number < optim.epochs
            if due and self.validation is not None:
                self.save()
                self.evaluate(self.validation, f"epoch-{number:04d}", number, run.eval_limit)
            if state.hard is not None:
                state.hard.refresh(self.world)
            state.epoch, state.epoch_step = number, 0
            keep = bool(run.snapshot_every) and number % run.snapshot_every == 0
            self.save(keep=keep or number == optim.epochs)
            if keep:
                self.save_weights("weights.safetensors")

    def train_one_epoch(self) -> None:
        """Do the steps of the epoch that are left to do."""
        state, optim, run = self.state, self.optim, self.run
        self.model.train()
        watch = LossWatch(self.world)
        loss: float | None = None
        title = f"epoch {state.epoch + 1}/{optim.epochs}"
        hidden = None if self.world.main else True
        with tqdm(
            total=self.steps, initial=state.epoch_step, desc=title, unit="step", disable=hidden
        ) as bar:
            hard = state.hard.rows if state.hard else ()
            loaded = self.loader.batches(state.epoch, state.epoch_step * optim.accumulate, hard)
            moved = on_device(loaded, self.world.device, run.channels_last)
            for group in in_groups(moved, optim.accumulate):
                factor = learning_rate_factor(state.step, self.steps * optim.epochs, optim)
                lr = set_learning_rate(state.optimizer, factor)
                group = correct(state.network, group, optim, self.world, [run.seed, state.step])
                watch.add(train_step(state, self.model, group, optim, self.world), group)
                state.step, state.epoch_step = state.step + 1, state.epoch_step + 1
                bar.update()
                if state.epoch_step % run.log_every == 0 or state.epoch_step == self.steps:
                    loss = self._log_line(watch, lr, bar)
                    self._stop_or_save(watch)
                    continue
                # Both would make a GPU, or processes, wait for each other.
                if self.world.device.type == "cpu":
                    state.losses += watch.collect(state.step)
                if self.world.size == 1:
                    self._stop_or_save(watch)
        if state.epoch_step == self.steps and loss is not None:
            self.stop.say(f"{title}: loss {loss:.4g}")

    def _log_line(self, watch: LossWatch, lr: float, bar: tqdm) -> float:
        """Write the mean loss since the last line; return it."""
        state = self.state
        losses = state.losses + watch.collect(state.step)
        loss, speed, state.losses = sum(losses) / len(losses), watch.speed(), []
        values = {"epoch": state.epoch + 1, "loss": loss, "lr": lr, "objects_per_second": speed}
        self.log.write("train", state.step, values)
        bar.set_postfix_str(f"loss {loss:.4g}, {speed:.1f} objects/s", refresh=False)
        return loss

    def _stop_or_save(self, watch: LossWatch) -> None:
        """Save when it is time to or the run shall stop; the processes agree on it."""
        save_due = time.monotonic() - self.saved_at > 60 * self.run.save_minutes > 0
        asked = self.world.gather((self.stop.made, save_due))
        stop = any(stop for stop, _ in asked)
        if stop or asked[0][1]:
            self.state.losses += watch.collect(self.state.step)
            self.save()
        if stop:
            self.stop.ending = True
            raise Stopped

    def save(self, keep: bool = False) -> None:
        """Write a checkpoint; the log up to here belongs to it."""
        self.saved_at = time.monotonic()
        if self.state.hard is not None:
            self.state.hard.collect(self.world)
        self.world.on_main(lambda: self._save(keep))

    def _save(self, keep: bool) -> None:
        more = {"threshold": THRESHOLD, "log_length": self.log.length()}
        content = {**self.state.to_dict(), **self.about, **more}
        save_checkpoint(self.folder / "checkpoints", content, keep)

    def save_weights(self, name: str) -> None:
        """Write the network alone, as `load_predictor` reads it."""
        about = {"size": self.about["size"], "relax": Margin.of(self.about["relax"])}
        about["origin"] = {"steps": self.state.step, "config": self.about["public"]}
        path, network = self.folder / name, self.state.result
        self.world.on_main(lambda: save_network(path, network, threshold=THRESHOLD, **about))

    def evaluate(
        self, validation: Validation, name: str, epoch: int, limit: int = 0
    ) -> tuple[Summary, list[ObjectScore]]:
        """Score the network; log the numbers and save pictures."""
        self.stop.at_rest = True
        if self.stop.made:
            self.stop.ending = True
            raise Stopped
        # Averages have their own copy; either way train() comes back with the next epoch.
        size, relax = self.about["size"], Margin.of(self.about["relax"])
        predictor = Predictor(
            self.state.result, size=size, relax=relax, batch_size=8,
            look_twice=self.state.network.config.looks_twice,
        )  # fmt: skip
        source = NetworkMasks(predictor, validation, self.settings, self.run.workers)
        rows = evenly_spaced_rows(len(validation), limit)
        scores, sheet = score_and_picture(source, rows, self.world)
        self.stop.at_rest = False
        summary = summarize(scores, validation.category_names)
        means = {"mean_iou": summary.mean_iou, "boundary_f": summary.boundary_f}
        values = {"epoch": epoch, "objects": summary.count, **means}
        self.log.write("evaluation", self.state.step, values)
        self._keep_best(scores)
        if sheet is not None:
            save_picture(self.folder / "pictures" / f"{name}.png", sheet)
            self.log.picture("validation", self.state.step, sheet)
        self.stop.say(f"{name}: mean IoU {100 * summary.mean_iou:.2f} of {summary.count} objects")
        return summary, scores

    def _keep_best(self, scores: list[ObjectScore]) -> None:
        """Save the network if none was better on the objects of the evaluations between epochs."""
        state = self.state
        assert self.validation is not None
        rows = evenly_spaced_rows(len(self.validation), self.run.eval_limit)
        alike = scores if len(scores) == len(rows) else [scores[row] for row in rows]
        score = summarize(alike, self.validation.category_names).mean_iou
        # After another --eval-limit the scores so far say nothing.
        if state.best is None or state.best_of not in (None, len(rows)) or score > state.best:
            state.best, state.best_of = score, len(rows)
            self.save_weights("best.safetensors")

    def finish(self) -> None:
        """Write the weights and the final evaluation."""
        self.save_weights("weights.safetensors")
        if self.validation is None:
            return
        summary, scores = self.evaluate(self.validation, "final", self.state.epoch)
        if self.world.main:
            about = {
                "dataset": {"name": self.validation.name, "objects": len(self.validation)},
                "weights": {"name": str(self.folder / "weights.safetensors")},
                "settings": asdict(self.settings),
            }
            content = as_dict(summary, scores, about)
            write_json(self.folder / "evaluation.json", content, indent=1)
            self.stop.say(table(summary))


def shared(network: nn.Module, world: World) -> nn.Module:
    """Return the network whose backward pass averages gradients over the processes.

    Its batch norms are made to take their statistics from all processes, in place.
    """
    if world.size == 1:
        return network
    synchronize_batch_norm(network)
    devices = [world.device] if world.device.type == "cuda" else None
    # The processes' statistics are the same already: nobody's need to be sent.
    return DistributedDataParallel(network, device_ids=devices, broadcast_buffers=False)
