"""What an evaluation found, as a table, as JSON and as a curve."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from os import PathLike
from typing import Any

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure

from dextr.common.files import replacing
from dextr.evaluation.refinement import WEAK_BELOW, Curve, Refinement
from dextr.evaluation.summary import Group, Summary
from dextr.metrics import ObjectScore

Row = tuple[str, ...]


def table(summary: Summary, average_precision: Mapping[str, float | None] | None = None) -> str:
    """Return the numbers in aligned columns, in percent."""
    rows: list[Row] = [
        ("mean IoU over objects", _percent(summary.mean_iou)),
        ("mean IoU over categories", _percent(summary.category_mean_iou)),
        ("recall at IoU 0.5", _percent(summary.recall[0.5])),
        ("recall at IoU 0.7", _percent(summary.recall[0.7])),
        ("recall at IoU 0.1 .. 0.9, mean", _percent(summary.mean_recall)),
        ("wrong pixels in the box", _percent(summary.box_error)),
        ("boundary F", _percent(summary.boundary_f)),
    ]
    precision = {k: v for k, v in (average_precision or {}).items() if k.startswith("AP")}
    rows += [(f"COCO {k}", _percent(v)) for k, v in precision.items()]
    blocks = [rows, _groups("area", summary.by_size)]
    if len(summary.by_category) > 1:
        blocks.append(_groups("category", summary.by_category))
    if len(summary.by_threshold) > 1:
        thresholds = sorted(summary.by_threshold.items())
        rows = [(f"{t:g}", _percent(v), _mark(t, summary)) for t, v in thresholds]
        blocks.append([("threshold", "mean IoU", ""), *rows])
    return "\n\n".join(columns(block) for block in blocks)


def refinement_table(refinement: Refinement) -> str:
    """Return what further points bring in aligned columns, in percent."""
    curves = _curves(refinement)
    last = refinement.points[-1]
    head: Row = ("mean IoU after", *(f"{name} ({curve.count})" for name, curve in curves.items()))
    rows: list[Row] = [
        (f"{n} points", *(_percent(c.mean_iou[k] if c.count else None) for c in curves.values()))
        for k, n in enumerate(refinement.points)
    ]
    gains = (_signed(curve.first_gain) for curve in curves.values())
    reach: list[Row] = [
        (f"{100 * iou:g}", f"{r.mean_points:.2f}", f"{r.never} never did, counted as {last}")
        for iou, r in refinement.reach.items()
    ]
    blocks: list[list[Row]] = [
        [head, *rows, ("first point brings", *gains)],
        [("to reach IoU", "points", ""), *reach],
    ]
    return "\n\n".join(columns(block) for block in blocks)


def _curves(refinement: Refinement) -> dict[str, Curve]:
    weak = f"{100 * WEAK_BELOW:g}"
    return {
        "all": refinement.every,
        f"start below {weak}": refinement.weak,
        f"start at {weak} or more": refinement.rest,
    }


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.2f}"


def draw_curve(path: str | PathLike[str], refinement: Refinement, title: str) -> None:
    """Write a picture of mean IoU over the number of points, in the format of the file's ending."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for name, curve in _curves(refinement).items():
        if curve.count:
            values = [100 * value for value in curve.mean_iou]
            axes.plot(refinement.points, values, "o-", label=f"{name}: {curve.count} objects")
    axes.set_title(title)
    axes.set_xlabel("points")
    axes.set_ylabel("mean IoU in percent")
    axes.set_xticks(refinement.points)
    axes.grid(alpha=0.3)
    axes.legend()
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _groups(title: str, groups: Mapping[str, Group]) -> list[Row]:
    rows = [(name, str(g.count), _percent(g.mean_iou)) for name, g in groups.items()]
    return [(title, "objects", "mean IoU"), *rows]


def _mark(threshold: float, summary: Summary) -> str:
    return "best" if threshold == summary.best_threshold else ""


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def columns(rows: Sequence[Row]) -> str:
    """Return rows of text in aligned columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)


def as_json(
    summary: Summary,
    scores: Sequence[ObjectScore],
    *,
    dataset: Mapping[str, Any],
    weights: Mapping[str, Any] | None,
    settings: Mapping[str, Any],
    average_precision: Mapping[str, float | None] | None = None,
    refinement: Refinement | None = None,
) -> str:
    """Return everything as JSON text; the same evaluation gives the same text.

    Args:
        summary: The numbers.
        scores: The objects they come from.
        dataset: The data set's name and the like.
        weights: Name and hash of the weights; None for masks made elsewhere.
        settings: All that was chosen.
        average_precision: COCO's numbers, if there are any.
        refinement: What further points bring, if they were tried.
    """
    numbers = {**asdict(summary), "best_threshold": summary.best_threshold}
    if average_precision is not None:
        numbers["coco"] = dict(average_precision)
    content: dict[str, Any] = {
        "dataset": dataset,
        "weights": weights,
        "settings": settings,
        "versions": versions(),
        "summary": numbers,
        "objects": [
            {
                "name": s.name,
                "category": s.category,
                "area": s.area,
                "iou": s.iou,
                "box_error": s.box_error,
                "boundary_f": s.boundary_f,
            }
            for s in scores
        ],
    }
    if refinement is not None:
        content["refinement"] = asdict(refinement)
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def write_text(path: str | PathLike[str], text: str) -> None:
    """Write a text file; the old one stays whole until the new one is."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def versions() -> dict[str, str]:
    """Return the versions that a number may depend on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }
