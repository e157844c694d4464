"""What an evaluation found, as a table, as JSON and as a curve."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from os import PathLike
from typing import Any

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure

from dextr.common.cli import columns
from dextr.common.files import replacing
from dextr.evaluation.refinement import Curve, Refinement
from dextr.evaluation.summary import Group, Summary
from dextr.metrics import ObjectScore
from dextr.samples import HARD_BELOW

Row = tuple[str, ...]
OF_AN_OBJECT = ("name", "category", "area", "iou", "box_error", "boundary_f")


def table(summary: Summary, average_precision: Mapping[str, float | None] | None = None) -> str:
    """Return the numbers in aligned columns, in percent."""
    numbers = {
        "mean IoU over objects": summary.mean_iou,
        "mean IoU over categories": summary.category_mean_iou,
        "recall at IoU 0.5": summary.recall[0.5],
        "recall at IoU 0.7": summary.recall[0.7],
        "recall at IoU 0.1 .. 0.9, mean": summary.mean_recall,
        "wrong pixels in the box": summary.box_error,
        "boundary F": summary.boundary_f,
    }
    precision = (average_precision or {}).items()
    numbers |= {f"COCO {k}": v for k, v in precision if k.startswith("AP")}
    rows: list[Row] = [(name, _percent(value)) for name, value in numbers.items()]
    blocks = [rows, _groups("area", summary.by_size)]
    if len(summary.by_category) > 1:
        blocks.append(_groups("category", summary.by_category))
    if len(summary.by_threshold) > 1:
        best = summary.best_threshold
        by_threshold = sorted(summary.by_threshold.items())
        rows = [(f"{t:g}", _percent(v), "best" if t == best else "") for t, v in by_threshold]
        blocks.append([("threshold", "mean IoU", ""), *rows])
    return "\n\n".join(columns(block) for block in blocks)


def refinement_table(refinement: Refinement) -> str:
    """Return what further points bring in aligned columns, in percent."""
    curves = _curves(refinement)
    last = refinement.points[-1]
    rows: list[Row] = [("mean IoU after", *(f"{name} ({c.count})" for name, c in curves.items()))]
    for k, n in enumerate(refinement.points):
        means = (_percent(c.mean_iou[k] if c.count else None) for c in curves.values())
        rows.append((f"{n} points", *means))
    rows.append(("first point brings", *(_percent(c.first_gain, "+") for c in curves.values())))
    reach: list[Row] = [
        (f"{100 * iou:g}", f"{r.mean_points:.2f}", f"{r.never} never did, counted as {last}")
        for iou, r in refinement.reach.items()
    ]
    return f"{columns(rows)}\n\n{columns([('to reach IoU', 'points', ''), *reach])}"


def draw_curve(path: str | PathLike[str], refinement: Refinement, title: str) -> None:
    """Write a picture of mean IoU over the number of points, in the format of the file's ending."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for name, curve in _curves(refinement).items():
        if curve.count:
            values = [100 * value for value in curve.mean_iou]
            axes.plot(refinement.points, values, "o-", label=f"{name}: {curve.count} objects")
    axes.set(title=title, xlabel="points", ylabel="mean IoU in percent", xticks=refinement.points)
    axes.grid(alpha=0.3)
    axes.legend()
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _curves(refinement: Refinement) -> dict[str, Curve]:
    weak = f"{100 * HARD_BELOW:g}"
    return {
        "all": refinement.every,
        f"start below {weak}": refinement.weak,
        f"start at {weak} or more": refinement.rest,
    }


def _groups(title: str, groups: Mapping[str, Group]) -> list[Row]:
    rows = [(name, str(g.count), _percent(g.mean_iou)) for name, g in groups.items()]
    return [(title, "objects", "mean IoU"), *rows]


def _percent(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{100 * value:{sign}.2f}"


def as_dict(
    summary: Summary,
    scores: Sequence[ObjectScore],
    about: Mapping[str, Any],
    average_precision: Mapping[str, float | None] | None = None,
    refinement: Refinement | None = None,
) -> dict[str, Any]:
    """Return everything as JSON can hold it; the same evaluation gives the same.

    `about` is what was scored: `dataset`, `weights` (None for masks made elsewhere), `settings`.
    """
    numbers = {**asdict(summary), "best_threshold": summary.best_threshold}
    if average_precision is not None:
        numbers["coco"] = dict(average_precision)
    content = {
        **about,
        "versions": versions(),
        "summary": numbers,
        "objects": [{key: getattr(score, key) for key in OF_AN_OBJECT} for score in scores],
    }
    return content if refinement is None else {**content, "refinement": asdict(refinement)}


def versions() -> dict[str, str]:
    """Return the versions that a number may depend on."""
    modules = {"torch": torch, "numpy": np, "opencv": cv2}
    return {"python": platform.python_version()} | {k: m.__version__ for k, m in modules.items()}
