"""Making a trained network ready to be passed on: `python -m dextr pack`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

from dextr.common.cli import add_network_options, output_file, parsed, text
from dextr.common.files import file_sha256
from dextr.common.options import PROBABILITY
from dextr.geometry import Margin
from dextr.weights import load_network, save_network


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python -m dextr pack`."""
    parser = argparse.ArgumentParser(
        prog="dextr pack",
        description="Write a network to a small file that says what it is: half precision, its "
        "threshold, its recipe, and no folder names of the machine it was trained on.",
        epilog="Threshold and margin should be chosen on objects kept out of training:\n"
        "  python eval.py --dataset run --root runs/NAME-1 --weights FILE --relax 20,0.2 --sweep",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add, yes_or_no = parser.add_argument, argparse.BooleanOptionalAction
    add("weights", type=text, help="a run's weights.safetensors or checkpoint, or a name")
    add("output", type=output_file, help="the .safetensors file to write")
    add_network_options(parser, "--threshold")
    add(
        "--relax",
        type=parsed(Margin.of),
        metavar="PIXELS[,SHARE]",
        help="margin around an object's box in pixels of the image, and at least this share of its "
        "longer side (default: the weights')",
    )
    add(
        "--mirror",
        action=yes_or_no,
        help="average over the crop and its mirror image: twice the time (default: the weights')",
    )
    add(
        "--pieces", type=PROBABILITY, metavar="SHARE",
        help="drop pieces of a mask that no click touches and that are smaller than this share of "
        "it; 0: none (default: the weights')",
    )  # fmt: skip
    add("--note", default="", help="where the values come from, in words")
    add("--half", action=yes_or_no, default=True, help="default: yes")
    args = parser.parse_args(argv)

    loaded = load_network(args.weights)
    about, network = loaded.about, loaded.layers
    if args.mirror is not None:
        network.config = replace(network.config, mirror=args.mirror)
    save_network(
        args.output,
        network,
        size=about.size,
        relax=about.relax if args.relax is None else args.relax,
        threshold=about.threshold if args.threshold is None else args.threshold,
        origin={**about.origin, "note": args.note} if args.note else about.origin,
        half=args.half,
        pieces=about.pieces if args.pieces is None else args.pieces,
    )
    size = args.output.stat().st_size / 2**20
    print(f"{args.output}: {size:.1f} MiB, sha256:{file_sha256(args.output)}")
    return 0
