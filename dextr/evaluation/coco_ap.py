"""COCO's average precision of the masks, through pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dextr.common.errors import UserError
from dextr.evaluation.mask_sources import ScoredMask

# The order of COCOeval.stats.
NAMES = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large",
         "AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large")  # fmt: skip


@dataclass(frozen=True)
class Detection:
    """One object as COCO's evaluation needs it; small enough to send between processes.

    Attributes:
        row: The object's row in its data set.
        category: Taken from the truth.
        masks: `truth` and `found`, run-length encoded; void pixels are left out.
        score: Mean probability inside the mask; 1 for a mask made elsewhere, 0 for an empty one.
    """

    row: int
    image_id: str
    category: int
    masks: dict[str, dict[str, Any]]
    score: float


def detection_of(scored: ScoredMask) -> Detection:
    """Return a mask as a detection."""
    from pycocotools import mask as rle

    mask, instance = scored.mask, scored.instance
    kinds = {"truth": instance.mask, "found": mask & ~instance.void}
    encoded = {k: rle.encode(np.asfortranarray(v, dtype=np.uint8)) for k, v in kinds.items()}
    score = float(scored.prob[mask].mean(dtype=np.float64)) if mask.any() else 0.0
    return Detection(scored.row, instance.image_id, instance.category, encoded, score)


def average_precision(detections: Sequence[Detection]) -> dict[str, float | None]:
    """Return COCO's twelve numbers, 0..1, by name; None where no object counts for one.

    Every object has one detection of the right category, made from its own extreme points, so
    this judges masks and their ranking by confidence, not detection. Crowd regions take no part.

    Raises:
        ValueError: There are no detections.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    if not detections:
        raise UserError("no objects to compute COCO's average precision of")
    with contextlib.redirect_stdout(io.StringIO()):
        run = COCOeval(_tables(detections, "truth", COCO), _tables(detections, "found", COCO))
        run.params.iouType = "segm"
        run.evaluate()
        run.accumulate()
        run.summarize()
    return {k: float(v) if v >= 0 else None for k, v in zip(NAMES, run.stats, strict=True)}


def _tables(detections: Sequence[Detection], kind: str, coco: Any) -> Any:
    from pycocotools import mask as rle

    sizes = {d.image_id: d.masks["truth"]["size"] for d in detections}
    numbers = {name: k for k, name in enumerate(sorted(sizes), 1)}
    tables = coco()
    tables.dataset = {
        "images": [
            {"id": numbers[name], "height": size[0], "width": size[1]}
            for name, size in sizes.items()
        ],
        "categories": [{"id": c} for c in sorted({d.category for d in detections})],
        "annotations": [
            {
                "id": k,
                "image_id": numbers[d.image_id],
                "category_id": d.category,
                "segmentation": d.masks[kind],
                "area": int(rle.area(d.masks[kind])),
                "iscrowd": 0,
                "score": d.score,
            }
            for k, d in enumerate(sorted(detections, key=lambda d: d.row), 1)
        ],
    }
    tables.createIndex()
    return tables
