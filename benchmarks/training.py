"""How fast training runs, what each measure brings, and where the time goes. Made for a GPU.

The paper's configuration: ResNet-101, PSP head, crops of 512, batches of 5. Each row is a short run
of train_pascal.py on synthetic objects, reading included. Options that are not listed here go to
that script.

Examples:
  python -m benchmarks.training --json training.json --profile kernels.txt
  python -m benchmarks.training --small --device cpu     # every path in seconds; says nothing
"""

from __future__ import annotations

import argparse
import gc
import json
import runpy
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.timing import SMALL, machine, markdown, median_seconds, parser
from dextr.common import cli
from dextr.common.options import whole
from dextr.common.processes import pick_device
from networks import DextrNet, NetworkConfig

PLAIN = "--amp off --no-channels-last --no-compile"
OURS = "--amp bf16 --channels-last --compile"
UNCOMPILED = "--amp bf16 --channels-last --no-compile"
# From a plain loop to ours, one measure after the other; whether TF32 is allowed.
MEASURES = {
    "float32": (PLAIN, False),
    "TF32 convolutions": (PLAIN, True),
    "+ bf16": ("--amp bf16 --no-channels-last --no-compile", True),
    "+ channels last": (UNCOMPILED, True),
    "+ compile: ours": (OURS, True),
}
RECIPE = "--epochs 1 --init none --optimizer adamw --lr 3e-4 --loss-reduction mean --eval-every 0"
TINY = "--backbone resnet18 --stages 2 --head-width 16 --size 64 --workers 0"
PAPER_BATCH = 5
BATCHES = (5, 8, 12, 16, 24, 32, 48, 64)
HEADER = ("loop", "batch", "objects/s", "ratio", "TFLOP/s", "of bf16 peak", "memory")


def train(options: Sequence[str], tf32: bool = True) -> list[dict[str, Any]]:
    """Return the log of a run of train_pascal.py in this process."""
    script = runpy.run_path(str(Path(__file__).parents[1] / "train_pascal.py"))
    torch.backends.cudnn.allow_tf32 = tf32
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(sys.stderr):
        script["main"]([*RECIPE.split(), *options, "--output-dir", folder])
        lines = map(json.loads, (Path(folder) / "log.jsonl").read_text().splitlines())
        return [line for line in lines if line["kind"] == "train"]


def training_flops(config: NetworkConfig, size: int) -> int:
    """Return the floating-point operations of forward and backward pass for one object.

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
    """What is measured, by this command line's options and the rest, train_pascal.py's; numbers."""

    def __init__(self, args: argparse.Namespace, rest: list[str]) -> None:
        self.args, self.device = args, pick_device(args.device)
        small = TINY.split() if args.small else ["--size", str(args.size)]
        self.options = [*small, "--device", str(self.device), *rest]
        config, size = (SMALL, 64) if args.small else (NetworkConfig(), args.size)
        self.flops = training_flops(config, size)
        self.peak = matrix_peak(self.device, 256 if args.small else 8192)
        self.rows: list[dict[str, Any]] = []

    def row(self, name: str, options: str, batch: int, tf32: bool = True) -> list[str]:
        """Train for some steps; their objects per second are the median, without the first ones."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
        steps = self.args.steps
        run = f"--shapes {steps * batch} --batch-size {batch} --log-every {max(1, steps // 4)}"
        log = train([*self.options, *options.split(), *run.split()], tf32)
        rate = statistics.median(line["objects_per_second"] for line in log[len(log) // 2 :])
        share = rate * self.flops / self.peak
        self.rows.append({"loop": name, "batch": batch, "rate": rate, "share": share})
        self.write()
        memory = "-"
        if self.device.type == "cuda":
            memory = f"{torch.cuda.max_memory_allocated(self.device) / 2**30:.1f} GiB"
        return [
            name, str(batch), f"{rate:.1f}", f"{rate / self.rows[0]['rate']:.2f}x",
            f"{rate * self.flops / 1e12:.1f}", f"{100 * share:.1f} %", memory,
        ]  # fmt: skip

    def write(self) -> None:
        """Write the numbers so far: whatever ends the rest leaves them."""
        if self.args.json:
            about = {"machine": machine(), "gflop_per_object": self.flops / 1e9, "peak": self.peak}
            content = json.dumps({**about, "network": self.rows}, indent=2)
            self.args.json.write_text(content + "\n")

    def batch_rows(self) -> list[list[str]]:
        """Measure larger batches until memory ends, uncompiled to save time; the best compiled."""
        rows: list[list[str]] = []
        with suppress(torch.cuda.OutOfMemoryError):
            rows.extend(self.row("not compiled", UNCOMPILED, k) for k in self.args.batches)
        best = max(self.rows[-len(rows) :], key=lambda row: row["rate"])["batch"]
        return [*rows, self.row("ours", OURS, best)]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parser(__doc__, "--size", "--device", "--small", "--json")
    add = options.add_argument
    add("--steps", type=cli.positive, default=40, help="steps per run; the second half counts (40)")
    add("--batches", type=whole(1, 65_536), nargs="+", default=BATCHES, help="batch sizes to try")
    add("--profile", type=cli.output_file, metavar="FILE", help="the slowest kernels, as text")
    args, rest = options.parse_known_args(argv)
    bench = Benchmark(args, rest)
    print(
        f"{machine()}\n\nforward and backward pass: {bench.flops / 1e9:.0f} GFLOP per object; "
        f"measured bf16 matrix peak: {bench.peak / 1e12:.1f} TFLOP/s\n",
        flush=True,
    )
    rows = [bench.row(k, given, PAPER_BATCH, tf32) for k, (given, tf32) in MEASURES.items()]
    print(markdown([HEADER, *rows]) + "\n", flush=True)
    print(markdown([HEADER, *bench.batch_rows()]), flush=True)
    if args.profile:
        args.json = None  # the profiler makes it slower
        with torch.profiler.profile() as profiler:
            bench.row("profiled", UNCOMPILED, PAPER_BATCH)
        key = f"self_{bench.device.type}_time_total"
        args.profile.write_text(profiler.key_averages().table(sort_by=key, row_limit=40))
    return 0


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
