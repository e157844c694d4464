"""The objects of one image to masks, as far as their points allow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from dextr.annotation.objects import ObjectPoints
from dextr.annotation.parts import ImageMasks, PartStore
from dextr.common.images import read_image
from dextr.common.rle import mask_to_rle
from dextr.points import check_points
from dextr.predictor import Predictor


def cut_out(
    file: Path, objects: Sequence[ObjectPoints], predictor: Predictor, store: PartStore
) -> ImageMasks:
    """Cut out the objects of an image and keep their masks, so that they are not cut out again.

    Args:
        file: The image.
        objects: At least one, all of this image; those that cannot be cut out become problems.
        predictor: Makes the masks.
        store: Where masks are kept.

    Raises:
        ValueError: The image is unreadable or has another size than the points are for.
    """
    kept = store.read(file, objects)
    if kept is not None:
        return kept
    pixels = read_image(file)
    height, width = pixels.shape[:2]
    stated = objects[0].image_hw
    if stated not in (None, (height, width)):
        raise ValueError(
            f"{file} is {width} x {height} pixels, but the points are for {stated[1]} x {stated[0]}"
        )
    results: list[dict[str, Any] | str] = [_fault(entry, (height, width)) for entry in objects]
    good = [k for k, fault in enumerate(results) if not fault]
    # A batch at a time: the probabilities of all objects of a large image need not fit in memory.
    for start in range(0, len(good), predictor.batch_size):
        part = good[start : start + predictor.batch_size]
        predictions = predictor.predict_many(pixels, [objects[k].points for k in part])
        for k, prediction in zip(part, predictions, strict=True):
            results[k] = _result(prediction.mask, predictor.threshold)
    return store.write(file, objects, (height, width), results)


def _fault(entry: ObjectPoints, hw: tuple[int, int]) -> str:
    """Return what is wrong with an object's points; empty if nothing is."""
    try:
        check_points(entry.points, hw)
    except ValueError as error:
        return str(error)
    return ""


def _result(mask: NDArray, threshold: float) -> dict[str, Any] | str:
    if not mask.any():
        return f"no pixel is above the threshold {threshold:g}: check the points, or lower it"
    return mask_to_rle(mask)
