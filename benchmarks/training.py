"""How fast training runs, what each measure brings, and where the time goes. Made for a GPU.

The paper's configuration: ResNet-101, PSP head, crops of 512, batches of 5. Without --voc-root,
photos and masks are made up.

Examples:
  python -m benchmarks.training --json training.json --profile kernels.txt
  python -m benchmarks.training --small --device cpu     # every path in seconds; says nothing
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.made_voc import make_voc
from benchmarks.timing import machine, markdown
from benchmarks.trainee import (
    OURS,
    PLAIN,
    STEPS_BETWEEN,
    Clock,
    Setup,
    Trainee,
    made_batches,
    matrix_peak,
    training_flops,
    wait_for,
)
from dataloaders.crops.loader import BatchLoader
from dataloaders.crops.training_set import BatchPlan, TrainingSet
from dataloaders.crops.transforms import TrainTransform, TransformConfig
from dataloaders.pascal import PascalInstances
from dextr.batch import Batch, on_device
from dextr.common import cli
from dextr.common.processes import pick_device
from networks import NetworkConfig

PAPER_BATCH = 5
BATCHES = (5, 8, 12, 16, 24, 32, 48, 64)
MADE_IMAGES = 600
PHOTO_HW = (375, 500)
PARTS = ("data", "copy", "forward", "backward", "update")
HEADER = ("loop", "batch", "objects/s", "ratio", "TFLOP/s", "of bf16 peak", "memory")


class Benchmark:
    """What is measured; each method is one table.

    Args:
        args: The command line's options.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.device = pick_device(args.device)
        self.config, self.size, self.side = NetworkConfig(), args.size, 8192
        self.backend, self.images = "inductor", MADE_IMAGES
        if args.small:
            self.config = NetworkConfig("resnet18", head_width=16, stages=2)
            self.size, self.side, self.backend, self.images = 64, 256, "eager", 4
        self.flops = training_flops(self.config, self.size)
        self.peak = matrix_peak(self.device, self.side)
        self.plain_rate = 0.0
        self.ours: Trainee | None = None
        self.results: dict[str, Any] = {
            "machine": machine(), "gflop_per_object": self.flops / 1e9, "peak": self.peak,
            "network": [], "whole": [],
        }  # fmt: skip

    def trainee(self, setup: Setup) -> Trainee:
        """Return a new network, ours once and for all: compiling takes minutes."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
        trainee = self.ours
        if trainee is None or setup != OURS:
            trainee = Trainee(setup, self.config, self.device, self.backend)
        if setup == OURS:
            self.ours = trainee
        trainee.activate()
        return trainee

    def network_row(self, setup: Setup, batch_size: int) -> list[str]:
        """Measure the network alone: its batches are on the device already."""
        batches = made_batches(2, batch_size, self.size, self.device, setup.channels_last)
        rate = self.trainee(setup).rate(batches, self.args.steps)
        self.plain_rate = self.plain_rate or rate
        memory = "-"
        if self.device.type == "cuda":
            memory = f"{torch.cuda.max_memory_allocated(self.device) / 2**30:.1f} GiB"
        share = rate * self.flops / self.peak
        self.results["network"].append(
            {"loop": setup.name, "batch": batch_size, "rate": rate, "share": share}
        )
        return [
            setup.name, str(batch_size), f"{rate:.1f}", f"{rate / self.plain_rate:.2f}x",
            f"{rate * self.flops / 1e12:.1f}", f"{100 * share:.1f} %", memory,
        ]  # fmt: skip

    def paper_table(self) -> list[list[str]]:
        """Measure the paper's batch, from the plain loop to ours, one measure after the other."""
        return [self.network_row(setup, PAPER_BATCH) for setup in (PLAIN, *STEPS_BETWEEN, OURS)]

    def batch_table(self) -> tuple[list[list[str]], int]:
        """Measure larger batches, uncompiled to save time, until memory ends or nothing is gained.

        Returns:
            The rows, and the best batch; it is measured compiled as well.
        """
        setup = replace(OURS, name="ours, not compiled", compiled=False)
        rows, rates = [], {}
        for batch_size in self.args.batches:
            try:
                rows.append(self.network_row(setup, batch_size))
            except torch.cuda.OutOfMemoryError:
                break
            rates[batch_size] = self.results["network"][-1]["rate"]
            if max(rates.values()) > max(list(rates.values())[-2:], default=0):
                break
        best = max(rates, key=lambda batch_size: rates[batch_size], default=PAPER_BATCH)
        rows.append(self.network_row(OURS, best))
        return rows, best

    def whole_row(self, setup: Setup, batch_size: int, data: PascalInstances) -> list[str]:
        """Measure the whole loop: worker processes, copies, steps."""
        trainee, workers = self.trainee(setup), self.args.workers
        batches = self.loaded(data, batch_size, setup.lean)
        if setup.lean:
            moved = on_device(batches, self.device, setup.channels_last)
        else:
            moved = (batch.to(self.device, setup.channels_last) for batch in batches)
        for _ in range(self.args.steps):
            trainee.step(next(moved))
        wait_for(self.device)
        start = time.perf_counter()
        for _ in range(self.args.steps):
            trainee.step(next(moved))
        wait_for(self.device)
        rate = self.args.steps * batch_size / (time.perf_counter() - start)
        parts = self.parts(trainee, batches)
        found = {"loop": setup.name, "batch": batch_size, "workers": workers, "rate": rate}
        self.results["whole"].append(found | {"milliseconds": parts})
        shown = [f"{parts[name]:.1f}" for name in PARTS]
        return [setup.name, str(batch_size), f"{rate:.1f}", *shown]

    def parts(self, trainee: Trainee, batches: Iterator[Batch]) -> dict[str, float]:
        """Return the median milliseconds of each part of a step.

        They come one after the other here; in the loop itself, reading and copying pass beside
        the rest.
        """
        waits, rest = [], []
        for _ in range(self.args.steps):
            start = time.perf_counter()
            batch = next(batches)
            waits.append(1000 * (time.perf_counter() - start))
            clock = Clock(self.device)
            clock.mark()
            moved = batch.to(self.device, trainee.setup.channels_last)
            clock.mark()
            trainee.step_in_parts(moved, clock.mark)
            rest.append(clock.milliseconds())
        medians = [statistics.median(values) for values in zip(*rest, strict=True)]
        return dict(zip(PARTS, [statistics.median(waits), *medians], strict=True))

    def loaded(self, data: PascalInstances, batch_size: int, pinned: bool) -> Iterator[Batch]:
        """Yield batches from worker processes without end."""
        training_set = TrainingSet(data, TrainTransform(TransformConfig(size=self.size)), seed=0)
        plan = BatchPlan(len(data) // batch_size * batch_size, batch_size, seed=0)
        pin = pinned and self.device.type == "cuda"
        loader = BatchLoader(training_set, plan, self.args.workers, pin)
        for epoch in range(10**9):
            yield from loader.batches(epoch)

    def loader_rate(self, data: PascalInstances, batch_size: int) -> float:
        """Return the objects per second that the workers make when nobody uses them."""
        batches = self.loaded(data, batch_size, pinned=True)
        warm_up = 4 * self.args.workers + 2
        for _ in range(warm_up):
            next(batches)
        count = warm_up + self.args.steps
        start = time.perf_counter()
        for _ in range(count):
            next(batches)
        self.results["loader"] = count * batch_size / (time.perf_counter() - start)
        return self.results["loader"]

    def profile(self, batch_size: int, file: Path) -> None:
        """Write the operations that take the device longest, of three steps."""
        trainee = self.trainee(OURS)
        batches = made_batches(1, batch_size, self.size, self.device, True)
        trainee.rate(batches, 1)
        with torch.profiler.profile() as profiler:
            for _ in range(3):
                trainee.step(batches[0])
            wait_for(self.device)
        key = "self_cuda_time_total" if self.device.type == "cuda" else "self_cpu_time_total"
        file.write_text(profiler.key_averages().table(sort_by=key, row_limit=40))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--voc-root", type=Path, help="take photos and masks from PASCAL VOC 2012")
    add("--split", default="val")
    add("--size", type=cli.positive, default=512, help="side of the crop")
    add("--steps", type=cli.positive, default=20, help="steps per run (20)")
    add("--batches", type=cli.positive, nargs="+", default=BATCHES, help="batch sizes to try")
    add("--workers", type=cli.natural, default=os.cpu_count(), help="default: one per core")
    add("--device", help="cpu, cuda or cuda:N (default: a GPU if there is one)")
    add("--small", action="store_true", help="a tiny network: only to see that all of it runs")
    add("--json", type=Path, metavar="FILE", help="all numbers")
    add("--profile", type=Path, metavar="FILE", help="the slowest kernels, as text")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    args = parse(argv)
    bench = Benchmark(args)
    print(f"{bench.results['machine']}\n", flush=True)
    print(
        f"forward and backward pass: {bench.flops / 1e9:.0f} GFLOP per object; measured bf16 "
        f"matrix peak: {bench.peak / 1e12:.1f} TFLOP/s\n\nThe network alone:\n"
    )
    print(markdown([HEADER, *bench.paper_table()]) + "\n", flush=True)
    rows, best = bench.batch_table()
    print(markdown([HEADER, *rows]) + "\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        root = args.voc_root or make_voc(Path(folder), bench.images, PHOTO_HW)
        data = PascalInstances(root, args.split)
        print(f"{args.workers} workers alone: {bench.loader_rate(data, best):.0f} objects/s\n")
        print("The whole loop, and milliseconds per step:\n")
        rows = [
            bench.whole_row(setup, batch_size, data)
            for setup, batch_size in ((PLAIN, PAPER_BATCH), (OURS, PAPER_BATCH), (OURS, best))
        ]
    print(markdown([("loop", "batch", "objects/s", *PARTS), *rows]), flush=True)
    if args.json:
        args.json.write_text(json.dumps(bench.results, indent=2) + "\n")
    if args.profile:
        bench.profile(best, args.profile)
    return 0


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
