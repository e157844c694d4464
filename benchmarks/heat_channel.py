"""How the heat map's channel should start on ImageNet weights: short trainings, compared.

Example:
  python benchmarks/heat_channel.py --folder photos --init resnet18.pth --steps 120 --seeds 2
"""

from __future__ import annotations

import argparse
import statistics
from itertools import islice

import torch
from torch import Tensor

from dataloaders.folder import FolderInstances
from dataloaders.sources import split_by_image
from dataloaders.training_set import BatchPlan, TrainingSet, collate
from dataloaders.transforms import TrainTransform, TransformConfig
from dextr.evaluation.protocol import EvaluationSettings
from dextr.evaluation.scoring import evaluate
from dextr.evaluation.summary import summarize
from dextr.losses import class_balanced_bce
from dextr.predictor import Predictor
from dextr.training.config import OptimConfig
from dextr.training.optim import build_optimizer, learning_rate_factor, set_learning_rate
from dextr.weights.initialize import initialize
from networks import DextrNet, build_network

STARTS = {
    "zero": lambda rgb: torch.zeros_like(rgb[:, :1]),
    "copy of the last colour": lambda rgb: rgb[:, 2:],
    "mean of the colours": lambda rgb: rgb.mean(dim=1, keepdim=True),
}


def train(
    net: DextrNet, data: TrainingSet, steps: int, seed: int, stem: float, batch_size: int = 8
) -> float:
    """Train for some steps; returns the mean loss of the last quarter."""
    config = OptimConfig(
        optimizer="adamw", lr=3e-4, head_lr_factor=3, stem_lr_factor=stem, schedule="cosine"
    )
    optimizer = build_optimizer(net.freeze_statistics().train(), config)
    losses = []
    batches = BatchPlan(len(data), batch_size, seed).batches(epoch=0)
    for step, keys in enumerate(islice(batches, steps)):
        set_learning_rate(optimizer, learning_rate_factor(step, steps, config))
        batch = collate([data[key] for key in keys], data.transform.config.size)
        with torch.autocast("cpu", torch.bfloat16):
            logits: Tensor = net(batch.inputs)
        loss = class_balanced_bce(logits.float(), batch.targets, reduction="mean")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return statistics.mean(losses[-steps // 4 :])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", required=True, help="images/ and masks/")
    parser.add_argument("--init", default="imagenet", help="imagenet or imagenet:FILE")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--stem-lr-factor", type=float, default=0.017)
    args = parser.parse_args()

    training, kept_out = split_by_image(FolderInstances(args.folder), 0.02, seed=0)
    transform = TrainTransform(TransformConfig(size=192, pert=2))
    for seed in range(args.seeds):
        for name, start in STARTS.items():
            torch.manual_seed(seed)
            net = build_network("resnet18", stages=3, head_width=64, output_stride=16, skips=2)
            initialize(net, args.init)
            with torch.no_grad():
                net.conv1.weight[:, 3:] = start(net.conv1.weight[:, :3])
            data = TrainingSet(training, transform, seed)
            loss = train(net, data, args.steps, seed, args.stem_lr_factor)
            settings = EvaluationSettings(thresholds=(0.5,))
            predictor = Predictor(net, size=192)
            scores = evaluate(predictor, kept_out, settings, range(0, len(kept_out), 2), False)
            iou = summarize(scores).mean_iou
            print(f"seed {seed}  {name:24} loss {loss:.4f}  mean IoU {100 * iou:.2f}", flush=True)


if __name__ == "__main__":
    main()
