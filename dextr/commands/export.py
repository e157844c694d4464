"""Networks for other runtimes: `python -m dextr export`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from dextr.common.cli import UNTRAINED, add_network_options, output_file
from dextr.common.errors import UserError
from dextr.common.options import whole
from dextr.export.agreement import agreement_table
from dextr.export.onnx_file import ParityError, export
from dextr.weights import load_network
from dextr.weights.exported import ONNX, refuse_old_export

EPILOG = """The file is ONNX, opset 18; run it with ONNX Runtime, OpenVINO, TensorRT ...
It takes `input` (N, 4, S, S), float32 in 0..255, and gives `logits` (N, 1, S, S); crop size, margin
and threshold stand in it (metadata_props, key `dextr`, JSON). A network that looks twice takes
(N, 5, S, S): zeros in the last channel for four points, then 255 times what it said of them.
demo.py, eval.py, `dextr annotate` and dextr.load_predictor run it as they run weights: in ONNX
Runtime, on the CPU.

The check reads the file back and compares it with the network, on photos that come with
scikit-image and on noise: logits within 1e-3 and equal masks. With --int8, whose ranges of values
are measured on such photos too, only photos count: the mean IoU of each one's masks must be at
least 90 %. If it fails, the exit code is 1 and no file is written.

examples:
  python -m dextr export --output dextr.onnx
  python -m dextr export --weights pascal-sbd --batch 1 --output dextr101.onnx
  python -m dextr export --int8 --output dextr-int8.onnx
  python eval.py --dataset folder --root photos --weights dextr-int8.onnx
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python -m dextr export`."""
    parser = argparse.ArgumentParser(
        prog="dextr export",
        description="Write a network to a file that other runtimes run, and check that it answers "
        "as the network does.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_network_options(parser, "--weights")
    add, yes_or_no = parser.add_argument, argparse.BooleanOptionalAction
    add(
        "--output",
        metavar="FILE",
        type=output_file,
        required=True,
        help=f"the {ONNX} file to write",
    )
    add("--batch", metavar="N", type=whole(1, 1024), help="the only batch it takes (default: any)")
    add("--int8", action="store_true", help="weights and values in 8 bits, faster and less exact")
    add("--check", action=yes_or_no, default=True, help="compare it with the network (default)")
    args = parser.parse_args(argv)
    refuse_old_export(args.output)
    if args.output.suffix != ONNX:
        raise UserError(f"{args.output}: expected a name that ends in {ONNX}")

    loaded = load_network(args.weights)
    if not loaded.trained:
        print(UNTRAINED, file=sys.stderr)
    try:
        rows = export(loaded, args.output, args.batch, args.int8, args.check)
    except ParityError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if rows:
        print(agreement_table(rows))
    print(f"{args.output}: {args.output.stat().st_size / 2**20:.1f} MiB")
    return 0
