"""How long the network's input takes: training, evaluation, reading, workers.

All but the loader runs on one core and is given in CPU time, which other programs do not change;
the loader's objects per second are by the clock. Without --voc-root, photos are made up.

Examples:
  python -m benchmarks.input
  python -m benchmarks.input --voc-root data --split val
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain, count, cycle, islice
from typing import TypeVar

import cv2
import numpy as np

from benchmarks import baselines
from benchmarks.made_data import voc_objects
from benchmarks.timing import (
    HEADER,
    comparison,
    interleaved,
    machine,
    markdown,
    parser,
    use_threads,
)
from dataloaders.crops.loader import BatchLoader
from dataloaders.crops.training_set import BatchPlan, TrainingSet
from dataloaders.crops.transforms import Place, TrainTransform, TransformConfig
from dataloaders.instances import Instances
from dataloaders.pascal import PascalInstances
from dextr.common import cli
from dextr.common.images import read_image
from dextr.common.label_png import read_label_map
from dextr.common.options import whole
from dextr.evaluation.protocol import EvaluationSettings, simulate_clicks
from dextr.geometry import RELAX
from dextr.heatmap import render_heatmap
from dextr.inputs import encode
from dextr.samples import Instance

Row = tuple[str, ...]
T = TypeVar("T")
SMALLEST_OBJECT = 400
BATCH = 5


def in_turns(function: Callable[[T], object], items: Sequence[T], each: int = 1) -> partial[None]:
    """Return what calls a function with the next `each` items, round and round."""
    turn = cycle(items)

    def call() -> None:
        for item in islice(turn, each):
            function(item)

    return partial(call)


def sample_rows(objects: Sequence[Instance], size: int, repeats: int) -> list[Row]:
    """Time one object's input, its photo in memory, and the heat map alone; in turns of a batch."""
    config, rng = TransformConfig(size=size), np.random.default_rng(0)
    place = Place.new(size)  # its place in a batch, used again
    ours, straight = TrainTransform(config), baselines.StraightforwardTransform(config)
    points = np.array([[0.1, 0.5], [0.9, 0.5], [0.5, 0.1], [0.5, 0.9]]) * size

    def evaluation_input(instance: Instance) -> None:
        prompt = simulate_clicks(0, instance, EvaluationSettings(), RELAX, size)
        encode(instance.image, prompt.window, prompt.points, out=place.inputs)

    pairs: dict[str, tuple[Callable[[Instance], object], Callable[[Instance], object]]] = {
        "training sample": (lambda o: ours(o, rng, place), lambda o: straight(o, rng)),
        "evaluation sample": (
            evaluation_input, lambda o: baselines.evaluation_input(o, rng, RELAX, size)
        ),
        "heat map, 4 points": (
            lambda o: render_heatmap(points, (size, size)),
            lambda o: baselines.heat_map(points, (size, size)),
        ),
    }  # fmt: skip
    named = {f"{name}, {size} x {size}": pair for name, pair in pairs.items()}
    return compared(named, objects, max(1, repeats // BATCH), BATCH)


def reading_rows(data: PascalInstances, repeats: int) -> list[Row]:
    """Time decoding."""
    images = np.unique(data.index.image)[:repeats].tolist()

    def opencv_photo(image: int) -> None:
        cv2.cvtColor(np.asarray(cv2.imread(str(data.image_path(image)))), cv2.COLOR_BGR2RGB)

    decoding = {
        "decode a photo (baseline: OpenCV)": (
            lambda image: read_image(data.image_path(image)), opencv_photo
        ),
        "decode a mask (baseline: OpenCV)": (
            lambda image: read_label_map(data.label_path(image)),
            lambda image: cv2.imread(str(data.label_path(image)), cv2.IMREAD_UNCHANGED),
        ),
    }  # fmt: skip
    return compared(decoding, images, repeats)


def worker_row(data: Instances, size: int, objects: int, workers: int) -> Row:
    """Count training objects per second, reading included, with so many worker processes."""
    config, rates = TransformConfig(size=size), []
    for transform in (TrainTransform(config), baselines.StraightforwardTransform(config)):
        training_set = TrainingSet(data, transform, 0)
        loader = BatchLoader(training_set, BatchPlan(len(data), BATCH, seed=0), workers, False)
        batches = chain.from_iterable(map(loader.batches, count()))
        next(batches)
        start = time.perf_counter()
        made = sum(len(batch) for batch in islice(batches, -(-objects // BATCH)))
        rates.append(made / (time.perf_counter() - start))
    shown = [f"{rate:.0f} obj/s" for rate in rates]
    return (f"loader, {workers} workers", *shown, f"{rates[0] / rates[1]:.1f}x")


def compared(
    pairs: Mapping[str, tuple[Callable[[T], object], Callable[[T], object]]],
    items: Sequence[T],
    repeats: int,
    each: int = 1,
) -> list[Row]:
    """Return a table row for each pair (ours, baseline), called with the items in turns."""
    calls = {
        f"{name} {k}": in_turns(pair[k], items, each)
        for name, pair in pairs.items()
        for k in (0, 1)
    }
    times = interleaved(calls, repeats, time.process_time)
    return [comparison(k, times[f"{k} 0"] / each, times[f"{k} 1"] / each) for k in pairs]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parser(__doc__, "--voc-root", "--split", "--size")
    add = options.add_argument
    add("--repeats", type=cli.positive, default=100, help="calls of each function")
    add("--objects", type=cli.positive, default=200, help="for each loader")
    add("--workers", type=whole(0, 256), nargs="*", default=[0, 1, 2])
    args = options.parse_args(argv)
    use_threads(1)
    with voc_objects(args.voc_root, args.split, 600) as data:
        large = np.flatnonzero(data.index.area >= SMALLEST_OBJECT)
        objects = [data[row] for row in large.tolist()[:40]] or list(islice(data, 40))
        rows = [HEADER, *sample_rows(objects, args.size, args.repeats)]
        rows += reading_rows(data, args.repeats)
        rows += [worker_row(data, args.size, args.objects, number) for number in args.workers]
    print(f"{machine()}\n{markdown(rows)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
