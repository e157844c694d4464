"""How fast a whole evaluation runs against the network alone, by number of worker processes.

With `no network` stored logits are handed out: what reading, encoding, pasting and scoring cost
without it, and so which network they can keep busy. Without --root, photos and masks are made up.

Examples:
  python -m benchmarks.evaluation                              # ResNet-101 at 512, made for a GPU
  python -m benchmarks.evaluation --root data --workers 8 16 --json evaluation.json
  python -m benchmarks.evaluation --only "no network" --workers 0 1 2
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.made_voc import make_voc
from benchmarks.timing import machine, markdown
from benchmarks.trainee import wait_for
from dataloaders.pascal import PascalInstances
from dextr.common import cli
from dextr.common.processes import pick_device
from dextr.evaluation.protocol import EvaluationSettings
from dextr.evaluation.scoring import evaluate
from dextr.predictor import Predictor
from networks import DextrNet, NetworkConfig, for_inference
from networks.dextr_net import init_random

NAMES = ("no network", "float32", "folded", "folded, bf16")
HEADER = ("network", "workers", "objects/s", "ms per object", "network alone", "share of it")
MADE_IMAGES = 600
PHOTO_HW = (375, 500)
REPEATS = 3


class StoredLogits(nn.Module):
    """A network that answers at once, with an object of one size in the middle."""

    logits: Tensor

    def __init__(self, batch_size: int, size: int) -> None:
        super().__init__()
        y, x = torch.meshgrid(*2 * [torch.linspace(-1, 1, size)], indexing="ij")
        self.register_buffer("logits", (8 * (0.5 - x**2 - y**2)).expand(batch_size, 1, -1, -1))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.logits[: len(inputs)]


class Half(nn.Module):
    """A network that computes in half precision."""

    def __init__(self, network: nn.Module, precision: torch.dtype = torch.bfloat16) -> None:
        super().__init__()
        self.network, self.precision = network, precision

    def forward(self, inputs: Tensor) -> Tensor:
        with torch.autocast(inputs.device.type, self.precision):
            return self.network(inputs)


def build(name: str, args: argparse.Namespace, device: torch.device) -> nn.Module:
    """Return one of the networks of `NAMES` on the device, with random weights."""
    if name == "no network":
        return StoredLogits(args.batch_size, args.size)
    torch.manual_seed(0)
    config = NetworkConfig("resnet18", head_width=16, stages=2) if args.small else NetworkConfig()
    network = init_random(DextrNet(config)).eval()
    if name != "float32":
        network = for_inference(network)
    return (Half(network) if name.endswith("bf16") else network).to(device)


def network_rate(network: nn.Module, args: argparse.Namespace, device: torch.device) -> float:
    """Return the objects per second of the network alone, its batches being on the device."""
    generator = torch.Generator().manual_seed(0)
    shape = (args.batch_size, 4, args.size, args.size)
    batches = [255 * torch.rand(shape, generator=generator).to(device) for _ in range(2)]
    times = []
    with torch.inference_mode():
        for repeat in range(REPEATS + 1):
            start = time.perf_counter()
            for k in range(args.steps):
                network(batches[k % 2])
            wait_for(device)
            if repeat:
                times.append(time.perf_counter() - start)
    return args.steps * args.batch_size / statistics.median(times)


def whole_rate(predictor: Predictor, data: PascalInstances, rows: list[int], workers: int) -> float:
    """Return the objects per second of an evaluation, the start of its workers included."""
    start = time.perf_counter()
    evaluate(predictor, data, EvaluationSettings(), rows, progress=False, workers=workers)
    return len(rows) / (time.perf_counter() - start)


def measure(name: str, args: argparse.Namespace, data: PascalInstances) -> list[dict[str, Any]]:
    """Return a row of results for each number of workers."""
    device = torch.device("cpu") if name == "no network" else pick_device(args.device)
    network = build(name, args, device)
    alone = None if name == "no network" else network_rate(network, args, device)
    predictor = Predictor(network, size=args.size, device=device, batch_size=args.batch_size)
    rows = [k % len(data) for k in range(args.objects)]
    whole_rate(predictor, data, rows[: args.batch_size], 0)
    found = []
    for workers in args.workers:
        rate = whole_rate(predictor, data, rows, workers)
        found.append({"network": name, "workers": workers, "rate": rate, "alone": alone})
    return found


def in_words(row: dict[str, Any]) -> list[str]:
    """Return a result as a row of the table."""
    rate, alone = row["rate"], row["alone"]
    compared = ["-", "-"] if alone is None else [f"{alone:.1f}", f"{100 * rate / alone:.0f} %"]
    return [row["network"], str(row["workers"]), f"{rate:.1f}", f"{1000 / rate:.2f}", *compared]


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cores = os.cpu_count() or 1
    counts = sorted({0, 1, 2, 4, cores // 2, cores} & set(range(cores + 1)))
    add = parser.add_argument
    add("--root", type=Path, help="PASCAL VOC 2012 (default: made-up photos)")
    add("--split", default="val")
    add("--only", nargs="+", choices=NAMES, default=NAMES, help="networks to measure (all)")
    add("--workers", type=cli.natural, nargs="+", default=counts, help=f"(default: {counts})")
    add("--objects", type=cli.positive, default=1000, help="objects per evaluation (1000)")
    add("--batch-size", type=cli.positive, default=16, help="objects at once (16)")
    add("--size", type=cli.positive, default=512, help="side of the crop (512)")
    add("--steps", type=cli.positive, default=10, help="batches per run of the network alone (10)")
    add("--device", help="cpu, cuda or cuda:N (default: a GPU if there is one)")
    add("--small", action="store_true", help="a tiny network: only to see that all of it runs")
    add("--json", type=Path, metavar="FILE", help="all numbers")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    args = parse(argv)
    torch.backends.cudnn.benchmark = True
    print(f"{machine()}\n{args.objects} objects, crop {args.size}, batch {args.batch_size}\n")
    with tempfile.TemporaryDirectory() as folder:
        images = 4 if args.small else MADE_IMAGES
        root = args.root or make_voc(Path(folder), images, PHOTO_HW)
        data = PascalInstances(root, args.split)
        results = [row for name in args.only for row in measure(name, args, data)]
    print(markdown([HEADER, *map(in_words, results)]))
    if args.json:
        content = {"machine": machine(), "objects": args.objects, "results": results}
        args.json.write_text(json.dumps(content, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
