"""Masks as COCO has them: run lengths, checked, exact; and what its annotation files hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dextr.common.errors import UserError
from dextr.common.files import read_json

COORDINATE_LIMIT = 100_000  # pycocotools walks every pixel of an edge, whatever its length
MOST_PIXELS = 2**29
LONGEST_RUN = 60  # bits


def mask_to_rle(mask: NDArray) -> dict[str, Any]:
    """Return a mask (H, W) as COCO's compressed run lengths, ready for JSON; exact.

    Raises:
        ValueError: Not (H, W).

    >>> mask_to_rle(np.eye(3))
    {'size': [3, 3], 'counts': '013000'}
    """
    from pycocotools import mask as coco_mask

    rle = coco_mask.encode(np.asfortranarray(checked_mask(mask), dtype=np.uint8))
    return {"size": [int(n) for n in rle["size"]], "counts": rle["counts"].decode()}


def rle_to_mask(rle: dict[str, Any]) -> NDArray[np.bool_]:
    """Return run lengths, compressed or a list, as a mask (H, W).

    Raises:
        ValueError: They are none, or do not add up to the size they state.
    """
    try:
        height, width = (int(n) for n in rle["size"])
        return decode(encode_segmentation(rle, (height, width))[1], (height, width))
    except (KeyError, TypeError, OverflowError) as error:
        raise UserError(f"not run lengths with 'size' and 'counts': {error}") from None


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
        raise UserError(f"expected an image of 1 to {MOST_PIXELS} pixels, got {hw[1]} x {hw[0]}")
    if isinstance(segmentation, dict):
        height, width = (int(n) for n in segmentation["size"])
        counts = segmentation["counts"]
        runs = counts if isinstance(counts, list) else decompress(counts)
        if (height, width) != hw or sum(runs) != height * width or min(runs, default=0) < 0:
            raise UserError(
                f"run lengths of {width} x {height} that cover {sum(runs)} pixels do not fit "
                f"the image of {hw[1]} x {hw[0]}"
            )
        rle = coco_mask.frPyObjects({"size": [height, width], "counts": runs}, height, width)
    else:
        polygons = [np.asarray(outline, float) for outline in segmentation if len(outline) >= 6]
        if not polygons:
            return 0, b""
        for xy in polygons:
            if xy.ndim != 1 or xy.size % 2 or not (np.abs(xy) < COORDINATE_LIMIT).all():
                raise UserError("expected polygons as flat lists x, y, ... of finite numbers")
        rle = coco_mask.merge(coco_mask.frPyObjects([xy.tolist() for xy in polygons], *hw))
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
            raise UserError(f"run lengths of more than {LONGEST_RUN} bits")
        if not bits & 32:
            value -= (bits & 16) << (shift - 4)
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs


def checked_mask(mask: NDArray) -> NDArray[np.bool_]:
    """Return a mask (H, W) as bool: what is not 0; a ValueError if it has other axes."""
    mask = np.asarray(mask)
    if mask.ndim != 2:
        raise UserError(f"expected a mask (H, W), got shape {mask.shape}")
    return mask != 0


def decode(counts: bytes | str, hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Return compressed run lengths that were checked before as a mask (H, W); b"" is empty."""
    from pycocotools import mask as coco_mask

    if not counts:
        return np.zeros(hw, bool)
    return np.ascontiguousarray(coco_mask.decode({"size": list(hw), "counts": counts}), dtype=bool)


def read_coco(path: Path) -> dict[str, Any]:
    """Return what a COCO annotation file holds; a ValueError if it is none."""
    return check_coco(path, read_json(path, "annotation file"))


def check_coco(path: Path, content: Any) -> dict[str, Any]:
    """Return a file's content; a ValueError if it lacks one of COCO's three lists."""
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise UserError(f"{path}: not COCO's format: expected a list under {key!r}")
    return content
