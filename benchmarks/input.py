"""How long the network's input takes: training, evaluation, reading, workers, the object index.

All but the loader runs on one core and is given in CPU time, which other programs do not change;
the loader's objects per second are by the clock. Without --voc-root, photos are made up.

Examples:
  python -m benchmarks.input
  python -m benchmarks.input --voc-root data --split val
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from benchmarks import baselines
from benchmarks.made_voc import make_voc
from benchmarks.timing import HEADER, comparison, interleaved, machine, markdown, use_threads
from dataloaders.crops.loader import BatchLoader
from dataloaders.crops.training_set import BatchPlan, TrainingSet
from dataloaders.crops.transforms import TrainTransform, TransformConfig
from dataloaders.instances import Instances
from dataloaders.pascal import PascalInstances
from dextr.common import cli
from dextr.common.images import read_image
from dextr.common.label_png import read_label_map
from dextr.evaluation.protocol import EvaluationSettings, simulate_clicks
from dextr.geometry import RELAX
from dextr.heatmap import render_heatmap
from dextr.inputs import encode
from dextr.samples import Instance

Row = tuple[str, ...]
T = TypeVar("T")
PHOTO_HW = (375, 500)
SMALLEST_OBJECT = 400
BATCH = 5


def sample_rows(objects: Sequence[Instance], size: int, repeats: int) -> list[Row]:
    """Time one object's input, its photo in memory, and the heat map alone; in turns of a batch."""
    config = TransformConfig(size=size)
    ours, straight = TrainTransform(config), baselines.StraightforwardTransform(config)
    points = np.array([[0.1, 0.5], [0.9, 0.5], [0.5, 0.1], [0.5, 0.9]]) * size

    def evaluation_input(instance: Instance) -> None:
        clicks = simulate_clicks(0, instance, EvaluationSettings(), RELAX, size)
        encode(instance.image, clicks.window, clicks.in_crop)

    def over(function: Callable[[Instance, np.random.Generator], object]) -> Callable[[], object]:
        turn, rng = cycle(objects), np.random.default_rng(0)

        def call() -> None:
            for _ in range(BATCH):
                function(next(turn), rng)

        return call

    pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "training sample": (over(ours), over(straight)),
        "evaluation sample": (
            over(lambda instance, rng: evaluation_input(instance)),
            over(lambda instance, rng: baselines.evaluation_input(instance, rng, RELAX, size)),
        ),
        "heat map, 4 points": (
            over(lambda instance, rng: render_heatmap(points, (size, size))),
            over(lambda instance, rng: baselines.heat_map(points, (size, size))),
        ),
    }
    named = {f"{name}, {size} x {size}": pair for name, pair in pairs.items()}
    return compared(named, max(1, repeats // BATCH), BATCH)


def reading_rows(data: PascalInstances, repeats: int) -> list[Row]:
    """Time decoding, and reading all objects of an image after one another."""
    images = np.unique(data.index.image)[:repeats].tolist()

    def over(function: Callable[[int], object]) -> Callable[[], object]:
        turn = cycle(images)
        return lambda: function(next(turn))

    pairs = {
        "decode a photo (baseline: OpenCV)": (
            over(lambda image: read_image(data.image_path(image))),
            over(lambda image: cv2.cvtColor(_opencv(data.image_path(image)), cv2.COLOR_BGR2RGB)),
        ),
        "decode a mask (baseline: OpenCV)": (
            over(lambda image: read_label_map(data.label_path(image))),
            over(lambda image: _opencv(data.label_path(image), cv2.IMREAD_UNCHANGED)),
        ),
    }
    rows = np.flatnonzero(np.isin(data.index.image, images))
    mixed_up = np.random.default_rng(0).permutation(rows)
    orders = {"in order": rows.tolist(), "mixed": mixed_up.tolist()}

    def read(order: str) -> Callable[[], object]:
        return lambda: [data[row].hw for row in orders[order]]

    readers = {order: read(order) for order in orders}
    times = interleaved(readers, max(1, repeats // 20), time.process_time)
    ordered, mixed = times["in order"] / len(rows), times["mixed"] / len(rows)
    name = f"read an object, {len(rows) / len(images):.1f} per image (baseline: in mixed order)"
    return [*compared(pairs, repeats), comparison(name, ordered, mixed)]


def worker_rows(data: Instances, size: int, objects: int, workers: Sequence[int]) -> list[Row]:
    """Count training objects per second, reading included, by number of worker processes."""
    config = TransformConfig(size=size)
    rows: list[Row] = []
    for count in workers:
        rates = []
        for transform in (TrainTransform(config), baselines.StraightforwardTransform(config)):
            plan = BatchPlan(len(data), BATCH, seed=0)
            loader = BatchLoader(TrainingSet(data, transform, 0), plan, count, False)
            batches = iter(epochs(loader))
            next(batches)
            start = time.perf_counter()
            made = sum(len(batch) for batch in islice(batches, -(-objects // BATCH)))
            rates.append(made / (time.perf_counter() - start))
        ratio = f"{rates[0] / rates[1]:.1f}x"
        rows.append(
            (f"loader, {count} workers", f"{rates[0]:.0f} obj/s", f"{rates[1]:.0f} obj/s", ratio)
        )
    return rows


def epochs(loader: BatchLoader) -> Iterator:
    """Yield batches without end."""
    for epoch in range(10**9):
        yield from loader.batches(epoch)


def index_rows(root: Path, split: str) -> list[Row]:
    """Time the object index: built, and read back from the cache."""
    with cache_in_a_new_folder():
        data, cold = timed(lambda: PascalInstances(root, split))
        _, cached = timed(lambda: PascalInstances(root, split))
    paths = [(data.label_path(k), data.class_path(k)) for k in range(len(data.label_files))]
    _, straight = timed(lambda: [baselines.index_rows(*pair) for pair in paths])
    name = f"index of {len(paths):,} masks"
    return [
        comparison(f"{name}, built", cold, straight, "s"),
        comparison(f"{name}, from the cache", cached, straight, "s"),
    ]


def compared(
    pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]],
    repeats: int,
    per_call: int = 1,
) -> list[Row]:
    """Return a table row for each pair (ours, baseline), for one of `per_call` things."""
    functions = {f"{name} {k}": pair[k] for name, pair in pairs.items() for k in (0, 1)}
    times = interleaved(functions, repeats, time.process_time)
    times = {name: each / per_call for name, each in times.items()}
    return [comparison(name, times[f"{name} 0"], times[f"{name} 1"]) for name in pairs]


def timed(function: Callable[[], T]) -> tuple[T, float]:
    """Return a function's result and how many seconds of CPU time it took."""
    start = time.process_time()
    result = function()
    return result, time.process_time() - start


@contextmanager
def cache_in_a_new_folder() -> Iterator[Path]:
    """Let the object index be kept in an empty folder that goes away afterwards."""
    before = os.environ.get("DEXTR_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DEXTR_CACHE"] = folder
        try:
            yield Path(folder)
        finally:
            os.environ.pop("DEXTR_CACHE")
            if before is not None:
                os.environ["DEXTR_CACHE"] = before


def _opencv(path: Path, flags: int = cv2.IMREAD_COLOR) -> np.ndarray:
    return np.asarray(cv2.imread(str(path), flags))


def typical_objects(data: Instances, count: int) -> list[Instance]:
    """Return objects of photos of 500 x 375 pixels, either way round; any if there are none."""
    found = []
    for row in np.flatnonzero(data.index.area >= SMALLEST_OBJECT).tolist():
        instance = data[row]
        if sorted(instance.hw) == sorted(PHOTO_HW):
            found.append(instance)
        if len(found) == count:
            break
    return found or list(islice(data, count))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--voc-root", type=Path, help="take photos and masks from PASCAL VOC 2012")
    parser.add_argument("--split", default="val")
    parser.add_argument("--size", type=cli.positive, default=512, help="side of the crop")
    parser.add_argument("--repeats", type=cli.positive, default=100, help="calls of each function")
    parser.add_argument("--objects", type=cli.positive, default=200, help="for each loader")
    parser.add_argument("--masks", type=cli.positive, default=1449, help="made up for the index")
    parser.add_argument("--workers", type=cli.natural, nargs="*", default=[0, 1, 2])
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    args = parse(argv)
    use_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root, split = args.voc_root, args.split
        if root is None:
            root, split = make_voc(Path(folder), args.masks, PHOTO_HW), "val"
        rows = [HEADER, *index_rows(root, split)]
        with cache_in_a_new_folder():
            data = PascalInstances(root, split)
        rows += sample_rows(typical_objects(data, 40), args.size, args.repeats)
        rows += reading_rows(data, args.repeats)
        rows += worker_rows(data, args.size, args.objects, args.workers)
    print(machine())
    print(markdown(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
