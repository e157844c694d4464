"""Writing masks as label maps: PASCAL VOC's layout, and a folder with a PNG per object."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dextr.annotation.coco_writer import Writer, Written
from dextr.annotation.objects import AnnotatedImage, PointsFile, Problem
from dextr.common.files import replacing, unique_names
from dextr.common.images import open_image, read_image
from dextr.common.label_png import (
    MOST_OBJECTS,
    VOC_CATEGORIES,
    VOID_LABEL,
    paint,
    write_label_map,
    write_mask,
)
from dextr.common.rle import rle_to_mask

EXIF_ORIENTATION = 0x0112


class VocWriter(Writer):
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

    def image(self, image: AnnotatedImage) -> Written:
        name = self.names[image.name]
        labels, problems = _label_map(image)
        classes = np.zeros(MOST_OBJECTS + 1, np.uint8)
        for number, annotated in enumerate(image.objects[:MOST_OBJECTS], 1):
            known = annotated.label in VOC_CATEGORIES
            classes[number] = VOC_CATEGORIES.index(annotated.label) + 1 if known else VOID_LABEL
        _save_jpeg(self.images / image.name, self.root / "JPEGImages" / f"{name}.jpg")
        write_label_map(self.root / "SegmentationObject" / f"{name}.png", labels)
        write_label_map(self.root / "SegmentationClass" / f"{name}.png", classes[labels])
        return Written(image.name, len(image.objects) - len(problems), problems)

    def finish(self, written: list[Written]) -> str:
        if self.others:
            warnings.warn(
                f"not among VOC's classes, so 255 in SegmentationClass: {', '.join(self.others)}",
                stacklevel=2,
            )
        with replacing(self.list) as temporary:
            temporary.write_text("".join(f"{self.names[w.image]}\n" for w in written))
        return f"{self.root} (VOC's layout, list {self.list.stem})"


class FolderWriter(Writer):
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

    def image(self, image: AnnotatedImage) -> Written:
        name = self.names[image.name]
        written = [f"{name}/{annotated.number}.png" for annotated in image.objects]
        for file, annotated in zip(written, image.objects, strict=True):
            write_mask(self.root / "objects" / file, rle_to_mask(annotated.rle))
        labels, problems = _label_map(image)
        write_label_map(self.root / "masks" / f"{name}.png", labels)
        source = self.images / image.name
        with replacing(self.root / "images" / f"{name}{source.suffix}") as temporary:
            shutil.copyfile(source, temporary)
        return Written(image.name, len(image.objects), problems, written)

    def finish(self, written: list[Written]) -> str:
        files = {file for image in written for file in image.record}
        there = {p.relative_to(self.root / "objects").as_posix() for p in self._objects()}
        if there - files:
            warnings.warn(
                f"{self.root / 'objects'} holds {len(there - files)} masks of an earlier run",
                stacklevel=2,
            )
        return f"{self.root} (objects/, and images/ with masks/)"

    def _objects(self) -> Iterable[Path]:
        return (self.root / "objects").glob("*/*.png")


def _label_map(image: AnnotatedImage) -> tuple[NDArray[np.uint8], list[Problem]]:
    """Return labels (H, W), k on the k-th object, smaller ones in front, and what is not seen."""
    shown = image.objects[:MOST_OBJECTS]
    labels = paint((rle_to_mask(annotated.rle) for annotated in shown), image.hw, "smaller")
    seen = np.bincount(labels.ravel(), minlength=MOST_OBJECTS + 1) > 0
    problems = [
        Problem(annotated.place, "lies behind other objects whole: a label map cannot show it")
        for k, annotated in enumerate(shown, 1)
        if not seen[k]
    ]
    return labels, problems + [
        Problem(annotated.place, f"a label map holds {MOST_OBJECTS} objects of an image")
        for annotated in image.objects[MOST_OBJECTS:]
    ]


def _save_jpeg(source: Path, target: Path) -> None:
    with open_image(source) as image:
        as_it_is = image.format == "JPEG" and image.getexif().get(EXIF_ORIENTATION, 1) == 1
    with replacing(target) as temporary:
        if as_it_is:
            shutil.copyfile(source, temporary)
        else:
            Image.fromarray(read_image(source)).save(temporary, format="JPEG", quality=95)
