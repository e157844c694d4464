"""Making a trained network ready to be passed on: `python -m dextr pack`."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dextr.common.cli import natural
from dextr.predictor import check_threshold
from dextr.weights.load import load_network, save_network


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python -m dextr pack`."""
    parser = argparse.ArgumentParser(
        prog="dextr pack",
        description="Write a network to a small file that says what it is: half precision, its "
        "threshold, its recipe, and no folder names of the machine it was trained on.",
        epilog="Threshold and margin should be chosen on objects kept out of training:\n"
        "  python eval.py --dataset run --root runs/NAME-1 --weights FILE --relax 50 --sweep",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("weights", help="a run's weights.safetensors or checkpoint, or a name")
    parser.add_argument("output", type=Path, help="the .safetensors file to write")
    parser.add_argument("--threshold", type=float, help="default: what the weights say")
    parser.add_argument(
        "--relax",
        type=natural,
        help="margin around an object's box in pixels of the image (default: what the weights say)",
    )
    parser.add_argument(
        "--mirror",
        action=argparse.BooleanOptionalAction,
        help="average over the crop and its mirror image: twice the time (default: what the "
        "weights say)",
    )
    parser.add_argument("--note", default="", help="where the values come from, in words")
    parser.add_argument(
        "--half", action=argparse.BooleanOptionalAction, default=True, help="default: yes"
    )
    args = parser.parse_args(argv)

    loaded = load_network(args.weights)
    threshold = loaded.threshold if args.threshold is None else check_threshold(args.threshold)
    network = loaded.layers
    if args.mirror is not None:
        network.config = replace(network.config, mirror=args.mirror)
    save_network(
        args.output,
        network,
        size=loaded.size,
        relax=loaded.relax if args.relax is None else args.relax,
        threshold=threshold,
        origin={**loaded.origin, "note": args.note} if args.note else loaded.origin,
        half=args.half,
    )
    digest = hashlib.sha256(args.output.read_bytes()).hexdigest()
    print(f"{args.output}: {args.output.stat().st_size / 2**20:.1f} MiB, sha256:{digest}")
    return 0
