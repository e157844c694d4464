"""The options of `eval.py`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from dextr.common.cli import natural, positive
from dextr.evaluation.cases import CASES
from dextr.evaluation.protocol import POINTS, PROTOCOLS
from dextr.evaluation.refinement import EXTREMES
from dextr.samples import THRESHOLD

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
EXAMPLES = """examples:
  python eval.py                                             # synthetic objects, bundled network
  python eval.py --dataset pascal --root data --weights pascal-sbd
  python eval.py --dataset pascal --root data --sweep --json result.json --page cases
  python eval.py --dataset pascal --root data --clicks 8 --page clicks
  python eval.py --dataset folder --root photos --save-masks masks
  python eval.py --dataset folder --root photos --predictions masks
  torchrun --nproc-per-node 4 eval.py --dataset coco --root coco
"""


def parse(argv: Sequence[str] | None, datasets: Sequence[str]) -> argparse.Namespace:
    """Return the options; `datasets` are the names that --dataset takes."""
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
        choices=datasets,
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
        help="threads that read and score while the network runs (2), with a GPU a few; 0: none; "
        "never changes a number",
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
