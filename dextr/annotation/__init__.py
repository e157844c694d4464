"""Many objects in files, no window: points in, masks and data sets out.

>>> from dextr.annotation import annotate, read_points  # doctest: +SKIP
>>> points = read_points("points.csv")  # doctest: +SKIP
>>> for image in annotate("photos", points.objects, predictor):  # doctest: +SKIP
...     print(image.name, len(image.objects), *image.problems)
"""

from dextr.annotation.coco_writer import CocoWriter, Writer, Written
from dextr.annotation.cut_out import annotate
from dextr.annotation.label_map_writer import FolderWriter, VocWriter
from dextr.annotation.objects import (
    AnnotatedImage,
    AnnotatedObject,
    ObjectPoints,
    PointsFile,
    Problem,
)
from dextr.annotation.points_file import read_points
from dextr.annotation.polygons import mask_to_polygons, polygon_iou, polygons_to_mask
from dextr.common.rle import mask_to_rle, rle_to_mask

__all__ = [
    "AnnotatedImage",
    "AnnotatedObject",
    "CocoWriter",
    "FolderWriter",
    "ObjectPoints",
    "PointsFile",
    "Problem",
    "VocWriter",
    "Writer",
    "Written",
    "annotate",
    "mask_to_polygons",
    "mask_to_rle",
    "polygon_iou",
    "polygons_to_mask",
    "read_points",
    "rle_to_mask",
]
