"""Made-up data sets of any size, written in seconds: in PASCAL VOC's layout, and in COCO's.

A few scenes are drawn; further images are further names of the same files.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from dataloaders.pascal import PascalInstances
from dataloaders.shapes import draw_scene

PHOTO_HW = (375, 500)
SCENES = 24
OBJECTS_PER_IMAGE, CORNERS, CATEGORIES = 7, 24, 80


@contextmanager
def voc_objects(root: Path | None, split: str, images: int) -> Iterator[PascalInstances]:
    """Yield PASCAL's objects; where it has no root, those of so many made-up images."""
    with tempfile.TemporaryDirectory() as folder:
        yield PascalInstances(root or make_voc(Path(folder), images), split if root else "val")


def make_voc(root: Path, images: int, hw: tuple[int, int] = PHOTO_HW) -> Path:
    """Write VOCdevkit/VOC2012 with a split `val`; returns the root."""
    base = root / "VOCdevkit" / "VOC2012"
    kinds = {"JPEGImages": "jpg", "SegmentationObject": "png", "SegmentationClass": "png"}
    lists = base / "ImageSets" / "Segmentation"
    for folder in (lists, *(base / kind for kind in kinds)):
        folder.mkdir(parents=True)
    names = [f"2012_{k:06d}" for k in range(images)]
    (lists / "val.txt").write_text("\n".join(names) + "\n")
    colours = np.random.default_rng(0).integers(0, 256, 768).astype(np.uint8).tolist()
    for k, name in enumerate(names):
        files = [base / kind / f"{name}.{suffix}" for kind, suffix in kinds.items()]
        if k >= SCENES:
            for file in files:
                os.link(file.with_stem(names[k % SCENES]), file)
            continue
        image, labels = draw_scene(0, k, hw)
        Image.fromarray(image).save(files[0], quality=90)
        picture = Image.fromarray(labels, "P")
        picture.putpalette(colours)
        for file in files[1:]:
            picture.save(file)
    return root


def make_coco(root: Path, objects: int, hw: tuple[int, int]) -> tuple[Path, Path]:
    """Write an annotation file of polygons and its photos; returns the file and the folder."""
    rng = np.random.default_rng(0)
    photos = root / "images"
    photos.mkdir(parents=True)
    names = [f"{k:012d}.jpg" for k in range(-(-objects // OBJECTS_PER_IMAGE))]
    for k, name in enumerate(names):
        if k < SCENES:
            Image.fromarray(draw_scene(0, k, hw)[0]).save(photos / name, quality=90)
        else:
            os.link(photos / names[k % SCENES], photos / name)
    content = {
        "images": [
            {"id": k, "file_name": name, "height": hw[0], "width": hw[1]}
            for k, name in enumerate(names)
        ],
        "categories": [{"id": k + 1, "name": f"kind {k + 1}"} for k in range(CATEGORIES)],
        "annotations": [
            {
                "id": k, "image_id": k // OBJECTS_PER_IMAGE, "category_id": k % CATEGORIES + 1,
                "iscrowd": 0, "segmentation": [_outline(rng, hw)],
            }
            for k in range(objects)
        ],
    }  # fmt: skip
    file = root / "instances.json"
    file.write_text(json.dumps(content))
    return file, photos


def _outline(rng: np.random.Generator, hw: tuple[int, int]) -> list[float]:
    """Return x, y, x, y, .. of a star-shaped polygon inside the image."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, CORNERS))
    radius = rng.uniform(0.04, 0.2) * min(hw) * rng.uniform(0.6, 1, CORNERS)
    centre = rng.uniform(0.25, 0.75, 2) * hw[::-1]
    corners = centre + radius[:, None] * np.column_stack([np.cos(angles), np.sin(angles)])
    return corners.round(2).ravel().tolist()
