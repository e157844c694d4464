"""Writing masks as COCO's annotation file; `label_map_writer` has the other layouts."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from dextr.annotation.objects import AnnotatedImage, AnnotatedObject, Problem
from dextr.annotation.polygons import mask_to_polygons, polygon_iou
from dextr.common.files import replacing
from dextr.common.rle import rle_to_mask


@dataclass(frozen=True)
class Written:
    """What became of one image; small, so that processes can hand it over."""

    image: str
    count: int  # of objects written
    problems: list[Problem] = field(default_factory=list)  # objects that the format cannot hold
    record: Any = None  # what the writer needs at the end


class Writer(ABC):
    """Writes one image after another, in any process, and at the end what spans all of them."""

    @abstractmethod
    def image(self, image: AnnotatedImage) -> Written:
        """Write what belongs to one image; ValueError if it cannot be written."""

    @abstractmethod
    def finish(self, written: list[Written]) -> str:
        """Write what spans all images, and return a line that says where the result is."""

    def write(self, images: Iterable[AnnotatedImage]) -> str:
        """Write all images that could be read; see `image` and `finish`."""
        return self.finish([self.image(image) for image in images if image.readable])


@dataclass(frozen=True)
class CocoWriter(Writer):
    """One JSON file: images, categories, and an annotation per object.

    Besides COCO's own fields an annotation has `extreme_points`, so that the file can be read
    again as a file of points, and with polygons `polygon_iou`, how well they give the mask again.

    Attributes:
        categories: COCO's records; every label is one's name.
        image_ids: Each image's number, by its name.
        polygons: Instead of run lengths; they may move by `simplify` pixels.
    """

    path: str | PathLike[str]
    categories: list[dict[str, Any]]
    image_ids: Mapping[str, int]
    polygons: bool = False
    simplify: float = 0.0

    def image(self, image: AnnotatedImage) -> Written:
        number = self.image_ids[image.name]
        height, width = image.hw
        record = {"id": number, "file_name": image.name, "height": height, "width": width}
        annotations = [self._annotation(number, annotated) for annotated in image.objects]
        return Written(image.name, len(annotations), record=(record, annotations))

    def _annotation(self, image_id: int, annotated: AnnotatedObject) -> dict[str, Any]:
        from pycocotools import mask as coco_mask

        categories = {record["name"]: record["id"] for record in self.categories}
        annotation = {
            "id": annotated.number,
            "image_id": image_id,
            "category_id": categories[annotated.label],
            "iscrowd": 0,
            "area": int(coco_mask.area(annotated.rle)),
            "bbox": [int(n) for n in coco_mask.toBbox(annotated.rle)],
            "extreme_points": annotated.points.tolist(),
            "segmentation": annotated.rle,
        }
        if self.polygons:
            mask = rle_to_mask(annotated.rle)
            polygons = mask_to_polygons(mask, self.simplify)
            annotation["segmentation"] = polygons
            annotation["polygon_iou"] = round(polygon_iou(mask, polygons), 6)
        return annotation

    def finish(self, written: list[Written]) -> str:
        images = [image.record[0] for image in written]
        annotations = [annotation for image in written for annotation in image.record[1]]
        content = {
            "info": {"description": "masks from extreme points"},
            "images": sorted(images, key=lambda record: record["id"]),
            "annotations": sorted(annotations, key=lambda record: record["id"]),
            "categories": self.categories,
        }
        with replacing(self.path) as temporary:
            temporary.write_text(json.dumps(content), encoding="utf-8")
        if not self.polygons or not annotations:
            return f"{self.path}"
        ious = [annotation["polygon_iou"] for annotation in annotations]
        worst = min(annotations, key=lambda record: record["polygon_iou"])
        return (
            f"{self.path}\npolygons against their masks: mean IoU {sum(ious) / len(ious):.4f}, "
            f"worst {worst['polygon_iou']:.4f} (annotation {worst['id']})"
        )
