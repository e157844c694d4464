"""A made-up data set in COCO's format, of any number of objects, written in seconds."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from PIL import Image

from dataloaders.shapes import draw_scene

SCENES = 8
OBJECTS_PER_IMAGE = 7
CORNERS = 24
CATEGORIES = 80


def make_coco(root: Path, objects: int, hw: tuple[int, int]) -> tuple[Path, Path]:
    """Write an annotation file of polygons and its photos; returns the file and the folder.

    A few photos are drawn; further ones are further names of the same files.
    """
    rng = np.random.default_rng(0)
    photos = root / "images"
    photos.mkdir(parents=True)
    images = -(-objects // OBJECTS_PER_IMAGE)
    names = [f"{k:012d}.jpg" for k in range(images)]
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
                "id": k,
                "image_id": k // OBJECTS_PER_IMAGE,
                "category_id": k % CATEGORIES + 1,
                "iscrowd": 0,
                "segmentation": [_outline(rng, hw)],
            }
            for k in range(objects)
        ],
    }
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
