"""Whether training in bf16 follows training in float32: the same run in both, losses compared.

Network, objects, their order and augmentation are the same in both runs. A third run in float32
from another seed shows how far apart two runs are that differ in chance alone.

Examples:
  python -m benchmarks.precision_curve --steps 300 --json curves.json --picture curves.png
  python -m benchmarks.precision_curve --folder photos --init bundled --steps 300
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch.amp.grad_scaler import GradScaler
from tqdm import tqdm

from benchmarks.timing import machine, markdown
from dataloaders.crops.loader import BatchLoader
from dataloaders.crops.training_set import BatchPlan, TrainingSet
from dataloaders.crops.transforms import TrainTransform, TransformConfig
from dataloaders.instances import Instances
from dataloaders.open import open_dataset
from dextr.batch import on_device
from dextr.common import cli
from dextr.common.processes import World, pick_device
from dextr.training.checkpoint import TrainState
from dextr.training.config import ModelConfig, OptimConfig
from dextr.training.optim import build_optimizer, learning_rate_factor, set_learning_rate
from dextr.training.step import LossWatch, train_step
from dextr.weights import initialize
from networks import DextrNet
from networks.dextr_net import init_random

RUNS = {"float32": ("off", 0), "bf16": ("bf16", 0), "float32, other seed": ("off", 1)}


def train(args: argparse.Namespace, data: Instances, amp: str, seed: int) -> list[float]:
    """Return the loss of every step of a training run.

    Args:
        args: The command line's options.
        data: The objects.
        amp: Precision, as `OptimConfig` has it.
        seed: Of the initial weights, the order and the augmentation.
    """
    optim = OptimConfig(
        optimizer="adamw", lr=args.lr, head_lr_factor=1, loss_reduction="mean", schedule="cosine",
        warmup_steps=args.steps // 20, amp=amp, batch_size=args.batch_size,
    )  # fmt: skip
    model = ModelConfig(
        backbone=args.backbone, stages=args.stages, head_width=args.head_width, init=args.init
    )
    world = World(0, 1, pick_device(args.device))
    torch.manual_seed(seed)
    network = init_random(DextrNet(model.network()))
    initialize(network, model.init)
    network = network.to(world.device).to(memory_format=torch.channels_last).train()
    scaler = GradScaler(world.device.type, enabled=False)
    state = TrainState(network, build_optimizer(network, optim), scaler)
    transform = TrainTransform(TransformConfig(size=args.size))
    plan = BatchPlan(len(data) // args.batch_size * args.batch_size, args.batch_size, seed)
    pinned = world.device.type == "cuda"
    loader = BatchLoader(TrainingSet(data, transform, seed), plan, args.workers, pinned)
    loaded = (batch for epoch in range(args.steps) for batch in loader.batches(epoch))
    watch = LossWatch(world)
    for batch in tqdm(
        on_device(islice(loaded, args.steps), world.device, True), amp, args.steps, disable=None
    ):
        factor = learning_rate_factor(state.step, args.steps, optim)
        set_learning_rate(state.optimizer, factor)
        watch.add(train_step(state, network, [batch], optim, world), [batch])
        state.step += 1
    return watch.collect(state.step)


def smoothed(losses: Sequence[float], window: int) -> NDArray[np.float64]:
    """Return the means of every `window` losses in a row.

    >>> smoothed([1, 2, 3, 6], 2).tolist()
    [1.5, 2.5, 4.5]
    """
    return np.convolve(losses, np.full(window, 1 / window), "valid")


def largest_difference(curve: Sequence[float], other: Sequence[float], window: int) -> float:
    """Return the largest difference of two smoothed curves, as a share of the second.

    >>> round(largest_difference([1, 2, 3], [1, 2, 4], 1), 3)
    0.25
    """
    ours, theirs = smoothed(curve, window), smoothed(other, window)
    return float(np.max(np.abs(ours - theirs) / theirs))


def draw(path: Path, curves: dict[str, list[float]], window: int) -> None:
    """Write a picture of the smoothed curves, in the format of the file's ending."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for name, losses in curves.items():
        values = smoothed(losses, window)
        axes.plot(np.arange(len(values)) + window, values, label=name)
    axes.set(xlabel="step", ylabel=f"loss, mean of {window} steps", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--folder", help="train on images/ and masks/ in this folder (default: synthetic shapes)")
    add("--shapes", type=cli.positive, default=1000, help="number of synthetic objects (1000)")
    add("--steps", type=cli.positive, default=300, help="steps of each run (300)")
    add("--batch-size", type=cli.positive, default=8, help="objects per step (8)")
    add("--size", type=cli.positive, default=512, help="side of the crop (512)")
    add("--backbone", default="resnet101", help="backbone (resnet101)")
    add("--stages", type=cli.positive, default=4, help="backbone stages (4)")
    add("--head-width", type=cli.positive, default=512, help="channels inside the PSP head (512)")
    add("--init", default="none", help="as train_pascal.py has it (none)")
    add("--lr", type=float, default=3e-4, help="learning rate of AdamW (3e-4)")
    add("--window", type=cli.positive, default=20, help="steps that are averaged (20)")
    add("--workers", type=cli.natural, default=2, help="processes that prepare objects (2)")
    add("--device", help="cpu, cuda or cuda:N (default: a GPU if there is one)")
    add("--json", type=Path, metavar="FILE", help="all losses")
    add("--picture", type=Path, metavar="FILE", help="the curves, such as curves.png")
    args = parser.parse_args(argv)
    if args.window > args.steps:
        parser.error(f"--window {args.window}: expected at most --steps, {args.steps}")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    args = parse(argv)
    # Else a GPU's convolutions of float32 numbers would round them to 10 bits.
    torch.backends.cudnn.allow_tf32 = False
    data = open_dataset("folder", args.folder) if args.folder else None
    data = data or open_dataset("shapes", count=args.shapes)
    curves = {name: train(args, data, amp, seed) for name, (amp, seed) in RUNS.items()}
    rows = [("run", "first loss", "last loss", "largest difference to float32")]
    differences = {}
    for name, losses in curves.items():
        means = smoothed(losses, args.window)
        differences[name] = largest_difference(losses, curves["float32"], args.window)
        share = f"{100 * differences[name]:.1f} %"
        rows.append((name, f"{means[0]:.4f}", f"{means[-1]:.4f}", share))
    print(f"{machine()}\n\nmeans of {args.window} steps:\n\n{markdown(rows)}")
    if args.json:
        content = {"machine": machine(), "losses": curves, "largest_difference": differences}
        args.json.write_text(json.dumps(content, indent=1) + "\n")
    if args.picture:
        draw(args.picture, curves, args.window)
    return 0


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
