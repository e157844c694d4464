"""A session's objects as COCO's annotation file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dextr.annotation.coco_writer import CocoExporter
from dextr.annotation.objects import ObjectPoints, PointsFile
from dextr.annotation.parts import ImageMasks
from dextr.window.session_file import SessionFile


def export_coco(session: SessionFile, labels: Sequence[str], path: Path) -> None:
    """Write all finished objects, with their clicks as `extreme_points`.

    Args:
        session: What was done.
        labels: The categories in the order of their ids, 1, 2, ...; all labels of the objects.
        path: The file.
    """
    images = []
    number = 0
    for name, record in session.records.items():
        objects = []
        for annotated in record.objects:
            number += 1
            entry = ObjectPoints(
                number, name, annotated.points, annotated.label, f"object {number}"
            )
            objects.append((entry, annotated.rle))
        if objects:
            images.append(ImageMasks(name, record.hw, objects, []))
    points = PointsFile(
        [entry for image in images for entry, _ in image.objects],
        [],
        [{"id": k, "name": label, "supercategory": ""} for k, label in enumerate(labels, 1)],
        {image.image: k for k, image in enumerate(images, 1)},
    )
    exporter = CocoExporter(path.parent, points, name=path.name)
    exporter.finish([exporter.image(image) for image in images])
