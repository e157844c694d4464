"""What the benchmarks share: options, interleaved medians, the machine in words, tables."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from dextr.common import cli
from dextr.geometry import SIZES
from networks import NetworkConfig

CPU = torch.device("cpu")
SMALL = NetworkConfig("resnet18", head_width=16, stages=2)
HEADER = ("path", "ours", "baseline", "ratio")
OPTIONS: dict[str, dict[str, Any]] = {
    "--device": cli.NETWORK_OPTIONS["--device"],
    "--json": {"type": cli.output_file, "metavar": "FILE", "help": "all numbers"},
    "--size": {"type": SIZES, "default": 512, "help": "side of the crop (512)"},
    "--small": {"action": "store_true", "help": "a tiny network: to see that all of it runs"},
    "--split": {"type": cli.text, "default": "val"},
    "--voc-root": {"type": cli.path, "help": "PASCAL VOC 2012 (default: made-up photos)"},
}


def parser(doc: str | None, *flags: str) -> argparse.ArgumentParser:
    """Return a command line that has some of `OPTIONS`, described by a module's docstring."""
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for flag in flags:
        made.add_argument(flag, **OPTIONS[flag])
    return made


def interleaved(
    functions: Mapping[str, Callable[[], object]],
    repeats: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Return each function's median time in milliseconds.

    The functions take turns, so that whatever else the machine does meets all of them alike. One
    call of each before that is not counted.

    Args:
        functions: By name. On a GPU they must wait for it themselves (`wait_for`).
        repeats: Counted calls of each, at least 1.
        clock: Seconds; `time.process_time` leaves out what other programs take from one core.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats + 1):
        for name, function in functions.items():
            start = clock()
            function()
            times[name].append(1000 * (clock() - start))
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def median_seconds(run: Callable[[], object], device: torch.device, repeats: int = 3) -> float:
    """Return the median time of a function's work on a device, after a call that does not count."""

    def whole() -> None:
        run()
        wait_for(device)

    return interleaved({"": whole}, repeats)[""] / 1000


def wait_for(device: torch.device) -> None:
    """Wait until a GPU has done all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def use_threads(count: int) -> None:
    """Let OpenCV and PyTorch use this many threads in this process."""
    cv2.setNumThreads(count)
    torch.set_num_threads(count)


def machine() -> str:
    """Return CPU, GPU, cores, threads and versions in one line."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    cpu = names[0] if names else platform.processor() or platform.machine()
    gpu = [torch.cuda.get_device_name()] if torch.cuda.is_available() else []
    capability = torch.backends.cpu.get_cpu_capability()
    return "; ".join([
        f"{cpu} ({capability}), {os.cpu_count()} cores", *gpu,
        f"threads: PyTorch {torch.get_num_threads()}, OpenCV {cv2.getNumThreads()}",
        f"Python {platform.python_version()}", f"PyTorch {torch.__version__}",
        f"OpenCV {cv2.__version__}", f"NumPy {np.__version__}",
    ])  # fmt: skip


def comparison(path: str, ours: float, baseline: float, unit: str = "ms") -> tuple[str, ...]:
    """Return a table row of two times: the ratio says how many times faster ours is.

    >>> comparison("heat map", 0.5, 24.0)
    ('heat map', '0.50 ms', '24.00 ms', '48.0x')
    """
    return path, f"{ours:.2f} {unit}", f"{baseline:.2f} {unit}", f"{baseline / ours:.1f}x"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as a Markdown table; the first one is the header.

    >>> print(markdown([("path", "ours"), ("heat map", "0.5 ms")]))
    | path | ours |
    |---|---|
    | heat map | 0.5 ms |
    """
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])
