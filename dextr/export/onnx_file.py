"""Networks for other runtimes: `python -m dextr export`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from dextr.annotation.points_file import read_points
from dextr.commands.pack import public_origin
from dextr.common.cli import positive
from dextr.common.example_photos import OBJECTS, Scene, example_scene, made_scene
from dextr.common.files import replacing
from dextr.common.images import read_image
from dextr.evaluation.mask_sources import weights_hash
from dextr.export.agreement import Agreement, agreement_table, answer, compare
from dextr.export.formats import write_onnx, write_torchscript
from dextr.export.quantize import quantize
from dextr.weights.exported import ONNX, SUFFIXES, TORCHSCRIPT, read_exported
from dextr.weights.load import LoadedNetwork, load_network
from dextr.weights.state_files import Description
from networks.inference import for_inference
from networks.pooling import pool_by_matrices

# Photos with three objects each: the check fills a batch of three.
CHECKED = ("coffee", "astronaut")
BATCHES = (1, 3)
MOST_CALIBRATION = 200
EPILOG = f"""formats, by the suffix of --output:
  {ONNX:<13} ONNX, opset 18; run it with ONNX Runtime, OpenVINO, TensorRT ...
  {TORCHSCRIPT:<13} TorchScript; run it with PyTorch, from Python or C++

Both take `input` (N, 4, S, S), float32 in 0..255, and give `logits` (N, 1, S, S); crop size, margin
and threshold stand in the file (ONNX: metadata_props; TorchScript: extra file; key `dextr`, JSON).
demo.py, eval.py, `dextr annotate` and dextr.load_predictor run them as they run weights: ONNX in
ONNX Runtime, on the CPU.

The check reads the file back and compares it with the network, on photos that come with
scikit-image and on noise: logits within 1e-3 and equal masks. With --int8 only the photos count:
the mean IoU of each one's masks must be at least 90 %. If it fails, the exit code is 1 and no file
is written.

examples:
  python -m dextr export --output dextr.onnx
  python -m dextr export --weights pascal-sbd --batch 1 --output dextr101.onnx
  python -m dextr export --int8 --output dextr-int8.onnx
  python -m dextr export --int8 --calibrate clicks.csv --images photos --output dextr-int8.onnx
  python eval.py --dataset folder --root photos --weights dextr-int8.onnx
"""


class ParityError(Exception):
    """An exported network answers otherwise than the one it was made of."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python -m dextr export`."""
    args = parse(argv)
    loaded = load_network(args.weights)
    if not loaded.trained:
        print("these weights are UNTRAINED: the masks mean nothing", file=sys.stderr)
    scenes = calibration_scenes(args.calibrate, args.images) if args.int8 else None
    try:
        rows = export(loaded, args.output, args.batch, scenes, args.check)
    except ParityError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if rows:
        print(agreement_table(rows))
    print(f"{args.output}: {args.output.stat().st_size / 2**20:.1f} MiB")
    return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        prog="dextr export",
        description="Write a network to a file that other runtimes run, and check that it answers "
        "as the network does.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--weights", metavar="NAME|FILE", help="what to export (default: the bundled network)"
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        required=True,
        help=f"the file to write; {' or '.join(SUFFIXES)} is its format",
    )
    parser.add_argument(
        "--batch",
        metavar="N",
        type=positive,
        help="ONNX: the only batch the file takes (default: any)",
    )
    parser.add_argument(
        "--int8",
        action="store_true",
        help="ONNX: weights and values in 8 bits, faster and less exact",
    )
    parser.add_argument(
        "--calibrate",
        metavar="POINTS",
        type=Path,
        help="--int8: objects to measure the ranges of values on, a file as for `dextr annotate` "
        f"(default: {sum(map(len, OBJECTS.values()))} objects on photos that come along)",
    )
    parser.add_argument("--images", metavar="DIR", type=Path, help="the photos of --calibrate")
    parser.add_argument(
        "--check",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compare the file with the network (default: yes)",
    )
    args = parser.parse_args(argv)
    if args.output.suffix not in SUFFIXES:
        raise ValueError(f"{args.output}: expected a name that ends in {' or '.join(SUFFIXES)}")
    if args.output.suffix != ONNX and (args.batch or args.int8):
        raise ValueError(f"--batch and --int8 are for {ONNX} files, got {args.output}")
    if (args.calibrate is None) != (args.images is None) or (args.calibrate and not args.int8):
        raise ValueError("--calibrate POINTS and --images DIR go together, and with --int8")
    return args


