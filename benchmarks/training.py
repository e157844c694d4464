"""How fast training runs, what each measure brings, and where the time goes. Made for a GPU.

The paper's configuration: ResNet-101, PSP head, crops of 512, batches of 5. Batches are on the
device already; what reading and copying add is told by train_pascal.py's own objects per second.

Examples:
  python -m benchmarks.training --json training.json --profile kernels.txt
  python -m benchmarks.training --small --device cpu     # every path in seconds; says nothing
"""

from __future__ import annotations

import argparse
import gc
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.timing import SMALL, machine, markdown, median_seconds, parser, wait_for
from dextr.batch import Batch
from dextr.common import cli
from dextr.common.processes import World
from dextr.devices import pick_device
from dextr.training.checkpoint import TrainState
from dextr.training.config import OptimConfig
from dextr.training.optim import build_optimizer
from dextr.training.step import train_step
from networks import DextrNet, NetworkConfig
from networks.init import init_random

PAPER_BATCH = 5
BATCHES = (5, 8, 12, 16, 24, 32, 48, 64)
HEADER = ("loop", "batch", "objects/s", "ratio", "TFLOP/s", "of bf16 peak", "memory")


@dataclass(frozen=True)
class Setup:
    """One way to run the training loop.

    Attributes:
        name: In words.
        tf32: Convolutions of float32 numbers may round them to 10 bits (PyTorch's default).
        amp: As `OptimConfig` has it.
        channels_last: As `RunConfig` has it.
        compiled: As `RunConfig.compile` has it.
        lean: Fused optimiser, convolutions chosen by trial, pinned batches copied beside the work,
            and no waiting for the loss; else one update per weight, and the loss is read in every
            step.
    """

    name: str
    tf32: bool = False
    amp: str = "off"
    channels_last: bool = False
    compiled: bool = False
    lean: bool = False


PLAIN = Setup("plain loop, float32")
OURS = Setup("ours", True, "bf16", True, True, True)
STEPS_BETWEEN = (
    Setup("plain loop, TF32 convolutions", True),
    Setup("+ bf16", True, "bf16"),
    Setup("+ channels last", True, "bf16", True),
    Setup("+ compile", True, "bf16", True, True),
)


class Trainee:
    """A network with its optimiser, new.

    Args:
        setup: How it is trained.
        config: The network.
        device: Where.
        backend: Of torch.compile.
    """

    def __init__(
        self, setup: Setup, config: NetworkConfig, device: torch.device, backend: str
    ) -> None:
        torch.manual_seed(0)
        layout = torch.channels_last if setup.channels_last else torch.contiguous_format
        network = init_random(DextrNet(config)).to(device).to(memory_format=layout).train()
        self.setup, self.optim = setup, OptimConfig(amp=setup.amp)
        self.world = World(0, 1, device)
        optimizer = build_optimizer(network, self.optim)
        if not setup.lean:
            for group in optimizer.param_groups:
                group.update(fused=None, foreach=False)
        self.state = TrainState(network, optimizer, GradScaler(device.type, enabled=False))
        self.model: nn.Module = network
        if setup.compiled:
            self.model = torch.compile(network, dynamic=False, backend=backend)  # type: ignore[assignment]

    def activate(self) -> None:
        """Set PyTorch's global switches to what the setup says."""
        torch.backends.cudnn.allow_tf32 = self.setup.tf32
        torch.backends.cudnn.benchmark = self.setup.lean

    def step(self, batch: Batch) -> None:
        """Do one optimiser step."""
        loss = train_step(self.state, self.model, [batch], self.optim, self.world)
        if not self.setup.lean:
            loss.item()

    def rate(self, batches: Sequence[Batch], steps: int) -> float:
        """Return objects per second, the batches being on the device: the median of some runs."""

        def run() -> None:
            for k in range(steps):
                self.step(batches[k % len(batches)])

        return steps * len(batches[0]) / median_seconds(run, self.world.device)


