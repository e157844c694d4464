"""Writing masks as label maps: PASCAL VOC's layout, and a folder with a PNG per object."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dextr.annotation.coco_writer import Writer, Written
from dextr.annotation.objects import AnnotatedImage, PointsFile, Problem, photo_path
from dextr.common.errors import UserError
from dextr.common.files import replacing, unique_names
from dextr.common.image_files import open_image, orientation
from dextr.common.images import read_image
from dextr.common.label_png import (
    MOST_OBJECTS,
    VOC_CATEGORIES,
    VOID_LABEL,
    paint,
    write_label_map,
    write_mask,
)
from dextr.common.rle import rle_to_mask

LONGEST_JPEG = 65_500  # pixels, in libjpeg


@dataclass
class LabelMapWriter(Writer):
    """What both layouts share: the folder to write to, that of the images, what names these."""

    root: str | PathLike[str]
    images: str | PathLike[str]
    points: PointsFile

    def __post_init__(self) -> None:
        self.names = unique_names(self.points.image_ids)


@dataclass
class VocWriter(LabelMapWriter):
    """JPEGImages, SegmentationObject, SegmentationClass and a list in ImageSets/Segmentation.

    A pixel holds one object: where objects overlap, the smaller one is in front. Classes are
    VOC's twenty; an object with another label has 255 (undecided) in SegmentationClass. Images
    that are no JPEG, or are turned by their EXIF data, are saved anew with quality 95. `split` is
    the list's name.
    """

    split: str = "train"

    def image(self, image: AnnotatedImage) -> Written:
        name = self.names[image.name]
        labels, problems = _label_map(image)
        classes = np.full(VOID_LABEL + 1, VOID_LABEL, np.uint8)
        classes[0] = 0
        for number, annotated in enumerate(image.objects[:MOST_OBJECTS], 1):
            if annotated.label in VOC_CATEGORIES:
                classes[number] = VOC_CATEGORIES.index(annotated.label) + 1
        source = photo_path(self.images, image.name)
        _save_jpeg(source, Path(self.root, "JPEGImages", f"{name}.jpg"))
        write_label_map(Path(self.root, "SegmentationObject", f"{name}.png"), labels)
        write_label_map(Path(self.root, "SegmentationClass", f"{name}.png"), classes[labels])
        return Written(image.name, len(image.objects) - len(problems), problems)

    def finish(self, written: list[Written]) -> str:
        others = ", ".join(sorted({o.label for o in self.points.objects} - set(VOC_CATEGORIES)))
        if others:
            warnings.warn(
                f"not among VOC's classes, so 255 in SegmentationClass: {others}", stacklevel=2
            )
        file = Path(self.root, "ImageSets", "Segmentation", f"{self.split}.txt")
        with replacing(file) as temporary:
            lines = "".join(f"{self.names[w.image]}\n" for w in written)
            temporary.write_text(lines, encoding="utf-8")
        return f"{self.root} (VOC's layout, list {self.split})"


class FolderWriter(LabelMapWriter):
    """A PNG per object, and the images with label maps as a folder data set has them.

    - `objects/IMAGE/NUMBER.png`: the whole mask, 0 and 255; NUMBER is the row or annotation.
    - `images/`: copies of the images; `masks/IMAGE.png`: all its objects, 1, 2, ... in their
      order, the smaller in front.
    """

    def image(self, image: AnnotatedImage) -> Written:
        name = self.names[image.name]
        files = [Path(self.root, "objects", name, f"{o.number}.png") for o in image.objects]
        for file, annotated in zip(files, image.objects, strict=True):
            write_mask(file, rle_to_mask(annotated.rle))
        labels, problems = _label_map(image)
        write_label_map(Path(self.root, "masks", f"{name}.png"), labels)
        source = photo_path(self.images, image.name)
        with replacing(Path(self.root, "images", f"{name}{source.suffix}")) as temporary:
            shutil.copyfile(source, temporary)
        return Written(image.name, len(image.objects), problems, files)

    def finish(self, written: list[Written]) -> str:
        objects = Path(self.root, "objects")
        earlier = set(objects.glob("*/*.png")).difference(*(image.record for image in written))
        if earlier:
            warnings.warn(f"{objects} holds {len(earlier)} masks of an earlier run", stacklevel=2)
        return f"{self.root} (objects/, and images/ with masks/)"


def _label_map(image: AnnotatedImage) -> tuple[NDArray[np.uint8], list[Problem]]:
    """Return labels (H, W), k on the k-th object, smaller ones in front, and what is not seen."""
    shown = image.objects[:MOST_OBJECTS]
    labels = paint((rle_to_mask(annotated.rle) for annotated in shown), image.hw, "smaller")
    seen = np.bincount(labels.ravel(), minlength=MOST_OBJECTS + 1) > 0
    behind = "lies behind other objects whole: a label map cannot show it"
    too_many = f"a label map holds {MOST_OBJECTS} objects of an image"
    problems = [Problem(o.place, behind) for k, o in enumerate(shown, 1) if not seen[k]]
    return labels, problems + [Problem(o.place, too_many) for o in image.objects[MOST_OBJECTS:]]


def _save_jpeg(source: Path, target: Path) -> None:
    with open_image(source) as image:
        as_it_is = image.format == "JPEG" and orientation(image) == 1
        longest = max(image.size)
    if not as_it_is and longest > LONGEST_JPEG:
        raise UserError(f"{source}: {longest} pixels long; a JPEG file holds {LONGEST_JPEG}")
    with replacing(target) as temporary:
        if as_it_is:
            shutil.copyfile(source, temporary)
        else:
            Image.fromarray(read_image(source)).save(temporary, format="JPEG", quality=95)
