"""How long prediction takes on the CPU, and how much memory: ours against a plain eager network.

The plain network runs as it was trained, one object at a time. The first table compares the two,
the others take the bundled network's answer apart and batch its objects. Photo and clicks come
with the project; the paper's network gets random values.

Examples:
  python -m benchmarks.prediction
  python -m benchmarks.prediction --threads 1 --networks bundled --repeats 20
"""

from __future__ import annotations

import argparse
import copy
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.timing import interleaved, machine, markdown, use_threads
from dextr.common import cli
from dextr.common.example_photos import example_scene
from dextr.geometry import RELAX, CropWindow
from dextr.inputs import decode, encode
from dextr.points import place_clicks
from dextr.predictor import Predictor
from dextr.weights import LoadedNetwork, load_network
from dextr.weights.state_files import Description
from networks import DextrNet, NetworkConfig, for_inference

Row = tuple[str, ...]
BUNDLED = "bundled"
# Side, channels and positions of a convolution that is nothing but arithmetic.
LARGE_CONVOLUTION = (3, 512, 64)


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


def make(name: str, size: int, kind: str) -> Predictor:
    """Return a network, `bundled` or a backbone with random values, run in one of two ways.

    Args:
        name: Which.
        size: Side of the crop of a network with random values.
        kind: `ours` or `plain`.
    """
    if name == BUNDLED:
        loaded = load_network()
    else:
        about = Description(NetworkConfig(name), size, RELAX, 0.5, {})
        loaded = LoadedNetwork(made_network(about.network), about, name)
    if kind == "ours":
        return loaded.predictor("cpu", keep=False)
    return Predictor(
        loaded.network,
        size=loaded.about.size,
        relax=loaded.about.relax,
        threshold=loaded.about.threshold,
    )


def network_row(name: str, size: int, repeats: int) -> Row:
    """Compare the two ways to run a network: time, memory, logits and masks."""
    memory = {kind: peak_memory(name, size, kind) for kind in ("ours", "plain")}
    ours, plain = make(name, size, "ours"), make(name, size, "plain")
    scene = example_scene("coffee")
    inputs, windows = zip(*(encoded(ours, scene.image, p) for p in scene.objects), strict=True)
    first = inputs[0][None]
    times = interleaved(
        {"ours": lambda: ours.logits(first), "plain": lambda: plain.logits(first)}, repeats
    )
    difference, pixels = 0.0, 0
    for one, window in zip(inputs, windows, strict=True):
        a, b = ours.logits(one[None]), plain.logits(one[None])
        difference = max(difference, float(np.abs(a - b).max()))
        masks = [decode(logits, window) > ours.threshold for logits in (a, b)]
        pixels += int(np.count_nonzero(masks[0] != masks[1]))
    return (
        f"{name}, {ours.size} x {ours.size}",
        f"{times['ours']:.1f} ms",
        f"{times['plain']:.1f} ms",
        f"{times['plain'] / times['ours']:.2f}x",
        f"{memory['ours']} MiB",
        f"{memory['plain']} MiB",
        f"{difference:.1e}",
        "identical" if pixels == 0 else f"{pixels} pixels differ",
    )


