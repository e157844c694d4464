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
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.made_data import voc_objects
from benchmarks.timing import CPU, SMALL, machine, markdown, median_seconds, parser
from dataloaders.instances import Instances
from dextr.common import cli
from dextr.common.options import whole
from dextr.common.processes import pick_device
from dextr.evaluation.protocol import EvaluationSettings
from dextr.evaluation.scoring import evaluate
from dextr.predictor import Predictor
from networks import DextrNet, NetworkConfig, for_inference
from networks.dextr_net import init_random

Network = Callable[[Tensor], Tensor]
NAMES = ("no network", "float32", "folded", "folded, bf16")
HEADER = ("network", "workers", "objects/s", "ms per object", "network alone", "share of it")


def stored_logits(batch_size: int, size: int) -> Network:
    """Return what answers at once, with an object of one size in the middle."""
    y, x = torch.meshgrid(*2 * [torch.linspace(-1, 1, size)], indexing="ij")
    logits = (8 * (0.5 - x**2 - y**2)).expand(batch_size, 1, -1, -1)
    return lambda inputs: logits[: len(inputs)]


def half(network: Network, precision: torch.dtype = torch.bfloat16) -> Network:
    """Return a network that computes in half precision."""

    def run(inputs: Tensor) -> Tensor:
        with torch.autocast(inputs.device.type, precision):
            return network(inputs)

    return run


def build(name: str, args: argparse.Namespace, device: torch.device) -> Network:
    """Return one of the networks of `NAMES` on the device, with random weights."""
    if name == "no network":
        return stored_logits(args.batch_size, args.size)
    torch.manual_seed(0)
    network = init_random(DextrNet(SMALL if args.small else NetworkConfig())).eval()
    if name != "float32":
        network = for_inference(network)
    network = network.to(device)
    return half(network) if name.endswith("bf16") else network


def network_rate(network: Network, args: argparse.Namespace, device: torch.device) -> float:
    """Return the objects per second of the network alone, its batches being on the device."""
    generator = torch.Generator().manual_seed(0)
    shape = (args.batch_size, 4, args.size, args.size)
    batches = [255 * torch.rand(shape, generator=generator).to(device) for _ in range(2)]

    def run() -> None:
        with torch.inference_mode():
            for k in range(args.steps):
                network(batches[k % 2])

    return args.steps * args.batch_size / median_seconds(run, device)


def whole_rate(predictor: Predictor, data: Instances, rows: list[int], workers: int) -> float:
    """Return the objects per second of an evaluation, the start of its workers included."""
    start = time.perf_counter()
    evaluate(predictor, data, EvaluationSettings(), rows, progress=False, workers=workers)
    return len(rows) / (time.perf_counter() - start)


def measure(name: str, args: argparse.Namespace, data: Instances) -> list[dict[str, Any]]:
    """Return a row of results for each number of workers."""
    device = CPU if name == "no network" else pick_device(args.device)
    network = build(name, args, device)
    alone = None if name == "no network" else network_rate(network, args, device)
    predictor = Predictor(network, size=args.size, device=device, batch_size=args.batch_size)
    rows = [k % len(data) for k in range(args.objects)]
    whole_rate(predictor, data, rows[: args.batch_size], 0)
    rates = [(workers, whole_rate(predictor, data, rows, workers)) for workers in args.workers]
    return [{"network": name, "workers": w, "rate": rate, "alone": alone} for w, rate in rates]


def in_words(row: dict[str, Any]) -> list[str]:
    """Return a result as a row of the table."""
    rate, alone = row["rate"], row["alone"]
    compared = ["-", "-"] if alone is None else [f"{alone:.1f}", f"{100 * rate / alone:.0f} %"]
    return [row["network"], str(row["workers"]), f"{rate:.1f}", f"{1000 / rate:.2f}", *compared]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parser(__doc__, "--split", "--size", "--device", "--small", "--json")
    counts = sorted({0, 1, 2, os.cpu_count() or 1})
    add = options.add_argument
    add("--root", type=cli.path, help="PASCAL VOC 2012 (default: made-up photos)")
    add("--only", nargs="+", choices=NAMES, default=NAMES, help="networks to measure (all)")
    add("--workers", type=whole(0, 256), nargs="+", default=counts, help=f"(default: {counts})")
    add("--objects", type=cli.positive, default=1000, help="objects per evaluation (1000)")
    add("--batch-size", type=whole(1, 65_536), default=16, help="objects at once (16)")
    add("--steps", type=cli.positive, default=10, help="batches per run of the network alone (10)")
    args = options.parse_args(argv)
    torch.backends.cudnn.benchmark = True
    print(f"{machine()}\n{args.objects} objects, crop {args.size}, batch {args.batch_size}\n")
    with voc_objects(args.root, args.split, 4 if args.small else 600) as data:
        results: list[dict[str, Any]] = []
        for name in args.only:
            found = measure(name, args, data)
            print(markdown([HEADER, *map(in_words, found)]) + "\n", flush=True)
            results += found
            # After each table: whatever ends the rest leaves it.
            if args.json:
                content = {"machine": machine(), "objects": args.objects, "results": results}
                args.json.write_text(json.dumps(content, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
