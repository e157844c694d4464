"""What runs a network fastest on the CPU, and how far each answer is from the network's.

The network is exported here, to a temporary folder; 8-bit files are calibrated on the photos that
come along. OpenVINO is measured where it is installed (pip install openvino). The IoU to the
float network's masks, and to the truth, is the mean over the objects of a data set in the folder
layout (--root), or to the masks of the photos that come along.

Examples:
  python -m benchmarks.runtimes --root grabcut                        # the bundled network
  python -m benchmarks.runtimes --network resnet101 --repeats 5       # random values, crop 512
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.timing import interleaved, machine, markdown, use_threads
from dataloaders.folder import FolderInstances
from dextr.common import cli
from dextr.common.example_photos import OBJECTS, Scene, example_scene
from dextr.export.agreement import answer
from dextr.export.onnx_file import export
from dextr.geometry import RELAX, SIZE
from dextr.metrics import iou
from dextr.points import sample_extreme_points
from dextr.samples import THRESHOLD
from dextr.weights import LoadedNetwork, load_network
from dextr.weights.exported import read_exported
from dextr.weights.state_files import Description
from networks import build_network, for_inference

Runtime = Callable[[Tensor], Tensor]
HEADER = ("network", "runtime", "ms", "ratio", "largest logit difference", "IoU to float", "IoU")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--network", default="bundled", help="a name or file of weights, or resnet101: random"
    )
    parser.add_argument("--root", help="images/ and masks/")
    parser.add_argument("--limit", type=int, help="objects of --root, evenly spread")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--int8", action=argparse.BooleanOptionalAction, default=True)
    args = parser.parse_args(argv)

    use_threads(args.threads)
    loaded = random_network() if args.network == "resnet101" else load_network(args.network)
    with tempfile.TemporaryDirectory() as folder:
        runtimes = collect(loaded, Path(folder), args.int8)
    x = 255 * torch.rand(args.batch, 4, loaded.about.size, loaded.about.size)
    with torch.inference_mode():
        times = interleaved({k: partial(f, x) for k, f in runtimes.items()}, args.repeats)
        quality = compare(loaded, runtimes, args.root, args.limit)
    rows = [
        (
            loaded.name,
            name,
            f"{times[name]:.1f}",
            f"{times['PyTorch'] / times[name]:.2f}",
            *quality[name],
        )
        for name in runtimes
    ]
    print(f"{machine()}; batch {args.batch}, crop {loaded.about.size}\n")
    print(markdown([HEADER, *rows]))
    return 0


def random_network() -> LoadedNetwork:
    """Return the paper's network with random values whose logits are of ordinary size."""
    torch.manual_seed(0)
    network = build_network().eval()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, torch.nn.BatchNorm2d) and module.running_var is not None:
            torch.nn.init.constant_(module.running_var, 2)
            # The exporter joins equal biases, and joined ones are not quantized.
            torch.nn.init.normal_(module.bias, std=0.1)
    network.conv1.weight.data.div_(255)
    about = Description(network.config, SIZE, RELAX, THRESHOLD, {})
    return LoadedNetwork(network, about, "untrained", trained=False)


def collect(loaded: LoadedNetwork, folder: Path, int8: bool) -> dict[str, Runtime]:
    """Export a network in every way and return what runs it, by name."""
    runtimes: dict[str, Runtime] = {
        "PyTorch": loaded.layers,
        "PyTorch, folded": for_inference(loaded.layers),
    }
    files = {"": folder / "float.onnx", " int8": folder / "int8.onnx"}
    for kind, path in files.items() if int8 else [("", files[""])]:
        export(loaded, path, int8=bool(kind), check=False)
        runtimes[f"ONNX Runtime{kind}"] = read_exported(path).network
        if run := openvino(path):
            runtimes[f"OpenVINO{kind}"] = run
    return runtimes


def openvino(path: Path) -> Runtime | None:
    """Return an ONNX file as OpenVINO runs it in float32; None if that is not installed."""
    try:
        import openvino as ov
    except ImportError:
        return None
    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
        # Threads tied to cores wait for whatever else runs there.
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    compiled = ov.Core().compile_model(path, "CPU", settings)
    return lambda x: torch.from_numpy(compiled(x.numpy())[0].copy())


def scenes_of(root: str | None, limit: int | None) -> list[tuple[Scene, list[np.ndarray | None]]]:
    """Return scenes of one object each with its mask and void; None where they are not known."""
    if root is None:
        return [(example_scene(name), [None] * len(OBJECTS[name])) for name in OBJECTS]
    instances = FolderInstances(root)
    rows = np.unique(np.linspace(0, len(instances) - 1, limit or len(instances)).astype(int))
    scenes: list[tuple[Scene, list[np.ndarray | None]]] = []
    for row in rows:
        instance = instances[row]
        points = sample_extreme_points(instance.mask, 0, np.random.default_rng(row))
        truth = np.where(instance.void, -1, instance.mask).astype(np.int8)
        scenes.append((Scene(str(row), instance.image, [points]), [truth]))
    return scenes


def compare(
    loaded: LoadedNetwork, runtimes: dict[str, Runtime], root: str | None, limit: int | None
) -> dict[str, tuple[str, str, str]]:
    """Return each runtime's largest logit difference, IoU to the float masks, and IoU."""
    differences: dict[str, list[float]] = {name: [] for name in runtimes}
    to_float: dict[str, list[float]] = {name: [] for name in runtimes}
    to_truth: dict[str, list[float]] = {name: [] for name in runtimes}
    for scene, truths in tqdm(scenes_of(root, limit), "compare", leave=False, disable=None):
        expected = answer(loaded.layers, loaded.about, scene)
        for name, run in runtimes.items():
            got = expected if run is loaded.layers else answer(run, loaded.about, scene)
            differences[name].append(float(np.abs(got.logits - expected.logits).max()))
            for mask, other, truth in zip(got.masks, expected.masks, truths, strict=True):
                to_float[name].append(iou(mask, other))
                if truth is not None:
                    to_truth[name].append(iou(mask, truth == 1, truth == -1))
    return {
        name: (
            f"{max(differences[name]):.1e}",
            f"{100 * np.mean(to_float[name]):.2f}",
            f"{100 * np.mean(to_truth[name]):.2f}" if to_truth[name] else "-",
        )
        for name in runtimes
    }


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