def limit_rows(names: Sequence[str], size: int, repeats: int) -> list[Row]:
    """Return the arithmetic speed of large operations, and how long the networks' would take."""
    side, channels, places = LARGE_CONVOLUTION
    conv = nn.Conv2d(channels, channels, side, padding=side // 2).requires_grad_(False)
    conv = conv.to(memory_format=torch.channels_last)
    x = torch.rand(1, channels, places, places).to(memory_format=torch.channels_last)
    matrix = torch.rand(2048, 2048)
    work = {
        "3x3 convolution of 512 channels, 64 x 64": 2e-9 * conv.weight.numel() * places**2,
        "product of two 2048 x 2048 matrices": 2e-9 * 2048**3,
    }
    calls: tuple[Callable[[], object], ...] = (lambda: conv(x), lambda: matrix @ matrix)
    times = interleaved(dict(zip(work, calls, strict=True)), repeats)
    rates = {name: 1000 * work[name] / times[name] for name in work}
    best = max(rates.values())
    rows: list[Row] = [(name, f"{rate:.0f} GFLOP/s") for name, rate in rates.items()]
    for name in names:
        plain = make(name, size, "plain")
        assert isinstance(plain.network, DextrNet)
        count = gflop(for_inference(plain.network), plain.size)
        rows.append(
            (
                f"{name}: {count:.1f} GFLOP ({gflop(plain.network, plain.size):.1f} as trained)",
                f"{1000 * count / best:.1f} ms at the higher rate",
            )
        )
    return rows


def stage_rows(repeats: int) -> list[Row]:
    """Time the bundled network's answer to four clicks, and its parts."""
    predictor, scene = make(BUNDLED, 0, "ours"), example_scene("coffee")
    points = scene.objects[0]
    inputs, window = encoded(predictor, scene.image, points)
    logits = predictor.logits(inputs[None])[0]
    times = interleaved(
        {
            "encode: crop and heat map": lambda: encoded(predictor, scene.image, points),
            "network": lambda: predictor.logits(inputs[None]),
            "decode: paste back": lambda: decode(logits, window),
            "all of it: predict, and the mask": lambda: predictor.predict(scene.image, points).mask,
        },
        repeats,
    )
    return [(name, f"{milliseconds:.1f} ms") for name, milliseconds in times.items()]


def batch_rows(name: str, size: int, sizes: Sequence[int], repeats: int) -> list[Row]:
    """Time several objects of a photo by how many go through the network at once."""
    predictor, scene = make(name, size, "ours"), example_scene("coffee")
    count = max(sizes)
    objects = [scene.objects[k % len(scene.objects)] for k in range(count)]

    def run(batch_size: int) -> Callable[[], object]:
        def call() -> None:
            predictor.batch_size = batch_size
            predictor.predict_many(scene.image, objects)

        return call

    times = interleaved({str(k): run(k) for k in sizes}, repeats)
    return [(name, k, f"{milliseconds / count:.1f} ms") for k, milliseconds in times.items()]


def encoded(
    predictor: Predictor, image: NDArray, points: NDArray
) -> tuple[NDArray[np.float32], CropWindow]:
    """Return an object's input and its window."""
    window = CropWindow.around(points, image.shape[:2], predictor.relax, predictor.size)
    return encode(image, window, place_clicks(points, window)), window


def gflop(network: nn.Module, size: int) -> float:
    """Count a forward pass's floating-point operations, in 1e9; a multiply-add is two."""
    network = copy.deepcopy(network).to("meta")
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 4, size, size, device="meta"))
    return counter.get_total_flops() / 1e9


def peak_memory(name: str, size: int, kind: str) -> int:
    """Return the MiB a process needs that loads a network and predicts once."""
    command = [sys.executable, "-m", "benchmarks.prediction", "--threads", torch.get_num_threads()]
    command += ["--size", size, "--memory-of", name, kind]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    return int(done.stdout)


def own_peak() -> int:
    """Return the most memory this process has held, in MiB."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Unlike getrusage's, this does not start from the parent's.
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) // 2**10
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (2**20 if sys.platform == "darwin" else 2**10)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5, help="counted calls of each")
    parser.add_argument(
        "--networks", nargs="+", default=["resnet101", BUNDLED], help="backbones, or bundled"
    )
    parser.add_argument("--size", type=int, default=512, help="crop of networks but the bundled")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument(
        "--memory-of", nargs=2, metavar=("NETWORK", "ours|plain"), help="print only its peak in MiB"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print tables."""
    args = build_parser().parse_args(argv)
    use_threads(args.threads)
    if args.memory_of:
        name, kind = args.memory_of
        scene = example_scene("coffee")
        make(name, args.size, kind).predict(scene.image, scene.objects[0])
        print(own_peak())
        return 0
    print(f"{machine()}; {args.repeats} repeats\n", flush=True)
    header = ("network", "ours", "plain", "ratio", "memory of ours", "of plain")
    rows = [network_row(name, args.size, args.repeats) for name in args.networks]
    print(markdown([(*header, "largest logit difference", "masks"), *rows]) + "\n", flush=True)
    limits = limit_rows(args.networks, args.size, args.repeats)
    print(markdown([("limit by arithmetic", ""), *limits]) + "\n", flush=True)
    print(markdown([("bundled", "time"), *stage_rows(args.repeats)]) + "\n", flush=True)
    batches = batch_rows(BUNDLED, 0, args.batch_sizes, args.repeats)
    print(markdown([("network", "objects at once", "per object"), *batches]))
    return 0


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
