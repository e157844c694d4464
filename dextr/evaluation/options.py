"""The options of `eval.py`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from dextr.common.cli import (
    add_network_options,
    output_file,
    output_folder,
    parsed,
    path,
    positive,
    text,
)
from dextr.common.options import PROBABILITY, SEEDS, whole
from dextr.evaluation.cases import CASES
from dextr.evaluation.protocol import POINTS, PROTOCOLS
from dextr.geometry import SIZES, Margin
from dextr.points import EXTREMES

# With masks made elsewhere these have no meaning.
OF_A_NETWORK = (
    "weights", "points", "click_noise", "seed", "protocol", "size", "relax", "clicks", "pieces",
    "amp",
)  # fmt: skip
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
        prog="eval.py", description="Score a network, or masks made elsewhere, on a data set.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    _add_data(parser.add_argument_group("data"), datasets)
    _add_network(parser.add_argument_group("network and its input"))
    _add_output(parser.add_argument_group("scores and output"))
    args = parser.parse_args(argv)
    given = [name for name in OF_A_NETWORK if getattr(args, name) is not None]
    if args.predictions and given:
        flags = ", ".join("--" + name.replace("_", "-") for name in given)
        parser.error(f"{flags}: not with --predictions, where no network runs")
    return args


def _add_data(group: argparse._ArgumentGroup, datasets: Sequence[str]) -> None:
    add = group.add_argument
    add(
        "--dataset", choices=datasets,
        help="kind of data set (default: shapes, synthetic); run: what a training run kept out",
    )  # fmt: skip
    add("--root", metavar="DIR", type=path, help="the data set's folder")
    add("--split", metavar="NAME", type=text, help="part of it (default: the one for validation)")
    add(
        "--annotations", metavar="FILE", type=path,
        help="coco: the instances file, if not below --root",
    )  # fmt: skip
    add("--keep-crowd", action="store_true", help="coco: crowd regions (iscrowd 1) are objects too")
    add(
        "--categories", metavar="NAME", nargs="+", type=text,
        help="objects of these categories only",
    )  # fmt: skip
    add("--limit", metavar="N", type=positive, help="N objects, evenly spread over the data set")


def _add_network(group: argparse._ArgumentGroup) -> None:
    add_network_options(group, "--weights", "--device", "--threshold", "--batch-size")
    add = group.add_argument
    add(
        "--points", choices=POINTS,
        help="extreme points found on the resized crop, as released, "
        "or in the image, as an annotator clicks (default: crop)",
    )  # fmt: skip
    add(
        "--click-noise", metavar="PIXELS", type=whole(0, 1000),
        help="with --points image: each click is off by up to so many pixels in x and y",
    )  # fmt: skip
    add(
        "--clicks", metavar="N", type=whole(EXTREMES + 1, 1000),
        help="refine: after the extreme points an annotator clicks the outline's pixel nearest to "
        "the largest error, up to N points in all; the curve goes to --page. All other numbers, "
        "masks and cases are those after the four extreme points",
    )  # fmt: skip
    add(
        "--seed", type=SEEDS,
        help="chooses among equally extreme pixels, and the noise (0)",
    )  # fmt: skip
    add(
        "--protocol", choices=PROTOCOLS,
        help="paper: probability > threshold (default); released: "
        "first stretched to 0..255 over each image, as the released code's files were",
    )  # fmt: skip
    of_weights = "(default: the weights')"
    add("--size", metavar="PIXELS", type=SIZES, help=f"side of the crop {of_weights}")
    add(
        "--relax",
        metavar="PIXELS[,SHARE]",
        type=parsed(Margin.of),
        help=f"margin of the crop, at least this share of the longer side {of_weights}",
    )
    add(
        "--pieces", metavar="SHARE", type=PROBABILITY,
        help="drop pieces of a mask that no extreme point touches and that are smaller than this "
        f"share of it; 0: none, as in the paper {of_weights}",
    )  # fmt: skip
    add(
        "--amp", choices=("off", "bf16", "fp16"),
        help="convolutions in half precision, for GPUs: masks differ a little (off)",
    )  # fmt: skip
    add(
        "--workers", metavar="N", type=whole(0, 256), default=2,
        help="threads that read and score while the network runs (2), with a GPU a few; 0: none; "
        "never changes a number",
    )  # fmt: skip


def _add_output(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--sweep", action="store_true", help="mean IoU at thresholds 0.05, 0.1 .. 0.95 as well")
    add(
        "--predictions", metavar="DIR", type=path,
        help="score the masks in this folder instead of a network: objects/IMAGE/OBJECT.png (0 "
        "and 255), or IMAGE.png with the objects' numbers (palette or grey), as --save-masks "
        "writes them",
    )  # fmt: skip
    add(
        "--json",
        metavar="FILE",
        type=output_file,
        help="all numbers, per object too, and what they depend on",
    )
    add(
        "--save-masks", metavar="DIR", type=output_folder,
        help="a PNG per object and a palette PNG per image",
    )  # fmt: skip
    add(
        "--page", metavar="DIR", type=output_folder,
        help="worst and best cases as pictures: index.html and two sheets",
    )  # fmt: skip
    add("--cases", metavar="N", type=whole(1, 1000), default=CASES, help=f"of each kind ({CASES})")
