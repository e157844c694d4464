"""Masks for files full of points: `python -m dextr annotate`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dextr.annotation.coco_writer import CocoExporter, Exporter, ImageExport
from dextr.annotation.cut_out import cut_out
from dextr.annotation.label_map_writer import PngExporter, VocExporter
from dextr.annotation.objects import ObjectPoints, PointsFile, Problem
from dextr.annotation.parts import PartStore
from dextr.annotation.points_file import read_points
from dextr.common.cli import positive
from dextr.common.processes import World, join
from dextr.predictor import Predictor
from dextr.weights.load import LoadedNetwork, load_network

PARTS = ".parts"
EPILOG = """files of points:
  CSV   headings, then a row per object; more points and the label may be left out:
          image,x1,y1,x2,y2,x3,y3,x4,y4,x5,y5,label
          photos/cat.jpg,12,80,230,95,110,20,100,190,,,cat
  JSON  [{"image": "photos/cat.jpg", "points": [[12, 80], [230, 95], ...], "label": "cat"}, ...]
  COCO  "extreme_points": [[x, y], ...] in each annotation, or --from-masks
Points are the left-, right-, top- and bottom-most of the object, in any order, then any others on
its outline; x to the right and y down, in pixels from 0, of the image as its EXIF data turns it.

results, in the folder OUT:
  coco  instances.json; a polygon of an object with holes is cut open to reach them
  voc   JPEGImages, SegmentationObject, SegmentationClass, ImageSets/Segmentation/SPLIT.txt; an
        object whose label is none of VOC's twenty is 255 in SegmentationClass
  png   objects/IMAGE/NUMBER.png, and images/ with masks/ (all objects of an image, numbered)

What is finished is kept in OUT/.parts: the same command goes on after an interruption, and another
--format is written at once. Delete the folder when you are done. Rows that cannot be used are named
on stderr. Exit code: 0 all done, 1 some rows were left out, 2 nothing was done (under torchrun 1).

