"""What the benchmarks share: interleaved medians, the machine in words, tables in Markdown."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

HEADER = ("path", "ours", "baseline", "ratio")


def interleaved(
    functions: Mapping[str, Callable[[], object]],
    repeats: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Return each function's median time in milliseconds.

    The functions take turns, so that whatever else the machine does meets all of them alike. One
    call of each before that is not counted.

    Args:
        functions: By name. On a GPU they must wait for it themselves (`torch.cuda.synchronize`).
        repeats: Counted calls of each, at least 1.
        clock: Seconds; `time.process_time` leaves out what other programs take from one core.
    """
    for function in functions.values():
        function()
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            start = clock()
            function()
            times[name].append(1000 * (clock() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def use_threads(count: int) -> None:
    """Let OpenCV and PyTorch use this many threads in this process."""
    cv2.setNumThreads(count)
    torch.set_num_threads(count)


def machine() -> str:
    """Return CPU, GPU, cores, threads and versions in one line."""
    capability = torch.backends.cpu.get_cpu_capability()
    parts = [f"{_cpu()} ({capability}), {os.cpu_count()} cores"]
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    parts += [
        f"threads: PyTorch {torch.get_num_threads()}, OpenCV {cv2.getNumThreads()}",
        f"Python {platform.python_version()}",
        f"PyTorch {torch.__version__}",
        f"OpenCV {cv2.__version__}",
        f"NumPy {np.__version__}",
    ]
    return "; ".join(parts)


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


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
