"""Score a network, or masks made elsewhere, on a data set.

Run by torchrun, several processes share the objects; the numbers stay the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dataloaders.instances import Instances
from dataloaders.open import DATASETS, open_dataset
from dextr.case_page import CASES, write_page
from dextr.cli import natural, positive, run
from dextr.coco_ap import Detection, average_precision, detection_of
from dextr.distributed import World, join
from dextr.evaluation import Outcome
from dextr.judges import Judge, folder_judge, network_judge
from dextr.mask_folder import MaskFolder, labels_of
from dextr.metrics import ObjectScore, summarize
from dextr.predictor import THRESHOLD, Predictor
from dextr.protocol import POINTS, PROTOCOLS, EvaluationSettings
from dextr.refinement import EXTREMES, refine, summarize_refinement
from dextr.report import as_json, draw_curve, refinement_table, table, write_text
from dextr.weights import load_network

SWEEP = tuple(k / 20 for k in range(1, 20))
NETWORK_OPTIONS = (
    "weights",
    "points",
    "click_noise",
    "seed",
    "protocol",
    "size",
    "relax",
    "clicks",
)
CURVE = "clicks.png"
EXAMPLES = """examples:
  python eval.py                                             # synthetic objects, bundled network
  python eval.py --dataset pascal --root data --weights pascal-sbd
  python eval.py --dataset pascal --root data --sweep --json result.json --page cases
  python eval.py --dataset pascal --root data --clicks 8 --page clicks
  python eval.py --dataset folder --root photos --save-masks masks
  python eval.py --dataset folder --root photos --predictions masks
  torchrun --nproc-per-node 4 eval.py --dataset coco --root coco
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    args = parse(argv)
    with join(args.device) as world:
        instances = open_instances(args, world)
        rows = spread(len(instances), args.limit)
        judge = make_judge(args, instances, world)
        folder = MaskFolder(args.save_masks) if args.save_masks else None
        detections: list[Detection] = []

        def visit(outcome: Outcome) -> None:
            if folder:
                folder.write_object(outcome.instance, outcome.mask)
            if args.dataset == "coco":
                detections.append(detection_of(outcome))

        if args.clicks:
            rounds = refine(judge, rows, world, args.clicks, visit)
        else:
            rounds = [judge.score(rows, world, visit)]
        found = [detection for part in world.gather(detections) for detection in part]
        if world.main:
            report(args, instances, judge, rounds, found)
            if folder:
                draw_label_maps(folder, instances, rows)
    return 0


def open_instances(args: argparse.Namespace, world: World) -> Instances:
    """Open the data set that was asked for."""
    if args.dataset is None:
        args.dataset = "shapes"
        if world.main:
            print("no --dataset given: scoring synthetic shapes made on the fly")
    return open_dataset(
        args.dataset,
        args.root,
        args.split,
        annotations=args.annotations,
        categories=args.categories,
    )


