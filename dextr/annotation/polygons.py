"""Masks as COCO polygons."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dextr.common.errors import UserError
from dextr.common.rle import checked_mask, decode, encode_segmentation
from dextr.geometry import Box
from dextr.metrics import iou

Polygon = list[float]


def mask_to_polygons(mask: NDArray, simplify: float = 0.0) -> list[Polygon]:
    """Return a mask (H, W) as COCO polygons, one per part; corners lie on corners of pixels.

    COCO's polygons have no holes, so each hole is joined to its part's outline by a cut of no
    width that is walked there and back. Unsimplified, pycocotools draws the same mask again.

    Args:
        mask: Non-zero on the object; parts are 8-connected.
        simplify: Most that an outline may move, in pixels (Douglas-Peucker). An outline that
            would become a line is not simplified. `polygon_iou` tells what it costs.

    Returns:
        Flat lists x, y, x, y, ...; pixel (x, y) covers x..x + 1, y..y + 1. None for an empty mask.

    Raises:
        ValueError: Not (H, W), or `simplify` negative or not finite.

    >>> mask_to_polygons(np.ones((2, 3)))
    [[0.0, 0.0, 0.0, 2.0, 3.0, 2.0, 3.0, 0.0]]
    """
    mask = checked_mask(mask)
    if not 0 <= simplify < np.inf:
        raise UserError(f"expected pixels to simplify by, 0 or more, got {simplify}")
    if not mask.any():
        return []
    box = Box.of_mask(mask)
    # With two by two points per pixel, each point of a contour is next to one corner of a pixel.
    doubled = mask[box.slices()].repeat(2, axis=0).repeat(2, axis=1).astype(np.uint8)
    contours, tree = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    parents = tree[0, :, 3]
    corner = np.array([box.x0, box.y0])
    rings = [corner + _simplified((c[:, 0] + 1) // 2, simplify) for c in contours]
    holes: dict[int, list[NDArray]] = {k: [] for k in np.flatnonzero(parents < 0).tolist()}
    for k in np.flatnonzero(parents >= 0).tolist():
        holes[int(parents[k])].append(rings[k])
    return [
        _cut_open(rings[k], inside).astype(float).ravel().tolist() for k, inside in holes.items()
    ]


def polygons_to_mask(polygons: Sequence[Polygon], hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Return COCO polygons as a mask (H, W), drawn by pycocotools.

    Raises:
        ValueError: Not flat lists x, y, x, y, ... of at least three points.
    """
    if any(len(polygon) < 6 for polygon in polygons):
        raise UserError("expected polygons of at least three points")
    plain = [np.asarray(polygon, float).tolist() for polygon in polygons]
    return decode(encode_segmentation(plain, hw)[1], hw)


def polygon_iou(mask: NDArray, polygons: Sequence[Polygon]) -> float:
    """Return how well polygons give a mask (H, W) again: 1 is exactly."""
    mask = checked_mask(mask)
    return iou(polygons_to_mask(polygons, (mask.shape[0], mask.shape[1])), mask)


def _simplified(ring: NDArray, tolerance: float) -> NDArray:
    """Return an outline (N, 2) with fewer points; at 0, without those on straight lines."""
    fewer = cv2.approxPolyDP(ring.astype(np.int32), tolerance, closed=True)[:, 0]
    return fewer if len(fewer) >= 3 else _simplified(ring, 0)


def _cut_open(outline: NDArray, holes: Sequence[NDArray]) -> NDArray:
    """Return an outline (N, 2) that visits each hole from the nearest of its own points."""
    if not holes:
        return outline
    nearest = cKDTree(outline)
    pieces = [[point[None]] for point in outline]
    for hole in holes:
        distance, at = nearest.query(hole)
        start = int(distance.argmin())
        pieces[at[start]] += [np.roll(hole, -start, 0), hole[[start]], outline[[at[start]]]]
    return np.concatenate([part for parts in pieces for part in parts])
