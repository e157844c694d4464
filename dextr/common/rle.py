"""Masks as COCO has them: run lengths, checked, exact."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dextr.common.coco_json import outlines_of, shortened, whole_number
from dextr.common.errors import UserError

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
    hw = _size_of(rle)
    return decode(encode_segmentation(rle, hw)[1], hw)


def encode_segmentation(segmentation: Any, hw: tuple[int, int]) -> tuple[int, bytes]:
    """Return the area and the compressed run lengths of polygons or run lengths.

    Args:
        segmentation: COCO's field: a list of flat x, y lists, or `counts` with `size`. Also what
            tools make of it: one flat list, lists of x, y pairs, lists nested once more, run
            lengths in a list. None or empty is an object without pixels.
        hw: Height and width of the image.

    Raises:
        ValueError: It is neither, or does not fit the image.
    """
    from pycocotools import mask as coco_mask

    if segmentation is None or (isinstance(segmentation, (list, dict)) and not segmentation):
        return 0, b""
    if min(hw) < 1 or hw[0] * hw[1] > MOST_PIXELS:
        raise UserError(f"expected an image of 1 to {MOST_PIXELS} pixels, got {hw[1]} x {hw[0]}")
    parts = [segmentation] if isinstance(segmentation, dict) else segmentation
    if isinstance(parts, list) and all(isinstance(part, dict) for part in parts):
        rles = [_runs_of(part, hw) for part in parts]
    else:
        polygons = [outline for outline in outlines_of(parts, hw) if len(outline) >= 6]
        rles = coco_mask.frPyObjects(polygons, *hw) if polygons else []
    if not rles:
        return 0, b""
    rle = rles[0] if len(rles) == 1 else coco_mask.merge(rles)
    return int(coco_mask.area(rle)), rle["counts"]


def _size_of(rle: Any) -> tuple[int, int]:
    """Return the height and width that run lengths state; a ValueError if they are none."""
    size = rle.get("size") if isinstance(rle, dict) else None
    if not isinstance(size, (list, tuple)) or len(size) != 2 or "counts" not in rle:
        raise UserError(
            f"expected run lengths with 'size' [height, width] and 'counts', got {shortened(rle)}"
        )
    return whole_number(size[0], "a height"), whole_number(size[1], "a width")


def _runs_of(rle: dict[str, Any], hw: tuple[int, int]) -> dict[str, Any]:
    """Return run lengths, checked, as pycocotools has them."""
    from pycocotools import mask as coco_mask

    (height, width), counts = _size_of(rle), rle["counts"]
    if isinstance(counts, list):
        plain = set(map(type, counts)) <= {int}
        runs = counts if plain else [whole_number(n, "a run's length") for n in counts]
    elif isinstance(counts, (str, bytes)):
        runs = decompress(counts)
    else:
        raise UserError(f"expected 'counts' as a list or a text, got {shortened(counts)}")
    if (height, width) != hw or sum(runs) != height * width or min(runs, default=0) < 0:
        raise UserError(
            f"run lengths of {width} x {height} that cover {sum(runs)} pixels do not fit "
            f"the image of {hw[1]} x {hw[0]}"
        )
    return coco_mask.frPyObjects({"size": [height, width], "counts": runs}, height, width)


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