examples:
  python -m dextr annotate --points clicks.csv --images photos --output out
  python -m dextr annotate --points clicks.csv --images photos --output out --segmentation polygons
  torchrun --nproc-per-node 4 -m dextr annotate --points clicks.json --images photos --output out
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python -m dextr annotate`."""
    args = parse(argv)
    with join(args.device) as world:
        return annotate(args, world)


def annotate(args: argparse.Namespace, world: World) -> int:
    """Cut out this process's share of the images; return the exit code."""
    points = read_points(args.points, args.from_masks)
    check_folders(args.points, args.images, args.output)
    if world.main:
        _report(points.problems)
    exporter = make_exporter(args, points)
    loaded = load_network(args.weights)
    if world.main and not loaded.trained:
        print("these weights are UNTRAINED: the masks mean nothing", file=sys.stderr)
    predictor = loaded.predictor(world.device, threshold=args.threshold, batch_size=args.batch_size)
    store = PartStore(args.output / PARTS, fingerprint(loaded, predictor))
    by_image: dict[str, list[ObjectPoints]] = {}
    for entry in points.objects:
        by_image.setdefault(entry.image, []).append(entry)
    own = sorted(by_image)[world.rank :: world.size]
    exports: list[ImageExport] = []
    problems: list[Problem] = []
    for image in tqdm(own, "annotate", unit="image", disable=None if world.main else True):
        found, bad = annotate_image(args.images, by_image[image], predictor, store, exporter)
        _report(bad)
        exports += found
        problems += bad
    exports = [export for part in world.gather(exports) for export in part]
    bad_count = len(points.problems) + sum(world.gather(len(problems)))
    count = sum(export.count for export in exports)
    if not count:
        raise ValueError(
            f"{args.points}: no object could be annotated ({bad_count} rows were left out)"
        )
    if world.main:
        where = exporter.finish(sorted(exports, key=lambda export: export.image))
        print(f"{count} objects on {len(exports)} images: {where}", flush=True)
        if bad_count:
            print(f"{bad_count} rows were left out, see above", file=sys.stderr)
    # torchrun ends all processes once one returns 1: none may before everything is written.
    return world.from_main(1 if bad_count else 0)


def check_folders(points: Path, images: Path, output: Path) -> None:
    """See that nothing a person has is written over.

    Raises:
        ValueError: No folder of images, or the output would mix with other files.
    """
    if not images.is_dir():
        raise ValueError(f"{images}: no such folder of images")
    for given in (points, images):
        if output.resolve() in (given.resolve(), *given.resolve().parents):
            raise ValueError(f"{output} holds {given}: give --output a folder of its own")
    if output.exists() and not output.is_dir():
        raise ValueError(f"{output} is a file: --output is a folder")
    if output.is_dir() and any(output.iterdir()) and not (output / PARTS).is_dir():
        raise ValueError(f"{output} holds other files: give --output a new or empty folder")


def make_exporter(args: argparse.Namespace, points: PointsFile) -> Exporter:
    """Return what writes the format that was asked for."""
    if args.format == "voc":
        return VocExporter(args.output, args.images, points, args.split or "train")
    if args.format == "png":
        return PngExporter(args.output, args.images, points)
    polygons = args.segmentation == "polygons"
    return CocoExporter(args.output, points, polygons, args.simplify or 0)


def fingerprint(loaded: LoadedNetwork, predictor: Predictor) -> list[Any]:
    """Return what the masks depend on besides images and points."""
    return [loaded.digest(), predictor.size, predictor.relax, predictor.threshold]


def annotate_image(
    folder: Path,
    objects: Sequence[ObjectPoints],
    predictor: Predictor,
    store: PartStore,
    exporter: Exporter,
) -> tuple[list[ImageExport], list[Problem]]:
    """Cut out and write the objects of one image; return what was written and what could not be."""
    file = folder / objects[0].image
    try:
        masks = cut_out(file, objects, predictor, store)
        export = exporter.image(masks)
    except ValueError as error:
        return [], [Problem(entry.place, str(error)) for entry in objects]
    return [export], masks.problems + export.problems


def _report(problems: Sequence[Problem]) -> None:
    for problem in problems:
        tqdm.write(f"left out: {problem}", file=sys.stderr)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(
        prog="dextr annotate",
        description="Cut out every object whose extreme points are in a file.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--points", metavar="FILE", type=Path, required=True, help="CSV, JSON or COCO, see below")
    add("--images", metavar="DIR", type=Path, required=True, help="what image names start from")
    add("--output", metavar="OUT", type=Path, required=True, help="the folder to write to")
    add("--from-masks", action="store_true", help="COCO: find the extreme points of given masks")
    add("--format", choices=("coco", "voc", "png"), default="coco", help="see below (coco)")
    add("--segmentation", choices=("rle", "polygons"), help="coco: run lengths, exact (default)")
    add("--simplify", metavar="PIXELS", type=_tolerance, help="polygons: how far they may move (0)")
    add("--split", metavar="NAME", help="voc: name of the list of images (train)")
    add(
        "--weights",
        metavar="NAME|FILE",
        help="as `python -m dextr weights` lists them, or a file (default: the bundled network)",
    )
    add("--threshold", type=float, help="probability above which a pixel is the object's")
    add("--device", help="cpu, cuda or cuda:N (default: a GPU if there is one)")
    add("--batch-size", metavar="N", type=positive, default=4, help="objects at once (4)")
    args = parser.parse_args(argv)
    if args.segmentation and args.format != "coco":
        parser.error("--segmentation: only with --format coco")
    if args.simplify is not None and args.segmentation != "polygons":
        parser.error("--simplify: only with --segmentation polygons")
    if args.split and (args.format != "voc" or Path(args.split).name != args.split):
        parser.error("--split: a name, only with --format voc")
    return args


def _tolerance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected pixels, 0 or more, got {text!r}")
    return value
