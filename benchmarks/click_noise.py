"""What wrong clicks cost a network that makes no other mistake.

A mask is pasted inside the clicks' box only (paper protocol), so a click that lies inside the
object cuts off what is beyond it. Here the truth itself is pasted, by how far the mask may reach
beyond the box.

Example:
  python -m benchmarks.click_noise --dataset pascal --root data --noise 5
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.timing import markdown
from dataloaders.instances import Instances
from dataloaders.open import DATASETS, open_dataset
from dextr.common import cli
from dextr.evaluation.protocol import EvaluationSettings, simulate_clicks
from dextr.evaluation.summary import Summary, summarize
from dextr.geometry import RELAX, SIZE, Box
from dextr.metrics import score_object

MARGINS = (0, 1, 3, 5)


def paste_inside(mask: NDArray[np.bool_], box: Box) -> NDArray[np.float32]:
    """Return the mask (H, W) as probabilities, 0 outside the box."""
    pasted = np.zeros(mask.shape, np.float32)
    inside = box.inside((mask.shape[0], mask.shape[1])).slices()
    pasted[inside] = mask[inside]
    return pasted


def truth_pasted(instances: Instances, noise: int, margins: Sequence[int]) -> list[Summary]:
    """Score the truth inside the boxes of wrong clicks, `margins` wider on every side.

    Args:
        instances: The objects.
        noise: Pixels by which a click is off at most, along x and y.
        margins: Pixels of the image.

    Returns:
        A summary for each margin.
    """
    settings = EvaluationSettings(points="image", noise=noise)
    scores = []
    for row in tqdm(range(len(instances)), unit="obj", disable=None):
        instance = instances[row]
        box = simulate_clicks(row, instance, settings, RELAX, SIZE).window.object_box
        pasted = [paste_inside(instance.mask, box.relaxed(margin)) for margin in margins]
        scores.append([score_object(instance, p, (0.5,), row, tolerance=None) for p in pasted])
    return [summarize(column, instances.category_names) for column in zip(*scores, strict=True)]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the mean IoU by size and margin."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", choices=DATASETS, default="shapes")
    parser.add_argument("--root", help="the data set's folder")
    parser.add_argument("--noise", type=cli.natural, default=5, help="pixels (5)")
    args = parser.parse_args(argv)

    instances = open_dataset(args.dataset, args.root)
    summaries = truth_pasted(instances, args.noise, MARGINS)
    groups = {"all": [summary.mean_iou for summary in summaries]}
    for size in summaries[0].by_size:
        groups[size] = [summary.by_size[size].mean_iou for summary in summaries]
    counts = {"all": len(instances)} | {k: g.count for k, g in summaries[0].by_size.items()}
    header = ("objects", "", *(f"{margin} px beyond the box" for margin in MARGINS))
    rows = [
        (name, str(counts[name]), *(f"{100 * v:.2f}" for v in means))
        for name, means in groups.items()
    ]
    print(
        f"{instances.name}, clicks off by up to {args.noise} pixels: IoU of the pasted truth, %\n"
    )
    print(markdown([header, *rows]))
    return 0


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
