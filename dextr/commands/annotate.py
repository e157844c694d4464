"""Masks for files full of points: `python -m dextr annotate`."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from dextr.annotation.coco_writer import CocoWriter, Writer, Written
from dextr.annotation.cut_out import annotate
from dextr.annotation.label_map_writer import FolderWriter, VocWriter
from dextr.annotation.objects import PointsFile, Problem, by_image
from dextr.annotation.points_file import read_points
from dextr.common.cli import UNTRAINED, add_network_options, path, text
from dextr.common.errors import UserError
from dextr.common.files import new_folder
from dextr.common.options import real
from dextr.common.processes import World, join
from dextr.weights.load import load_network

PARTS = ".parts"
# What no other image would fare better with.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
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
        points = read_points(args.points, args.from_masks, args.keep_crowd)
        check_folders(args.points, args.images, args.output)
        writer = make_writer(args, points)
        return finish(args, writer, *annotate_share(args, points, writer, world), world)


def annotate_share(
    args: argparse.Namespace, points: PointsFile, writer: Writer, world: World
) -> tuple[list[Written], int]:
    """Write this process's share of the images; return what was written, and how many were not."""
    problems = _report(points.problems) if world.main else 0
    loaded = load_network(args.weights)
    if world.main and not loaded.trained:
        print(UNTRAINED, file=sys.stderr)
    predictor = loaded.predictor(world.device, threshold=args.threshold, batch_size=args.batch_size)
    grouped = by_image(points.objects)
    own = sorted(grouped)[world.rank :: world.size]
    objects = [entry for name in own for entry in grouped[name]]
    images = annotate(args.images, objects, predictor, args.output / PARTS, loaded.digest())
    hidden = None if world.main else True
    written: list[Written] = []
    for image in tqdm(images, "annotate", len(own), unit="image", disable=hidden):
        problems += _report(image.problems)
        if not image.readable:
            continue
        try:
            written.append(writer.image(image))
            problems += _report(written[-1].problems)
        except (ValueError, OSError) as error:
            if getattr(error, "errno", None) in NO_ROOM:
                raise
            problems += _report([Problem(o.place, str(error)) for o in image.objects])
    return written, problems


def finish(
    args: argparse.Namespace, writer: Writer, written: list[Written], problems: int, world: World
) -> int:
    """Write what spans all images of all processes, say what was done; return the exit code."""
    everything = [image for share in world.gather(written) for image in share]
    left_out = sum(world.gather(problems))
    count = sum(image.count for image in everything)
    if not count:
        reason = f"no object could be annotated ({left_out} rows were left out)"
        raise UserError(f"{args.points}: {reason}")
    if world.main:
        where = writer.finish(sorted(everything, key=lambda image: image.image))
        print(f"{count} objects on {len(everything)} images: {where}", flush=True)
        if left_out:
            print(f"{left_out} rows were left out, see above", file=sys.stderr)
    # torchrun ends all processes once one returns 1: none may before everything is written.
    return world.from_main(1 if left_out else 0)


def check_folders(points: Path, images: Path, output: Path) -> None:
    """See that nothing a person has is written over; ValueError if it would be."""
    if not images.is_dir():
        raise UserError(f"{images}: no such folder of images")
    for given in (points, images):
        if output.resolve() in (given.resolve(), *given.resolve().parents):
            raise UserError(f"{output} holds {given}: give --output a folder of its own")
    new_folder(output, PARTS)


def make_writer(args: argparse.Namespace, points: PointsFile) -> Writer:
    """Return what writes the format that was asked for."""
    output, polygons = args.output, args.segmentation == "polygons"
    if args.format == "voc":
        return VocWriter(output, args.images, points, args.split or "train")
    if args.format == "png":
        return FolderWriter(output, args.images, points)
    names = points.categories, points.image_ids
    return CocoWriter(output / "instances.json", *names, polygons, args.simplify or 0)


def _report(problems: Sequence[Problem]) -> int:
    """Say what is left out, and return how many that are."""
    for problem in problems:
        tqdm.write(f"left out: {problem}", file=sys.stderr)
    return len(problems)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(
        prog="dextr annotate",
        description="Cut out every object whose extreme points are in a file.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--points", metavar="FILE", type=path, required=True, help="CSV, JSON or COCO, see below")
    add("--images", metavar="DIR", type=path, required=True, help="what image names start from")
    add("--output", metavar="OUT", type=path, required=True, help="the folder to write to")
    add("--from-masks", action="store_true", help="COCO: find the extreme points of given masks")
    add("--keep-crowd", action="store_true", help="COCO: crowd regions (iscrowd 1) are objects too")
    add("--format", choices=("coco", "voc", "png"), default="coco", help="see below (coco)")
    add("--segmentation", choices=("rle", "polygons"), help="coco: run lengths, exact (default)")
    add(
        "--simplify",
        metavar="PIXELS",
        type=real(0, 1000),
        help="polygons: how far they may move (0)",
    )
    add("--split", metavar="NAME", type=text, help="voc: name of the list of images (train)")
    add_network_options(parser, "--weights", "--threshold", "--device", "--batch-size")
    args = parser.parse_args(argv)
    if args.segmentation and args.format != "coco":
        parser.error("--segmentation: only with --format coco")
    if args.simplify is not None and args.segmentation != "polygons":
        parser.error("--simplify: only with --segmentation polygons")
    if args.split and (args.format != "voc" or Path(args.split).name != args.split):
        parser.error("--split: a name, only with --format voc")
    return args
