"""Everything one can set about a training run. The defaults are the paper's protocol."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from dextr.training.options import option
from networks import NetworkConfig
from networks.dextr_net import HEADS, STRIDE_ON
from networks.resnet import LAYOUTS

SCHEDULES = ("constant", "cosine", "poly")


@dataclass(frozen=True)
class ModelConfig:
    """The network and what it starts from; see `networks.NetworkConfig`."""

    backbone: str = option("resnet101", "backbone", choices=tuple(LAYOUTS))
    head: str = option("psp", "head on the backbone's features", choices=HEADS)
    head_width: int = option(512, "channels inside the PSP head")
    stages: int = option(4, "backbone stages built", choices=(1, 2, 3, 4))
    output_stride: int = option(8, "input pixels per feature position", choices=(8, 16))
    skips: int = option(0, "finer stages joined before the last convolution; 0 as in the paper")
    mirror: bool = option(
        False, "in evaluation, average over the crop and its mirror image: twice the time"
    )
    stride_on: str = option(
        "auto",
        "convolution of a bottleneck that carries the stride; auto: 3x3 with --init imagenet, "
        "else 1x1",
        choices=("auto", *STRIDE_ON),
    )
    init: str = option(
        "deeplab",
        "initial weights: deeplab (downloaded) or deeplab:FILE, the same as deeplab-released, "
        "imagenet (torchvision's) or imagenet:FILE, none (random), or a name or FILE (own or "
        "published weights, also parts)",
        metavar="SPEC",
        private=True,
    )
    batch_norm: str = option(
        "batch",
        "backbone's statistics: taken from each batch, or frozen at the initial weights'",
        choices=("batch", "frozen"),
    )

    def network(self) -> NetworkConfig:
        """Return the network's part of it."""
        values = {
            k.name: getattr(self, k.name) for k in fields(NetworkConfig) if hasattr(self, k.name)
        }
        if self.stride_on == "auto":
            values["stride_on"] = "3x3" if self.init.split(":")[0] == "imagenet" else "1x1"
        return NetworkConfig(**values)


@dataclass(frozen=True)
class OptimConfig:
    """Loss, optimiser and schedule."""

    epochs: int = option(100, "passes over the training objects")
    batch_size: int = option(5, "objects per batch, over all processes")
    accumulate: int = option(1, "batches whose gradients make one step")
    optimizer: str = option("sgd", "optimiser", choices=("sgd", "adamw"))
    lr: float = option(1e-8, "learning rate of the backbone")
    head_lr_factor: float = option(10.0, "learning rate of the head, times --lr")
    stem_lr_factor: float = option(
        1.0,
        "learning rate of the first convolution, times --lr; for adamw on ImageNet weights 0.017: "
        "with 0..255 input its values are 1 / (255 * 0.226) of their size",
    )
    momentum: float = option(0.9, "momentum of sgd")
    weight_decay: float = option(5e-4, "weight decay")
    schedule: str = option("constant", "learning rate over time", choices=SCHEDULES)
    warmup_steps: int = option(0, "steps over which the learning rate grows linearly at the start")
    clip_norm: float = option(0.0, "largest norm of the gradient; 0: no limit")
    loss_reduction: str = option(
        "batch",
        "batch: sum over pixels divided by the batch size, as published; mean: also by the pixels",
        choices=("batch", "mean"),
    )
    void: str = option(
        "background",
        "undecided pixels in training: background, as published, or left out of the loss",
        choices=("background", "ignore"),
    )
    ema: float = option(
        0.0, "decay of a moving average of the weights, which is then evaluated and saved; 0: none"
    )
    amp: str = option("off", "mixed precision", choices=("off", "bf16", "fp16"))
    corrections: float = option(
        0.0,
        "probability that the objects of a batch get one more point, on the outline nearest to "
        "the network's largest error of the moment",
    )
    hard_examples: int = option(
        1, "objects below 0.8 IoU when last trained on come back this many times as often"
    )

    def __post_init__(self) -> None:
        _at_least(1, self, "epochs", "batch_size", "accumulate", "hard_examples")
        _at_least(
            0,
            self,
            "lr",
            "head_lr_factor",
            "stem_lr_factor",
            "momentum",
            "weight_decay",
            "warmup_steps",
        )
        _at_least(0, self, "clip_norm")
        if not 0 <= self.ema < 1:
            raise ValueError(f"--ema must be in 0..1, below 1, got {self.ema}")
        if not 0 <= self.corrections <= 1:
            raise ValueError(f"--corrections must be in 0..1, got {self.corrections}")


# What they say of the machine stays on it.
_local = partial(option, private=True)


@dataclass(frozen=True)
class RunConfig:
    """How the run goes on: nothing here but the seed changes what is learned."""

    seed: int = _local(0, "seed of everything random")
    device: str | None = _local(None, "cpu, cuda or cuda:N; CUDA if there is any", free=True)
    workers: int = _local(2, "processes that prepare objects (of each training process)", free=True)
    compile: bool = _local(False, "compile the network, minutes at the start", free=True)
    channels_last: bool = _local(True, "keep tensors channels last, which is faster", free=True)
    eval_every: int = _local(10, "epochs between evaluations; 0: only at the end", free=True)
    eval_limit: int = _local(0, "objects scored in each evaluation but the last; 0: all", free=True)
    snapshot_every: int = _local(20, "epochs between checkpoints that are kept for good", free=True)
    save_minutes: float = _local(
        15.0, "a checkpoint at least every so many minutes, besides one per epoch", free=True
    )
    log_every: int = _local(10, "steps per line of the log")
    name: str = _local("dextr", "name of the run's folder under runs/", free=True)
    output_dir: str | None = _local(
        None, "the run's folder (default: the next free runs/NAME-NUMBER)", metavar="DIR", free=True
    )

    def __post_init__(self) -> None:
        _at_least(1, self, "log_every")
        _at_least(0, self, "seed", "workers", "eval_every", "eval_limit", "snapshot_every")
        _at_least(0, self, "save_minutes")


def _at_least(least: int, config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not value >= least:
            raise ValueError(f"--{name.replace('_', '-')} must be at least {least}, got {value}")


# What `train_pascal.py` does where no source is named: minutes on any CPU.
DEMONSTRATION: dict[str, Any] = {
    "shapes": 240,
    "val_fraction": 0.1,
    "backbone": "resnet18",
    "stages": 3,
    "head_width": 64,
    "init": "none",
    "size": 96,
    "epochs": 5,
    "batch_size": 8,
    "optimizer": "adamw",
    "lr": 1e-3,
    "head_lr_factor": 1.0,
    "loss_reduction": "mean",
}