def made_batches(
    count: int, batch_size: int, size: int, device: torch.device, channels_last: bool
) -> list[Batch]:
    """Return batches of noise with an object in the middle, on the device."""
    generator = torch.Generator().manual_seed(0)
    target = torch.zeros(batch_size, 1, size, size, dtype=torch.bool)
    target[:, :, size // 4 : -(size // 4), size // 4 : -(size // 4)] = True
    names = [f"made {k}" for k in range(batch_size)]
    inputs = (
        255 * torch.rand(batch_size, 4, size, size, generator=generator) for _ in range(count)
    )
    made = (Batch(x, target, torch.zeros_like(target), names) for x in inputs)
    return [batch.to(device, channels_last) for batch in made]


def training_flops(config: NetworkConfig, size: int) -> int:
    """Return the operations of forward and backward pass for one object.

    A multiplication with its addition counts as two; only matrix products and convolutions do.
    """
    with torch.device("meta"):
        network, inputs = DextrNet(config).train(), torch.empty(2, 4, size, size)
    with FlopCounterMode(display=False) as counter:
        network(inputs).sum().backward()
    return counter.get_total_flops() // 2


def matrix_peak(device: torch.device, side: int) -> float:
    """Return the rate of a large bf16 matrix product of random numbers, in FLOP per second."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(side, side, generator=generator).to(device, torch.bfloat16) for _ in "ab")
    return 2 * side**3 / median_seconds(lambda: a @ b, device, repeats=12)


class Benchmark:
    """What is measured, and the numbers so far.

    Args:
        args: The command line's options.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.device = args, pick_device(args.device)
        self.config, self.size, side, self.backend = NetworkConfig(), args.size, 8192, "inductor"
        if args.small:
            self.config, self.size, side, self.backend = SMALL, 64, 256, "eager"
        self.flops = training_flops(self.config, self.size)
        self.peak = matrix_peak(self.device, side)
        self.plain_rate = 0.0
        self.ours: Trainee | None = None
        self.results: dict[str, Any] = {
            "machine": machine(), "gflop_per_object": self.flops / 1e9, "peak": self.peak,
            "network": [],
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
        found = {"loop": setup.name, "batch": batch_size, "rate": rate, "share": share}
        self.results["network"].append(found)
        return [
            setup.name, str(batch_size), f"{rate:.1f}", f"{rate / self.plain_rate:.2f}x",
            f"{rate * self.flops / 1e12:.1f}", f"{100 * share:.1f} %", memory,
        ]  # fmt: skip

    def batch_rows(self) -> tuple[list[list[str]], int]:
        """Measure larger batches, uncompiled to save time, until memory ends.

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
        best = max(rates, key=lambda batch_size: rates[batch_size], default=PAPER_BATCH)
        return [*rows, self.network_row(OURS, best)], best

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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parser(__doc__, "--size", "--device", "--small", "--json")
    add = options.add_argument
    add("--steps", type=cli.positive, default=20, help="steps per run (20)")
    add("--batches", type=cli.positive, nargs="+", default=BATCHES, help="batch sizes to try")
    add("--profile", type=Path, metavar="FILE", help="the slowest kernels, as text")
    args = options.parse_args(argv)
    bench = Benchmark(args)
    print(f"{bench.results['machine']}\n", flush=True)
    print(
        f"forward and backward pass: {bench.flops / 1e9:.0f} GFLOP per object; measured bf16 "
        f"matrix peak: {bench.peak / 1e12:.1f} TFLOP/s\n\nThe network alone:\n"
    )
    rows = [bench.network_row(setup, PAPER_BATCH) for setup in (PLAIN, *STEPS_BETWEEN, OURS)]
    print(markdown([HEADER, *rows]) + "\n", flush=True)
    rows, best = bench.batch_rows()
    print(markdown([HEADER, *rows]) + "\n", flush=True)
    if args.json:
        args.json.write_text(json.dumps(bench.results, indent=2) + "\n")
    if args.profile:
        bench.profile(best, args.profile)
    return 0


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
