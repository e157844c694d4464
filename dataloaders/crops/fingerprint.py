"""What a data set holds, in few bytes: does a run still see the data that it began with?"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dataloaders.instances import Instances
from dextr.common.files import open_regular

SHOWN = 3
SAMPLE = 4096  # bytes


def fingerprint(instances: Instances) -> dict[str, int]:
    """Return a number for every image with objects, by its name.

    It stands for the objects' identities, categories and areas, and for the sizes and samples of
    the image's files; not for where they lie or when they were written, so that data can be moved.
    """
    index = instances.index
    rows = np.column_stack([index.object_id, index.category, index.area]).astype("<i8")
    images, starts = np.unique(index.image, return_index=True)
    found = {}
    for image, part in zip(images.tolist(), np.split(rows, starts[1:]), strict=True):
        digest = hashlib.blake2b(part.tobytes(), digest_size=8)
        for file in instances.files_of(image):
            digest.update(_sample(file))
        found[str(index.image_ids[image])] = int.from_bytes(digest.digest(), "little", signed=True)
    return found


def _sample(file: Path) -> bytes:
    """Return a file's size, and what it holds at its start, middle and end: enough to tell."""
    try:
        with open_regular(file) as opened:
            size = opened.seek(0, os.SEEK_END)
            parts = [b"%d " % size]
            for place in (0, size // 2, max(size - SAMPLE, 0)):
                opened.seek(place)
                parts.append(opened.read(SAMPLE))
    except OSError:
        return b"missing "
    return b"".join(parts)


def changes(before: Mapping[str, int], now: Mapping[str, int]) -> str:
    """Return what is different, in words; nothing where nothing is.

    >>> changes({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 9, "d": 4})
    '1 image is gone (c), 1 image is new (d), 1 image has another photo or other objects (b)'
    """
    parts = (
        ("is gone", "are gone", [name for name in before if name not in now]),
        ("is new", "are new", [name for name in now if name not in before]),
        ("has another photo or other objects", "have other photos or objects",
         [name for name, value in now.items() if before.get(name, value) != value]),
    )  # fmt: skip
    return ", ".join(_counted(one, many, names) for one, many, names in parts if names)


def _counted(one: str, many: str, names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    return (
        f"1 image {one} ({shown})" if len(names) == 1 else f"{len(names)} images {many} ({shown})"
    )
