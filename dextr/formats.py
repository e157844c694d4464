"""Masks in the forms other tools read: run lengths and polygons, as COCO defines both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dextr.geometry import Box
from dextr.metrics import iou

COORDINATE_LIMIT = 100_000  # pycocotools walks every pixel of an edge, whatever its length
MOST_PIXELS = 2**29
LONGEST_RUN = 60  # bits

Polygon = list[float]


def mask_to_rle(mask: NDArray) -> dict[str, Any]:
    """Return a mask (H, W) as COCO's compressed run lengths, ready for JSON; exact.

    Raises:
        ValueError: Not (H, W).

    >>> mask_to_rle(np.eye(3))
    {'size': [3, 3], 'counts': '013000'}
    """
    from pycocotools import mask as coco_mask

    rle = coco_mask.encode(np.asfortranarray(_checked(mask), dtype=np.uint8))
    return {"size": [int(n) for n in rle["size"]], "counts": rle["counts"].decode()}


def rle_to_mask(rle: dict[str, Any]) -> NDArray[np.bool_]:
    """Return run lengths, compressed or a list, as a mask (H, W).

    Raises:
        ValueError: They are none, or do not add up to the size they state.
    """
    try:
        height, width = (int(n) for n in rle["size"])
        _, counts = encode_segmentation(rle, (height, width))
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"not run lengths with 'size' and 'counts': {error}") from None
    return _decode(counts, (height, width))


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
    mask = _checked(mask)
    if not 0 <= simplify < np.inf:
        raise ValueError(f"expected pixels to simplify by, 0 or more, got {simplify}")
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
        raise ValueError("expected polygons of at least three points")
    _, counts = encode_segmentation(list(polygons), hw)
    return _decode(counts, hw) if counts else np.zeros(hw, bool)


def polygon_iou(mask: NDArray, polygons: Sequence[Polygon]) -> float:
    """Return how well polygons give a mask (H, W) again: 1 is exactly."""
    mask = _checked(mask)
    return iou(polygons_to_mask(polygons, (mask.shape[0], mask.shape[1])), mask)


def encode_segmentation(segmentation: Any, hw: tuple[int, int]) -> tuple[int, bytes]:
    """Return the area and the compressed run lengths of polygons or run lengths.

    Args:
        segmentation: COCO's field: a list of flat x, y lists, or `counts` with `size`; None or
            empty is an object without pixels.
        hw: Height and width of the image.

    Raises:
        ValueError: It is neither, or does not fit the image.
    """
    from pycocotools import mask as coco_mask

    if not segmentation:
        return 0, b""
    if min(hw) < 1 or hw[0] * hw[1] > MOST_PIXELS:
        raise ValueError(f"expected an image of 1 to {MOST_PIXELS} pixels, got {hw[1]} x {hw[0]}")
    if isinstance(segmentation, dict):
        height, width = (int(n) for n in segmentation["size"])
        counts = segmentation["counts"]
        runs = counts if isinstance(counts, list) else decompress(counts)
        if (height, width) != hw or sum(runs) != height * width or min(runs, default=0) < 0:
            raise ValueError(
                f"run lengths of {width} x {height} that cover {sum(runs)} pixels do not fit "
                f"the image of {hw[1]} x {hw[0]}"
            )
        rle = coco_mask.frPyObjects({"size": [height, width], "counts": runs}, height, width)
    else:
        polygons = [_polygon(outline) for outline in segmentation if len(outline) >= 6]
        if not polygons:
            return 0, b""
        rle = coco_mask.merge(coco_mask.frPyObjects(polygons, *hw))
    return int(coco_mask.area(rle)), rle["counts"]


def decompress(counts: str | bytes) -> list[int]:
    """Return the run lengths in COCO's compressed string.

    Six bits a character: five of a number, lowest first, and whether it goes on. From the fourth
    number on, each is the difference to the last but one.

    Raises:
        ValueError: A number is longer than any run length.

    >>> decompress("53l2")
    [5, 3, 92]
    """
    runs: list[int] = []
    value = shift = 0
    for byte in counts.encode() if isinstance(counts, str) else counts:
        bits = byte - 48
        value |= (bits & 31) << shift
        shift += 5
        if shift > LONGEST_RUN:
            raise ValueError(f"run lengths of more than {LONGEST_RUN} bits")
        if not bits & 32:
            value -= (bits & 16) << (shift - 4)
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs


def _checked(mask: NDArray) -> NDArray[np.bool_]:
    mask = np.asarray(mask)
    if mask.ndim != 2:
        raise ValueError(f"expected a mask (H, W), got shape {mask.shape}")
    return mask != 0


def _decode(counts: bytes, hw: tuple[int, int]) -> NDArray[np.bool_]:
    from pycocotools import mask as coco_mask

    return np.ascontiguousarray(coco_mask.decode({"size": list(hw), "counts": counts}), dtype=bool)


def _simplified(ring: NDArray, tolerance: float) -> NDArray:
    """Return an outline (N, 2) with fewer points; at 0, without those on straight lines."""
    fewer = cv2.approxPolyDP(ring.astype(np.int32), tolerance, closed=True)[:, 0]
    return fewer if len(fewer) >= 3 else _simplified(ring, 0)


def _cut_open(outline: NDArray, holes: Sequence[NDArray]) -> NDArray:
    """Return an outline (N, 2) that visits each hole from the nearest of its own points."""
    if not holes:
        return outline
    nearest = cKDTree(outline)
    visits: dict[int, list[NDArray]] = {}
    for hole in holes:
        distance, at = nearest.query(hole)
        start = int(distance.argmin())
        back = outline[at[start]][None]
        visits.setdefault(int(at[start]), []).extend(
            [np.roll(hole, -start, 0), hole[[start]], back]
        )
    pieces = [
        piece for k, point in enumerate(outline) for piece in (point[None], *visits.get(k, ()))
    ]
    return np.concatenate(pieces)


def _polygon(outline: Any) -> Polygon:
    values = np.asarray(outline, np.float64)
    if values.ndim != 1 or values.size % 2 or not (np.abs(values) < COORDINATE_LIMIT).all():
        raise ValueError("expected polygons as flat lists x, y, x, y, ... of finite numbers")
    return values.tolist()
