"""Writing masks as label maps: PASCAL VOC's layout, and a folder with a PNG per object."""

from __future__ import annotations

import re
import shutil
import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dextr.annotation.coco_writer import Exporter, ImageExport
from dextr.annotation.objects import PointsFile, Problem
from dextr.annotation.parts import ImageMasks
from dextr.annotation.pictures import MAX_OBJECTS
from dextr.common.files import replacing
from dextr.common.images import open_image, read_image
from dextr.common.rle import rle_to_mask
from dextr.visualize import save_palette_png
from dextr.voc_classes import VOC_CATEGORIES

EXIF_ORIENTATION = 0x0112
UNDECIDED = 255


class VocExporter(Exporter):
    """JPEGImages, SegmentationObject, SegmentationClass and a list in ImageSets/Segmentation.

    A pixel holds one object: where objects overlap, the smaller one is in front. Classes are
    VOC's twenty; an object with another label has 255 (undecided) in SegmentationClass. Images
    that are no JPEG, or are turned by their EXIF data, are saved anew with quality 95.

    Args:
        root: The folder to write to.
        images: The folder of images.
        points: What names the images.
        split: Name of the list.
    """

    def __init__(self, root: Path, images: Path, points: PointsFile, split: str = "train") -> None:
        self.root = root
        self.images = images
        self.list = root / "ImageSets" / "Segmentation" / f"{split}.txt"
        self.names = unique_names(points.image_ids)
        self.others = sorted({entry.label for entry in points.objects} - set(VOC_CATEGORIES))

    def image(self, masks: ImageMasks) -> ImageExport:
        name = self.names[masks.image]
        labels, problems = label_map(masks)
        classes = np.zeros(MAX_OBJECTS + 1, np.uint8)
        for number, (entry, _) in enumerate(masks.objects[:MAX_OBJECTS], 1):
            known = entry.label in VOC_CATEGORIES
            classes[number] = VOC_CATEGORIES.index(entry.label) + 1 if known else UNDECIDED
        _save_jpeg(self.images / masks.image, self.root / "JPEGImages" / f"{name}.jpg")
        save_palette_png(self.root / "SegmentationObject" / f"{name}.png", labels)
        save_palette_png(self.root / "SegmentationClass" / f"{name}.png", classes[labels])
        return ImageExport(masks.image, len(masks.objects) - len(problems), problems)

    def finish(self, exports: list[ImageExport]) -> str:
        if self.others:
            warnings.warn(
                f"not among VOC's classes, so 255 in SegmentationClass: {', '.join(self.others)}",
                stacklevel=2,
            )
        with replacing(self.list) as temporary:
            temporary.write_text("".join(f"{self.names[e.image]}\n" for e in exports))
        return f"{self.root} (VOC's layout, list {self.list.stem})"


class PngExporter(Exporter):
    """A PNG per object, and the images with label maps as a folder data set has them.

    - `objects/IMAGE/NUMBER.png`: the whole mask, 0 and 255; NUMBER is the row or annotation.
    - `images/`: copies of the images; `masks/IMAGE.png`: all its objects, 1, 2, ... in their
      order, the smaller in front.

    Args:
        root: The folder to write to.
        images: The folder of images.
        points: What names the images.
    """

    def __init__(self, root: Path, images: Path, points: PointsFile) -> None:
        self.root = root
        self.images = images
        self.names = unique_names(points.image_ids)

    def image(self, masks: ImageMasks) -> ImageExport:
        name = self.names[masks.image]
        written = [f"{name}/{entry.number}.png" for entry, _ in masks.objects]
        for file, (_, rle) in zip(written, masks.objects, strict=True):
            with replacing(self.root / "objects" / file) as temporary:
                Image.fromarray(rle_to_mask(rle)).convert("L").save(temporary, format="PNG")
        labels, problems = label_map(masks)
        save_palette_png(self.root / "masks" / f"{name}.png", labels)
        source = self.images / masks.image
        with replacing(self.root / "images" / f"{name}{source.suffix}") as temporary:
            shutil.copyfile(source, temporary)
        return ImageExport(masks.image, len(masks.objects), problems, written)

    def finish(self, exports: list[ImageExport]) -> str:
        written = {file for export in exports for file in export.record}
        there = {p.relative_to(self.root / "objects").as_posix() for p in self._objects()}
        if there - written:
            warnings.warn(
                f"{self.root / 'objects'} holds {len(there - written)} masks of an earlier run",
                stacklevel=2,
            )
        return f"{self.root} (objects/, and images/ with masks/)"

    def _objects(self) -> Iterable[Path]:
        return (self.root / "objects").glob("*/*.png")


def unique_names(images: Iterable[str]) -> dict[str, str]:
    """Return a name fit for a file for each image: its own without ending where that is unique.

    Raises:
        ValueError: Two images have the same name even so.

    >>> unique_names(["a.jpg", "b/a.jpg", "c.jpg", "c.png"])
    {'a.jpg': 'a', 'b/a.jpg': 'b_a', 'c.jpg': 'c_jpg', 'c.png': 'c_png'}
    """
    images = list(images)
    stems = Counter(_plain(PurePath(image).with_suffix("")) for image in images)
    names = {}
    for image in images:
        stem = _plain(PurePath(image).with_suffix(""))
        names[image] = stem if stems[stem] == 1 else _plain(image).replace(".", "_")
    uses = Counter(names.values())
    twice = [image for image, name in names.items() if uses[name] > 1]
    if twice:
        raise ValueError(f"the images {' and '.join(twice[:2])} get the same name: rename one")
    return names


def label_map(masks: ImageMasks) -> tuple[NDArray[np.uint8], list[Problem]]:
    """Return labels (H, W), k on the k-th object, smaller ones in front, and what is not seen."""
    from pycocotools import mask as coco_mask

    labels = np.zeros(masks.hw, np.uint8)
    shown = masks.objects[:MAX_OBJECTS]
    area = coco_mask.area([rle for _, rle in shown])
    for k in np.argsort(-area.astype(np.int64), kind="stable").tolist():
        labels[rle_to_mask(shown[k][1])] = k + 1
    seen = np.bincount(labels.ravel(), minlength=MAX_OBJECTS + 1) > 0
    problems = [
        Problem(entry.place, "lies behind other objects whole: a label map cannot show it")
        for k, (entry, _) in enumerate(shown, 1)
        if not seen[k]
    ]
    return labels, problems + [
        Problem(entry.place, f"a label map holds {MAX_OBJECTS} objects of an image")
        for entry, _ in masks.objects[MAX_OBJECTS:]
    ]


def _plain(path: Any) -> str:
    return re.sub(r"[/\\\s]", "_", str(path))


def _save_jpeg(source: Path, target: Path) -> None:
    with open_image(source) as image:
        as_it_is = image.format == "JPEG" and image.getexif().get(EXIF_ORIENTATION, 1) == 1
    with replacing(target) as temporary:
        if as_it_is:
            shutil.copyfile(source, temporary)
        else:
            Image.fromarray(read_image(source)).save(temporary, format="JPEG", quality=95)