def spread(count: int, limit: int | None) -> list[int]:
    """Return all rows, or `limit` of them spread evenly over the data set."""
    chosen = count if limit is None else min(limit, count)
    return [k * count // chosen for k in range(chosen)]


def make_judge(args: argparse.Namespace, instances: Instances, world: World) -> Judge:
    """Return the source of masks: a network, or a folder."""
    sweep = SWEEP if args.sweep else ()
    if args.predictions:
        threshold = THRESHOLD if args.threshold is None else args.threshold
        settings = EvaluationSettings(thresholds=(threshold, *sweep))
        labels = labels_of(instances.index.object_id, instances.index.image)
        return folder_judge(args.predictions, instances, labels, settings, args.workers)
    loaded = load_network(args.weights)
    if world.main and not loaded.trained:
        print("these weights are UNTRAINED: the numbers say nothing about the method")
    predictor = Predictor(
        loaded.network,
        size=args.size or loaded.size,
        relax=loaded.relax if args.relax is None else args.relax,
        threshold=loaded.threshold if args.threshold is None else args.threshold,
        device=world.device,
        batch_size=args.batch_size,
    )
    settings = EvaluationSettings(
        points=args.points or "crop",
        noise=args.click_noise or 0,
        protocol=args.protocol or "paper",
        thresholds=(predictor.threshold, *sweep),
        seed=args.seed or 0,
    )
    return network_judge(loaded, predictor, instances, settings, args.workers)


def report(
    args: argparse.Namespace,
    instances: Instances,
    judge: Judge,
    rounds: list[list[ObjectScore]],
    detections: list[Detection],
) -> None:
    """Print the numbers and write what was asked for."""
    scores = rounds[0]
    summary = summarize(scores, instances.category_names)
    precision = average_precision(detections) if detections else None
    title = f"{instances.name}: {len(scores)} of {len(instances)} objects, {judge.title}"
    numbers = table(summary, precision)
    refinement = summarize_refinement(rounds) if len(rounds) > 1 else None
    if refinement:
        numbers += "\n\n" + refinement_table(refinement)
    print(f"{title}\n\n{numbers}")
    if args.json:
        names = list(instances.category_names)
        dataset = {"name": instances.name, "objects": len(instances), "categories": names}
        text = as_json(
            summary,
            scores,
            dataset=dataset,
            weights=judge.weights,
            settings=judge.settings,
            average_precision=precision,
            refinement=refinement,
        )
        write_text(args.json, text)
    if args.page:
        if refinement:
            draw_curve(Path(args.page) / CURVE, refinement, instances.name)
        page = write_page(
            args.page,
            title,
            numbers,
            scores,
            judge.outcomes,
            instances.category_names,
            args.cases,
            [CURVE] if refinement else [],
        )
        print(f"\nworst and best cases: {page}")


def draw_label_maps(folder: MaskFolder, instances: Instances, rows: list[int]) -> None:
    """Write the palette PNG of every image whose objects were saved."""
    index = instances.index
    labels = labels_of(index.object_id, index.image)
    saved = np.asarray(rows)
    for image in np.unique(index.image[saved]):
        own = saved[index.image[saved] == image]
        name = str(index.image_ids[image])
        folder.write_map(name, index.object_id[own].tolist(), labels[own].tolist())


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(
        prog="eval.py",
        description="Score a network, or masks made elsewhere, on a data set.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    data = parser.add_argument_group("data")
    add = data.add_argument
    add(
        "--dataset",
        choices=DATASETS,
        help="kind of data set (default: shapes, synthetic); run: what a training run kept out",
    )
    add("--root", metavar="DIR", help="the data set's folder")
    add("--split", metavar="NAME", help="part of it (default: the one for validation)")
    add("--annotations", metavar="FILE", help="coco: the instances file, if not below --root")
    add("--categories", metavar="NAME", nargs="+", help="objects of these categories only")
    add("--limit", metavar="N", type=positive, help="N objects, evenly spread over the data set")

    network = parser.add_argument_group("network and its input")
    add = network.add_argument
    add(
        "--weights",
        metavar="NAME|FILE",
        help="as `python -m dextr weights` lists them, or a file (default: the bundled network)",
    )
    add(
        "--points",
        choices=POINTS,
        help="extreme points found on the resized crop, as released, "
        "or in the image, as an annotator clicks (default: crop)",
    )
    add(
        "--click-noise",
        metavar="PIXELS",
        type=natural,
        help="with --points image: each click is off by up to so many pixels in x and y",
    )
    add(
        "--clicks",
        metavar="N",
        type=positive,
        help="refine: after the extreme points an annotator clicks the outline's pixel nearest to "
        "the largest error, up to N points in all; the curve goes to --page. All other numbers, "
        "masks and cases are those after the four extreme points",
    )
    add("--seed", type=natural, help="chooses among equally extreme pixels, and the noise (0)")
    add(
        "--protocol",
        choices=PROTOCOLS,
        help="paper: probability > threshold (default); released: "
        "first stretched to 0..255 over each image, as the released code's files were",
    )
    add("--size", metavar="PIXELS", type=positive, help="side of the crop (default: the weights')")
    add(
        "--relax", metavar="PIXELS", type=natural, help="margin of the crop (default: the weights')"
    )
    add("--device", help="cpu, cuda or cuda:N (default: a GPU if there is one)")
    add("--batch-size", metavar="N", type=positive, default=4, help="objects at once (4)")
    add(
        "--workers",
        metavar="N",
        type=natural,
        default=2,
        help="threads that read and score while the network runs (2); never changes a number",
    )

    scores = parser.add_argument_group("scores")
    add = scores.add_argument
    add(
        "--threshold",
        type=float,
        help="probability above which a pixel is the object's "
        f"(default: the weights', else {THRESHOLD})",
    )
    add("--sweep", action="store_true", help="mean IoU at thresholds 0.05, 0.1 .. 0.95 as well")
    add(
        "--predictions",
        metavar="DIR",
        help="score the masks in this folder instead of a network: "
        "objects/IMAGE/OBJECT.png (0 and 255), or IMAGE.png with the objects' numbers (palette or "
        "grey), as --save-masks writes them",
    )

    output = parser.add_argument_group("output")
    add = output.add_argument
    add("--json", metavar="FILE", help="all numbers, per object too, and what they depend on")
    add("--save-masks", metavar="DIR", help="a PNG per object and a palette PNG per image")
    add("--page", metavar="DIR", help="worst and best cases as pictures: index.html and two sheets")
    add("--cases", metavar="N", type=positive, default=CASES, help=f"of each kind ({CASES})")

    args = parser.parse_args(argv)
    given = [name for name in NETWORK_OPTIONS if getattr(args, name) is not None]
    if args.predictions and given:
        flags = ", ".join("--" + name.replace("_", "-") for name in given)
        parser.error(f"{flags}: not with --predictions, where no network runs")
    if args.clicks is not None and args.clicks <= EXTREMES:
        parser.error(
            f"--clicks: expected more than the {EXTREMES} extreme points, got {args.clicks}"
        )
    return args


if __name__ == "__main__":
    raise SystemExit(run(main))