def export(
    loaded: LoadedNetwork,
    path: Path,
    batch: int | None = None,
    calibration: Iterable[Scene] | None = None,
    check: bool = True,
) -> list[Agreement]:
    """Write a network to a file; the old one stays whole until the new one is checked.

    Args:
        loaded: The network.
        path: The file; its suffix is the format.
        batch: The only batch it takes; None is any. ONNX.
        calibration: Objects for the ranges of 8-bit values; None keeps float32. ONNX.
        check: Compare it with the network.

    Returns:
        The comparisons.

    Raises:
        ParityError: They came out badly; nothing is written.
        ValueError: A package is missing, or the network is an exported one already.
    """
    network = loaded.layers
    small = pool_by_matrices(for_inference(network))
    metadata = json.dumps(describe(loaded))
    with replacing(path) as temporary:
        if path.suffix == TORCHSCRIPT:
            write_torchscript(small, loaded.size, temporary, metadata)
        else:
            write_onnx(small, loaded.size, temporary, metadata, batch)
            if calibration is not None:
                quantize(temporary, _calibration_inputs(loaded, calibration), batch or 1)
        if not check:
            return []
        rows = agreement(loaded, temporary, batch, exact=calibration is None)
        if not all(row.good for row in rows):
            raise ParityError(
                f"{path} is not written: it does not answer as the network does\n"
                f"{agreement_table(rows)}"
            )
        return rows


def describe(loaded: LoadedNetwork) -> dict[str, Any]:
    """Return what an exported file says of itself; `dextr.weights.exported` reads it."""
    network, origin = loaded.layers, public_origin(loaded.origin)
    about = Description(network.config, loaded.size, loaded.relax, loaded.threshold, origin)
    weights = {
        "name": Path(loaded.name).name,
        "sha256": weights_hash(loaded.name),
        "trained": loaded.trained,
    }
    return {**about.to_dict(), "weights": weights}


def agreement(loaded: LoadedNetwork, path: Path, batch: int | None, exact: bool) -> list[Agreement]:
    """Compare a file with the network it was made of.

    Args:
        loaded: The network.
        path: The file.
        batch: The only batch it takes; None tries several.
        exact: Whether only differences of rounding are good.
    """
    exported = read_exported(path).network
    scenes = [example_scene(name) for name in CHECKED]
    if exact:
        # In 8 bits noise proves nothing: it leaves the ranges that photos have.
        scenes.append(made_scene())
    rows = []
    for scene in tqdm(scenes, "check", unit="photo", leave=False, disable=None):
        expected = answer(loaded.layers, loaded, scene)
        for size in [batch] if batch else BATCHES:
            got = answer(exported, loaded, scene, size)
            rows.append(compare(scene, expected, got, size, exact))
    return rows


def calibration_scenes(points: Path | None, images: Path | None) -> Iterator[Scene]:
    """Yield what the ranges of 8-bit values are measured on: at most 200 images.

    Args:
        points: A file of points; None takes the photos that come along.
        images: The folder of its images.

    Raises:
        ValueError: The file or an image cannot be used.
    """
    if points is None or images is None:
        yield from map(example_scene, OBJECTS)
        return
    by_image: dict[str, list[NDArray[np.float64]]] = {}
    for entry in read_points(points).objects:
        by_image.setdefault(entry.image, []).append(entry.points)
    if not by_image:
        raise ValueError(f"{points}: no object to calibrate on")
    for name in islice(by_image, MOST_CALIBRATION):
        yield Scene(name, read_image(images / name), by_image[name])


def _calibration_inputs(
    loaded: LoadedNetwork, scenes: Iterable[Scene]
) -> Iterator[NDArray[np.float32]]:
    for scene in tqdm(scenes, "calibrate", unit="photo", leave=False, disable=None):
        # Only the inputs count: a channel takes the network's place.
        yield from answer(lambda x: x[:, :1], loaded, scene).inputs
