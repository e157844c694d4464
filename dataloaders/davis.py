"""DAVIS 2016: one foreground object per video frame (Perazzi et al., 2016)."""

from __future__ import annotations

from os import PathLike
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from dataloaders.files import find_base, find_photos, read_split
from dataloaders.label_maps import LabelMapInstances
from dextr.common.errors import UserError
from dextr.common.label_png import cut_at_the_middle, is_soft, read_label_map

RESOLUTION = "480p"


class DavisInstances(LabelMapInstances):
    """The frames of DAVIS 2016 at 480p; whatever is not background is the object.

    An image's name is `SEQUENCE_FRAME`.

    Args:
        root: The folder that holds JPEGImages, Annotations and ImageSets, or its parent.
        split: `train`, `val`, `trainval`, or another list in ImageSets/480p or ImageSets/2016.
    """

    def __init__(self, root: str | PathLike[str], split: str = "val") -> None:
        hint = "Get DAVIS 2016 (480p) from davischallenge.org"
        needed = ("ImageSets", f"JPEGImages/{RESOLUTION}", f"Annotations/{RESOLUTION}")
        base = find_base(root, (".", "DAVIS"), needed, "DAVIS 2016", hint).resolve()
        lists = [base / "ImageSets" / name for name in (RESOLUTION, "2016")]
        lines = read_split(next((f for f in lists if f.is_dir()), lists[0]), split)
        pairs = [pair for line in lines for pair in _frames(base, line)]
        self.image_space = str(base)
        files = {"_".join(PurePosixPath(k).with_suffix("").parts[-2:]): (k, m) for k, m in pairs}
        super().__init__(f"davis-{split}", base, split, files)

    def read_labels(self, image: int) -> NDArray[np.int32]:
        labels = read_label_map(self.label_path(image))
        return (cut_at_the_middle(labels) if is_soft(labels) else labels != 0).astype(np.int32)


def _frames(base: Path, line: str) -> list[tuple[str, str]]:
    """Return the (image, mask) files of a list's line: one frame's pair, or a sequence's name."""
    image, *mask = line.split()
    if mask:
        stem = PurePosixPath(image.lstrip("/")).with_suffix("").as_posix()
        return [(find_photos(base, [stem])[0], mask[0].lstrip("/"))]
    images, masks = f"JPEGImages/{RESOLUTION}/{line}", f"Annotations/{RESOLUTION}/{line}"
    frames = sorted(path.stem for path in (base / masks).glob("*.png"))
    if not frames:
        raise UserError(f"{base / masks}: no masks of the sequence {line!r}")
    photos = find_photos(base, [f"{images}/{frame}" for frame in frames])
    return [(k, f"{masks}/{frame}.png") for k, frame in zip(photos, frames, strict=True)]
