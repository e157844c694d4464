"""DEXTR: the mask of an object from its four extreme points.

>>> mask = load_predictor().predict(image, points).mask  # doctest: +SKIP
"""

try:
    import cv2  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"OpenCV cannot be loaded ({error}). Where there are no graphics libraries such as libGL: "
        "pip uninstall opencv-python; pip install opencv-python-headless"
    ) from None

from dextr.geometry import Box, CropWindow
from dextr.heatmap import render_heatmap
from dextr.inputs import decode, encode
from dextr.losses import class_balanced_bce
from dextr.metrics import iou
from dextr.points import sample_extreme_points
from dextr.predictor import Predictor
from dextr.samples import Example, Instance, Prediction
from dextr.weights.load import load_predictor

__all__ = [
    "Box",
    "CropWindow",
    "Example",
    "Instance",
    "Prediction",
    "Predictor",
    "class_balanced_bce",
    "decode",
    "encode",
    "iou",
    "load_predictor",
    "render_heatmap",
    "sample_extreme_points",
]
