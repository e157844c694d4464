"""What runs a network fastest on the CPU, and how far each answer is from the network's.

The network is exported here, to a temporary folder; 8-bit files are calibrated on the photos that
come along. The IoU to the float network's masks, and to the truth, is the mean over the objects of
a data set in the folder layout (--root), or to the masks of the photos that come along.

Examples:
  python -m benchmarks.runtimes --root grabcut                        # the bundled network
  python -m benchmarks.runtimes --network resnet101 --repeats 5       # random values, crop 512
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.prediction import load
from benchmarks.timing import interleaved, machine, markdown, parser, use_threads
from dataloaders.folder import FolderInstances
from dextr.common import cli
from dextr.common.example_photos import OBJECTS, Scene, example_scene
from dextr.common.options import whole
from dextr.export.agreement import answer
from dextr.export.onnx_file import export
from dextr.metrics import iou
from dextr.points import sample_extreme_points
from dextr.samples import Instance
from dextr.weights import LoadedNetwork, load_network
from dextr.weights.exported import read_exported
from networks import for_inference

Runtime = Callable[[Tensor], Tensor]
HEADER = ("network", "runtime", "ms", "ratio", "largest logit difference", "IoU to float", "IoU")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print a Markdown table."""
    options = parser(__doc__)
    add = options.add_argument
    add(
        "--network",
        type=cli.text,
        default="bundled",
        help="a name or file of weights, or resnet101: random",
    )
    add("--root", type=cli.path, help="images/ and masks/")
    add("--limit", type=cli.positive, help="objects of --root, evenly spread")
    add("--batch", type=whole(1, 1024), default=1)
    add("--repeats", type=cli.positive, default=15)
    add("--threads", type=whole(1, 1024), default=2)
    add("--int8", action=argparse.BooleanOptionalAction, default=True)
    args = options.parse_args(argv)

    use_threads(args.threads)
    loaded = load("resnet101", 512) if args.network == "resnet101" else load_network(args.network)
    size = loaded.about.size
    with tempfile.TemporaryDirectory() as folder:
        runtimes = collect(loaded, Path(folder), args.int8)
    x = 255 * torch.rand(args.batch, 4, size, size)
    with torch.inference_mode():
        times = interleaved({k: partial(f, x) for k, f in runtimes.items()}, args.repeats)
        quality = compare(loaded, runtimes, args.root, args.limit)
    ratios = {name: f"{times['PyTorch'] / times[name]:.2f}" for name in runtimes}
    rows = [(loaded.name, k, f"{times[k]:.1f}", ratios[k], *quality[k]) for k in runtimes]
    print(f"{machine()}; batch {args.batch}, crop {size}\n\n{markdown([HEADER, *rows])}")
    return 0


def collect(loaded: LoadedNetwork, folder: Path, int8: bool) -> dict[str, Runtime]:
    """Export a network in every way and return what runs it, by name."""
    runtimes: dict[str, Runtime] = {
        "PyTorch": loaded.layers,
        "PyTorch, folded": for_inference(loaded.layers),
    }
    for kind in ("", " int8") if int8 else ("",):
        path = folder / f"network{kind}.onnx"
        export(loaded, path, int8=bool(kind), check=False)
        runtimes[f"ONNX Runtime{kind}"] = read_exported(path)
    return runtimes


def scenes_of(root: str | None, limit: int | None) -> Iterator[tuple[Scene, Instance | None]]:
    """Yield scenes: of a data set one object each, with its truth; or those that come along."""
    if root is None:
        yield from ((example_scene(name), None) for name in OBJECTS)
        return
    instances = FolderInstances(root)
    rows = np.linspace(0, len(instances) - 1, limit or len(instances)).astype(int)
    for row in np.unique(rows).tolist():
        instance = instances[row]
        points = sample_extreme_points(instance.mask, 0, np.random.default_rng(row))
        yield Scene(str(row), instance.image, [points]), instance


def compare(
    loaded: LoadedNetwork, runtimes: dict[str, Runtime], root: str | None, limit: int | None
) -> dict[str, tuple[str, str, str]]:
    """Return each runtime's largest logit difference, IoU to the float masks, and IoU."""
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in runtimes}
    for scene, truth in tqdm(scenes_of(root, limit), "compare", leave=False, disable=None):
        expected = answer(loaded.layers, loaded.about, scene)
        for name, run in runtimes.items():
            got = expected if run is loaded.layers else answer(run, loaded.about, scene)
            difference = float(np.abs(got.logits - expected.logits).max())
            for mask, other in zip(got.masks, expected.masks, strict=True):
                own = np.nan if truth is None else iou(mask, truth.mask, truth.void)
                found[name].append((difference, iou(mask, other), own))
    shown = {}
    for name, values in found.items():
        difference, to_float, own = np.transpose(values)
        mean = "-" if np.isnan(own).any() else f"{100 * own.mean():.2f}"
        shown[name] = (f"{difference.max():.1e}", f"{100 * to_float.mean():.2f}", mean)
    return shown


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
