"""Many objects: how long an index of them takes, and whether memory grows with their number.

A COCO annotation file of polygons and its photos are made up. Every stage runs in a process of its
own. Times are CPU time; memory is what the process holds (resident, Linux only) beyond what it held
before.

Example:
  python -m benchmarks.scale --objects 100000
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.made_coco import make_coco
from benchmarks.timing import machine, markdown, use_threads
from dataloaders.coco import CocoInstances
from dataloaders.crops.loader import BatchLoader
from dataloaders.crops.training_set import BatchPlan, TrainingSet
from dataloaders.crops.transforms import TrainTransform, TransformConfig
from dextr.common import cli
from dextr.evaluation.mask_sources import scored
from dextr.evaluation.protocol import EvaluationSettings, simulate_clicks
from dextr.evaluation.summary import summarize
from dextr.geometry import RELAX
from dextr.inputs import decode, encode
from dextr.metrics import ObjectScore

Row = tuple[str, ...]
HEADER = ("stage", "objects", "time", "memory")
IMAGE_HW = (480, 640)
MIB = 2**20
BATCH = 5


def index_row(stage: str, file: Path, photos: Path, size: int, seen: int) -> list[Row]:
    """Time the index and what it holds; `seen` and `size` are not used."""
    before, start = held(), time.process_time()
    data = CocoInstances(file, photos)
    seconds = time.process_time() - start
    memory = f"{held() - before:.0f} MiB, at most {most_held() - before:.0f} MiB"
    return [(stage, f"{len(data):,}", f"{seconds:.2f} s", memory)]


def training_row(stage: str, file: Path, photos: Path, size: int, seen: int) -> list[Row]:
    """Train on nothing but the loader: memory after a tenth of the objects, and after all."""
    data = CocoInstances(file, photos)
    training_set = TrainingSet(data, TrainTransform(TransformConfig(size=size)), 0)
    loader = BatchLoader(training_set, BatchPlan(len(data), BATCH, 0), 0, False)
    return [watch(stage, (len(batch) for batch in loader.batches(0)), seen)]


def evaluation_row(stage: str, file: Path, photos: Path, size: int, seen: int) -> list[Row]:
    """Read, encode, paste and score, all but the network; then keep scores of every object."""
    data, settings = CocoInstances(file, photos), EvaluationSettings()
    logits = np.zeros((size, size), np.float32)
    scores: list[ObjectScore] = []

    def score(row: int) -> int:
        clicks = simulate_clicks(row, data[row], settings, RELAX, size)
        encode(clicks.instance.image, clicks.window, clicks.in_crop)
        prob = decode(logits, clicks.window)
        scores.append(scored(row, clicks.instance, prob, clicks.points, settings).score)
        return 1

    row = watch(stage, map(score, range(len(data))), seen)
    before, start = held(), time.process_time()
    kept = [rebuilt(scores[k % len(scores)], k) for k in range(len(data))]
    memory = f"{held() - before:.0f} MiB"
    start = time.process_time()
    summarize(kept, data.category_names)
    seconds = time.process_time() - start
    return [row, ("scores kept, summarized", f"{len(kept):,}", f"{seconds:.2f} s", memory)]


def rebuilt(score: ObjectScore, row: int) -> ObjectScore:
    """Return a score of another object that shares no memory with this one."""
    return ObjectScore(
        row, f"{row:012d}#{row}", score.category, score.area + row, score.box_pixels + row,
        tuple(float(str(t)) for t in score.thresholds), tuple(v + row for v in score.intersection),
        tuple(v + row for v in score.union), tuple(v + row for v in score.wrong), row / 7,
    )  # fmt: skip


def watch(stage: str, counts: Iterable[int], seen: int) -> Row:
    """Go through objects until `seen` are done; say what was held after a tenth, and at the end."""
    start, before, done, early = time.process_time(), held(), 0, 0.0
    for count in counts:
        done += count
        early = early or (held() - before if done >= seen / 10 else 0.0)
        if done >= seen:
            break
    each = 1000 * (time.process_time() - start) / done
    memory = f"{early:.0f} MiB after {seen // 10:,}, {held() - before:.0f} MiB at the end"
    return (stage, f"{done:,}", f"{each:.1f} ms each", memory)


def held() -> float:
    """Return the MiB that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / MIB


def most_held() -> float:
    """Return the most MiB that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB


STAGES: dict[str, Callable[[str, Path, Path, int, int], list[Row]]] = {
    "index, built": index_row,
    "index, from the cache": index_row,
    "training, one object after another": training_row,
    "evaluation, one object after another": evaluation_row,
}


def run_stage(stage: str, cache: Path, file: Path, photos: Path, size: int, seen: int) -> list[Row]:
    """Run a stage in this process."""
    os.environ["DEXTR_CACHE"] = str(cache)
    use_threads(1)
    return STAGES[stage](stage, file, photos, size, seen)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--objects", type=cli.positive, default=100_000, help="in the file")
    parser.add_argument("--seen", type=cli.positive, default=4000, help="to go through")
    parser.add_argument("--size", type=cli.positive, default=256, help="side of the crop")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    args = parse(argv)
    rows: list[Row] = [HEADER]
    with tempfile.TemporaryDirectory() as folder:
        file, photos = make_coco(Path(folder), args.objects, IMAGE_HW)
        print(f"{machine()}; annotation file of {file.stat().st_size / MIB:.0f} MiB")
        fresh = multiprocessing.get_context("forkserver")
        fresh.set_forkserver_preload(
            ["dataloaders.coco", "dataloaders.crops.loader", "dextr.evaluation.scoring"]
        )
        for stage in STAGES:
            with ProcessPoolExecutor(1, fresh) as pool:
                options = (stage, Path(folder) / "cache", file, photos, args.size, args.seen)
                rows += pool.submit(run_stage, *options).result()
    print(markdown(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
