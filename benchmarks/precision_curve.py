"""Whether training in bf16 follows training in float32: the same run in both, losses compared.

Network, objects, their order and augmentation are the same in both runs. A third run in float32
from another seed shows how far apart two runs are that differ in chance alone. Options that are
not listed here go to train_pascal.py.

Examples:
  python -m benchmarks.precision_curve --shapes 2400 --json curves.json --picture curves.png
  python -m benchmarks.precision_curve --folder photos --init bundled --epochs 3
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.timing import machine, markdown, parser
from benchmarks.training import train
from dextr.common import cli
from dextr.common.errors import UserError

RUNS = {
    "float32": ("--amp", "off", "--seed", "0"),
    "bf16": ("--amp", "bf16", "--seed", "0"),
    "float32, other seed": ("--amp", "off", "--seed", "1"),
}
RECIPE = "--batch-size 8 --head-lr-factor 1 --schedule cosine --warmup-steps 15 --log-every 1"
HEADER = ("run", "first loss", "last loss", "largest difference to float32")


def smoothed(losses: Sequence[float], window: int) -> NDArray[np.float64]:
    """Return the means of every `window` losses in a row.

    >>> smoothed([1, 2, 3, 6], 2).tolist()
    [1.5, 2.5, 4.5]
    """
    return np.convolve(losses, np.full(window, 1 / window), "valid")


def draw(path: Path, curves: dict[str, NDArray[np.float64]], window: int) -> None:
    """Write a picture of the smoothed curves, in the format of the file's ending."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for name, values in curves.items():
        axes.plot(np.arange(len(values)) + window, values, label=name)
    axes.set(xlabel="step", ylabel=f"loss, mean of {window} steps", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parser(__doc__, "--json")
    add = options.add_argument
    add("--window", type=cli.positive, default=20, help="steps that are averaged (20)")
    add("--picture", type=cli.output_file, metavar="FILE", help="the curves, such as curves.png")
    args, rest = options.parse_known_args(argv)
    losses = {}
    for name, own in RUNS.items():
        # TF32 would round the convolutions of float32 numbers to 10 bits on a GPU.
        log = train([*RECIPE.split(), *own, *rest], tf32=False)
        losses[name] = [line["loss"] for line in log]
    if args.window > (steps := len(losses["float32"])):
        raise UserError(f"--window {args.window}: expected at most the steps of a run, {steps}")
    curves = {name: smoothed(values, args.window) for name, values in losses.items()}
    plain = curves["float32"]
    apart = {name: float(np.max(np.abs(curve - plain) / plain)) for name, curve in curves.items()}
    rows = [
        (name, f"{curve[0]:.4f}", f"{curve[-1]:.4f}", f"{100 * apart[name]:.1f} %")
        for name, curve in curves.items()
    ]
    print(f"{machine()}\n\nmeans of {args.window} steps:\n\n{markdown([HEADER, *rows])}")
    if args.json:
        content = {"machine": machine(), "losses": losses, "largest_difference": apart}
        args.json.write_text(json.dumps(content, indent=1) + "\n")
    if args.picture:
        draw(args.picture, curves, args.window)
    return 0


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
