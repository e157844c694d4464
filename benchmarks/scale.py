"""Many objects: how long an index of them takes, and whether memory grows with their number.

A COCO annotation file of polygons and its photos are made up. Every stage runs in a process of its
own. Times are CPU time; memory is what the process holds (resident, Linux only) beyond what it held
before.

Example:
  python -m benchmarks.scale --objects 100000
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path

from benchmarks.made_data import make_coco
from benchmarks.timing import machine, markdown, parser, use_threads
from dataloaders.coco import CocoInstances
from dataloaders.crops.loader import BatchLoader
from dataloaders.crops.training_set import BatchPlan, TrainingSet
from dataloaders.crops.transforms import TrainTransform, TransformConfig
from dextr.common import cli
from dextr.evaluation.protocol import EvaluationSettings
from dextr.evaluation.scoring import evaluate
from dextr.evaluation.summary import summarize
from dextr.geometry import SIZES
from dextr.metrics import ObjectScore
from dextr.predictor import Predictor

Row = tuple[str, ...]
HEADER = ("stage", "objects", "time", "memory")
# What a stage's process starts with: a wrong name here would be swallowed, and change its memory.
PRELOADED = ["dataloaders.coco", "dataloaders.crops.loader", "dextr.evaluation.scoring"]
MIB = 2**20


def index_rows(stage: str, file: Path, photos: Path, size: int, seen: int) -> list[Row]:
    """Time the index and what it holds; `seen` and `size` are not used."""
    before, start = held(), time.process_time()
    data = CocoInstances(file, photos)
    seconds = time.process_time() - start
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB
    memory = f"{held() - before:.0f} MiB, at most {most - before:.0f} MiB"
    return [(stage, f"{len(data):,}", f"{seconds:.2f} s", memory)]


def training_rows(stage: str, file: Path, photos: Path, size: int, seen: int) -> list[Row]:
    """Train on nothing but the loader: memory after a tenth of the objects, and after all."""
    data = CocoInstances(file, photos)
    training_set = TrainingSet(data, TrainTransform(TransformConfig(size=size)), 0)
    batches = BatchLoader(training_set, BatchPlan(len(data), 5, 0), 0, False).batches(0)
    return [watched(stage, lambda count: sum(map(len, islice(batches, -(-count // 5)))), seen)]


def evaluation_rows(stage: str, file: Path, photos: Path, size: int, seen: int) -> list[Row]:
    """Read, encode, paste and score without a network; then keep every object's own score."""
    data, scores = CocoInstances(file, photos), list[ObjectScore]()
    predictor = Predictor(lambda inputs: 0 * inputs[:, :1], size=size, batch_size=1)

    def score(count: int) -> int:
        rows = [k % len(data) for k in range(len(scores), len(scores) + count)]
        scores.extend(evaluate(predictor, data, EvaluationSettings(), rows, progress=False))
        return count

    row, before = watched(stage, score, seen), held()
    kept = [pickle.loads(pickle.dumps(scores[k % len(scores)])) for k in range(len(data))]
    memory, start = f"{held() - before:.0f} MiB", time.process_time()
    summarize(kept, data.category_names)
    seconds = time.process_time() - start
    return [row, ("scores kept, summarized", f"{len(kept):,}", f"{seconds:.2f} s", memory)]


def watched(stage: str, go_on: Callable[[int], int], seen: int) -> Row:
    """Go through objects until `seen` are done; say what was held after a tenth, and at the end."""
    before, start = held(), time.process_time()
    done = go_on(seen // 10)
    early = held() - before
    done += go_on(seen - done)
    each = 1000 * (time.process_time() - start) / done
    memory = f"{early:.0f} MiB after {seen // 10:,}, {held() - before:.0f} MiB at the end"
    return (stage, f"{done:,}", f"{each:.1f} ms each", memory)


def held() -> float:
    """Return the MiB that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / MIB


STAGES: dict[str, Callable[[str, Path, Path, int, int], list[Row]]] = {
    "index, built": index_rows,
    "index, from the cache": index_rows,
    "training, one object after another": training_rows,
    "evaluation, one object after another": evaluation_rows,
}


def run_stage(stage: str, cache: Path, file: Path, photos: Path, size: int, seen: int) -> list[Row]:
    """Run a stage in this process."""
    os.environ["DEXTR_CACHE"] = str(cache)
    use_threads(1)
    return STAGES[stage](stage, file, photos, size, seen)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parser(__doc__)
    add = options.add_argument
    add("--objects", type=cli.positive, default=100_000, help="in the file")
    add("--seen", type=cli.positive, default=4000, help="to go through")
    add("--size", type=SIZES, default=256, help="side of the crop")
    args = options.parse_args(argv)
    rows: list[Row] = [HEADER]
    with tempfile.TemporaryDirectory() as folder:
        file, photos = make_coco(Path(folder), args.objects, (480, 640))
        print(f"{machine()}; annotation file of {file.stat().st_size / MIB:.0f} MiB")
        fresh = multiprocessing.get_context("forkserver")
        fresh.set_forkserver_preload(PRELOADED)
        for stage in STAGES:
            with ProcessPoolExecutor(1, fresh) as pool:
                given = (stage, Path(folder) / "cache", file, photos, args.size, args.seen)
                rows += pool.submit(run_stage, *given).result()
    print(markdown(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
