"""Writing masks as COCO's annotation file; `label_map_export` has the other layouts."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dextr.annotation.objects import PointsFile, Problem
from dextr.annotation.parts import ImageMasks
from dextr.annotation.polygons import mask_to_polygons, polygon_iou
from dextr.common.files import replacing
from dextr.common.rle import rle_to_mask


@dataclass(frozen=True)
class ImageExport:
    """What became of one image; small, so that processes can hand it over.

    Attributes:
        image: The image's file.
        count: Objects written.
        problems: Objects that the format cannot hold.
        record: What the exporter needs at the end.
    """

    image: str
    count: int
    problems: list[Problem] = field(default_factory=list)
    record: Any = None


class Exporter(ABC):
    """Writes one image after another, in any process, and at the end what spans all of them."""

    @abstractmethod
    def image(self, masks: ImageMasks) -> ImageExport:
        """Write what belongs to one image.

        Raises:
            ValueError: The image cannot be written.
        """

    @abstractmethod
    def finish(self, exports: list[ImageExport]) -> str:
        """Write what spans all images, and return a line that says where the result is."""


class CocoExporter(Exporter):
    """`instances.json`: images, categories, and an annotation per object.

    Besides COCO's own fields an annotation has `extreme_points`, so that the file can be read
    again as a file of points, and with polygons `polygon_iou`, how well they give the mask again.

    Args:
        root: The folder to write to.
        points: Whose ids and categories are used.
        polygons: Write polygons instead of run lengths.
        simplify: How far polygons may move, in pixels.
        name: Another name of the file.
    """

    def __init__(
        self,
        root: Path,
        points: PointsFile,
        polygons: bool = False,
        simplify: float = 0.0,
        name: str = "instances.json",
    ) -> None:
        self.path = root / name
        self.points = points
        self.polygons = polygons
        self.simplify = simplify
        self.category_ids = {record["name"]: record["id"] for record in points.categories}

    def image(self, masks: ImageMasks) -> ImageExport:
        from pycocotools import mask as coco_mask

        annotations = []
        for entry, rle in masks.objects:
            annotation = {
                "id": entry.number,
                "image_id": self.points.image_ids[masks.image],
                "category_id": self.category_ids[entry.label],
                "iscrowd": 0,
                "area": int(coco_mask.area(rle)),
                "bbox": [int(n) for n in coco_mask.toBbox(rle)],
                "extreme_points": entry.points.tolist(),
                "segmentation": rle,
            }
            if self.polygons:
                mask = rle_to_mask(rle)
                polygons = mask_to_polygons(mask, self.simplify)
                annotation["segmentation"] = polygons
                annotation["polygon_iou"] = round(polygon_iou(mask, polygons), 6)
            annotations.append(annotation)
        height, width = masks.hw
        record = {
            "id": self.points.image_ids[masks.image],
            "file_name": masks.image,
            "height": height,
            "width": width,
        }
        return ImageExport(masks.image, len(annotations), record=(record, annotations))

    def finish(self, exports: list[ImageExport]) -> str:
        records = [export.record for export in exports]
        annotations = [annotation for _, found in records for annotation in found]
        content = {
            "info": {"description": "masks from extreme points"},
            "images": sorted((image for image, _ in records), key=lambda r: r["id"]),
            "annotations": sorted(annotations, key=lambda r: r["id"]),
            "categories": self.points.categories,
        }
        with replacing(self.path) as temporary:
            temporary.write_text(json.dumps(content))
        return f"{self.path}{self._loss(annotations)}"

    def _loss(self, annotations: list[dict[str, Any]]) -> str:
        if not self.polygons:
            return ""
        ious = [annotation["polygon_iou"] for annotation in annotations]
        worst = min(annotations, key=lambda r: r["polygon_iou"])
        return (
            f"\npolygons against their masks: mean IoU {sum(ious) / len(ious):.4f}, worst "
            f"{worst['polygon_iou']:.4f} (annotation {worst['id']})"
        )
