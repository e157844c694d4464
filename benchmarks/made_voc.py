"""A made-up data set in PASCAL VOC's layout, of any size, written in seconds."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from dataloaders.shapes import draw_scene

SCENES = 24


def make_voc(root: Path, images: int, hw: tuple[int, int]) -> Path:
    """Write VOCdevkit/VOC2012 with a split `val`; returns the root.

    A few scenes are drawn; further images are further names of the same files.
    """
    base = root / "VOCdevkit" / "VOC2012"
    lists = base / "ImageSets" / "Segmentation"
    for folder in (lists, *(base / name for name in ("JPEGImages", *MASKS))):
        folder.mkdir(parents=True)
    names = [f"2012_{k:06d}" for k in range(images)]
    (lists / "val.txt").write_text("\n".join(names) + "\n")
    for k, name in enumerate(names):
        photo = base / "JPEGImages" / f"{name}.jpg"
        masks = [base / folder / f"{name}.png" for folder in MASKS]
        if k >= SCENES:
            first = names[k % SCENES]
            for file in (photo, *masks):
                os.link(file.with_stem(first), file)
            continue
        image, labels = draw_scene(0, k, hw)
        Image.fromarray(image).save(photo, quality=90)
        for file in masks:
            _write_palette(file, labels)
    return root


MASKS = ("SegmentationObject", "SegmentationClass")


def _write_palette(path: Path, labels: np.ndarray) -> None:
    picture = Image.fromarray(labels, "P")
    picture.putpalette(np.random.default_rng(0).integers(0, 256, 768).astype(np.uint8).tolist())
    picture.save(path)
