"""How long prediction takes on the CPU, and how much memory: ours against a plain eager network.

The plain network runs as it was trained, one object at a time. The first table compares the two,
the second takes the bundled network's answer apart. Photo and clicks come with the project; the
paper's network gets random values.

Examples:
  python -m benchmarks.prediction
  python -m benchmarks.prediction --threads 1 --networks bundled --repeats 20
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.timing import interleaved, machine, markdown, parser, use_threads
from dextr.common import cli
from dextr.common.example_photos import example_scene
from dextr.common.options import whole
from dextr.geometry import RELAX, CropWindow
from dextr.inputs import decode, encode
from dextr.points import place_clicks
from dextr.predictor import Predictor
from dextr.weights import LoadedNetwork, load_network
from dextr.weights.state_files import Description
from networks import DextrNet, NetworkConfig

Row = tuple[str, ...]
BUNDLED = "bundled"
HEADER = (
    "network", "ours", "plain", "ratio", "memory of ours", "of plain", "largest logit difference",
    "masks",
)  # fmt: skip


def made_network(config: NetworkConfig) -> DextrNet:
    """Return a network with random values whose logits neither vanish nor saturate."""
    torch.manual_seed(0)
    network = DextrNet(config).eval().requires_grad_(False)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.3, 0.8)
            nn.init.normal_(module.bias, std=0.2)
    network.conv1.weight /= 255
    return network


def load(name: str, size: int) -> LoadedNetwork:
    """Return the bundled network, or a backbone with random values for a crop of a size."""
    if name == BUNDLED:
        return load_network()
    about = Description(NetworkConfig(name), size, RELAX, 0.5, {})
    return LoadedNetwork(made_network(about.network), about, name, trained=False)


def make(name: str, size: int, kind: str) -> Predictor:
    """Return a network of `load` as it is run: `ours`, or `plain`."""
    loaded = load(name, size)
    if kind == "ours":
        return loaded.predictor("cpu", keep=False)
    size, relax = loaded.about.size, loaded.about.relax
    return Predictor(loaded.network, size=size, relax=relax, threshold=loaded.about.threshold)


def network_row(name: str, size: int, repeats: int) -> Row:
    """Compare the two ways to run a network: time, memory, logits and masks."""
    memory = {kind: peak_memory(name, size, kind) for kind in ("ours", "plain")}
    ours, plain = make(name, size, "ours"), make(name, size, "plain")
    scene = example_scene("coffee")
    objects = [encoded(ours, scene.image, points) for points in scene.objects]
    first = objects[0][0]
    calls = {"ours": lambda: ours.logits(first), "plain": lambda: plain.logits(first)}
    times = interleaved(calls, repeats)
    difference, pixels = 0.0, 0
    for inputs, window in objects:
        answers = [predictor.logits(inputs) for predictor in (ours, plain)]
        difference = max(difference, float(np.abs(answers[0] - answers[1]).max()))
        masks = [decode(logits[0], window) > ours.threshold for logits in answers]
        pixels += int(np.count_nonzero(masks[0] != masks[1]))
    return (
        f"{name}, {ours.size} x {ours.size}", f"{times['ours']:.1f} ms",
        f"{times['plain']:.1f} ms", f"{times['plain'] / times['ours']:.2f}x",
        f"{memory['ours']} MiB", f"{memory['plain']} MiB", f"{difference:.1e}",
        "identical" if pixels == 0 else f"{pixels} pixels differ",
    )  # fmt: skip


def stage_rows(repeats: int) -> list[Row]:
    """Time the bundled network's answer to four clicks, and its parts."""
    predictor, scene = make(BUNDLED, 0, "ours"), example_scene("coffee")
    points = scene.objects[0]
    inputs, window = encoded(predictor, scene.image, points)
    logits = predictor.logits(inputs)[0]
    stages = {
        "encode: crop and heat map": lambda: encoded(predictor, scene.image, points),
        "network": lambda: predictor.logits(inputs),
        "decode: paste back": lambda: decode(logits, window),
        "all of it: predict, and the mask": lambda: predictor.predict(scene.image, points).mask,
    }
    return [(name, f"{ms:.1f} ms") for name, ms in interleaved(stages, repeats).items()]


def encoded(
    predictor: Predictor, image: NDArray, points: NDArray
) -> tuple[NDArray[np.float32], CropWindow]:
    """Return an object's input as a batch of one, and its window."""
    window = CropWindow.around(points, image.shape[:2], predictor.relax, predictor.size)
    return encode(image, window, place_clicks(points, window))[None], window


def peak_memory(name: str, size: int, kind: str) -> int:
    """Return the MiB a process needs that loads a network and predicts once."""
    command = [sys.executable, "-m", "benchmarks.prediction", "--threads", torch.get_num_threads()]
    command += ["--size", size, "--memory-of", name, kind]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    return int(done.stdout)


def own_peak() -> int:
    """Return the most memory this process has held, in MiB (Linux)."""
    # Unlike getrusage's, this does not start from the parent's.
    status = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in status if line.startswith("VmHWM")]
    return int(line.split()[1]) // 2**10


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print tables."""
    options = parser(__doc__, "--size")
    add = options.add_argument
    add("--threads", type=whole(1, 1024), default=2)
    add("--repeats", type=cli.positive, default=5, help="counted calls of each")
    add(
        "--networks",
        nargs="+",
        type=cli.text,
        default=["resnet101", BUNDLED],
        help="backbones, or bundled",
    )
    add(
        "--memory-of",
        nargs=2,
        type=cli.text,
        metavar=("NETWORK", "ours|plain"),
        help="print only its peak, MiB",
    )
    args = options.parse_args(argv)
    use_threads(args.threads)
    if args.memory_of:
        scene = example_scene("coffee")
        make(args.memory_of[0], args.size, args.memory_of[1]).predict(scene.image, scene.objects[0])
        print(own_peak())
        return 0
    print(f"{machine()}; {args.repeats} repeats\n", flush=True)
    rows = [network_row(name, args.size, args.repeats) for name in args.networks]
    print(markdown([HEADER, *rows]) + "\n", flush=True)
    print(markdown([("bundled", "time"), *stage_rows(args.repeats)]))
    return 0


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
